import { z } from 'zod';

/**
 * What was looked at, or why it could not be: the third outcome beside yes and no. Whoever reads one must say what follows
 * from not knowing, and that is never "healthy".
 */
export type Observed<T> = { value: T } | { unknown: string };

/** The schema of an {@link Observed}. */
export function observed<T extends z.ZodType>(value: T) {
  return z.union([z.strictObject({ value }), z.strictObject({ unknown: z.string() })]);
}

/** The value, or undefined when it is unknown. */
export function known<T>(observation: Observed<T> | undefined): T | undefined {
  return observation !== undefined && 'value' in observation ? observation.value : undefined;
}
