import type { Case, Diagnosed } from '../diagnose/diagnose.ts';
import type { HealStep } from '../model/action.ts';
import type { Finding } from '../model/finding.ts';
import type { Failure } from '../stages/failure.ts';
import { possibleHeal } from './possible.ts';

/** What healing is confined to. */
export interface HealScope {
  /** Codes; all when absent. */
  codes?: readonly string[];
  /** Nodes; all when absent. */
  nodes?: readonly string[];
  /** Whether pods may be recreated where there is no other way. */
  restart: boolean;
  /**
   * Which risks are fixed without their code being named: `leftovers`, only what portmap's attachments left behind, for healing without
   * review. Default: all.
   */
  risks?: 'all' | 'leftovers';
}

/** What to do about one finding. */
export interface PlannedHeal {
  finding: Finding;
  /** In their order; empty when there is nothing for hostport to do. */
  steps: HealStep[];
  /** Why it needs a manual step, or a restart. */
  left?: { to: 'hand' | 'restart'; why: string };
}

/**
 * How to fix the findings of a diagnosis, in their order. The same step for two findings is planned once, with the first; one that runs a
 * configuration that a later plan writes, with the first after that. Pure: nothing is done yet.
 */
export function planHeal(
  { cases, scene }: Pick<Diagnosed, 'cases' | 'scene'>,
  scope: HealScope,
): PlannedHeal[] {
  return withoutRepeats(
    cases
      .filter((entry) => isInScope(entry, scope))
      .map(({ failure, detection, finding }): PlannedHeal => {
        const { heal } = possibleHeal(failure, detection, scene, scope.codes !== undefined);
        if (heal.by !== 'hand' && isForPerson(failure, finding, scope)) {
          const why = `risks are fixed only on request: hostport heal --only ${finding.code}`;
          return { finding, steps: [], left: { to: 'hand', why } };
        }
        if (heal.by === 'hand') return { finding, steps: [], left: { to: 'hand', why: heal.why } };
        if (heal.by === 'restart' && !scope.restart) {
          return { finding, steps: [], left: { to: 'restart', why: heal.why } };
        }
        return { finding, steps: [...heal.steps] };
      }),
  );
}

function withoutRepeats(plans: readonly PlannedHeal[]): PlannedHeal[] {
  /** Where each step stays, by what it does; and where a configuration is last written. */
  const kept = new Map<string, number>();
  const written = new Map<string, number>();
  for (const [at, step] of plans.flatMap(({ steps }) => steps).entries()) {
    const key = keyOf(step);
    const before = kept.get(key);
    // Of an earlier content of the file, it would have to be done again.
    const isOutdated = before !== undefined && (written.get(configOf(step, 'attach') ?? '') ?? -1) > before;
    if (before !== undefined && !isOutdated) continue;
    kept.set(key, at);
    const file = configOf(step, 'write-file');
    if (file !== undefined) written.set(file, at);
  }
  let from = 0;
  return plans.map((plan) => {
    const first = from;
    from += plan.steps.length;
    return { ...plan, steps: plan.steps.filter((step, i) => kept.get(keyOf(step)) === first + i) };
  });
}

/** What is done, whatever for. */
function keyOf({ why: _, ...what }: HealStep): string {
  return JSON.stringify(what);
}

/** The node and the configuration file whose plugins a step runs, or that it writes; undefined for a step that does not. */
function configOf(step: HealStep, as: 'attach' | 'write-file'): string | undefined {
  if (step.on !== 'node' || step.action.do !== as) return undefined;
  return `${step.node} ${step.action.do === 'attach' ? step.action.config : step.action.path}`;
}

function isInScope({ finding }: Case, { codes, nodes }: HealScope): boolean {
  if (finding.severity === 'note') return false;
  if (codes !== undefined && !codes.includes(finding.code)) return false;
  return nodes === undefined || (finding.subject.node !== undefined && nodes.includes(finding.subject.node));
}

/**
 * Whether a person must see the plan first: the port works, and the owner of the other rules or configurations on the node may want what
 * threatens it.
 */
function isForPerson({ leftover }: Failure, { severity }: Finding, { risks, codes }: HealScope): boolean {
  return severity === 'risk' && risks === 'leftovers' && codes === undefined && leftover !== true;
}

/**
 * Whether two findings are about the same thing, also when the pod was recreated under the same name. A finding about both address families is
 * about each of them.
 */
export function sameFinding(a: Finding, b: Finding): boolean {
  const { family, ...subject } = a.subject;
  const { family: other, ...rest } = b.subject;
  return (
    (family === undefined || other === undefined || family === other) &&
    findingKey({ ...a, subject }) === findingKey({ ...b, subject: rest })
  );
}

/** What is the same for two findings about the same thing in the same address families, and differs for all others. */
export function findingKey({ code, subject: { node, pod, port, family } }: Finding): string {
  return JSON.stringify([code, node, pod?.namespace, pod?.name, port, family]);
}
