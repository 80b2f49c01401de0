import { messageOf, UserError } from '../src/util/errors.ts';

/** Runs what a script does; when that fails, one line says why, and the status is the error's own. */
export async function ending(work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    process.stderr.write(`error: ${messageOf(error)}\n`);
    process.exitCode = error instanceof UserError ? error.exitCode : 1;
  }
}
