import { join, resolve } from 'node:path';
import { readMachine } from '../../../node/report/machine.ts';
import { type Exec, output } from '../../../sys/exec.ts';
import { InputError, messageOf } from '../../../util/errors.ts';
import { findPrograms } from '../../cluster/programs.ts';
import { containerdVersion } from '../../cluster/runtime.ts';

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
    const programs = await findPrograms(absolute, PROGRAMS, host.elfMachine, 'of one release');
    const version = await commonVersion(absolute, host.exec);
    checkVersion(version);
    return { version, directory: absolute, programs };
  } catch (cause) {
    throw new InputError(`cannot run Kubernetes from ${absolute}: ${messageOf(cause)}`, { cause });
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

/** Refuses a version that the lab does not know. @throws Error that says why. */
export function checkVersion(version: string): void {
  const [major, minor] = version.slice(1).split('.').map(Number);
  if (major !== 1 || minor! < FIRST_MINOR || minor! > LAST_MINOR) {
    throw new Error(`it is ${version}; want one from v1.${FIRST_MINOR} to v1.${LAST_MINOR}`);
  }
}

/**
 * Refuses a release whose kubelets want another containerd than the nodes have: the given one, or the machine's own, which is asked.
 * @throws InputError
 */
export async function checkContainerd(
  { version, directory }: Pick<Release, 'version' | 'directory'>,
  given: string | undefined,
  exec: Exec,
): Promise<void> {
  if (Number(version.split('.')[1]) < MINOR_OF_CONTAINERD_2) return;
  const containerd = given ?? (await containerdVersion('containerd', exec));
  if (Number(containerd.split('.')[0]) >= 2) return;
  throw new InputError(
    `cannot run Kubernetes from ${directory}: ${version} needs containerd 2 or newer, and this machine has ${containerd}; give one with --containerd, or choose Kubernetes 1.${MINOR_OF_CONTAINERD_2 - 1} or older`,
  );
}
