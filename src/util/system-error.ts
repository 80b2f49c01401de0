import { messageOf } from './errors.ts';

/** What the system reports about a file or a port, in words, by the names of errno(3). */
export const PROBLEMS: Readonly<Record<string, string>> = {
  ENOENT: 'no such file or directory',
  ENOTDIR: 'part of its path is not a directory',
  EISDIR: 'it is a directory, not a file',
  EACCES: 'permission denied',
  EPERM: 'operation not permitted',
  EEXIST: 'something else already exists there',
  ELOOP: 'its symbolic links form a loop',
  ENAMETOOLONG: 'its name is too long',
  ENOSPC: 'the disk is full',
  EDQUOT: 'the quota of its file system is used up',
  EROFS: 'the file system is read-only',
  EMFILE: 'this process has too many open files',
  ENFILE: 'this machine has too many open files',
  ENXIO: 'no such device or address',
  EADDRINUSE: 'the port is taken',
};

/** What helps where the same command would fail again. */
const REMEDIES: Readonly<Record<string, string>> = {
  ENOSPC: 'free space on its file system, then try again',
  EDQUOT: 'free space on its file system, then try again',
  EROFS: 'mount it for writing, then try again',
  EACCES: 'check the owner and the mode of its directories',
};

/** What was tried, by the name of the system call. */
const ATTEMPTS: Readonly<Record<string, string>> = {
  mkdir: 'create',
  mkdtemp: 'create',
  write: 'write',
  writev: 'write',
  fsync: 'write',
  ftruncate: 'write',
  copyfile: 'write',
  link: 'write',
  symlink: 'write',
  rename: 'write',
  unlink: 'remove',
  rmdir: 'remove',
  rm: 'remove',
  scandir: 'read',
  read: 'read',
  stat: 'read',
  lstat: 'read',
  readlink: 'read',
  chmod: 'change',
  chown: 'change',
};

/**
 * The message of anything that was thrown, as {@link messageOf}, in which an error of the system about a file says what was tried on which path,
 * what is wrong with it, and what to do.
 */
export function explained(thrown: unknown): string {
  if (!(thrown instanceof Error)) return messageOf(thrown);
  if (thrown instanceof AggregateError && thrown.errors.length > 0)
    return thrown.errors.map(explained).join('; and then: ');
  const own = ofSystem(thrown) ?? thrown.message;
  if (thrown.cause === undefined) return own;
  const cause = explained(thrown.cause);
  const code = (thrown.cause as NodeJS.ErrnoException | null)?.code ?? '';
  // It says so in these words already.
  if (Object.hasOwn(PROBLEMS, code) && own.includes(PROBLEMS[code]!)) return own;
  return own.includes(cause) || own.includes(messageOf(thrown.cause)) ? own : `${own}: ${cause}`;
}

function ofSystem(error: NodeJS.ErrnoException & { dest?: string }): string | undefined {
  const { code = '', syscall = '', path, dest } = error;
  // What wraps an error of the system in words of its own keeps them.
  if (!error.message.startsWith(`${code}: `)) return undefined;
  const where = dest ?? path;
  const problem = Object.hasOwn(PROBLEMS, code) ? PROBLEMS[code] : undefined;
  if (where === undefined || problem === undefined) return undefined;
  const remedy = Object.hasOwn(REMEDIES, code) ? `; ${REMEDIES[code]}` : '';
  return `cannot ${ATTEMPTS[syscall] ?? 'open'} ${where}: ${problem}${remedy}`;
}
