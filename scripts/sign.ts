/**
 * `make sign REGISTRY=ghcr.io/owner`: signs the checksums of this commit's release, and its images where `make push` has put them, by cosign without a
 * key: who signs shows the identity of the workflow or of a person. `sign.ts --registry PLACE [--release DIR]`.
 */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { realExec } from '../src/sys/exec.ts';
import { foreground } from '../src/sys/foreground.ts';
import { messageOf, UserError } from '../src/util/errors.ts';
import { parseRegistry } from './release/registry.ts';
import { signingCommands } from './release/sign.ts';
import { releaseOf } from './release/written.ts';

const root = join(import.meta.dir, '..');

try {
  const { values } = parseArgs({
    options: {
      registry: { type: 'string', default: process.env.REGISTRY ?? '' },
      release: { type: 'string' },
    },
  });
  parseRegistry(values.registry);
  const { directory } = await releaseOf(realExec, root, values.release);
  for (const argv of signingCommands(directory, values.registry)) {
    const status = await foreground(argv, { stdin: 'ignore' });
    if (status === 127)
      throw new UserError('cannot sign the release: there is no cosign; install it, then run this again');
    if (status !== 0)
      throw new UserError(`cannot sign the release: ${argv.join(' ')}: exit status ${status}`);
  }
} catch (error) {
  process.stderr.write(`ERROR: ${messageOf(error)}\n`);
  process.exitCode = error instanceof UserError ? error.exitCode : 1;
}
