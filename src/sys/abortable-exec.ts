import type { Exec } from './exec.ts';

/** An {@link Exec} whose commands a signal ends, with the signal's reason as their error; one that it has reached begins none. */
export function abortableExec(exec: Exec, signal: AbortSignal): Exec {
  return {
    async run(argv, options) {
      signal.throwIfAborted();
      try {
        return await exec.run(argv, { ...options, signal });
      } catch (cause) {
        // The caller that cancelled the command needs no error about it.
        signal.throwIfAborted();
        throw cause;
      }
    },
  };
}
