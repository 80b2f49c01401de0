import { readFile } from 'node:fs/promises';
import { type Exec, ExecError, output } from '../../sys/exec.ts';

/** State of a node container as runc reports it. */
export interface ContainerState {
  id: string;
  /** Host process ID of the container's PID 1; 0 when it is stopped. */
  pid: number;
  status: 'creating' | 'created' | 'running' | 'pausing' | 'paused' | 'stopped';
}

/** The OCI runtime, with its state in a directory of the cluster. Source: runc(8), OCI runtime-spec "Operations". */
export class Runc {
  readonly #exec: Exec;
  readonly #root: string;

  constructor(exec: Exec, root: string) {
    this.#exec = exec;
    this.#root = root;
  }

  /** argv of a runc call with this state directory. */
  argv(...args: string[]): string[] {
    return ['runc', '--root', this.#root, ...args];
  }

  /** Makes the container's namespaces and mounts; its process waits for {@link start}. Returns the PID of that process. */
  async create(id: string, bundle: string, pidFile: string): Promise<number> {
    const argv = this.argv('create', '--bundle', bundle, '--pid-file', pidFile, id);
    // runc hands its own standard streams to the container, so they are not pipes: nobody would read them to the end.
    const log = `${bundle}/console.log`;
    const result = await this.#exec.run(argv, { outputFile: log });
    if (result.code !== 0) {
      throw new ExecError(argv, { ...result, stderr: await readFile(log, 'utf8') });
    }
    return Number(await readFile(pidFile, 'utf8'));
  }

  async start(id: string): Promise<void> {
    await output(this.#exec, this.argv('start', id));
  }

  /** All containers of this state directory; none when the directory does not exist. */
  async list(): Promise<ContainerState[]> {
    const text = await output(this.#exec, this.argv('list', '--format', 'json'));
    return (JSON.parse(text) as ContainerState[] | null) ?? [];
  }

  /** Kills whatever runs in the container and removes it, its cgroups included. A container that is gone is fine. */
  async remove(id: string): Promise<void> {
    const argv = this.argv('delete', '--force', id);
    const result = await this.#exec.run(argv);
    if (result.code !== 0 && !result.stderr.includes('does not exist')) throw new ExecError(argv, result);
  }
}

/**
 * The exit status of a `runc exec` that did not come to run its command, from what it logged (`--log-format json`);
 * undefined when the command ran, and the status is its own. Shells and docker say the same: 127 for a command that is not
 * there, 126 for one that cannot be executed.
 */
export function failedExecStatus(log: string): 1 | 126 | 127 | undefined {
  const errors = log
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as { level: string; msg: string })
    .filter(({ level }) => level === 'error');
  if (errors.length === 0) return undefined;
  const [, why] = /unable to start container process: exec: (.*)/.exec(errors.at(-1)!.msg) ?? [];
  if (why === undefined) return 1;
  return /executable file not found|no such file or directory/.test(why) ? 127 : 126;
}
