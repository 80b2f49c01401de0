/**
 * What the system said of a file, in words for whoever named it and without the name: `no such file or directory`. Undefined for what is
 * no error of the system. Source: errno(3), open(2).
 */
export function fileProblem(cause: unknown): string | undefined {
  const code = (cause as NodeJS.ErrnoException | undefined)?.code;
  if (code === undefined) return undefined;
  if (Object.hasOwn(PROBLEMS, code)) return PROBLEMS[code];
  return /^E[A-Z0-9]+$/.test(code) ? `the system says ${code}` : undefined;
}

const PROBLEMS: Readonly<Record<string, string>> = {
  ENOENT: 'no such file or directory',
  ENOTDIR: 'a part of its path is no directory',
  EISDIR: 'it is a directory, not a file',
  EACCES: 'this user may not access it',
  EPERM: 'this user may not do that to it',
  EEXIST: 'something else is there already',
  ELOOP: 'its links lead round in a circle',
  ENAMETOOLONG: 'its name is too long',
  ENOSPC: 'the disk is full',
  EROFS: 'the file system is read-only',
  ENXIO: 'nothing is behind it',
};
