/**
 * `make push REGISTRY=ghcr.io/owner`: pushes the images and the chart of the release of this commit, with credentials of docker's configuration.
 * `push.ts --registry PLACE [--release DIR]`.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { output, realExec } from '../src/sys/exec.ts';
import { messageOf, UserError } from '../src/util/errors.ts';
import { ending } from './ending.ts';
import { dockerCredentials } from './release/push/docker-credentials.ts';
import { pushChart } from './release/push/push-chart.ts';
import { pushImage } from './release/push/push-image.ts';
import { RegistryClient } from './release/push/registry-client.ts';
import { parseRegistry } from './release/registry.ts';
import { chartIn, imagesIn, releaseOf } from './release/written.ts';

const UNPACK_MS = 5 * 60_000;
const root = join(import.meta.dir, '..');

await ending(main);

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      registry: { type: 'string', default: process.env.REGISTRY ?? '' },
      release: { type: 'string' },
    },
  });
  const { domain, below } = parseRegistry(values.registry);
  const { directory } = await releaseOf(realExec, root, values.release);
  const credentials = await dockerCredentials(domain, realExec);
  for (const { file, name, tag } of imagesIn(directory)) {
    const layout = mkdtempSync(join(tmpdir(), 'hostport-push-'));
    try {
      await output(realExec, ['tar', '-xf', file, '-C', layout], { timeoutMs: UNPACK_MS });
      const client = new RegistryClient(domain, `${below}${name}`, credentials);
      const { digest, sent, reference } = await pushImage(layout, client, tag).catch((cause: unknown) => {
        throw new UserError(`cannot push ${name} to ${values.registry}: ${messageOf(cause)}`);
      });
      console.log(`${values.registry}/${name}:${tag}@${digest} (${(sent / 1e6).toFixed(1)} MB sent)`);
      const wanted = `${values.registry}/${name}:${tag}`;
      if (reference !== wanted)
        console.error(
          `warning: this release is for ${reference}, which its program and manifests name; "make release REGISTRY=${values.registry}" makes one for ${wanted}`,
        );
    } finally {
      rmSync(layout, { recursive: true });
    }
  }
  const chart = 'charts/hostport';
  const client = new RegistryClient(domain, `${below}${chart}`, credentials);
  const digest = await pushChart(chartIn(directory), client).catch((cause: unknown) => {
    throw new UserError(`cannot push ${chart} to ${values.registry}: ${messageOf(cause)}`);
  });
  console.log(`oci://${values.registry}/${chart}@${digest}`);
}
