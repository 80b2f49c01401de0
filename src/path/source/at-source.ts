import { fileOwner, whatRenames } from '../heal/conf-owners.ts';
import type { PlannedHeal } from '../heal/plan.ts';
import type { HealStep } from '../model/action.ts';
import type { Finding } from '../model/finding.ts';
import type { NodeView } from '../view/node-view.ts';
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
    const change = cni?.cni.changes.find((one) => fits(one, finding, cni));
    if (cni !== undefined && change !== undefined) {
      const key = JSON.stringify([cni.cni.name, cni.cni.changes.indexOf(change)]);
      add(changes, key, code, node.name, { cni, change });
    }
    for (const why of new Set(steps.flatMap((step) => whyTemporary(step, node))))
      add(temporary, why, code, node.name, { why });
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

function fits(change: SourceChange, { code, args }: Finding, cni: PrimaryCni): boolean {
  const { codes, plugin, installers, since, before } = change;
  if (!codes.includes(code)) return false;
  // How a file system is mounted is no CNI's matter: the remedy names its source.
  if (args.option === 'noexec') return false;
  const isOwn = cni.cni.plugins.includes(String(args.plugin ?? 'portmap'));
  if (plugin !== undefined && (plugin === 'own') !== isOwn) return false;
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

/** The list that one of ours comes before, which is named for it. */
function listBehind(own: string, node: NodeView): string {
  const name = own.replace(/^(?:00-|!)/, '').replace(/(?:-portmap)?\.[^.]*$/, '');
  return node.configs?.find((file) => file.name.replace(/\.[^.]*$/, '') === name)?.name ?? `${name}.conflist`;
}

/** Who undoes a step, and when; nothing for what lasts. */
function whyTemporary(step: HealStep, node: NodeView): string[] {
  if (step.on !== 'node') return [];
  const { action } = step;
  switch (action.do) {
    case 'write-file':
    case 'rename-file':
    case 'set-mode': {
      const path = action.do === 'rename-file' ? action.to : action.path;
      const name = path.replace(/^.*\//, '');
      const owner = fileOwner(name);
      if (owner !== undefined) return [`${owner.name} overwrites ${name} when it starts`];
      return [whatRenames(listBehind(name, node), node)].filter((why) => why !== undefined);
    }
    case 'set-sysctl':
      return [`a restart of the node, or what set ${action.name} before, resets it: set it in /etc/sysctl.d`];
    case 'iptables':
    case 'delete-nft-rule':
      return ['a restart of the node, or what wrote the rules, can bring them back'];
    case 'replace-route':
      return ['a restart of the node, or what set the route before, can bring it back'];
    default:
      return [];
  }
}
