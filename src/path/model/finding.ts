import type { HostPort } from '../../kube/host-ports.ts';
import type { FamilyName } from '../../util/family.ts';
import type { Args } from './message.ts';
import type { Stage } from './stages.ts';

export type { HostPort };

/** What a finding is about: a whole node, a pod, or one mapping of a pod. The finer ones have all the coarser parts. */
export interface Subject {
  node?: string;
  pod?: { namespace: string; name: string; uid: string };
  port?: HostPort;
  /** Present only where pod and node have addresses of both families and one of them is meant. */
  family?: FamilyName;
}

/** Something that was observed: where, and its content. */
export interface Evidence {
  /** What kind of thing it is. */
  kind:
    | 'file'
    | 'rule'
    | 'sysctl'
    | 'event'
    | 'probe'
    | 'object'
    | 'runtime'
    | 'route'
    | 'flow'
    | 'socket'
    | 'result';
  /** Which one: a path, a chain, a name. */
  where: string;
  /** What it said, shortened if it is long. */
  saw: string;
}

/**
 * Worst first:
 * - `broken`: the mapping does not work because of it;
 * - `risk`: it works now, or works partly, and will break or misleads;
 * - `note`: nothing is wrong, though it looks so.
 */
export const severities = ['broken', 'risk', 'note'] as const;
export type Severity = (typeof severities)[number];

/** Whether the pod must be recreated: never; not with hostport, though commonly done; or there is no other way. */
export type Restart = 'no' | 'avoided' | 'needed';

/** One root cause, on one subject, with all that a person needs to believe it and to fix it. */
export interface Finding {
  /** Stable, kebab-case. */
  code: string;
  stage: Stage;
  severity: Severity;
  subject: Subject;
  /** The problem, in one sentence with the names and values of this case. */
  message: string;
  /** The names and values in the message, by what they are: `node`, `file`, `plugins`. Which there are depends on the code and its case. */
  args: Args;
  evidence: Evidence[];
  /** How this happens, in plain words. */
  explanation: string;
  /** How to fix it. */
  remedy: string;
  /** The hostport command that does, if any. */
  command?: string;
  restart: Restart;
  /** Why there is no other way, where a restart is needed. */
  restartReason?: string;
  /** Page of the documentation, relative to its root. */
  documentation: string;
}

/** A cell of the table: what is known of one stage for one mapping. */
export interface StageVerdict {
  verdict: 'ok' | 'broken' | 'risk' | 'unknown' | 'muted';
  /** Codes of the findings behind it. */
  codes: string[];
  /** Why it is unknown, the code that mutes it, or why it is OK in an unusual way. */
  reason?: string;
}

/** The verdicts on one mapping of one pod. */
export interface PathVerdict {
  node?: string;
  pod: { namespace: string; name: string; uid: string };
  port: HostPort;
  /** Present where pod and node have addresses of both families: each is a path of its own. */
  family?: FamilyName;
  stages: Record<Stage, StageVerdict>;
}

/**
 * What an unknown is about. A node or a pod is a doubt about mappings; without some other objects (Services, events, policies), or a file that
 * is no report, less is found.
 */
export const unknownKinds = ['node', 'pod', 'objects', 'file'] as const;

/** Something that could not be looked at, and why. */
export interface Unknown {
  kind: (typeof unknownKinds)[number];
  node?: string;
  what: string;
  why: string;
}

/** What the doctor says. `hostport doctor -o json` prints this document. */
export interface Diagnosis {
  apiVersion: 'hostport/v1';
  kind: 'Diagnosis';
  observedAt: string;
  /** Worst first, then in the order of the causes: what hurts most pods first. */
  paths: PathVerdict[];
  /** Cause by cause: worst first, then what hurts most pods; those of one cause by stage, node, pod and port. */
  findings: Finding[];
  /** What could not be observed, once for each node or source. */
  unknowns: Unknown[];
}
