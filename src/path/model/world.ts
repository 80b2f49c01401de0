import type { Event, Node, Pod, Service } from '../../kube/types.ts';
import type { Unknown } from './finding.ts';
import type { NodeReport } from './node-report.ts';
import type { Observed } from './observed.ts';
import type { ProbeResult } from './probe.ts';

/** A NetworkPolicy as far as the path is concerned. */
export interface NetworkPolicy {
  metadata?: { name?: string; namespace?: string };
  spec?: Record<string, unknown>;
}

/** All that was observed of a cluster: the whole input of the diagnosis. */
export interface World {
  /** RFC 3339. */
  observedAt: string;
  nodes: readonly Node[];
  pods: readonly Pod[];
  services: readonly Service[];
  events: readonly Event[];
  policies: readonly NetworkPolicy[];
  /** Kinds of objects that were not looked at, and why: that they are empty says nothing. None when absent. */
  unread?: readonly Unknown[];
  /** By node name; a node without an entry was not asked. Of a large cluster each is read when it is asked for, and is not to be kept. */
  reports: ReadonlyMap<string, Observed<NodeReport>>;
  /** Empty when there were no probes: then nothing is known of the last stage. */
  probes: readonly ProbeResult[];
}
