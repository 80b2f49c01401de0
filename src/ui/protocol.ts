import type { Moment } from './history.ts';

/** The cookie that the token is exchanged for. */
export const COOKIE = 'hostport-ui';
/** The header by which a request that changes something shows that it comes from the page. */
export const ACTION_HEADER = 'x-hostport-action';

/** What the watching of a cluster is doing. Times are RFC 3339. */
export interface WatchState {
  /** `trouble`: the last look failed; what is shown is older. */
  state: 'looking' | 'waiting' | 'trouble';
  /** What is under way, or why a look failed. */
  detail?: string;
  /** When the last look that succeeded ended. */
  lookedAt?: string;
  /** When the next look begins, unless something changes before. */
  nextAt?: string;
  /** Objects of hostPorts that have changed since the last look began. */
  changed: number;
  /** Why objects cannot be watched; changes are then seen at looks only. */
  unwatched?: string;
}

/** What became of the probes to one hostPort, from outside of the nodes. */
export interface Traffic {
  node: string;
  pod: string;
  port: string;
  address: string;
  /** The outcomes, the newest last: a letter each, as in {@link OUTCOME_LETTERS}. */
  strip: string;
  /** What the newest one saw. */
  detail: string;
  /** How long the newest one took, in milliseconds. */
  milliseconds: number;
}

/** What is probed again and again. */
export interface TrafficShown {
  ports: Traffic[];
  /** How many hostPorts of TCP are not probed, since there are so many. */
  leftOut: number;
}

/** A letter for each outcome of a probe. */
export const OUTCOME_LETTERS = {
  answered: 'a',
  refused: 'r',
  timeout: 't',
  unreachable: 'u',
  unknown: '?',
} as const;

/** What was done in a lab from the page. */
export interface LabState {
  /** Failures that were injected and not undone yet. */
  injected: { code: string; node: string; pod: string }[];
  /** What is being done, since when. */
  running?: { what: string; since: string };
  /** The result of the last action. */
  last?: { what: string; ok: boolean; text: string; at: string };
}

/** The topics of the server-sent events. */
export interface UiTopics {
  watch: WatchState;
  /** The newest moment; its document is read separately. */
  moment: Moment;
  traffic: TrafficShown;
  lab: LabState;
}

/** What the page is given to begin with. */
export interface UiStart {
  title: string;
  kind: 'lab' | 'cluster';
  version: string;
  /** Path that everything is below. */
  base: string;
  /** For the header of requests that change something; in a lab only. */
  action?: string;
  /** The failures that can be injected; in a lab only. */
  faults?: { code: string; stage: string; title: string; does: string }[];
}
