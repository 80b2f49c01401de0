import { open, realpath, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { executableFormat, FORMAT_BYTES } from '../../../node/report/elf.ts';
import { readMachine } from '../../../node/report/machine.ts';
import { ignoring } from '../../../sys/errno.ts';
import { type Exec, output } from '../../../sys/exec.ts';
import { fileProblem } from '../../../sys/file-problem.ts';
import { machineName } from '../../../util/elf-machine.ts';
import { InputError, messageOf } from '../../../util/errors.ts';

/** The programs of a release that a cluster runs. */
export const PROGRAMS = [
  'kube-apiserver',
  'kube-controller-manager',
  'kube-scheduler',
  'kubelet',
  'kube-proxy',
] as const;
export type Program = (typeof PROGRAMS)[number];

/** The programs of one release of Kubernetes, for this machine. */
export interface Release {
  /** `v1.36.1`. */
  version: string;
  /** Where they were looked for; absolute. */
  directory: string;
  /** Files, links followed. */
  programs: Record<Program, string>;
}

/** Minor versions of Kubernetes 1 whose flags and configurations are those that a node gets. */
const FIRST_MINOR = 33;
const LAST_MINOR = 37;
/** From this minor version on, kubelets ask the runtime for its cgroup driver, which containerd answers from version 2 on (KEP-4033). */
const MINOR_OF_CONTAINERD_2 = 37;

/** A version as releases have it: `v1.36.1`. */
const VERSION = /^v\d+\.\d+\.\d+(?:-(?:alpha|beta|rc)\.\d+)?$/;

export function isVersion(text: string): boolean {
  return VERSION.test(text);
}

/** @throws InputError when a text is not a version of a release. */
export function readVersion(text: string): string {
  if (isVersion(text)) return text;
  throw new InputError(
    `cannot fetch Kubernetes ${JSON.stringify(text)}: that is not a version; want one like v1.36.1`,
  );
}

/** What a machine is, for programs that are to run in its nodes. */
export interface ReleaseHost {
  exec: Exec;
  /** `e_machine` of its executables. */
  elfMachine: number;
}

/** This machine. */
export function releaseHost(exec: Exec): ReleaseHost {
  return { exec, elfMachine: readMachine().elfMachine };
}

/**
 * Looks at the programs of a release in a directory, as Kubernetes publishes them or as links of one executable that acts by its name.
 * @throws InputError when one is missing or not for this machine, when they are of different versions, or of one that cannot run here.
 */
export async function readRelease(directory: string, host: ReleaseHost): Promise<Release> {
  const absolute = resolve(directory);
  try {
    const programs = await findPrograms(absolute, host.elfMachine);
    const version = await commonVersion(absolute, host.exec);
    await checkVersion(version, host.exec);
    return { version, directory: absolute, programs };
  } catch (cause) {
    throw new InputError(`cannot run Kubernetes from ${absolute}: ${messageOf(cause)}`, { cause });
  }
}

async function findPrograms(directory: string, elfMachine: number): Promise<Release['programs']> {
  const isDirectory = await stat(directory).then(
    (found) => found.isDirectory(),
    (cause) => {
      throw new Error(fileProblem(cause) ?? messageOf(cause));
    },
  );
  if (!isDirectory) throw new Error('it is not a directory');
  const found = await Promise.all(
    PROGRAMS.map((name) => realpath(join(directory, name)).catch(ignoring('ENOENT'))),
  );
  const missing = PROGRAMS.filter((_, index) => found[index] === undefined);
  if (missing.length > 0) {
    throw new Error(`it has no ${missing.join(', no ')}; want ${PROGRAMS.join(', ')} of one release`);
  }
  for (const [index, name] of PROGRAMS.entries()) {
    const problem = await programProblem(found[index]!, elfMachine);
    if (problem !== undefined) throw new Error(`its ${name} ${problem}`);
  }
  return Object.fromEntries(PROGRAMS.map((name, index) => [name, found[index]!])) as Release['programs'];
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

/** The version that all programs name, called by their own names: one executable may be all of them. */
async function commonVersion(directory: string, exec: Exec): Promise<string> {
  const versions = await Promise.all(
    PROGRAMS.map(async (name) => {
      const said = await output(exec, [join(directory, name), '--version']);
      const version = /^Kubernetes (v\d+\.\d+\.\d+\S*)\s*$/.exec(said)?.[1];
      if (version === undefined) {
        throw new Error(
          `its ${name} does not name a version of Kubernetes: ${JSON.stringify(said.split('\n')[0])}`,
        );
      }
      return version;
    }),
  );
  const other = versions.findIndex((version) => version !== versions[0]);
  if (other >= 0) {
    throw new Error(
      `its ${PROGRAMS[other]} is ${versions[other]} and its ${PROGRAMS[0]} ${versions[0]}; want programs of one release`,
    );
  }
  return versions[0]!;
}

/** Refuses a version that cannot run here. @throws Error that says why. */
export async function checkVersion(version: string, exec: Exec): Promise<void> {
  const [major, minor] = version.slice(1).split('.').map(Number);
  if (major !== 1 || minor! < FIRST_MINOR || minor! > LAST_MINOR) {
    throw new Error(`it is ${version}; want one from v1.${FIRST_MINOR} to v1.${LAST_MINOR}`);
  }
  if (minor! < MINOR_OF_CONTAINERD_2) return;
  const said = await output(exec, ['containerd', '--version']);
  const runtime = /\sv?(\d+)\.\d+\.\d+\S*/.exec(said);
  if (runtime === null)
    throw new Error(`containerd does not name its version: ${JSON.stringify(said.split('\n')[0])}`);
  if (Number(runtime[1]) < 2) {
    throw new Error(
      `${version} needs containerd 2 or newer, and this machine has${runtime[0]}; choose Kubernetes 1.${MINOR_OF_CONTAINERD_2 - 1} or older`,
    );
  }
}
