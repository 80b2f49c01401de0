import { type Exec, ExecError } from '../../sys/exec.ts';

/**
 * The shared libraries, loader included, that these programs and libraries need to start, by the paths that the loader
 * looks them up under; sorted. Programs that are linked statically need none. Throws when one cannot be found here.
 */
export async function sharedLibraries(exec: Exec, files: readonly string[]): Promise<string[]> {
  const argv = ['ldd', ...files];
  const result = await exec.run(argv);
  // ldd exits 1 when one of the files is not a dynamic executable, having listed the others all the same.
  const isStatic = /not a dynamic executable/.test(result.stdout + result.stderr);
  if (result.code !== 0 && !isStatic) throw new ExecError(argv, result);
  return parseLdd(result.stdout);
}

/** Reads what ldd(1) prints: `libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x…)`, `/lib64/ld-linux-x86-64.so.2 (0x…)`. */
export function parseLdd(text: string): string[] {
  const paths = new Set<string>();
  for (const line of text.split('\n')) {
    const missing = /^\s+(\S+) => not found/.exec(line);
    if (missing !== null) throw new Error(`shared library ${missing[1]} is not on this machine`);
    const found = /^\s+(?:\S+ => )?(\/\S+) \(0x[0-9a-f]+\)$/.exec(line);
    if (found !== null) paths.add(found[1]!);
  }
  return [...paths].sort();
}
