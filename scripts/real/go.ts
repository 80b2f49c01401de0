import { chmod, mkdir, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Progress } from '../../src/lab/cluster/progress.ts';
import { type Exec, ExecError, output } from '../../src/sys/exec.ts';
import { exists } from '../../src/sys/files.ts';

/** Which Go a module needs: the `go` and `toolchain` lines of its go.mod, `1.26.0` and `1.26.8`. */
export interface GoWanted {
  least: string;
  /** What is downloaded when the machine's own is older. */
  toolchain: string;
}

export function goWanted(goMod: string): GoWanted {
  const least = /^go (\d+\.\d+\.\d+)$/m.exec(goMod)?.[1];
  const toolchain = /^toolchain go(\d+\.\d+\.\d+)$/m.exec(goMod)?.[1];
  if (least === undefined) throw new Error('go.mod has no go line with three numbers');
  // A toolchain that is no newer is left out by "go mod tidy".
  return { least, toolchain: toolchain ?? least };
}

export interface GoContext {
  exec: Exec;
  /** Directory in which a toolchain is kept that had to be downloaded. */
  cache: string;
  /** Whether packages of the distribution may be installed: by root, where there is apt-get. */
  canInstall: boolean;
  progress: Progress;
  signal: AbortSignal;
}

/** Where Go is looked for: on PATH, and where its own archive and Debian put it. */
const PLACES = ['go', '/usr/local/go/bin/go', '/usr/lib/go/bin/go'];
const DOWNLOAD_MS = 30 * 60_000;

/**
 * The `go` command to build with: the machine's own if it is new enough, else a toolchain from the Go module proxy, where every release of Go
 * is a module. Whatever Go the machine has downloads it, and checks it against the checksum database; a machine without any gets its
 * distribution's, which is too old to build with, but can do that.
 */
export async function ensureGo(wanted: GoWanted, context: GoContext): Promise<string> {
  const { cache, progress } = context;
  const found = await findGo(context);
  if (found !== undefined && isAtLeast(found.version, wanted.least)) return found.path;
  const kept = join(cache, `go${wanted.toolchain}`);
  if (!(await exists(kept))) {
    const loader = found ?? (await installGo(context));
    await progress.step(`Downloading Go ${wanted.toolchain}`, () =>
      downloadToolchain(loader.path, wanted.toolchain, kept, context),
    );
  }
  return join(kept, 'bin/go');
}

interface FoundGo {
  path: string;
  version: string;
}

/** The newest Go of the machine. */
async function findGo({ exec, signal }: GoContext): Promise<FoundGo | undefined> {
  const found = await Promise.all(
    PLACES.map(async (path): Promise<FoundGo[]> => {
      try {
        const said = await output(exec, [path, 'env', 'GOVERSION'], { ...OUTSIDE, signal });
        const version = /^go(\d+(?:\.\d+)*)/.exec(said)?.[1];
        return version === undefined ? [] : [{ path, version }];
      } catch (cause) {
        signal.throwIfAborted();
        // Not there, or not a Go that works.
        if (cause instanceof ExecError) return [];
        throw cause;
      }
    }),
  );
  return found.flat().sort((a, b) => (isAtLeast(a.version, b.version) ? -1 : 1))[0];
}

/** Outside any module, whose go.mod an old Go may not understand, and with the Go that was called. */
const OUTSIDE = {
  cwd: '/',
  env: { ...process.env, GOFLAGS: '-modcacherw', GOTOOLCHAIN: 'local', GOWORK: 'off' },
};

async function installGo(context: GoContext): Promise<FoundGo> {
  const { exec, canInstall, progress, signal } = context;
  const name = 'golang-go';
  if (!canInstall) {
    throw new Error(
      `cannot build: there is no Go; install it (Debian: apt-get install ${name}), then run this again`,
    );
  }
  await progress.step(`Installing ${name}`, async () => {
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
    await output(exec, ['apt-get', 'update', '-qq'], { env, timeoutMs: DOWNLOAD_MS, signal });
    const install = ['apt-get', 'install', '-y', '-qq', '--no-install-recommends', name];
    await output(exec, install, { env, timeoutMs: DOWNLOAD_MS, signal });
  });
  const found = await findGo(context);
  if (found === undefined)
    throw new Error(`cannot build: ${name} is installed, but there is no Go that works`);
  return found;
}

/**
 * Downloads a toolchain to `to`. In a module's archive no file is executable, and a nested go.mod is named _go.mod; both are put right
 * here, as newer versions of Go do. Source: cmd/go/internal/toolchain/select.go.
 */
async function downloadToolchain(
  go: string,
  version: string,
  to: string,
  { exec, cache, signal }: GoContext,
): Promise<void> {
  const modules = join(cache, 'modules');
  const module = `golang.org/toolchain@${`v0.0.1-go${version}.linux-${GOARCH[process.arch] ?? process.arch}`}`;
  await mkdir(cache, { recursive: true });
  const said = await output(exec, [go, 'mod', 'download', '-json', module], {
    ...OUTSIDE,
    env: { ...OUTSIDE.env, GOMODCACHE: modules },
    timeoutMs: DOWNLOAD_MS,
    signal,
  });
  const { Dir: directory } = JSON.parse(said) as { Dir: string };
  for (const nested of ['src', 'src/cmd']) {
    await rename(join(directory, nested, '_go.mod'), join(directory, nested, 'go.mod'));
  }
  for (const programs of ['bin', ...(await toolDirectories(directory))]) {
    for (const name of await readdir(join(directory, programs))) {
      await chmod(join(directory, programs, name), 0o755);
    }
  }
  await rename(directory, to);
  await rm(modules, { recursive: true });
}

async function toolDirectories(directory: string): Promise<string[]> {
  return (await readdir(join(directory, 'pkg/tool'))).map((platform) => join('pkg/tool', platform));
}

/** Go's names of architectures by Node's. */
const GOARCH: Readonly<Record<string, string>> = { x64: 'amd64' };

/** Whether a version, `1.26` or `1.26.8`, is another one or newer. */
function isAtLeast(version: string, least: string): boolean {
  const [own, other] = [version, least].map((text) => text.split('.').map(Number)) as [number[], number[]];
  for (const index of [0, 1, 2]) {
    const difference = (own[index] ?? 0) - (other[index] ?? 0);
    if (difference !== 0) return difference > 0;
  }
  return true;
}
