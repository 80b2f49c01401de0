import type { HealStep, NodeAction } from '../model/action.ts';
import type { MountSeen } from '../model/node-report.ts';
import type { Detection, Failure, Heal } from '../stages/failure.ts';
import { type NodeView, portmapIn } from '../view/node-view.ts';
import type { Scene } from '../view/scene.ts';
import { besideOwners, mayBeWatchedByCilium } from './conf-owners.ts';
import { describeAction } from './describe-action.ts';

/** A file or directory that an action changes, and in what way. */
interface Touched {
  path: string;
  /** Whether its entry in the directory is replaced, which a mount of its own does not allow; else it is written in place. */
  isReplaced: boolean;
  /** What to do at the place that it is mounted from. */
  there: string;
}

/** What keeps hostport from fixing a case. */
interface Obstacle {
  /** How to fix it then, instead of the failure's own remedy. */
  why: string;
  /** Why the pod must be recreated, where it must for this alone. */
  restartReason?: string;
}

/**
 * How to fix a case, as far as the node permits: steps that would write to a read-only mount become manual steps, with the place to change, and so
 * do steps that an agent that may watch would undo, unless the failure was named (`asked`): the report may not show whether it watches. Where an
 * operator's agent would overwrite the list, a list of our own is put before it ({@link besideOwners}). `obstacle`: what is then in the way.
 */
export function possibleHeal(
  failure: Failure,
  detection: Detection,
  scene: Scene,
  asked = false,
): { heal: Heal; obstacle?: Obstacle } {
  const wanted = failure.heal(detection, scene);
  if (wanted.by === 'hand') return { heal: wanted };
  const node = scene.nodes.get(detection.subject.node ?? '');
  const heal = node === undefined ? wanted : { ...wanted, steps: besideOwners(wanted.steps, node) };
  // A list of ours has the same drop-in directory as the one it goes before, and the same watcher: it is the steps as they were wanted that count.
  const [obstacle] = [
    ...wanted.steps.map((step) => dropInObstacle(step, scene)),
    ...wanted.steps.map((step) => delegateObstacle(step, scene)),
    ...heal.steps.map((step) => mountObstacle(step, scene)),
    ...(asked ? [] : wanted.steps.map((step) => watcherObstacle(step, scene, failure.code))),
  ].filter((found) => found !== undefined);
  return obstacle === undefined ? { heal } : { heal: { by: 'hand', why: obstacle.why }, obstacle };
}

/** Whether a file is mounted over its name, rather than in the directory that it is seen in. */
export function isMountOfItsOwn(node: NodeView, path: string): boolean {
  return node.mountOf(path)?.path === path;
}

/** When a chain continues in other files, the list does not show which of them has the fault. */
function dropInObstacle(step: HealStep, scene: Scene): Obstacle | undefined {
  if (step.on !== 'node' || step.action.do !== 'write-file') return undefined;
  const node = scene.nodes.get(step.node);
  const active = node?.active;
  if (active === undefined || step.action.path !== active.path || active.dropIns.length === 0)
    return undefined;
  const directory = node!.seen!.cni.confDir;
  const files = active.dropIns.map((name) => `${directory}/${name}`).join(', ');
  return {
    why: `the chain of ${active.name} continues in ${files}: ${step.why}, in whichever of these files it belongs`,
  };
}

/** What a delegating plugin calls is not in the runtime's list, and only that plugin runs it. */
function delegateObstacle(step: HealStep, scene: Scene): Obstacle | undefined {
  if (step.on !== 'node' || step.action.do !== 'attach') return undefined;
  const { delegate, active } = scene.nodes.get(step.node) ?? {};
  if (delegate === undefined) return undefined;
  const restartReason = `portmap is in a chain to which ${active!.name} delegates, and is run with it when a sandbox is created`;
  return { why: `${restartReason}: recreate the pod`, restartReason };
}

/** A change that an agent may undo at once must be made in the agent's own configuration. */
function watcherObstacle(step: HealStep, scene: Scene, code: string): Obstacle | undefined {
  if (step.on !== 'node') return undefined;
  const node = scene.nodes.get(step.node);
  if (node === undefined || !mayBeWatchedByCilium(node)) return undefined;
  const { action } = step;
  if (action.do !== 'write-file' && action.do !== 'rename-file') return undefined;
  // Where portmap is already chained, that setting is in use.
  const chaining =
    portmapIn(node.chain) === undefined
      ? 'cni.chainingMode=portmap, so that Cilium chains portmap itself, or '
      : '';
  const then =
    action.do === 'rename-file'
      ? describeAction(action)
      : `${step.why} in a list that comes before ${node.active!.name}`;
  return {
    why: `Cilium's agent may watch ${node.seen!.cni.confDir} of ${node.name} and rename other files there at once: set ${chaining}cni.exclusive=false in Cilium, restart its agents and then ${then}, which hostport heal --only ${code} does`,
  };
}

function mountObstacle(step: HealStep, scene: Scene): Obstacle | undefined {
  if (step.on !== 'node') return undefined;
  const node = scene.nodes.get(step.node);
  if (node === undefined) return undefined;
  for (const { path, isReplaced, there } of touchedBy(step.action, step.why)) {
    const mount = node.mountOf(path);
    if (mount === undefined) continue;
    const isOwn = mount.path === path;
    if (!mount.readOnly && !(isOwn && isReplaced)) continue;
    const from = originOf(mount, path);
    if (mount.point === '/')
      return {
        why: `${path} of ${node.name} is on a read-only root file system (${from}): ${there} where that file system is built`,
      };
    const access = mount.readOnly ? ', read-only' : '';
    const inPlace = isOwn ? ', in place, since a file that replaces it there is not visible here' : '';
    return {
      why: `${path} of ${node.name} is mounted from outside${access} (${from}): ${there} there${inPlace}; then run hostport heal for the rest`,
    };
  }
  return undefined;
}

function touchedBy(action: NodeAction, why: string): Touched[] {
  switch (action.do) {
    case 'write-file':
      return [{ path: action.path, isReplaced: false, there: why }];
    case 'set-mode':
      return [{ path: action.path, isReplaced: false, there: `chmod ${action.mode} it` }];
    case 'rename-file':
      return [action.from, action.to].map((path) => ({ path, isReplaced: true, there: why }));
    case 'install-plugin':
      return [{ path: `${action.directory}/${action.name}`, isReplaced: true, there: `put ${action.name}` }];
    case 'rewrite-file': {
      // Where the file cannot be written, one that comes and goes beside it does.
      const directory = action.path.slice(0, action.path.lastIndexOf('/'));
      return [{ path: `${directory}/`, isReplaced: false, there: 'write the file again' }];
    }
    default:
      return [];
  }
}

/** Where a file comes from: the place on the file system that is mounted. */
function originOf({ origin, source, path: mounted }: MountSeen, path: string): string {
  return `${origin}${path.slice(mounted.length)} of ${source}`;
}
