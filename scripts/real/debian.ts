import { mkdir, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { cacheRoot } from '../../src/lab/engine/kubernetes/release-cache.ts';
import { output } from '../../src/sys/exec.ts';
import { UserError } from '../../src/util/errors.ts';
import { digestOf } from './go-program.ts';
import type { BuildContext, Part } from './part.ts';

/** What Cilium's image has beside Cilium, with all that these need. Source: images/runtime/install-runtime-deps.sh in Cilium's module. */
const WITH_DEPENDENCIES = [
  'bash',
  'bpftool',
  'coreutils',
  'findutils',
  'grep',
  'iproute2',
  'ipset',
  'iptables',
  'kmod',
  'libclang-cpp19',
  'libllvm19',
  'mount',
  'sed',
  'util-linux',
];

/** The compiler by itself: what it depends on besides is for programs that run on a machine, not in its kernel. */
const ALONE = ['clang-19'];

const APT_MS = 30 * 60_000;

/** The tools that Cilium's agent runs, clang among them. */
export function debianPart(): Promise<Part> {
  return debianRoot({
    name: 'cilium-tools',
    of: 'what Cilium runs',
    withDependencies: WITH_DEPENDENCIES,
    alone: ALONE,
    cost: 'a download of 200 MB',
  });
}

/** Debian's packages for a directory that becomes the root of an image. */
export interface DebianPackages {
  /** Name of the part, and of its directory in the cache. */
  name: string;
  /** What they are for, as in "packages of …". */
  of: string;
  withDependencies: readonly string[];
  /** Those of which nothing else is wanted. */
  alone?: readonly string[];
  cost: string;
}

/** A root of Debian's packages. Nothing is installed on the machine. */
export async function debianRoot(packages: DebianPackages, cache = cacheRoot()): Promise<Part> {
  const { name, withDependencies, alone = [], cost } = packages;
  const release = await readFile('/etc/os-release', 'utf8');
  const value = (key: string) => new RegExp(`^${key}="?([^"\\n]*)`, 'm').exec(release)?.[1] ?? '';
  const version = `${value('ID') || 'unknown'}-${value('VERSION_ID') || 'unknown'}`;
  const directory = join(cache, name, version);
  return {
    name,
    version,
    directory,
    files: ['root'],
    digest: digestOf(version, withDependencies, alone),
    cost,
    build: (context) => unpack(packages, directory, context),
  };
}

async function unpack(
  { name, of, withDependencies, alone = [] }: DebianPackages,
  directory: string,
  { exec, progress, signal }: BuildContext,
): Promise<void> {
  const archives = join(directory, 'archives');
  // All that is in it is unpacked: a package of a run that was interrupted may be of another version by now.
  await rm(archives, { recursive: true, force: true });
  await mkdir(archives, { recursive: true });
  const run = (argv: string[], cwd = archives) => output(exec, argv, { cwd, timeoutMs: APT_MS, signal });
  await progress.step(`Downloading Debian's packages of ${of}`, async () => {
    // As if nothing were installed, so that the list has all that they need.
    const blank = ['-o', 'Dir::State::status=/dev/null', '--no-install-recommends'];
    let simulated: string;
    try {
      simulated = await run(['apt-get', 'install', '-s', '-qq', ...blank, ...withDependencies]);
    } catch (cause) {
      throw new UserError(
        `cannot build ${name}: apt-get does not find ${withDependencies.join(', ')}; run "apt-get update" on Debian 12 or later`,
        { cause },
      );
    }
    const needed = [...simulated.matchAll(/^Inst (\S+) /gm)].map(([, name]) => name!);
    await run(['apt-get', 'download', '-qq', ...needed, ...alone]);
  });
  await progress.step('Unpacking them', async () => {
    const fresh = join(directory, '.root.new');
    await rm(fresh, { recursive: true, force: true });
    await mkdir(fresh);
    for (const archive of (await readdir(archives)).filter((each) => each.endsWith('.deb')).sort()) {
      await run(['dpkg-deb', '-x', join(archives, archive), fresh]);
    }
    await rm(join(directory, 'root'), { recursive: true, force: true });
    await rename(fresh, join(directory, 'root'));
  });
  await rm(archives, { recursive: true });
}
