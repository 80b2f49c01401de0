/**
 * `make publish`: publishes the files of this commit's release as a release of the repository's host, by gh, and its packages to the registry that npm is
 * configured for. Only a commit with a tag, and what is not published yet: repeatable. `publish.ts [--release DIR]`.
 */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { realExec } from '../src/sys/exec.ts';
import { foreground } from '../src/sys/foreground.ts';
import { messageOf, UserError } from '../src/util/errors.ts';
import { checkPublishable, publishingCommands } from './release/publish.ts';
import { publishedOf } from './release/published.ts';
import { checkSigned } from './release/sign.ts';
import { releaseOf } from './release/written.ts';

const root = join(import.meta.dir, '..');

try {
  const { values } = parseArgs({ options: { release: { type: 'string' } } });
  const release = await releaseOf(realExec, root, values.release);
  checkPublishable(release);
  checkSigned(release);
  const commands = publishingCommands(release, await publishedOf(realExec, release));
  if (commands.length === 0) console.log(`hostport ${release.version} is published`);
  for (const argv of commands) {
    const status = await foreground(argv, { stdin: 'ignore' });
    if (status === 127)
      throw new UserError(`cannot publish: there is no ${argv[0]}; install it, then run this again`);
    if (status !== 0) throw new UserError(`cannot publish: ${argv.join(' ')}: exit status ${status}`);
  }
} catch (error) {
  process.stderr.write(`ERROR: ${messageOf(error)}\n`);
  process.exitCode = error instanceof UserError ? error.exitCode : 1;
}
