/** The message of anything that was thrown, with those of its causes that it does not repeat itself. */
export function messageOf(thrown: unknown): string {
  if (!(thrown instanceof Error)) return String(thrown);
  const cause = thrown.cause === undefined ? '' : messageOf(thrown.cause);
  return cause === '' || thrown.message.includes(cause) ? thrown.message : `${thrown.message}: ${cause}`;
}

/**
 * One error for several: the first is what happened, the others came of it or after it. A single one stays what it is;
 * more become an AggregateError that says all of them.
 */
export function combinedError(errors: readonly [unknown, ...unknown[]]): unknown {
  if (errors.length === 1) return errors[0];
  return new AggregateError(errors, errors.map(messageOf).join('; and then: '));
}

/**
 * An error meant for the person at the terminal: printed as one message without a stack.
 * State what was attempted, on what, what was seen and what to do.
 */
export class UserError extends Error {
  /** Exit status of the command. 1 unless a command documents another. */
  readonly exitCode: number;

  constructor(message: string, options: { cause?: unknown; exitCode?: number } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'UserError';
    this.exitCode = options.exitCode ?? 1;
  }
}

/** What the user gave (words, options, a file or a name in them) cannot be used, and nothing was begun. Exit status 2. */
export class InputError extends UserError {
  constructor(message: string, options: { cause?: unknown } = {}) {
    super(message, { ...options, exitCode: 2 });
  }
}
