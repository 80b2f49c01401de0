import { z } from 'zod';
import type { TraceDocument } from '../path/trace/document.ts';
import { boundedText } from '../util/bounded.ts';
import type { LabState, UiStart } from './protocol.ts';

const name = boundedText({ least: 1, most: 253 });

/** What the page can ask of a lab, by the last part of the address. */
export const labOrders = {
  break: z.strictObject({ code: name, node: name.optional() }),
  heal: z.strictObject({ restart: z.boolean() }),
  /** All that was injected, or of it what this is. */
  undo: z.strictObject({ code: name.optional(), node: name.optional() }),
  trace: z.strictObject({
    node: name,
    port: z.number().int().min(1).max(65_535),
    protocol: z.enum(['tcp', 'udp', 'sctp']),
    /** `outside`, a node, or namespace/name of a pod. */
    from: name,
  }),
} as const;

export type LabOrder = {
  [K in keyof typeof labOrders]: { do: K } & z.infer<(typeof labOrders)[K]>;
}[keyof typeof labOrders];
export type TraceOrder = z.infer<typeof labOrders.trace>;

/** How the page breaks, heals and traces a lab. There is none for any other cluster. */
export interface LabDoor {
  readonly faults: NonNullable<UiStart['faults']>;
  /** What was injected and not undone yet. */
  injected(): Promise<LabState['injected']>;
  /** Injects a failure; what was done, in a sentence. */
  break(order: z.infer<typeof labOrders.break>, signal: AbortSignal): Promise<string>;
  /** Fixes what the doctor finds. */
  heal(order: z.infer<typeof labOrders.heal>, signal: AbortSignal): Promise<string>;
  /** Undoes what was injected. */
  undo(order: z.infer<typeof labOrders.undo>, signal: AbortSignal): Promise<string>;
  trace(order: TraceOrder, signal: AbortSignal): Promise<TraceDocument>;
}
