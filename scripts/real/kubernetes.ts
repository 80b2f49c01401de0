import { createHash } from 'node:crypto';
import { link, mkdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Progress } from '../../src/lab/cluster/progress.ts';
import { PROGRAMS } from '../../src/lab/engine/kubernetes/release.ts';
import { releaseCache } from '../../src/lab/engine/kubernetes/release-cache.ts';
import { type Exec, output } from '../../src/sys/exec.ts';
import { readIfExists, writeFileAtomic } from '../../src/sys/files.ts';

/** What is compiled one after another, so that one sees how far it is, and the packages that it is. Each needs less than the one before. */
const PARTS: readonly (readonly [what: string, path: string])[] = [
  ['client libraries', 'k8s.io/client-go/kubernetes'],
  ['kube-apiserver', 'k8s.io/kubernetes/cmd/kube-apiserver/app'],
  ['kube-controller-manager', 'k8s.io/kubernetes/cmd/kube-controller-manager/app'],
  ['kube-scheduler', 'k8s.io/kubernetes/cmd/kube-scheduler/app'],
  ['kubelet', 'k8s.io/kubernetes/cmd/kubelet/app'],
  ['kube-proxy', 'k8s.io/kubernetes/cmd/kube-proxy/app'],
  ['kubectl', 'k8s.io/kubectl/pkg/cmd'],
];

/** The names under which the one executable is all programs; kubectl is not needed in nodes, and there for whoever has none. */
const NAMES = [...PROGRAMS, 'kubectl'];

/** The slowest part takes some minutes of one processor; a machine may be busy. */
const PART_MS = 4 * 3_600_000;

export interface BuildContext {
  exec: Exec;
  progress: Progress;
  signal: AbortSignal;
}

/** The release that a source directory describes. */
export interface Source {
  directory: string;
  goMod: string;
  /** `v1.36.1`. */
  version: string;
  /** Identity of what the executable is made from. */
  digest: string;
}

export async function readSource(directory: string): Promise<Source> {
  const files = ['go.mod', 'go.sum', 'cmd/kube/main.go'];
  const texts = await Promise.all(files.map((name) => readFile(join(directory, name), 'utf8')));
  const goMod = texts[0]!;
  const version = /^\s*k8s\.io\/kubernetes (v\d+\.\d+\.\d+)$/m.exec(goMod)?.[1];
  if (version === undefined) throw new Error(`${directory}/go.mod does not require k8s.io/kubernetes`);
  const hash = createHash('sha256').update(linkerFlags(version));
  for (const text of texts) hash.update(`${text.length}\n${text}`);
  return { directory, goMod, version, digest: hash.digest('hex') };
}

/** Where the programs are when they have been built from this source; undefined when they have not. */
export async function builtFrom({ version, digest }: Source): Promise<string | undefined> {
  const directory = releaseCache(version);
  return (await readIfExists(join(directory, STAMP))) === `${digest}\n` ? directory : undefined;
}

/** Written last. */
const STAMP = '.built-from';

/**
 * Builds all programs of a release into the cache, and returns the directory. What is compiled stays in Go's own build cache, so that what
 * was interrupted continues where it was.
 */
export async function buildKubernetes(source: Source, go: string, context: BuildContext): Promise<string> {
  const { exec, progress, signal } = context;
  const { version } = source;
  const run = (...words: string[]) =>
    output(exec, [go, ...words], {
      cwd: source.directory,
      env: {
        ...process.env,
        CGO_ENABLED: '0',
        GOTOOLCHAIN: 'local',
        GOWORK: 'off',
        GOFLAGS: `${process.env.GOFLAGS ?? ''} -trimpath -buildvcs=false -mod=readonly`.trim(),
      },
      timeoutMs: PART_MS,
      signal,
    });
  await progress.step('Downloading modules', () => run('mod', 'download'));
  for (const [what, path] of PARTS) await progress.step(`Compiling ${what}`, () => run('build', path));

  const directory = releaseCache(version);
  await mkdir(directory, { recursive: true });
  const executable = join(directory, '.kube.new');
  await progress.step('Linking', () =>
    run('build', '-ldflags', linkerFlags(version), '-o', executable, './cmd/kube'),
  );
  // Over what was there: a cluster that runs from it keeps its own.
  await rm(join(directory, STAMP), { force: true });
  for (const name of NAMES) {
    const fresh = join(directory, `.${name}.new`);
    await rm(fresh, { force: true });
    await link(executable, fresh);
    await rename(fresh, join(directory, name));
  }
  await rm(executable);
  await writeFileAtomic(join(directory, STAMP), `${source.digest}\n`);
  return directory;
}

/** Bytes of the executable. */
export async function sizeOf(directory: string): Promise<number> {
  return (await stat(join(directory, NAMES[0]!))).size;
}

/** No symbol table, and what the programs say their version is: to their users, and to API servers. */
function linkerFlags(version: string): string {
  const [major, minor] = version.slice(1).split('.');
  const values = {
    gitVersion: version,
    gitMajor: major,
    gitMinor: minor,
    gitTreeState: 'clean',
    gitCommit: '0'.repeat(40),
    buildDate: '1970-01-01T00:00:00Z',
  };
  const packages = ['k8s.io/component-base/version', 'k8s.io/client-go/pkg/version'];
  const set = packages.flatMap((path) =>
    Object.entries(values).map(([name, value]) => `-X ${path}.${name}=${value}`),
  );
  return ['-s', '-w', ...set].join(' ');
}
