import type { Pod } from '../kube/types.ts';
import type { PlannedHeal } from '../path/heal/plan.ts';
import type { HealStep } from '../path/model/action.ts';
import type { Scene } from '../path/view/scene.ts';

/** Times in milliseconds. */
export interface SettlingOptions {
  /** While a sandbox is younger than this, the runtime may still be adding what it lacks. */
  youngMs: number;
  /** How long a mapping must be missing when it is not known whether its pod is terminating. */
  missingMs: number;
  /** How long something must be left over before it is removed. */
  leftOverMs: number;
  /** Pods that are starting delay the removal of leftovers for at most so long. */
  maxLeftOverMs: number;
}

export const SETTLING: SettlingOptions = {
  youngMs: 2000,
  missingMs: 300,
  leftOverMs: 15_000,
  maxLeftOverMs: 120_000,
};

/** What is known besides the scene. */
export interface SettlingContext {
  /** Since when the finding has been there, by the clock that {@link readyAt} answers in, which nobody sets. */
  since: number;
  now: number;
  /** Now by the clock of the machine, by which the runtime says when it has created a sandbox. In milliseconds since the epoch. */
  timeOfDay: number;
  /** Whether the pods of the scene are the API's, which shows that a pod is terminating; a runtime does not. */
  podsFromApi: boolean;
}

/**
 * The earliest time at which a finding may be acted on. The chain of a pod is not one step: while the runtime creates or removes a
 * sandbox, its rules exist before the runtime lists the sandbox, and are gone while the runtime still lists it. An agent that is notified
 * of every change looks at that very moment, and would remove what is being created, or create what is being removed. Infinity: not while
 * the pod is terminating.
 */
export function readyAt(
  { finding, steps }: PlannedHeal,
  scene: Scene,
  { since, now, timeOfDay, podsFromApi }: SettlingContext,
  options: SettlingOptions = SETTLING,
): number {
  if (steps.some(takesAttachmentAway)) {
    const at = since + options.leftOverMs;
    if (!scene.world.pods.some(isBeingMade)) return at;
    return now < since + options.maxLeftOverMs ? Math.max(at, now + options.leftOverMs) : at;
  }
  const sandboxes = new Set(steps.flatMap(attachedSandbox));
  if (sandboxes.size === 0) return since;
  const paths = scene.paths.filter((path) => path.sandbox !== undefined && sandboxes.has(path.sandbox.id));
  if (paths.some(({ pod }) => pod.metadata?.deletionTimestamp !== undefined)) return Number.POSITIVE_INFINITY;
  const grown = paths.map(({ sandbox }) => {
    const age = timeOfDay - Date.parse(sandbox!.createdAt);
    // Created in the future: the clock was set back since, and how old it is nobody knows. It was there when the finding was.
    return age < 0 ? since + options.youngMs : now + options.youngMs - age;
  });
  const seen = !podsFromApi && finding.stage === 'translated' ? since + options.missingMs : since;
  return Math.max(seen, ...grown);
}

function takesAttachmentAway(step: HealStep): boolean {
  return step.on === 'node' && (step.action.do === 'detach' || step.action.do === 'collect');
}

function attachedSandbox(step: HealStep): string[] {
  return step.on === 'node' && step.action.do === 'attach' ? [step.action.sandbox] : [];
}

/** A pod for which the runtime may be running the chain. */
function isBeingMade({ metadata, spec, status }: Pod): boolean {
  return (
    metadata?.deletionTimestamp === undefined && spec?.hostNetwork !== true && status?.phase === 'Pending'
  );
}
