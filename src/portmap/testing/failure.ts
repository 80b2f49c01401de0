import { CniError } from '../../cni/errors.ts';

/** The error that a call ends with, as the runtime reads it. Throws when it ends with none, or with another kind of error. */
export async function failure(work: Promise<unknown>): Promise<object> {
  const error = await work.then(
    () => new Error('it worked'),
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof CniError)) throw error;
  const { code, message, details } = error;
  return { code, message, ...(details === '' ? {} : { details }) };
}
