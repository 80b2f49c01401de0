import { join } from 'node:path';
import type { Exec } from '../../../sys/exec.ts';
import { InputError } from '../../../util/errors.ts';
import type { ClusterConfig, ExtraArgs, KubernetesSettings } from '../../cluster/config/types.ts';
import type { Program, Release } from './release.ts';

const CONTROL_PLANE = ['kube-apiserver', 'kube-controller-manager', 'kube-scheduler'] as const;

/** `--feature-gates` of a cluster's settings; none when it has no gates. */
export function featureGates(kubernetes: KubernetesSettings | undefined): Record<string, string> {
  const gates = flagPairs(kubernetes?.featureGates ?? {});
  return gates === '' ? {} : { 'feature-gates': gates };
}

/** A flag's value that is a list of names and values. */
export function flagPairs(values: Record<string, string | boolean>): string {
  return Object.entries(values)
    .map(([name, value]) => `${name}=${value}`)
    .join(',');
}

/** The words of flags on a command line. */
export function flagWords(flags: Record<string, string>): string[] {
  return Object.entries(flags).map(([name, value]) => `--${name}=${value}`);
}

/**
 * Has each program look at the flags and feature gates that a configuration gives it: a program that does not know one ends at its start,
 * again and again, and the cluster would never be up. Asked for its version, a program reads its flags first and does nothing else.
 * @throws InputError with what the program said.
 */
export async function checkFlags(
  { directory, version }: Release,
  { name, nodes, kubernetes }: ClusterConfig,
  exec: Exec,
): Promise<void> {
  const asked: [program: Program, flags: ExtraArgs][] = [
    ...CONTROL_PLANE.map((program): [Program, ExtraArgs] => [
      program,
      { ...featureGates(kubernetes), ...kubernetes?.extraArgs[program] },
    ]),
    ...nodes.map(({ kubelet }): [Program, ExtraArgs] => ['kubelet', kubelet?.extraArgs ?? {}]),
  ];
  const commands = new Map(
    asked.map(([program, flags]) => [JSON.stringify([program, flags]), { program, words: flagWords(flags) }]),
  );
  for (const { program, words } of commands.values()) {
    if (words.length === 0) continue;
    const { code, stdout, stderr } = await exec.run([join(directory, program), ...words, '--version']);
    if (code === 0) continue;
    throw new InputError(
      `cannot create cluster "${name}": ${program} ${version} refuses ${words.join(' ')}: ${refusal(`${stdout}\n${stderr}`)}; correct featureGates or kubeadmConfigPatches`,
    );
  }
}

/** Why a program ended: its message, or the error that it logged; else all that it printed last. */
function refusal(printed: string): string {
  const message = /^Error: (.+)$/m.exec(printed)?.[1];
  const logged = /\berr=("(?:[^"\\]|\\.)*")/.exec(printed)?.[1];
  if (message !== undefined) return message;
  return logged === undefined ? (printed.trim().split('\n').at(-1) ?? '') : (JSON.parse(logged) as string);
}
