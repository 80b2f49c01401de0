import { pastable } from '../../util/shell-line.ts';
import type { Finding, Restart } from '../model/finding.ts';

/** What every format says about a cause besides its message and evidence, by the labels of the terminal. */
export interface Advice {
  /** How this happens. */
  why: string;
  /** How to fix it. */
  remedy: string;
  /** Whether pods must be recreated, and why, or why not. */
  restart: string;
  /** The command that fixes it, if there is one. */
  fix?: string;
  /** The command that prints all that is known of this failure. */
  read: string;
}

/** The advice on a finding; `asTyped` makes of a command in the words of the documentation what the reader has to type. */
export function adviceOn(finding: Finding, asTyped: (text: string) => string): Advice {
  const { code, explanation, remedy, command } = finding;
  return {
    why: asTyped(explanation),
    remedy: asTyped(remedy),
    restart: asTyped(restartText(finding, command !== undefined)),
    ...(command !== undefined && { fix: asTyped(command) }),
    read: asTyped(explainCommand(code)),
  };
}

/** Whether pods must be recreated, in a line with its reason. `isFixed`: whether heal fixes it as things are. */
export function restartText(
  { restart, restartReason }: Pick<Finding, 'restart' | 'restartReason'>,
  isFixed: boolean,
): string {
  if (restart === 'no') return 'not needed';
  if (restart === 'needed')
    return ['needed: the pod must be recreated', restartReason].filter(Boolean).join(', since ');
  return isFixed
    ? 'not needed, though often done: hostport heal fixes it while the pod runs'
    : 'not needed: after the remedy, hostport heal fixes what is left while the pod runs';
}

/** What each answer means, where many failures are listed. */
export const restartMeanings: Readonly<Record<Restart, string>> = {
  no: 'not needed',
  avoided: 'often done, but not needed: hostport heal fixes it while the pod runs',
  needed: 'the pod must be recreated: there is no other way',
};

/** The command that prints all that is known of a failure, wherever the program is installed. */
export function explainCommand(code: string): string {
  return `hostport doctor --explain ${pastable([code])}`;
}
