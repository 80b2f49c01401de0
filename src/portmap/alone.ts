import { CniError, cniErrorCode } from '../cni/errors.ts';
import { RULES_LOCK, type RulesLock, RulesLockHeld } from '../netfilter/iptables/rules-lock.ts';
import type { Exec } from '../sys/exec.ts';
import { fileProblem } from '../sys/file-problem.ts';
import { NotRegularFile } from '../sys/regular-file.ts';
import type { Machine } from './machine.ts';
import { PROVIDE_STATE, StateUnusable } from './state.ts';

/**
 * Works alone among all that change rules. What the work runs by the `exec` it is given holds the lock too: when this process is
 * killed while iptables applies our document, no other call reads the rules before iptables is done. With `anyway`, a lock that cannot
 * exist is no reason not to work: nobody else has it, and every change of rules is one transaction.
 */
export async function withRulesLock(
  machine: Pick<Machine, 'lockRules'>,
  exec: Exec,
  work: (exec: Exec) => Promise<void>,
  anyway?: Anyway,
): Promise<void> {
  let lock: RulesLock | undefined;
  const take = async () => {
    lock = await machine.lockRules().catch((cause: unknown) => {
      const isHopeless = cause instanceof RulesLockHeld || cause instanceof NotRegularFile;
      const problem = isHopeless ? undefined : fileProblem(cause);
      throw problem === undefined
        ? cause
        : new StateUnusable(`cannot open ${RULES_LOCK}: ${problem}`, { cause });
    });
  };
  try {
    await (anyway === undefined ? take() : anyway(take));
    await work(lock === undefined ? exec : holding(exec, lock.fd));
  } catch (cause) {
    throw stateError(cause);
  } finally {
    lock?.release();
  }
}

/** A lock that somebody holds is free later. What else is the matter with what we keep stays until somebody puts it right. */
function stateError(cause: unknown): unknown {
  if (cause instanceof RulesLockHeld) {
    return new CniError(cniErrorCode.tryAgainLater, cause.message, '', { cause });
  }
  if (cause instanceof NotRegularFile) {
    return new CniError(cniErrorCode.ioFailure, cause.message, '', { cause });
  }
  if (!(cause instanceof StateUnusable)) return cause;
  return new CniError(cniErrorCode.ioFailure, cause.message, PROVIDE_STATE, { cause });
}

/** Does something about what is remembered, and continues where that is not possible. */
export type Anyway = (work: () => Promise<void>) => Promise<void>;

/** For calls that must not fail for want of state: the rules are what counts. One warning, however often it is missed. */
export function withoutState({ warn }: { warn(message: string): void }): Anyway {
  let isSaid = false;
  return async (work) => {
    try {
      await work();
    } catch (error) {
      if (!(error instanceof StateUnusable)) throw error;
      if (!isSaid) warn(`${error.message}; works without; ${PROVIDE_STATE}`);
      isSaid = true;
    }
  };
}

/** Programs that it runs get a descriptor of ours. */
function holding(exec: Exec, inherit: number): Exec {
  return {
    run: (argv, options) => exec.run(argv, { ...options, inherit }),
    start: (argv, options) => exec.start?.(argv, { ...options, inherit }),
  };
}
