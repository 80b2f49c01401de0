import { createHash } from 'node:crypto';
import { chmod, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type Exec, output } from '../../src/sys/exec.ts';
import { makeKept } from './kept.ts';

const DOWNLOAD_MS = 20 * 60_000;

/**
 * The Zig compiler, a C compiler with musl for every architecture, of the version and with the checksum in native/zig.txt: kept in the cache, where it
 * is downloaded as a Python package the first time. Returns the path of the program.
 */
export async function ensureZig(root: string, cache: string, exec: Exec): Promise<string> {
  const list = join(root, 'native/zig.txt');
  const text = await readFile(list, 'utf8');
  const version = /^ziglang==(\S+)/m.exec(text)?.[1];
  if (version === undefined) throw new Error(`cannot choose a compiler: ${list} names no version of ziglang`);
  const digest = createHash('sha256').update(text).digest('hex').slice(0, 8);
  const kept = join(cache, 'zig', `${version}-${digest}`);
  await makeKept(kept, async (fresh) => {
    console.log(`Downloading the C compiler of Zig ${version}, 100 MB`);
    const wanted = ['--require-hashes', '--no-deps', '--only-binary=:all:', '--requirement', list];
    await output(
      exec,
      ['pip3', 'download', '--quiet', '--disable-pip-version-check', ...wanted, '--dest', fresh],
      { timeoutMs: DOWNLOAD_MS },
    );
    const [wheel] = await readdir(fresh);
    if (wheel === undefined) throw new Error('pip3 download succeeded, and there is no package');
    await output(exec, ['python3', '-m', 'zipfile', '-e', join(fresh, wheel), fresh], {
      timeoutMs: DOWNLOAD_MS,
    });
    await rm(join(fresh, wheel));
    await chmod(join(fresh, 'ziglang/zig'), 0o755);
  });
  return join(kept, 'ziglang/zig');
}
