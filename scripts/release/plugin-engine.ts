import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { cacheRoot } from '../../src/lab/engine/kubernetes/release-cache.ts';
import { realExec } from '../../src/sys/exec.ts';
import { ensureZig } from '../native/zig.ts';

/** Software of others in the CNI plugins. */
export interface PluginEngine {
  /** QuickJS-ng, of which the source is in the project. */
  engine: { version: string; licence: string };
  /** The compiler, from which musl, the C library, is linked. */
  compiler: { version: string; sha256: string[]; muslLicence: string };
}

/** What the CNI plugins are made with, of the sources and the compiler that the project pins. */
export async function pluginEngine(root: string): Promise<PluginEngine> {
  const engine = join(root, 'native/quickjs-ng');
  const header = readFileSync(join(engine, 'quickjs.h'), 'utf8');
  const part = (name: string) => new RegExp(`^#define QJS_VERSION_${name} (\\d+)$`, 'm').exec(header)?.[1];
  const zig = readFileSync(join(root, 'native/zig.txt'), 'utf8');
  const version = /^ziglang==([^\s\\]+)/m.exec(zig)?.[1];
  const compiler = await ensureZig(root, cacheRoot(), realExec);
  if (part('MAJOR') === undefined || version === undefined)
    throw new Error('native: the versions of the engine and of its compiler are not where they were');
  return {
    engine: {
      version: `${part('MAJOR')}.${part('MINOR')}.${part('PATCH')}`,
      licence: readFileSync(join(engine, 'LICENSE'), 'utf8').trim(),
    },
    compiler: {
      version,
      sha256: [...zig.matchAll(/--hash=sha256:([0-9a-f]{64})/g)].map(([, digest]) => digest!),
      muslLicence: readFileSync(join(dirname(compiler), 'lib/libc/musl/COPYRIGHT'), 'utf8').trim(),
    },
  };
}
