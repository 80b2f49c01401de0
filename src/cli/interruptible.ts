import { constants } from 'node:os';
import { ExecError } from '../sys/exec.ts';
import { UserError } from '../util/errors.ts';

/** Runs `work` with a signal that SIGINT, SIGTERM and SIGHUP abort, so that it can clear up; then exits as a shell says. */
export async function interruptible<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  const stop = (signal: NodeJS.Signals) =>
    controller.abort(
      new UserError(`interrupted by ${signal}`, { exitCode: 128 + constants.signals[signal] }),
    );
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
