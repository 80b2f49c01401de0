import { explained } from '../util/system-error.ts';

/** Whether a call of the system failed with one of these errors, by their names in errno(3). */
export function isErrno(cause: unknown, ...names: readonly string[]): boolean {
  return names.includes((cause as NodeJS.ErrnoException | undefined)?.code ?? '');
}

/** An error of the system that says which path it is about, which one of a write to an open file does not. Any other as it is. */
export function aboutPath(cause: unknown, path: string): unknown {
  if (!/^E[A-Z0-9]+$/.test((cause as NodeJS.ErrnoException | undefined)?.code ?? '')) return cause;
  const error = Object.assign(cause as Error, { path });
  error.message = explained(error);
  return error;
}

/** What `look` finds; undefined where nothing is there (ENOENT), or with one of the errors in `also`. Any other error is thrown. */
export function unlessMissing<T>(look: () => T, also: readonly string[] = []): T | undefined {
  try {
    return look();
  } catch (cause) {
    return ignoring('ENOENT', ...also)(cause);
  }
}

/** A handler for a promise's rejection: undefined for these errors, any other is thrown again. */
export function ignoring(...names: readonly string[]): (cause: unknown) => undefined {
  return (cause) => {
    if (!isErrno(cause, ...names)) throw cause;
    return undefined;
  };
}
