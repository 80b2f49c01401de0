import type { Observed } from '../../path/model/observed.ts';
import { messageOf } from '../../util/errors.ts';

/** How long one part of a report may take, in milliseconds: a runtime that hangs must not hide what the files say. */
const PART_DEADLINE_MS = 3000;

/** What `look` sees, or why it does not: an error and a deadline that passes are both a reason not to know. */
export async function observe<T>(
  what: string,
  look: () => T | Promise<T>,
  deadlineMs = PART_DEADLINE_MS,
): Promise<Observed<T>> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const deadline = new Promise<Observed<T>>((resolve) => {
    timer = setTimeout(() => resolve({ unknown: `${what}: no answer within ${deadlineMs} ms` }), deadlineMs);
  });
  try {
    const seen = Promise.resolve()
      .then(look)
      .then(
        (value): Observed<T> => ({ value }),
        (cause): Observed<T> => ({ unknown: `${what}: ${messageOf(cause)}` }),
      );
    return await Promise.race([seen, deadline]);
  } finally {
    clearTimeout(timer);
  }
}
