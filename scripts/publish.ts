/**
 * `make publish`: publishes the files of this commit's release as a release of the repository's host, by gh, and its packages to the registry that npm is
 * configured for. Only a commit with a tag, and what is not published yet: repeatable. `publish.ts [--release DIR]`.
 */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { realExec } from '../src/sys/exec.ts';
import { ending } from './ending.ts';
import { checkPublishable, publishingCommands } from './release/publish.ts';
import { publishedOf } from './release/published.ts';
import { runCommands } from './release/run-commands.ts';
import { checkSigned } from './release/sign.ts';
import { releaseOf } from './release/written.ts';

const root = join(import.meta.dir, '..');

await ending(async () => {
  const { values } = parseArgs({ options: { release: { type: 'string' } } });
  const release = await releaseOf(realExec, root, values.release);
  checkPublishable(release);
  checkSigned(release);
  const commands = publishingCommands(release, await publishedOf(realExec, release));
  if (commands.length === 0) console.log(`hostport ${release.version} is published`);
  await runCommands('cannot publish', commands);
});
