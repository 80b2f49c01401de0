import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { abortableExec } from '../../sys/abortable-exec.ts';
import { ignoring } from '../../sys/errno.ts';
import { DeadlineError, type Exec, ExecError, type ExecOptions, type ExecResult } from '../../sys/exec.ts';
import { fileProblem } from '../../sys/file-problem.ts';
import { readIfExists, writeFileAtomic } from '../../sys/files.ts';
import { foreground } from '../../sys/foreground.ts';
import { InputError, messageOf, UserError } from '../../util/errors.ts';
import { harmlessMode, harmlessTree } from './harmless-tree.ts';
import { NODE_ENVIRONMENT } from './node-spec.ts';
import { clusterPaths } from './paths.ts';
import { overwrite, placeTree } from './place.ts';
import { findNode } from './record.ts';
import { failedExecStatus, Runc } from './runc.ts';

/** How a command is run in a node. */
export interface NodeCommandOptions {
  /** Give it a terminal. */
  tty?: boolean;
  /** `NAME=VALUE` on top of a login's environment. */
  env?: readonly string[];
  workdir?: string;
  /** `UID[:GID]` */
  user?: string;
  /** File for runc's own errors, as JSON. */
  log?: string;
}

/** argv that runs a command in a node, in all its namespaces and with the environment of a login there. */
export async function nodeArgv(
  exec: Exec,
  node: string,
  command: readonly string[],
  options: NodeCommandOptions = {},
): Promise<string[]> {
  const { cluster } = await findNode(node);
  const runc = new Runc(exec, clusterPaths(cluster.name).runc);
  const env = [...NODE_ENVIRONMENT, 'KUBECONFIG=/etc/kubernetes/admin.conf', ...(options.env ?? [])];
  return runc.argv(
    ...(options.log === undefined ? [] : ['--log', options.log, '--log-format', 'json']),
    'exec',
    ...(options.tty ? ['--tty'] : []),
    ...(options.workdir === undefined ? [] : ['--cwd', options.workdir]),
    ...(options.user === undefined ? [] : ['--user', options.user]),
    ...env.flatMap((entry) => ['--env', entry]),
    node,
    ...command,
  );
}

/** Runs a command in a node on this process's own terminal. Returns its exit status, or that of a shell that cannot start it. */
export async function nodeForeground(
  exec: Exec,
  node: string,
  command: readonly string[],
  options: NodeCommandOptions & { stdin: 'inherit' | 'ignore' },
): Promise<number> {
  const { workdir } = options;
  if (workdir !== undefined && (await kindInNode(exec, node, workdir)) !== 'directory') {
    throw new InputError(
      `cannot start in ${workdir}: no such directory in node ${node}; name one that is there`,
    );
  }
  const scratch = await mkdtemp(join(tmpdir(), 'hostport-exec-'));
  try {
    const log = join(scratch, 'runc.log');
    const argv = await nodeArgv(exec, node, command, { ...options, log });
    const status = await foreground(argv, { stdin: options.stdin });
    return failedExecStatus((await readIfExists(log)) ?? '') ?? status;
  } finally {
    await rm(scratch, { recursive: true });
  }
}

/** Runs a command in a node; a non-zero exit is an {@link ExecError}. Errors name the node and the command, and not how it gets there. */
export async function runInNode(
  exec: Exec,
  node: string,
  command: readonly string[],
  options: ExecOptions = {},
): Promise<ExecResult> {
  const argv = await nodeArgv(exec, node, command);
  const named = [`${node}:`, ...command];
  let result: ExecResult;
  try {
    result = await exec.run(argv, options);
  } catch (cause) {
    if (!(cause instanceof ExecError)) throw cause;
    const Kind = cause instanceof DeadlineError ? DeadlineError : ExecError;
    throw new Kind(named, cause.result, cause.end, { cause: cause.cause });
  }
  if (result.code !== 0) throw new ExecError(named, result);
  return result;
}

/** Runs a command in a node and returns its standard output; errors are those of {@link runInNode}. */
export async function nodeOutput(
  exec: Exec,
  node: string,
  command: readonly string[],
  stdin?: Uint8Array,
): Promise<string> {
  return (await runInNode(exec, node, command, stdin === undefined ? {} : { stdin })).stdout;
}

/** One side of a copy: a path on this machine, or in a node (`NODE:PATH`). */
export interface CopyPath {
  node?: string;
  path: string;
}

/** Parses `PATH` or `NODE:PATH` as docker cp does: a path that starts with `/` or `.` is never a node's. */
export function parseCopyPath(text: string): CopyPath {
  const colon = text.indexOf(':');
  if (colon <= 0 || text.startsWith('/') || text.startsWith('.')) return { path: text };
  return { node: text.slice(0, colon), path: text.slice(colon + 1) };
}

/**
 * Copies a file or directory between this machine and a node, with docker cp's rules: into a directory that exists under
 * its own name, else under the name given. The work is done by the node's own tools in its own mounts, so a link or a
 * mount in a node leads where it leads there.
 *
 * All that is to be copied is read before anything is written: until then the signal ends the copy and nothing is changed; after that
 * the copy runs to its end. (What is written in place cannot be undone.) Returns the paths in a node's directory that are left out: those of
 * devices and FIFOs.
 */
export async function copy(
  exec: Exec,
  from: CopyPath,
  to: CopyPath,
  signal: AbortSignal,
): Promise<readonly string[]> {
  if ((from.node === undefined) === (to.node === undefined)) {
    throw new InputError(
      'cannot copy: exactly one side must be in a node; want SRC NODE:DST, or NODE:SRC DST',
    );
  }
  if (from.path === '' || to.path === '') throw new InputError('cannot copy: neither path may be empty');
  if (to.node === undefined) return copyOut(exec, from.node!, from.path, to.path, signal);
  await copyIn(exec, from.path, to.node, to.path, signal);
  return [];
}

/** Unpacks a tar archive into a directory of a node; interrupted as {@link copy} is. */
export async function copyArchiveIn(
  exec: Exec,
  archive: () => Promise<Uint8Array>,
  to: { node: string; path: string },
  signal: AbortSignal,
): Promise<void> {
  if ((await kindInNode(abortableExec(exec, signal), to.node, to.path)) !== 'directory') {
    throw new InputError(
      `cannot copy to ${to.node}:${to.path}: no such directory in the node; create it first`,
    );
  }
  const content = await unlessAborted(signal, archive());
  await nodeOutput(exec, to.node, ['tar', '-C', to.path, '-xf', '-'], content);
}

async function copyIn(
  exec: Exec,
  source: string,
  node: string,
  target: string,
  signal: AbortSignal,
): Promise<void> {
  const reading = abortableExec(exec, signal);
  const kind = await kindOnMachine(source);
  if (kind === 'missing')
    throw new InputError(`cannot copy ${source}: no such file or directory on this machine`);
  const into = (await kindInNode(reading, node, target)) === 'directory';
  if (!into && (await kindInNode(reading, node, dirname(target))) !== 'directory') {
    throw new InputError(
      `cannot copy to ${node}:${target}: ${dirname(target)} is not a directory in the node; create it first`,
    );
  }
  if (kind === 'directory') {
    const directory = into ? join(target, basename(source)) : target;
    const argv = ['tar', '-C', source, '-cf', '-', '.'];
    const { code, ...read } = await reading.run(argv, COPIED);
    if (code !== 0) throw new ExecError(argv, { code, ...read });
    signal.throwIfAborted();
    await nodeOutput(exec, node, ['mkdir', '-p', directory]);
    await nodeOutput(exec, node, ['tar', '-C', directory, '-xf', '-'], read.stdoutBytes);
    return;
  }
  const path = into ? join(target, basename(source)) : target;
  const read = atFile(`cannot read ${source}`, () => Promise.all([stat(source), readFile(source)]));
  const [{ mode }, content] = await unlessAborted(signal, read);
  const write = async (at: string) => {
    await nodeOutput(exec, node, ['cp', '--no-preserve=all', '/dev/stdin', at], content);
    await nodeOutput(exec, node, ['chmod', (mode & 0o7777).toString(8), at]);
  };
  // What is there is written in place, as docker cp does not: a mounted file can only be written, and the runtime's watch sees it.
  if ((await kindInNode(reading, node, path)) !== 'missing') return write(path);
  // A new name appears with all of its content, and whoever watches the directory may rename it at once.
  const scratch = join(dirname(path), `.${basename(path)}.hostport-new`);
  try {
    await write(scratch);
    await nodeOutput(exec, node, ['mv', '-f', '--', scratch, path]);
  } catch (cause) {
    await nodeOutput(exec, node, ['rm', '-f', '--', scratch]);
    throw cause;
  }
}

async function copyOut(
  exec: Exec,
  node: string,
  source: string,
  target: string,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const reading = abortableExec(exec, signal);
  const kind = await kindInNode(reading, node, source);
  if (kind === 'missing')
    throw new InputError(`cannot copy ${node}:${source}: no such file or directory in the node`);
  const into = (await kindOnMachine(target)) === 'directory';
  const path = into ? join(target, basename(source)) : target;
  if ((await kindOnMachine(dirname(path))) !== 'directory') {
    throw new InputError(
      `cannot copy to ${path}: ${dirname(path)} is not a directory on this machine; create it first`,
    );
  }
  if (kind === 'directory') {
    const ofNode = await runInNode(reading, node, ['tar', '-C', source, '-cf', '-', '.'], COPIED);
    const { archive, leftOut } = await harmlessTree(ofNode.stdoutBytes!);
    signal.throwIfAborted();
    await atFile(`cannot write ${path}`, () => placeTree(exec, archive, path), UserError);
    return leftOut;
  }
  const mode = harmlessMode(
    Number.parseInt(await nodeOutput(reading, node, ['stat', '-L', '-c', '%a', source]), 8),
  );
  const { stdoutBytes } = await runInNode(reading, node, ['cat', source], COPIED);
  signal.throwIfAborted();
  const isNew = (await kindOnMachine(path)) === 'missing';
  const write = async () => {
    if (isNew) return writeFileAtomic(path, stdoutBytes!, mode);
    return overwrite(path, stdoutBytes!, mode);
  };
  await atFile(`cannot write ${path}`, write, UserError);
  return [];
}

type Kind = 'file' | 'directory' | 'missing';

async function kindOnMachine(path: string): Promise<Kind> {
  return atFile(`cannot look at ${path}`, async () => {
    const found = await stat(path).catch(ignoring('ENOENT'));
    return found === undefined ? 'missing' : found.isDirectory() ? 'directory' : 'file';
  });
}

/** Does something with a file of this machine that the user named. A failed look means wrong input; a failed write may have begun. */
async function atFile<T>(
  work: string,
  act: () => Promise<T>,
  Failed: typeof InputError | typeof UserError = InputError,
): Promise<T> {
  try {
    return await act();
  } catch (cause) {
    // That one says already what could not be done.
    if (cause instanceof UserError) throw cause;
    throw new Failed(`${work}: ${fileProblem(cause) ?? messageOf(cause)}`);
  }
}

async function kindInNode(exec: Exec, node: string, path: string): Promise<Kind> {
  const test = async (flag: string) =>
    (await exec.run(await nodeArgv(exec, node, ['test', flag, path]))).code === 0;
  if (await test('-d')) return 'directory';
  return (await test('-e')) ? 'file' : 'missing';
}

/** The result of `work`, unless the signal aborts first: a named pipe, for example, may never end. */
function unlessAborted<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const abort = () => reject(signal.reason);
  if (signal.aborted) abort();
  else signal.addEventListener('abort', abort, { once: true });
  return Promise.race([work, aborted]).finally(() => signal.removeEventListener('abort', abort));
}

/** What is copied is in memory, all of it. */
const COPIED = { binary: true, timeoutMs: 120_000, maxBytes: 2 * 1024 * 1024 * 1024 };
