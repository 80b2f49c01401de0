import { join } from 'node:path';
import { type Exec, output } from '../../src/sys/exec.ts';
import type { BuildFacts } from '../../src/util/version.ts';

/** Where a build comes from. */
export interface Source extends BuildFacts {
  /** Whether tracked files differ from the commit. */
  isChanged: boolean;
}

/** Semantic Versioning 2.0.0 without build metadata, which tags of images may not have. */
const VERSION = /^(?:0|[1-9]\d*)(?:\.(?:0|[1-9]\d*)){2}(?:-[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?$/;

/**
 * Reads the version of a working tree: of its tag `vX.Y.Z` if its commit has one, else that of package.json and the commit, as a pre-release
 * of it (`0.1.0-g3c1b8c1abcde`); what was changed and not committed adds `.changed`. A tree without a repository, as from an archive, has
 * the version of package.json.
 */
export async function readSource(exec: Exec, root: string): Promise<Source> {
  const { version } = (await Bun.file(join(root, 'package.json')).json()) as { version: string };
  const git = async (...words: string[]) => (await output(exec, ['git', ...words], { cwd: root })).trim();
  // A repository that this tree only lies in, as an unpacked archive may, is another project's.
  const inside = await exec.run(['git', 'rev-parse', '--show-cdup'], { cwd: root }).catch(() => undefined);
  if (inside?.code !== 0 || inside.stdout.trim() !== '') return { version, isChanged: false };

  const [commit = '', seconds] = (await git('log', '-1', '--format=%H %ct')).split(' ');
  const date = new Date(Number(seconds) * 1000).toISOString().replace('.000Z', 'Z');
  const isChanged = (await git('status', '--porcelain', '--untracked-files=no')) !== '';
  const tags = (await git('tag', '--points-at', 'HEAD', '--list', 'v[0-9]*')).split('\n').filter(Boolean);
  if (tags.length > 1) throw new Error(`cannot name the version: commit ${commit} has ${tags.join(' and ')}`);
  const tagged = tags[0]?.slice(1);
  if (tagged !== undefined && !VERSION.test(tagged))
    throw new Error(`cannot name the version: tag v${tagged} of ${commit} is not vX.Y.Z`);
  const name = tagged ?? `${version}-g${commit.slice(0, 12)}`;
  return { version: isChanged ? `${name}${tagged ? '-' : '.'}changed` : name, commit, date, isChanged };
}
