import { constants } from 'node:os';
import { ExecError } from '../sys/exec.ts';
import { UserError } from '../util/errors.ts';
import { exitWith } from './verb.ts';

/** What a signal of the system ends a command with. */
class Interruption extends UserError {
  constructor(name: NodeJS.Signals) {
    super(`interrupted by ${name}`, { exitCode: 128 + constants.signals[name] });
  }
}

/** Runs `work` with a signal that SIGINT, SIGTERM and SIGHUP abort, so that it can clear up; then exits as a shell says. */
export async function interruptible<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  const stop = (signal: NodeJS.Signals) => controller.abort(new Interruption(signal));
  const names = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  for (const name of names) process.on(name, stop);
  try {
    return await work(controller.signal);
  } catch (error) {
    // The error of a program that the interruption killed says less than the interruption itself.
    if (controller.signal.aborted && error instanceof ExecError) throw controller.signal.reason;
    throw error;
  } finally {
    // Once interrupted, the process is about to end: another signal must not end it before it has said so.
    if (!controller.signal.aborted) for (const name of names) process.off(name, stop);
  }
}

/**
 * Runs `work` that has no end of its own (a server, a watch): an interruption is how it is meant to end, and no error. The exit status says which
 * signal it was, as a shell does.
 */
export async function untilInterrupted(work: (signal: AbortSignal) => Promise<void>): Promise<void> {
  try {
    await interruptible(work);
  } catch (error) {
    if (!(error instanceof Interruption)) throw error;
    exitWith(error.exitCode);
  }
}
