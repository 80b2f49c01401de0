import { z } from 'zod';

/** How many there may be; no bound where a side is absent. */
export interface Bounds {
  least?: number;
  most?: number;
}

/**
 * A text of so many characters. Not by `z.string().max()`: Zod compares the `length` of whatever has one, so that for `{"length": {"toString": 1}}`, which
 * is no text, the comparison throws a TypeError in the place of a finding.
 */
export function boundedText(bounds: Bounds): z.ZodString {
  return z.string().check(...checks(bounds, ({ value }) => typeof value === 'string'));
}

/** A list of so many items. Not by `z.array().max()`, for the same reason. */
export function boundedList<T extends z.ZodType>(item: T, bounds: Bounds): z.ZodArray<T> {
  return z.array(item).check(...checks(bounds, ({ value }) => Array.isArray(value)));
}

/** Zod's own checks, which are asked only of what they are for. */
function checks(
  { least, most }: Bounds,
  when: (payload: z.core.ParsePayload) => boolean,
): z.core.$ZodCheck<{ length: number }>[] {
  const { $ZodCheckMinLength: Least, $ZodCheckMaxLength: Most } = z.core;
  return [
    ...(least === undefined ? [] : [new Least({ check: 'min_length', minimum: least, when })]),
    ...(most === undefined ? [] : [new Most({ check: 'max_length', maximum: most, when })]),
  ];
}
