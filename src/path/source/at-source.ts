import { fileOwner } from '../heal/conf-owners.ts';
import type { PlannedHeal } from '../heal/plan.ts';
import type { HealStep } from '../model/action.ts';
import type { Scene } from '../view/scene.ts';
import type { SourceChange } from './cnis.ts';
import { type PrimaryCni, primaryCnis } from './primary-cni.ts';

/** A durable change for findings of a plan. */
export interface ChangeAtSource {
  /** Codes of the findings that it is for. */
  codes: string[];
  nodes: string[];
  cni: PrimaryCni;
  change: SourceChange;
}

/** A fix that somebody else will undo. */
export interface TemporaryFix {
  codes: string[];
  nodes: string[];
  why: string;
}

/** What lasts of a plan, and what does not. */
export interface Durability {
  changes: ChangeAtSource[];
  temporary: TemporaryFix[];
}

/** Which changes at the source belong to a plan, and which of its own steps do not last. Pure. */
export function durabilityOf(plan: readonly PlannedHeal[], scene: Scene): Durability {
  const changes = new Map<string, ChangeAtSource>();
  const temporary = new Map<string, TemporaryFix>();
  const primaryCniOf = primaryCnis(scene);
  for (const { finding, steps } of plan) {
    const { code, subject } = finding;
    const node = scene.nodes.get(subject.node ?? '');
    if (node === undefined) continue;
    const cni = primaryCniOf(node);
    const change = cni?.cni.changes.find((one) => fits(one, code, cni));
    if (cni !== undefined && change !== undefined) {
      const key = JSON.stringify([cni.cni.name, cni.cni.changes.indexOf(change)]);
      add(changes, key, code, node.name, { cni, change });
    }
    for (const why of new Set(steps.flatMap(whyTemporary))) add(temporary, why, code, node.name, { why });
  }
  return { changes: [...changes.values()], temporary: [...temporary.values()] };
}

function add<T extends { codes: string[]; nodes: string[] }>(
  to: Map<string, T>,
  key: string,
  code: string,
  node: string,
  rest: Omit<T, 'codes' | 'nodes'>,
): void {
  const entry = to.get(key) ?? ({ ...rest, codes: [], nodes: [] } as unknown as T);
  to.set(key, entry);
  if (!entry.codes.includes(code)) entry.codes.push(code);
  if (!entry.nodes.includes(node)) entry.nodes.push(node);
}

function fits({ codes, installers, since, before }: SourceChange, code: string, cni: PrimaryCni): boolean {
  if (!codes.includes(code)) return false;
  if (installers?.includes(cni.installer) === false) return false;
  if (since === undefined && before === undefined) return true;
  const { version } = cni;
  if (version === undefined) return false;
  return (
    (since === undefined || compare(version, since) >= 0) &&
    (before === undefined || compare(version, before) < 0)
  );
}

/** Negative when `a` is older. */
function compare(a: string, b: string): number {
  const [x, y] = [a, b].map((version) => version.split('.').map(Number)) as [number[], number[]];
  return x[0]! - y[0]! || (x[1] ?? 0) - (y[1] ?? 0);
}

/** Who undoes a step, and when; nothing for what lasts. */
function whyTemporary(step: HealStep): string[] {
  if (step.on !== 'node') return [];
  const { action } = step;
  switch (action.do) {
    case 'write-file':
    case 'rename-file':
    case 'set-mode': {
      const path = action.do === 'rename-file' ? action.to : action.path;
      const name = path.replace(/^.*\//, '');
      // Lists of ours are named for the one that they come before.
      const owner =
        fileOwner(name) ?? fileOwner(name.replace(/^(?:00-|!)/, '').replace(/-portmap(\.conflist)$/, '$1'));
      if (owner === undefined) return [];
      const isOwners = fileOwner(name) !== undefined;
      if (isOwners) return [`${owner.name} writes ${name} again when it starts`];
      return owner.besides === undefined ? [] : [`${owner.name} removes lists of others: ${owner.besides}`];
    }
    case 'set-sysctl':
      return [
        `${action.name} is as before when the node restarts, or what set it does so again: see /etc/sysctl.d`,
      ];
    case 'iptables':
    case 'delete-nft-rule':
      return ['rules are as before when the node restarts, or what wrote them does so again'];
    case 'replace-route':
      return ['routes are as before when the node restarts, or what set them does so again'];
    default:
      return [];
  }
}
