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

/** A root of Debian's packages with the tools that Cilium's agent runs, clang among them. Nothing is installed on the machine. */
export async function debianPart(): Promise<Part> {
  const release = await readFile('/etc/os-release', 'utf8');
  const value = (name: string) => new RegExp(`^${name}="?([^"\\n]*)`, 'm').exec(release)?.[1] ?? '';
  const version = `${value('ID') || 'unknown'}-${value('VERSION_ID') || 'unknown'}`;
  const directory = join(cacheRoot(), 'cilium-tools', version);
  return {
    name: 'cilium-tools',
    version,
    directory,
    files: ['root'],
    digest: digestOf(version, WITH_DEPENDENCIES, ALONE),
    cost: 'a download of 200 MB',
    build: (context) => unpack(directory, context),
  };
}

async function unpack(directory: string, { exec, progress, signal }: BuildContext): Promise<void> {
  const archives = join(directory, 'archives');
  await mkdir(archives, { recursive: true });
  const run = (argv: string[], cwd = archives) => output(exec, argv, { cwd, timeoutMs: APT_MS, signal });
  await progress.step("Downloading Debian's packages of what Cilium runs", async () => {
    // As if nothing were installed, so that the list has all that they need.
    const blank = ['-o', 'Dir::State::status=/dev/null', '--no-install-recommends'];
    let simulated: string;
    try {
      simulated = await run(['apt-get', 'install', '-s', '-qq', ...blank, ...WITH_DEPENDENCIES]);
    } catch (cause) {
      throw new UserError(
        `cannot build cilium-tools: apt-get does not find ${WITH_DEPENDENCIES.join(', ')}; run "apt-get update" on Debian 12 or later`,
        { cause },
      );
    }
    const needed = [...simulated.matchAll(/^Inst (\S+) /gm)].map(([, name]) => name!);
    await run(['apt-get', 'download', '-qq', ...needed, ...ALONE]);
  });
  await progress.step('Unpacking them', async () => {
    const fresh = join(directory, '.root.new');
    await rm(fresh, { recursive: true, force: true });
    await mkdir(fresh);
    for (const name of (await readdir(archives)).filter((each) => each.endsWith('.deb')).sort()) {
      await run(['dpkg-deb', '-x', join(archives, name), fresh]);
    }
    await rm(join(directory, 'root'), { recursive: true, force: true });
    await rename(fresh, join(directory, 'root'));
  });
  await rm(archives, { recursive: true });
}
