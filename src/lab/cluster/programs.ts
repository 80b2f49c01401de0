import { open, realpath, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { executableFormat, FORMAT_BYTES } from '../../node/report/elf.ts';
import { ignoring } from '../../sys/errno.ts';
import { fileProblem } from '../../sys/file-problem.ts';
import { machineName } from '../../util/elf-machine.ts';
import { messageOf } from '../../util/errors.ts';

/**
 * Finds programs in a directory, by their names: the files, links followed. @throws Error that says what is wrong; `want` ends the words for
 * missing ones.
 */
export async function findPrograms<Name extends string>(
  directory: string,
  names: readonly Name[],
  elfMachine: number,
  want: string,
): Promise<Record<Name, string>> {
  const isDirectory = await stat(directory).then(
    (found) => found.isDirectory(),
    (cause) => {
      throw new Error(fileProblem(cause) ?? messageOf(cause));
    },
  );
  if (!isDirectory) throw new Error('it is not a directory');
  const found = await Promise.all(
    names.map((name) => realpath(join(directory, name)).catch(ignoring('ENOENT'))),
  );
  const missing = names.filter((_, index) => found[index] === undefined);
  if (missing.length > 0) {
    throw new Error(`it has no ${missing.join(', no ')}; want ${names.join(', ')} ${want}`);
  }
  for (const [index, name] of names.entries()) {
    const problem = await programProblem(found[index]!, elfMachine);
    if (problem !== undefined) throw new Error(`its ${name} ${problem}`);
  }
  return Object.fromEntries(names.map((name, index) => [name, found[index]!])) as Record<Name, string>;
}

/** Why a file cannot be a program of this machine; undefined when it can. */
async function programProblem(path: string, elfMachine: number): Promise<string | undefined> {
  const info = await stat(path);
  if (!info.isFile()) return 'is not a file';
  if ((info.mode & 0o111) === 0) return 'is not executable; set its mode with chmod +x';
  const file = await open(path);
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(FORMAT_BYTES), 0, FORMAT_BYTES, 0);
    const format = executableFormat(buffer.subarray(0, bytesRead));
    if (format.kind !== 'elf') return 'is not a program; the download may be incomplete';
    if (format.machine === elfMachine) return undefined;
    return `is for ${machineName(format.machine)}, this machine is ${machineName(elfMachine)}`;
  } finally {
    await file.close();
  }
}
