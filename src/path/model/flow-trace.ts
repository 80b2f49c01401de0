import { z } from 'zod';
import { boundedList, boundedText } from '../../util/bounded.ts';

/** The connection that is traced: that of one probe, from a source port of its own. */
export const tracedFlowSchema = z.object({
  protocol: z.enum(['TCP', 'UDP', 'SCTP']),
  family: z.enum(['ipv4', 'ipv6']),
  /** Where the probe is sent. */
  address: z.string(),
  port: z.number().int().min(1).max(65535),
  sourcePort: z.number().int().min(1).max(65535),
  /** Port that a pod's application is expected to listen on; answers come from it. */
  containerPort: z.number().int().min(1).max(65535).optional(),
});

export type TracedFlow = z.infer<typeof tracedFlowSchema>;

const text = boundedText({ most: 20_000 });

/** A packet's header as a chain sees it. */
const seenSchema = z.object({
  source: text,
  destination: text,
  protocol: z.number(),
  sourcePort: z.number().optional(),
  destinationPort: z.number().optional(),
  tcpFlags: z.number().optional(),
  inputInterface: text.optional(),
  outputInterface: text.optional(),
});

/** One message of the kernel about the packet's way, with what the node's rules say of its place. */
const tracedEventSchema = z.object({
  /** Of the packet, while it is in the node's network namespace. */
  id: z.number(),
  family: text,
  table: text,
  chain: text,
  type: z.enum(['rule', 'return', 'policy']),
  handle: z.number().optional(),
  verdict: z.enum(['accept', 'drop', 'queue', 'stolen', 'continue', 'jump', 'goto', 'return', 'other']),
  mark: z.number(),
  packet: seenSchema.optional(),
  /** The rule as its tool writes it, without secrets. */
  text: text.optional(),
});

export type TracedEvent = z.infer<typeof tracedEventSchema>;

/** A packet that the kernel dropped, of any connection. */
const dropSchema = z.object({
  /** The kernel's name for why (include/net/dropreason-core.h). */
  reason: text,
  /** Function of the kernel that did. */
  location: text,
  /** The thread that was running: the sender's, where the packet was not handed on. */
  pid: z.number(),
});

export type Drop = z.infer<typeof dropSchema>;

const unknown = z.object({ unknown: text });

/** Everything that a node's kernel said while one probe was under way. */
export const flowRecordSchema = z.object({
  /** What nftables traced of the flow. */
  events: z.union([z.object({ value: boundedList(tracedEventSchema, { most: 10_000 }) }), unknown]),
  /** There was more than is recorded. */
  isTruncated: z.boolean(),
  /** Why it is not known what comes in by the node's devices and leaves by them; absent when it is. */
  devicesUnknown: text.optional(),
  /** Hook of each base chain of the node, as `family table chain`. */
  hooks: z.record(z.string(), text),
  /** Packets that were dropped, of all of this address family. */
  drops: z.union([z.object({ value: boundedList(dropSchema, { most: 10_000 }) }), unknown]),
  /** The recording process, by the number that drops have. */
  pid: z.number().optional(),
  /** iptables-legacy has rules of this family, which the kernel does not trace. */
  hasLegacyRules: z.boolean(),
  /** Neighbours that do not answer. */
  silentNeighbours: boundedList(z.object({ address: text, device: text }), { most: 10_000 }),
});

export type FlowRecord = z.infer<typeof flowRecordSchema>;

/** Prefix of the names of the tables that watch a flow. */
export const WATCH_PREFIX = 'hostport-trace-';
