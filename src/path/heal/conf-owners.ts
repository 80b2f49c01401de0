import type { HealStep } from '../model/action.ts';
import { known } from '../model/observed.ts';
import type { NodeView } from '../view/node-view.ts';
import { besideConfig, COPY_MODE, nameBefore } from './conf-plans.ts';

/** A component that rewrites a configuration file when it starts or finds it changed. */
interface ConfOwner {
  name: string;
  /** The setting without which it renames files that are not its own, in words that follow "unless". */
  renamesUnless?: string;
}

const CILIUM: ConfOwner = { name: "Cilium's agent", renamesUnless: 'you set cni.exclusive=false in Cilium' };

/** What Cilium's agent writes since 1.14. */
const CILIUM_LIST = '05-cilium.conflist';

/** The names under which operators' agents write their configuration, as their installers have them. */
const OWNERS: readonly [RegExp, ConfOwner][] = [
  [/^05-cilium\.conf(list)?$/, CILIUM],
  [/^10-aws\.conflist$/, { name: 'aws-node' }],
  [/^10-calico\.conflist$/, { name: 'calico-node' }],
  [/^10-canal\.conflist$/, { name: 'canal' }],
  [/^10-flannel\.conflist$/, { name: "flannel's DaemonSet" }],
  [/^10-kindnet\.conflist$/, { name: 'kindnetd' }],
  [/^10-antrea\.conflist$/, { name: "Antrea's agent" }],
  [/^10-weave\.conflist$/, { name: 'Weave Net' }],
  [/^10-azure\.conflist$/, { name: "Azure's CNI manager" }],
  [/^01-ovn-kubernetes\.conf(list)?$/, { name: 'ovnkube-node' }],
  [/^00-kube-ovn\.conflist$/, { name: "Kube-OVN's CNI server" }],
];

/**
 * Whether Cilium's agent watches the configuration directory of a node, or may: it then renames every other configuration within
 * milliseconds of its appearing, as it does since 1.14 unless `cni.exclusive` is false (daemon/cmd/cni/config.go). Of an agent that runs the
 * report shows it. Of one that does not run, or could not be seen, its own file suggests it, with no other beside it: so does the
 * directory look with `cni.exclusive=false`, too, until somebody puts a file there. Before 1.14 that is 05-cilium.conf, which later agents
 * rename as well, and other files are renamed when the agent starts (plugins/cilium-cni/cni-install.sh).
 */
export function mayBeWatchedByCilium(node: NodeView): boolean {
  const agents = ciliumAgents(node);
  if (agents.length > 0) return agents.some(({ watches }) => watches);
  return node.configs?.length === 1 && node.configs[0]!.name === CILIUM_LIST;
}

/**
 * What the owner of a file does to others beside it on a node, in words; undefined where it leaves them alone: Cilium's agent, since 1.14, is seen
 * to when it runs and does not watch.
 */
export function whatRenames(fileName: string, node: NodeView): string | undefined {
  const owner = fileOwner(fileName);
  if (owner?.renamesUnless === undefined) return undefined;
  const isSeenToLeave =
    fileName === CILIUM_LIST && ciliumAgents(node).length > 0 && !mayBeWatchedByCilium(node);
  return isSeenToLeave ? undefined : `${owner.name} renames this file unless ${owner.renamesUnless}`;
}

function ciliumAgents(node: NodeView) {
  return known(node.seen?.cni.ciliumAgents ?? { unknown: '' }) ?? [];
}

/** Who rewrites the configuration file of a name; undefined when unknown. */
export function fileOwner(fileName: string): ConfOwner | undefined {
  return OWNERS.find(([name]) => name.test(fileName))?.[1];
}

/**
 * The steps, with a list of our own instead of changes to one that an operator's agent would overwrite: ours comes before that one, with the same
 * network name, so that earlier attachments are found. Steps that refer to the list in use then refer to ours. A broken file is fixed in place:
 * its owner needs it intact, too.
 */
export function besideOwners(steps: readonly HealStep[], node: NodeView): HealStep[] {
  const { active } = node;
  const owner = active && fileOwner(active.name);
  if (active === undefined || owner === undefined || 'unknown' in active.list) return [...steps];
  const own = besideConfig(
    active.path,
    nameBefore(active.name, active.name.replace(/\.[^.]*$/, '-portmap.conflist')),
  );
  const note = [
    `${active.name} is written by ${owner.name}, so hostport writes a list that comes before it`,
    whatRenames(active.name, node),
  ]
    .filter((part) => part !== undefined)
    .join('; ');
  const isReplaced = steps.some((step) => isWriteTo(step, active.path) || isWriteTo(step, own));
  return steps.map((step) => {
    if (!isReplaced || step.on !== 'node') return step;
    const { action } = step;
    if (action.do === 'write-file' && (action.path === active.path || action.path === own)) {
      return { ...step, why: `${step.why} (${note})`, action: { ...action, path: own, mode: COPY_MODE } };
    }
    return action.do === 'attach' && action.config === active.path
      ? { ...step, action: { ...action, config: own } }
      : step;
  });
}

function isWriteTo(step: HealStep, path: string): boolean {
  return step.on === 'node' && step.action.do === 'write-file' && step.action.path === path;
}
