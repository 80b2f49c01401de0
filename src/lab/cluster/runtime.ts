import { join, resolve } from 'node:path';
import { readMachine } from '../../node/report/machine.ts';
import { type Exec, output } from '../../sys/exec.ts';
import { InputError, messageOf } from '../../util/errors.ts';
import type { ExtraMount } from './config/types.ts';
import { findPrograms } from './programs.ts';

/** What of containerd a node runs: the daemon, the process that holds a pod, and the client that loads images. */
export const RUNTIME_PROGRAMS = ['containerd', 'containerd-shim-runc-v2', 'ctr'] as const;

/** In every node before the machine's own, in the order of PATH. */
const BIN = '/usr/local/bin';

/** A containerd that nodes run in the place of the machine's own. */
export interface Runtime {
  /** `2.3.7`. */
  version: string;
  /** Where it was looked for; absolute. */
  directory: string;
  /** Files, links followed. */
  programs: Record<(typeof RUNTIME_PROGRAMS)[number], string>;
}

/**
 * Looks at the containerd of a directory.
 * @throws InputError when a program is missing or not for this machine, or when it is not of version 2.
 */
export async function readRuntime(
  directory: string,
  exec: Exec,
  elfMachine = readMachine().elfMachine,
): Promise<Runtime> {
  const absolute = resolve(directory);
  try {
    const programs = await findPrograms(absolute, RUNTIME_PROGRAMS, elfMachine, 'of containerd 2');
    const version = await containerdVersion(join(absolute, 'containerd'), exec);
    if (!version.startsWith('2.')) throw new Error(`it is ${version}; want one of version 2`);
    return { version, directory: absolute, programs };
  } catch (cause) {
    throw new InputError(`cannot run containerd from ${absolute}: ${messageOf(cause)}`, { cause });
  }
}

/** The version of a containerd: `1.6.20~ds1`. @throws Error when it does not name one. */
export async function containerdVersion(program: string, exec: Exec): Promise<string> {
  const said = await output(exec, [program, '--version']);
  const version = /\sv?(\d+\.\d+\.\d+\S*)/.exec(said)?.[1];
  if (version !== undefined) return version;
  throw new Error(`containerd does not name its version: ${JSON.stringify(said.split('\n')[0])}`);
}

/** Where a node has its containerd. */
export function containerdPath(runtime: Runtime | undefined): string {
  return runtime === undefined ? '/usr/bin/containerd' : join(BIN, 'containerd');
}

/** What a node has mounted for its containerd. */
export function runtimeMounts(runtime: Runtime | undefined): ExtraMount[] {
  return Object.entries(runtime?.programs ?? {}).map(([name, hostPath]) => ({
    hostPath,
    containerPath: join(BIN, name),
    readOnly: true,
    type: 'File',
    propagation: 'None',
  }));
}
