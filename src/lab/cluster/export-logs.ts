import { copyFile, mkdir, mkdtemp, readdir, rmdir, writeFile } from 'node:fs/promises';
import { dirname, join, relative, resolve } from 'node:path';
import { abortableExec } from '../../sys/abortable-exec.ts';
import { discard } from '../../sys/discard.ts';
import { ignoring } from '../../sys/errno.ts';
import type { Exec } from '../../sys/exec.ts';
import { fileProblem } from '../../sys/file-problem.ts';
import { exists } from '../../sys/files.ts';
import { InputError, messageOf, UserError } from '../../util/errors.ts';
import { type ClusterPaths, clusterPaths } from './paths.ts';
import { moveInto } from './place.ts';
import type { ClusterRecord } from './record.ts';
import { Runc } from './runc.ts';

/**
 * Copies the logs of a cluster into `directory`: the gateway's, and for each node the logs of its daemons and pods and what
 * its netfilter tables and CNI directories hold. A log that is rotated away meanwhile is left out, and a node that does not
 * answer has its error in the place of its answer. Returns how many files were written.
 *
 * They are gathered beside what the directory holds, and moved to their places when all are there: when it fails or the signal aborts, what
 * was there before is there unchanged, and nothing else.
 */
export async function exportLogs(
  record: ClusterRecord,
  directory: string,
  exec: Exec,
  signal: AbortSignal,
  paths: ClusterPaths = clusterPaths(record.name),
): Promise<number> {
  let made: string | undefined;
  try {
    made = await mkdir(directory, { recursive: true });
  } catch (cause) {
    const problem = fileProblem(cause) ?? messageOf(cause);
    throw new InputError(
      `cannot export logs to ${directory}: ${problem}; choose a directory that can be created`,
    );
  }
  let gathered: string | undefined;
  try {
    gathered = await mkdtemp(join(directory, '.export-'));
    const count = await gather(record, gathered, abortableExec(exec, signal), signal, paths);
    await moveInto(gathered, directory);
    return count;
  } catch (cause) {
    if (gathered !== undefined) discard(gathered);
    if (made !== undefined) await removeEmpty(resolve(directory), resolve(made));
    const problem = fileProblem(cause);
    if (problem === undefined) throw cause;
    throw new UserError(`cannot export logs to ${directory}: ${problem}`, { cause });
  }
}

/** Removes a directory and those it is in, up to `last`, as long as they are empty. */
async function removeEmpty(directory: string, last: string): Promise<void> {
  try {
    await rmdir(directory);
  } catch (cause) {
    return ignoring('ENOTEMPTY')(cause);
  }
  if (directory !== last) await removeEmpty(dirname(directory), last);
}

async function gather(
  record: ClusterRecord,
  directory: string,
  exec: Exec,
  signal: AbortSignal,
  paths: ClusterPaths,
): Promise<number> {
  let count = (await copyIfThere(paths.log, join(directory, 'gateway.log'))) ? 1 : 0;
  const runc = new Runc(exec, paths.runc);
  for (const { name } of record.nodes) {
    const node = paths.node(name);
    const log = join(node.rootfs, 'var/log');
    const target = join(directory, name);
    await mkdir(target, { recursive: true });
    for (const file of await filesBelow(log)) {
      signal.throwIfAborted();
      const copy = join(target, relative(log, file));
      await mkdir(dirname(copy), { recursive: true });
      if (await copyIfThere(file, copy)) count++;
    }
    if (!(await exists(node.pidFile))) continue;
    for (const [file, command] of Object.entries(STATE)) {
      await writeFile(join(target, file), await answerOf(exec, runc.argv('exec', name, ...command), signal));
      count++;
    }
  }
  return count;
}

/** What a hostPort path is made of on a node, each as a file named for the command that shows it. */
const STATE: Record<string, string[]> = {
  'iptables-save.txt': ['iptables-save'],
  'nft-ruleset.txt': ['nft', 'list', 'ruleset'],
  'ip-address.txt': ['ip', 'address'],
  'ip-route.txt': ['ip', 'route'],
  'cni-directories.txt': ['ls', '-al', '/opt/cni/bin', '/etc/cni/net.d'],
};

/** All that a command says: of two directories one may be there, and that the other is not is a finding, too. */
async function answerOf(exec: Exec, argv: readonly string[], signal: AbortSignal): Promise<string> {
  try {
    const { code, stdout, stderr } = await exec.run(argv);
    return code === 0 ? stdout : `${stdout}${stderr}exit status ${code}\n`;
  } catch (error) {
    signal.throwIfAborted();
    return `${messageOf(error)}\n`;
  }
}

/** Copies a file; false when it is not there (any more). */
async function copyIfThere(from: string, to: string): Promise<boolean> {
  return unlessGone(async () => {
    await copyFile(from, to);
    return true;
  }, false);
}

/** Regular files below a directory. Symbolic links are left out: /var/log/containers only points into /var/log/pods. */
async function filesBelow(directory: string): Promise<string[]> {
  const found: string[] = [];
  for (const entry of await unlessGone(() => readdir(directory, { withFileTypes: true }), [])) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) found.push(...(await filesBelow(path)));
    else if (entry.isFile()) found.push(path);
  }
  return found;
}

/** What `look` finds, or `otherwise` when what it looks at is gone: pods end and logs are rotated while they are copied. */
async function unlessGone<T>(look: () => Promise<T>, otherwise: T): Promise<T> {
  return (await look().catch(ignoring('ENOENT'))) ?? otherwise;
}
