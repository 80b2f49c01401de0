import { z } from 'zod';
import { absolutePath, nodeActionSchema } from '../../path/model/action.ts';
import { tracedFlowSchema } from '../../path/model/flow-trace.ts';
import { boundedList } from '../../util/bounded.ts';
import { MAX_ORDERS, probeJobSchema } from '../probe/order.ts';

/** More at once than a plan for a node has. */
const MAX_ACTIONS = 1000;

/** It names a directory. */
const healTime = z.iso.datetime({ precision: 3 });

/** What `hostport node-serve` is asked for. */
export const nodeRequestSchema = z.discriminatedUnion('do', [
  /** Which program answers, and on which machine. */
  z.object({ do: z.literal('identity') }),
  /** The node's report, as `hostport node-report` prints it. `node`: its name in the cluster. */
  z.object({ do: z.literal('report'), node: z.string() }),
  /** What became of jobs of probes: of each its results, or why it was not done. */
  z.object({ do: z.literal('probes'), jobs: boundedList(probeJobSchema, { most: MAX_ORDERS }) }),
  /** The result of each action, up to the first that fails. */
  z.object({
    do: z.literal('apply'),
    actions: boundedList(nodeActionSchema, { most: MAX_ACTIONS }),
    /** When the heal began that they belong to, which can be undone as a whole. */
    heal: healTime.optional(),
  }),
  /** Where paths lead without links. */
  z.object({ do: z.literal('resolve'), paths: boundedList(absolutePath, { most: MAX_ACTIONS }) }),
  /** What the last heal changed, and whether it can be undone; null where there was none. */
  z.object({ do: z.literal('last-heal') }),
  /** Puts back the files that a heal changed: the result of each. */
  z.object({ do: z.literal('undo'), heal: healTime }),
  /** The connections that are tracked of clients with these ports. */
  z.object({ do: z.literal('flows'), sourcePorts: boundedList(z.number(), { most: 65_536 }).readonly() }),
  /** How many packets the reverse path filter has dropped so far; null when the kernel does not count them. */
  z.object({ do: z.literal('reverse-path-drops') }),
  /** Has the kernel trace a flow; the name of the trace. */
  z.object({ do: z.literal('trace-start'), flow: tracedFlowSchema }),
  /** Ends a trace; what was recorded. */
  z.object({ do: z.literal('trace-stop'), trace: z.string() }),
  /** The number that the kernel's drops have for what this process sends; null where it cannot be known. */
  z.object({ do: z.literal('trace-sender') }),
  /** What a command left behind. */
  z.object({
    do: z.literal('run'),
    argv: boundedList(z.string(), { least: 1 }),
    stdin: z.string().optional(),
  }),
]);

export type NodeRequest = z.infer<typeof nodeRequestSchema>;

/** A line of input. With `gzip`, a large answer may come compressed. */
export const requestLineSchema = z.object({
  id: z.number().int(),
  request: nodeRequestSchema,
  gzip: z.boolean().optional(),
});

/** A line of output: the answer to the request with this `id`, or why there is none. */
export const answerLineSchema = z.union([
  z.object({ id: z.number().int(), error: z.string() }),
  /** The JSON of the value, compressed, in base64. */
  z.object({ id: z.number().int(), gzip: z.string() }),
  z.object({ id: z.number().int(), value: z.unknown() }),
]);

/** The answer to `identity`. */
export const identitySchema = z.object({
  version: z.string(),
  machineId: z.string().optional(),
  bootId: z.string().optional(),
  /** Whether it is in the network namespace of the machine's first process. */
  inHostNetwork: z.boolean(),
});

/** The answer to `resolve`: each path with no link in it, as far as it exists. */
export const resolvedSchema = (count: number) => boundedList(absolutePath, { least: count, most: count });

/** The answer to `run`. */
export const ranSchema = z.object({ code: z.number().int(), stdout: z.string(), stderr: z.string() });
