import type { HealStep } from '../model/action.ts';
import type { Evidence, Restart, Severity, Subject } from '../model/finding.ts';
import type { Message } from '../model/message.ts';
import type { Stage } from '../model/stages.ts';
import type { Scene } from '../view/scene.ts';

/** A failure found on one subject. `data` is what its own {@link Failure.heal} wants to know again. */
export interface Detection<Data = unknown> {
  subject: Subject;
  /** One sentence with the names and values of this case: `words('{pod} requests {port}', { pod, port })`. */
  message: Message;
  evidence: Evidence[];
  /** Only where a case differs from the failure's own. */
  severity?: Severity;
  remedy?: string;
  data: Data;
}

/**
 * How a case is fixed: by steps; or by hand, with what to do and why hostport does not do it; or only by recreating the pod, which
 * is offered, and done with `--restart`. Steps come in their order; a failing one ends the plan of its finding.
 */
export type Heal =
  | { by: 'steps'; steps: HealStep[] }
  | { by: 'hand'; why: string }
  | { by: 'restart'; why: string; steps: HealStep[] };

/** Markdown: a paragraph in one line, or several paragraphs, lists and tables. */
export type Markdown = string | readonly string[];

/** What only a person can say about a failure on its page in docs/failures; the rest of the page is derived. */
export interface FailurePage {
  /** What somebody sees who has it. */
  see: Markdown;
  /** What there is to know beyond the explanation. */
  why?: Markdown;
  /** How to check it by hand: shell commands that change nothing, and what to look for in their output. */
  check: { run: readonly string[]; look: Markdown };
  /** How to fix it by hand. */
  fix: Markdown;
  /** What to say before the plan of `hostport heal`, where the command alone misleads. */
  heal?: Markdown;
  /** What a restart does, where no fix changes the node or the cluster. */
  restart?: string;
}

/**
 * One known way for a hostPort to fail: how it is recognised, explained and fixed. One file each under `stages/<stage>/`, named for its
 * code; how the lab injects it is the file of the same name in `lab/faults`. The list of all and the pages in docs/failures are generated from
 * these files. A test fails when one lacks a part, its injector, its documentation page or its end-to-end case.
 */
export interface Failure<Data = unknown> {
  /** Stable name of the finding. */
  code: string;
  stage: Stage;
  severity: Severity;
  /** A line for `hostport faults`. */
  title: string;
  /** How this happens, in plain words; a paragraph. */
  explanation: string;
  /** How to fix it; a sentence. */
  remedy: string;
  restart: Restart;
  /** For `needed`: why there is no other way. */
  restartReason?: string;
  /** Where it was reported or is documented: upstream issues, specifications. */
  sources: readonly string[];
  /**
   * What mutes this finding, since it then follows from that or cannot be determined: `earlier`, anything broken at an earlier stage; or the
   * codes named, among which `earlier` may be. An empty list: a cause of its own that is always reported. The whole rule is in
   * `diagnose/muting.ts`.
   */
  mutedBy: 'earlier' | readonly string[];
  /** Whether portmap's own attachments left it behind, so that it is safe to remove without asking, even when it is only a risk. */
  leftover?: true;
  /**
   * Whether it is about the configuration that is first in its directory. As long as the runtime has not read that, and what it has loaded
   * maps ports, such a case is a risk: the next time that the directory is read.
   */
  ofFirstConfig?: true;
  /** Every case in the scene. Says nothing where it cannot know: that is the stage's own verdict. */
  detect(scene: Scene): Detection<Data>[];
  heal(detection: Detection<Data>, scene: Scene): Heal;
  page: FailurePage;
}

/** Checks the types of one failure; its `data` stays its own business. */
export function defineFailure<Data>(failure: Failure<Data>): Failure {
  // heal() only ever receives what detect() returned.
  return failure as unknown as Failure;
}
