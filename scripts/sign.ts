/**
 * `make sign REGISTRY=ghcr.io/owner`: signs the checksums of this commit's release, and its images where `make push` has put them, by cosign without a
 * key: who signs shows the identity of the workflow or of a person. `sign.ts --registry PLACE [--release DIR]`.
 */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { realExec } from '../src/sys/exec.ts';
import { ending } from './ending.ts';
import { parseRegistry } from './release/registry.ts';
import { runCommands } from './release/run-commands.ts';
import { signingCommands } from './release/sign.ts';
import { releaseOf } from './release/written.ts';

const root = join(import.meta.dir, '..');

await ending(async () => {
  const { values } = parseArgs({
    options: {
      registry: { type: 'string', default: process.env.REGISTRY ?? '' },
      release: { type: 'string' },
    },
  });
  parseRegistry(values.registry);
  const { directory } = await releaseOf(realExec, root, values.release);
  await runCommands('cannot sign the release', signingCommands(directory, values.registry));
});
