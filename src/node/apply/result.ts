import { z } from 'zod';

/** The result of one action: an element of what `hostport node-serve` answers to `apply`. */
export const applyResultSchema = z.object({
  /** The action's `do`. */
  action: z.string(),
  /** `unchanged`: it was so already. `skipped`: an earlier one failed. */
  outcome: z.enum(['done', 'unchanged', 'failed', 'skipped']),
  /** What was done, or why not. */
  detail: z.string(),
  /** Copy of what was replaced or removed. */
  backup: z.string().optional(),
});

export type ApplyResult = z.infer<typeof applyResultSchema>;

/** What an action's own code returns; a failure is thrown. */
export interface Applied {
  changed: boolean;
  detail: string;
  backup?: string;
}
