import { isEveryAddress, PORT_TAKEN_REASON } from '../../kube/host-ports.ts';
import type { Event } from '../../kube/types.ts';
import type { Evidence } from '../model/finding.ts';
import { formatPort } from '../model/host-ports.ts';
import { areApart } from '../view/apart.ts';
import { podName } from '../view/pod-name.ts';
import type { PathView, Scene } from '../view/scene.ts';

/** A mapping that asks for a port of its node that another pod has. */
interface TakenPort {
  path: PathView;
  /** The mapping that has the port: of the pod that came first. */
  holder: PathView;
  /** The event by which a scheduler chose the node; undefined when none did, as far as is known: events last an hour. */
  assigned: Event | undefined;
}

/** Every mapping that cannot be beside another pod's on its node. */
export function takenPorts(scene: Scene): TakenPort[] {
  const groups = Map.groupBy(
    scene.paths.filter(({ node }) => node !== undefined),
    ({ node, port }) => `${node!.name} ${port.protocol} ${port.hostPort}`,
  );
  return [...groups.values()].flatMap((paths) => {
    const holders = new Holders();
    return [...paths].sort(byPrecedence).flatMap((path): TakenPort[] => {
      const holder = holders.first(path);
      holders.add(path);
      if (holder === undefined) return [];
      return [
        { path, holder, assigned: scene.eventsOf(path.pod).find(({ reason }) => reason === 'Scheduled') },
      ];
    });
  });
}

/** Both pods as evidence, the one that has the port first. */
export function bothPods(path: PathView, holder: PathView): Evidence[] {
  return [
    {
      kind: 'object',
      where: `pod ${podName(holder.subject.pod!)}`,
      saw: `${formatPort(holder.port)}, created ${createdAt(holder)}`,
    },
    {
      kind: 'object',
      where: `pod ${podName(path.subject.pod!)}`,
      saw: `${formatPort(path.port)}, created ${createdAt(path)}${refusal(path)}`,
    },
  ];
}

interface Holder {
  path: PathView;
  place: number;
}

/** The pods that have a port of a node, in their order: what comes first is found without a look at all, which may be thousands. */
class Holders {
  readonly #all: Holder[] = [];
  /** The first of each address; undefined stands for those of every address. */
  readonly #byAddress = new Map<string | undefined, Holder>();

  add(path: PathView): void {
    const holder = { path, place: this.#all.length };
    const address = addressOf(path);
    this.#all.push(holder);
    if (!this.#byAddress.has(address)) this.#byAddress.set(address, holder);
  }

  /** The first mapping of another pod that this one cannot be beside. All mappings of earlier pods have been added, and none of later ones. */
  first(path: PathView): PathView | undefined {
    const address = addressOf(path);
    const holders =
      address === undefined ? [this.#all[0]] : [this.#byAddress.get(undefined), this.#byAddress.get(address)];
    const [found] = holders
      .flatMap((holder) => (holder === undefined || holder.path.pod === path.pod ? [] : [holder]))
      .sort((a, b) => a.place - b.place);
    if (found === undefined || !areApart(path, found.path)) return found?.path;
    // Rare, so all are looked at: that the first is no obstacle says nothing of those after it.
    return this.#all.find(
      (holder) =>
        holder.path.pod !== path.pod &&
        areRivals(address, addressOf(holder.path)) &&
        !areApart(path, holder.path),
    )?.path;
  }
}

/** Whether one port cannot be on both addresses. */
function areRivals(a: string | undefined, b: string | undefined): boolean {
  return a === undefined || b === undefined || a === b;
}

/** Undefined for every address. */
function addressOf({ port }: PathView): string | undefined {
  return isEveryAddress(port.hostIP) ? undefined : port.hostIP;
}

/** Who came first has the port; one that the kubelet refused has it in no case. */
function byPrecedence(a: PathView, b: PathView): number {
  const refused = (path: PathView) => (path.pod.status?.reason === PORT_TAKEN_REASON ? 1 : 0);
  const made = (path: PathView) => path.pod.metadata?.creationTimestamp ?? '';
  return (
    refused(a) - refused(b) ||
    made(a).localeCompare(made(b)) ||
    podName(a.subject.pod!).localeCompare(podName(b.subject.pod!))
  );
}

function createdAt({ pod }: PathView): string {
  const time = pod.metadata?.creationTimestamp;
  return time === undefined ? 'at an unknown time' : String(time);
}

function refusal({ pod }: PathView): string {
  return pod.status?.reason === PORT_TAKEN_REASON
    ? `, rejected by the kubelet: ${pod.status.message ?? PORT_TAKEN_REASON}`
    : '';
}
