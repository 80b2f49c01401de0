import { z } from 'zod';

/**
 * Where a probe is sent from. A probe from the node itself proves little: with ip_forward=0 it still succeeds, while every other
 * machine times out.
 */
export const vantages = ['direct', 'node', 'loopback', 'other-node', 'pod', 'outside'] as const;

/**
 * - `direct`: on the pod's node, to the pod's own address and containerPort: is there an application at all?
 * - `node`: on the pod's node, to the node's address (or hostIP) and hostPort.
 * - `loopback`: on the pod's node, to 127.0.0.1 and hostPort.
 * - `other-node`: on another node. `outside`: on the nodes' network, on no node.
 * - `pod`: in the pod itself, to its own hostPort (hairpin).
 */
export type Vantage = (typeof vantages)[number];

/** What one probe saw. `unknown` is a probe that could not be sent, or silence where silence proves nothing (UDP). */
export const probeResultSchema = z.object({
  vantage: z.enum(vantages),
  /** Node whose pod is meant. */
  node: z.string(),
  /** Node that the probe was sent from; absent from outside. */
  from: z.string().optional(),
  podUid: z.string(),
  protocol: z.enum(['TCP', 'UDP', 'SCTP']),
  /** hostPort of the mapping meant, also for `direct`. */
  hostPort: z.number(),
  hostIP: z.string().optional(),
  target: z.object({ address: z.string(), port: z.number() }),
  outcome: z.enum(['answered', 'refused', 'timeout', 'unreachable', 'unknown']),
  /** What was seen, for people. */
  detail: z.string(),
  /** Why it could not be sent, where whoever asked can do something about it: somebody has the local port that it was to be sent from. */
  problem: z.enum(['source-port-taken']).optional(),
  milliseconds: z.number(),
  /** Local port of the probe: the node's connection tracking shows by it who answered. */
  sourcePort: z.number().optional(),
  /** Who the connection was translated to, when the node's connection tracking shows it. */
  answeredBy: z.object({ address: z.string(), port: z.number() }).optional(),
  /** Whether the node's connection tracking has it; absent when that could not be read, which says nothing of where the packets got to. */
  tracked: z.boolean().optional(),
  /** Why the node's connection tracking could not be read. */
  untold: z.string().optional(),
  /** How many packets the node's reverse path filter dropped while this probe and all others were under way; only for probes without an answer. */
  reversePathDrops: z.number().optional(),
  /** Whether the node saw an answer to it, when connection tracking shows it. */
  replied: z.boolean().optional(),
  /** The client address that the application saw, when connection tracking shows it. */
  seenSource: z.string().optional(),
  /** What the kernel of the pod's node said of a probe like this one (`doctor --trace`). */
  trace: z
    .object({
      outcome: z.enum(['answered', 'died', 'inconclusive']),
      /** What became of it, in a sentence. */
      message: z.string(),
      /** The kernel's name for why it was dropped. */
      reason: z.string().optional(),
      /** The failure that it is a sign of. */
      code: z.string().optional(),
    })
    .optional(),
});

export type ProbeResult = z.infer<typeof probeResultSchema>;
