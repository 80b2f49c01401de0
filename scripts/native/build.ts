import { createHash } from 'node:crypto';
import { chmod, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cacheRoot } from '../../src/lab/engine/kubernetes/release-cache.ts';
import { ExecError, output, realExec } from '../../src/sys/exec.ts';
import { makeKept } from './kept.ts';
import { ensureZig } from './zig.ts';

/** Architectures as releases and as compilers call them. */
const TARGETS = { amd64: 'x86_64-linux-musl', arm64: 'aarch64-linux-musl' } as const;
type Architecture = keyof typeof TARGETS;
export const ARCHITECTURES = Object.keys(TARGETS) as Architecture[];
/** That of this machine, as Node calls it. */
export const HOST: Architecture = process.arch === 'arm64' ? 'arm64' : 'amd64';

const COMPILE_MS = 10 * 60_000;
/** Of the engine, as its own build has them; what is not used is left out, and port.c has the clock. */
const ENGINE_FLAGS = [
  ...['-O2', '-DNDEBUG', '-D_GNU_SOURCE', '-funsigned-char', '-fwrapv', '-w'],
  ...['-ffunction-sections', '-fdata-sections', '-Dgettimeofday=engine_gettimeofday'],
];
const OWN_FLAGS = [
  '-O2',
  '-Wall',
  '-Wextra',
  '-Werror',
  '-Wno-unused-parameter',
  '-fstack-protector-strong',
  '-D_FORTIFY_SOURCE=2',
];
const ENGINE = ['quickjs', 'libregexp', 'libunicode', 'dtoa'];

/** Compiles for one architecture in a directory, with the compiler's own cache beside the project's. */
type Compile = (architecture: Architecture, argv: readonly string[], cwd: string) => Promise<void>;

/** A plugin: the name of its executable, the file that its bundle begins with, and what it is built for. */
interface NativePlugin {
  name: string;
  entry: string;
  architectures: readonly Architecture[];
}

/**
 * Builds plugins as native executables, `<out>/<architecture>/<name>`: the TypeScript, bundled and compiled to the engine's bytecode, and the engine
 * with the port in C. Nothing of the directory that it is built in gets into them.
 */
export async function buildNative(
  root: string,
  out: string,
  plugins: readonly NativePlugin[],
): Promise<void> {
  const cache = cacheRoot();
  const zig = await ensureZig(root, cache, realExec);
  const zigCache = join(cache, 'zig/cache');
  const compile: Compile = async (architecture, argv, cwd) => {
    const env = { ...process.env, ZIG_GLOBAL_CACHE_DIR: zigCache, ZIG_LOCAL_CACHE_DIR: zigCache };
    await output(realExec, [zig, 'cc', '-target', TARGETS[architecture], ...argv], {
      cwd,
      env,
      timeoutMs: COMPILE_MS,
    });
  };
  const sources = join(root, 'native');
  const engines = await engineObjects(sources, join(cache, 'quickjs-ng'), compile);
  const work = await mkdtemp(join(tmpdir(), 'hostport-native-'));
  try {
    const include = ['-I', join(sources, 'quickjs-ng')];
    const compiler = join(work, 'compile');
    const toBytecode = ['-static', ...OWN_FLAGS, ...include, join(sources, 'compile.c'), ...engines[HOST]];
    await compile(HOST, [...toBytecode, '-o', compiler], work);
    await Promise.all(
      plugins.map(async ({ name, entry, architectures }) => {
        const own = join(work, `${name}.build`);
        await mkdir(own);
        await writeFile(join(own, 'plugin.js'), await bundle(root, entry));
        await output(realExec, [compiler, 'plugin.js', 'plugin.bc'], { cwd: own });
        const inputs = ['port.c', 'child.c', 'heap.c', 'netlink.c', 'sha2.c'].map((file) =>
          join(sources, file),
        );
        for (const architecture of architectures) {
          const flags = ['-static', '-s', '-Wl,--gc-sections', ...OWN_FLAGS, ...include];
          const link = async (image: string, to: string) => {
            await writeFile(join(own, 'image.S'), image);
            await compile(
              architecture,
              [...flags, ...inputs, 'image.S', ...engines[architecture], '-o', to],
              own,
            );
          };
          await linkPrepared(architecture, own, link);
          await put(join(own, architecture), join(out, architecture), name);
        }
      }),
    );
  } finally {
    await rm(work, { recursive: true });
  }
}

/** Puts a copy of an executable into a directory. A plugin may be running: a new directory entry leaves the old file to it. */
async function put(file: string, directory: string, name: string): Promise<void> {
  await mkdir(directory, { recursive: true });
  const fresh = join(directory, `.${name}.${process.pid}`);
  await writeFile(fresh, await readFile(file));
  await chmod(fresh, 0o755);
  await rename(fresh, join(directory, name));
}

/** Room for what a plugin has in memory when it has been loaded: more than any takes. */
const MOST_IMAGE = 4 * 1024 * 1024;
const PAGE = 4096;
const PREPARE_MS = 60_000;

/**
 * Links the executable `<architecture>` in a directory that has the bytecode: one that loads it and says what is then in its memory, and one that has that
 * in it, so it need not load anything. Both are linked alike, so that addresses are the same: the memory's size is found by another one first.
 */
async function linkPrepared(
  architecture: Architecture,
  directory: string,
  link: (image: string, to: string) => Promise<void>,
): Promise<void> {
  const imageOf = async (size: number) => {
    await link(imageSource(`.zero ${size}`), 'preparing');
    const argv = [...emulatorOf(architecture), join(directory, 'preparing')];
    const options = { stdinFile: join(directory, 'plugin.bc'), env: {}, binary: true, timeoutMs: PREPARE_MS };
    const result = await realExec.run(argv, options);
    if (result.code !== 0 || result.stdoutBytes === undefined) throw new ExecError(argv, result);
    return result.stdoutBytes;
  };
  const size = Math.ceil((await imageOf(MOST_IMAGE)).length / PAGE) * PAGE;
  const image = Buffer.alloc(size);
  image.set(await imageOf(size));
  await writeFile(join(directory, 'image'), image);
  // The compiler's cache knows what a file says, not what a file that it names says.
  const digest = createHash('sha256').update(image).digest('hex');
  await link(`# ${digest}\n${imageSource('.incbin "image"')}`, architecture);
}

/** The words before a program of an architecture. */
function emulatorOf(architecture: Architecture): string[] {
  if (architecture === HOST) return [];
  const name = `qemu-${TARGETS[architecture].split('-')[0]}-static`;
  const emulator = Bun.which(name);
  if (emulator === null)
    throw new Error(`cannot build plugins for ${architecture}: ${name} not found; run make setup`);
  return [emulator];
}

/** What heap.h calls `heap_image`. */
function imageSource(content: string): string {
  return `
    .section .data.image,"aw",%progbits
    .global heap_image
    .global heap_image_end
    .balign 4096
heap_image:
    ${content}
    .balign 4096
heap_image_end:
    .section .note.GNU-stack,"",%progbits
`;
}

/** The engine's objects, which take a minute to compile, kept by the digest of their sources and flags. */
async function engineObjects(
  sources: string,
  cache: string,
  compile: Compile,
): Promise<Record<Architecture, string[]>> {
  const engine = join(sources, 'quickjs-ng');
  const digest = createHash('sha256').update(
    JSON.stringify([ENGINE_FLAGS, TARGETS, await readFile(join(sources, 'zig.txt'), 'utf8')]),
  );
  for (const name of (await readdir(engine)).sort())
    digest.update(name).update(await readFile(join(engine, name)));
  const kept = join(cache, digest.digest('hex').slice(0, 16));
  const objects = (architecture: Architecture) => ENGINE.map((name) => join(kept, architecture, `${name}.o`));
  await makeKept(kept, async (fresh) => {
    console.log('Compiling QuickJS-ng for two architectures, about a minute');
    for (const architecture of ARCHITECTURES) await mkdir(join(fresh, architecture));
    await Promise.all(
      ARCHITECTURES.map(async (architecture) => {
        for (const name of ENGINE) {
          const argv = [...ENGINE_FLAGS, '-c', `${name}.c`, '-o', join(fresh, architecture, `${name}.o`)];
          await compile(architecture, argv, engine);
        }
      }),
    );
  });
  return { amd64: objects('amd64'), arm64: objects('arm64') };
}

/** A plugin as one script, with src/cni/native in the place of what a runtime has. */
async function bundle(root: string, entry: string): Promise<string> {
  const native = join(root, 'src/cni/native');
  const places: readonly (readonly [RegExp, string])[] = [
    [/^node:fs$/, 'fs.ts'],
    [/^bun:ffi$/, 'ffi.ts'],
    [/\/sys\/bun-exec\.ts$/, 'exec.ts'],
    [/\/netlink-messages\.ts$/, 'netlink-messages.ts'],
    [/\/util\/fnv1a\.ts$/, 'fnv1a.ts'],
  ];
  const built = await Bun.build({
    entrypoints: [join(root, entry)],
    target: 'browser',
    format: 'iife',
    minify: true,
    plugins: [
      {
        name: 'native',
        setup(builder) {
          for (const [filter, file] of places)
            builder.onResolve({ filter }, () => ({ path: join(native, file) }));
          // Imported by what the plugin does not use, and gone with it.
          builder.onResolve({ filter: /^node:(?:child_process|os)$/ }, ({ path }) => ({
            path,
            namespace: 'absent',
          }));
          builder.onLoad({ filter: /./, namespace: 'absent' }, () => ({
            contents: 'export const constants = undefined, spawn = undefined;',
            loader: 'js',
          }));
        },
      },
    ],
  });
  const [script] = built.outputs;
  if (!built.success || script === undefined) throw new AggregateError(built.logs, `cannot bundle ${entry}`);
  // As in a module: what is wrong is an error.
  return `'use strict';${await script.text()}`;
}
