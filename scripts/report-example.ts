/**
 * Writes `docs/report-example.html`: the report page of the how-to's cluster as `make lab` leaves it, from what was recorded of that
 * (test/fixtures/bundles/begin). A test holds the file to what is written here. `bun scripts/report-example.ts`.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { bundleWorld } from '../src/collect/bundle.ts';
import { pageHtml } from '../src/page/html.ts';
import { diagnose } from '../src/path/diagnose/diagnose.ts';
import { packetWays } from '../src/path/view/packet-way.ts';

const ROOT = join(import.meta.dir, '..');
export const EXAMPLE = join(ROOT, 'docs/report-example.html');

/** The example's page. It names no version: it is the same until the page or the diagnosis changes. */
export async function exampleReport(): Promise<string> {
  const diagnosed = diagnose(await bundleWorld(join(ROOT, 'test/fixtures/bundles/begin')));
  return pageHtml({
    diagnosis: diagnosed.diagnosis,
    ways: packetWays(diagnosed),
    title: 'Cluster "kind", the example of the how-to',
    version: 'of this documentation',
  });
}

if (import.meta.main) writeFileSync(EXAMPLE, await exampleReport());
