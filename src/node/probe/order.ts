import { z } from 'zod';
import { probeResultSchema } from '../../path/model/probe.ts';
import { boundedList } from '../../util/bounded.ts';

/** A probe to send: the fields of a result that are known before sending. */
export const probeOrderSchema = probeResultSchema.pick({
  vantage: true,
  node: true,
  from: true,
  podUid: true,
  protocol: true,
  hostPort: true,
  hostIP: true,
  target: true,
  /** Port to send from; any that is free when absent. */
  sourcePort: true,
});

export type ProbeOrder = z.infer<typeof probeOrderSchema>;

/** More at once would be a flood; a node has at most a few hundred pods. */
export const MAX_ORDERS = 5000;

/** What `hostport node-probe` reads: the namespace that it must run in, and what to send from there. */
export const probeJobSchema = z.object({
  /**
   * The network namespace that the sender must run in, else nothing is sent: by `device:inode` of its file, or by a path as the
   * sender sees it. `own-addresses`: in any namespace, but only to addresses of that namespace.
   */
  place: z.union([
    z.object({ namespace: z.string().regex(/^\d+:\d+$/) }),
    z.object({ path: z.string().startsWith('/') }),
    z.object({ only: z.literal('own-addresses') }),
  ]),
  timeoutMs: z.number().int().min(10).max(30_000).default(1000),
  orders: boundedList(probeOrderSchema, { most: MAX_ORDERS }),
});

export type ProbeJob = z.infer<typeof probeJobSchema>;
