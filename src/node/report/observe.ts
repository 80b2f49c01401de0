import type { Observed } from '../../path/model/observed.ts';
import { messageOf } from '../../util/errors.ts';

/**
 * How long one part of a report may be without an answer, in milliseconds: a runtime that hangs must not hide what the files say. What takes a tenth of
 * a second on an idle node takes seconds on one whose processors have ten times more to do, and that node is healthy.
 */
const PART_DEADLINE_MS = 10_000;

/**
 * What `look` sees, or why it does not: an error and a deadline that passes are both a reason not to know. A look of many answers calls `heard` for
 * each: the deadline is then one for the next.
 */
export async function observe<T>(
  what: string,
  look: (heard: () => void) => T | Promise<T>,
  deadlineMs = PART_DEADLINE_MS,
): Promise<Observed<T>> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = Promise.withResolvers<Observed<T>>();
  const heard = () => {
    clearTimeout(timer);
    const unknown = `${what}: no answer within ${deadlineMs / 1000} s`;
    timer = setTimeout(() => late.resolve({ unknown }), deadlineMs);
  };
  let over = false;
  heard();
  try {
    const seen = Promise.resolve()
      .then(() => look(() => over || heard()))
      .then(
        (value): Observed<T> => ({ value }),
        (cause): Observed<T> => ({ unknown: `${what}: ${messageOf(cause)}` }),
      );
    return await Promise.race([seen, late.promise]);
  } finally {
    over = true;
    clearTimeout(timer);
  }
}
