import { nodeAddresses } from '../../kube/node-addresses.ts';
import type { Event, Pod } from '../../kube/types.ts';
import { FAMILY_NAME, type FamilyName, familyOf } from '../../util/family.ts';
import { parseIp } from '../../util/ip.ts';
import type { HostPort, Subject } from '../model/finding.ts';
import { hasEnded, hostPortsOf } from '../model/host-ports.ts';
import type { CachedAttachment, Sandbox } from '../model/node-report.ts';
import type { ProbeResult, Vantage } from '../model/probe.ts';
import type { World } from '../model/world.ts';
import type { Memory } from './memory.ts';
import { NodeView } from './node-view.ts';
import { addressesOfPod } from './pod-addresses.ts';
import { controllerOf, replacementsIn, replaces } from './replaced-pod.ts';
import { trustedReports } from './trusted-report.ts';

/** One mapping of one pod, with all that was observed of it: of each address family, where pod and node have both. */
export interface PathView {
  pod: Pod;
  /** The pod's place among those of the world. */
  place: number;
  port: HostPort;
  subject: Subject;
  /** Undefined until the pod has a node. */
  node: NodeView | undefined;
  /** The node's address that the mapping is reached by: hostIP, or the node's InternalIP; undefined where that is missing or not a valid address. */
  address: string | undefined;
  /** The family of {@link address}; `subject.family` has it only where there is another one, too. */
  family: FamilyName | undefined;
  /** The pod's newest sandbox that is ready; undefined when there is none, or when the node's are not known. */
  sandbox: Sandbox | undefined;
  /** What the chain did for that sandbox, by the runtime's cache. */
  attachment: CachedAttachment | undefined;
  probes: ReadonlyMap<Vantage, ProbeResult>;
  /** Cached computations about it: see {@link Scene.release}. */
  memory: Memory;
}

/** Part of a scene: some of its nodes and the mappings on them. */
interface ScenePart {
  whole: Scene;
  nodes: ReadonlyMap<string, NodeView>;
  paths: readonly PathView[];
}

/** What is looked up in a world again and again; its scene and the parts of it have it in common. */
interface Indexes {
  /** The addresses of nodes, by name. */
  addresses: ReadonlyMap<string, readonly string[]>;
  /** By the uid of what they are about. */
  events: ReadonlyMap<string, readonly Event[]>;
  sortedEvents: Map<string, readonly Event[]>;
  /** By the uid of the pod. */
  probes: ReadonlyMap<string, readonly ProbeResult[]>;
  /** The places of pods with mappings among all pods, by the name of their node; the name is empty for those without. */
  places: ReadonlyMap<string, readonly number[]>;
}

/** The observed world with its parts put together: what every failure looks at. */
export class Scene {
  readonly world: World;
  readonly nodes: ReadonlyMap<string, NodeView>;
  readonly #indexes: Indexes;
  /** The mappings by node, as far as they were asked for. */
  readonly #pathsByNode = new Map<NodeView | undefined, readonly PathView[]>();
  #paths: readonly PathView[] | undefined;

  constructor(world: World, part?: ScenePart) {
    this.world = world;
    if (part !== undefined) {
      this.nodes = part.nodes;
      this.#paths = part.paths;
      this.#indexes = part.whole.#indexes;
      const [node] = part.nodes.values();
      this.#pathsByNode.set(node, part.paths);
      return;
    }
    const names = [
      ...world.nodes.map(({ metadata }) => metadata?.name ?? ''),
      ...world.reports.keys(),
      ...world.pods.map(({ spec }) => spec?.nodeName ?? ''),
    ];
    const reports = trustedReports(world);
    this.nodes = new Map(
      [...new Set(names)]
        .filter((name) => name !== '')
        .sort()
        .map((name) => [
          name,
          new NodeView(name, () => reports.get(name) ?? { unknown: 'no report of this node' }),
        ]),
    );
    this.#indexes = {
      addresses: new Map(
        world.nodes.map((node) => [node.metadata?.name ?? '', nodeAddresses(node)] as const),
      ),
      events: Map.groupBy(world.events, ({ involvedObject }) => involvedObject.uid ?? ''),
      sortedEvents: new Map(),
      probes: Map.groupBy(world.probes, ({ podUid }) => podUid),
      places: placesOf(world.pods),
    };
  }

  /** The mappings of all pods, in the order of these. Of a whole scene, the report of each node is read for that, one after the other. */
  get paths(): readonly PathView[] {
    this.#paths ??= [undefined, ...this.nodes.values()]
      .flatMap((node) => {
        const isNew = !this.#pathsByNode.has(node);
        const paths = this.#pathsAt(node);
        if (isNew) node?.release();
        return paths;
      })
      .sort((a, b) => a.place - b.place);
    return this.#paths;
  }

  /**
   * The scene in parts, one a node and one of the pods without a node. What is the matter on one node is not on another, and a large cluster's reports
   * and rules need not be in memory all at once. Without `kept`, neither are its mappings: a part is all there is of its own.
   */
  *parts({ kept = true }: { kept?: boolean } = {}): Generator<Scene> {
    for (const node of [undefined, ...this.nodes.values()]) {
      yield new Scene(this.world, {
        whole: this,
        nodes: new Map(node === undefined ? [] : [[node.name, node]]),
        paths: this.#pathsAt(node),
      });
      if (!kept) this.#pathsByNode.delete(node);
    }
  }

  /** Lets go of what was worked out, which can be worked out again. */
  release(): void {
    for (const node of this.nodes.values()) node.release();
    for (const path of [...this.#pathsByNode.values()].flat()) path.memory.clear();
  }

  /** The address that the cluster knows a node by (InternalIP), of a family or the first of any; undefined when it has none. */
  addressOf(node: string, family?: FamilyName): string | undefined {
    return this.#addressesOf(node).find(
      (address) => family === undefined || familyOfAddress(address) === family,
    );
  }

  /** Why {@link PathView.address} of a mapping on a node is undefined: it is missing, or it is not an address. */
  whyNoAddress({ port }: PathView, { name }: NodeView): string {
    if (port.hostIP !== undefined) return `hostIP ${JSON.stringify(port.hostIP)} is not an IP address`;
    const [wrong] = this.#indexes.addresses.get(name) ?? [];
    return wrong === undefined
      ? `the address of ${name} is not known`
      : `the address of ${name} is not known: the API says ${JSON.stringify(wrong)}, which is not an IP address`;
  }

  /** An address in the API may be any text, and so may one that packets are sent to. */
  #addressesOf(node: string): string[] {
    return (this.#indexes.addresses.get(node) ?? []).filter(isAddress);
  }

  /** The events about a pod, oldest first. */
  eventsOf(pod: Pod): readonly Event[] {
    const uid = pod.metadata?.uid ?? '';
    const own = this.#indexes.events.get(uid) ?? [];
    if (own.length < 2) return own;
    let sorted = this.#indexes.sortedEvents.get(uid);
    if (sorted === undefined) {
      const time = (event: Event) => event.lastTimestamp ?? event.eventTime ?? event.firstTimestamp ?? '';
      sorted = [...own].sort((a, b) => time(a).localeCompare(time(b)));
      this.#indexes.sortedEvents.set(uid, sorted);
    }
    return sorted;
  }

  /** The mappings of pods on a node. */
  pathsOn(node: NodeView): readonly PathView[] {
    return this.nodes.get(node.name) === node ? this.#pathsAt(node) : [];
  }

  /** The families that a pod and its node both have addresses of, the node's first one first; none while the pod has no address. */
  #familiesOf(pod: Pod, sandbox: Sandbox | undefined, node: NodeView | undefined): FamilyName[] {
    const families = new Set(addressesOfPod(pod, sandbox).map(familyOfAddress));
    const ofNode = new Set(this.#addressesOf(node?.name ?? '').map(familyOfAddress));
    return [...ofNode].filter((family) => families.has(family));
  }

  /** The mappings on a node, or of the pods without one. */
  #pathsAt(node: NodeView | undefined): readonly PathView[] {
    let paths = this.#pathsByNode.get(node);
    if (paths === undefined) {
      paths = this.#makePaths(node);
      this.#pathsByNode.set(node, paths);
    }
    return paths;
  }

  #makePaths(node: NodeView | undefined): PathView[] {
    const places = this.#indexes.places.get(node?.name ?? '') ?? [];
    if (places.length === 0) return [];
    const sandboxes = Map.groupBy(node?.sandboxes ?? [], ({ uid }) => uid);
    // The runtime's loopback is an attachment of every sandbox, too, and no chain with mappings.
    const attachments = Map.groupBy(
      (node?.attachments ?? []).filter(({ ifName }) => ifName !== 'lo'),
      ({ containerId }) => containerId,
    );
    return places.flatMap((place) => {
      const pod = this.world.pods[place]!;
      const uid = pod.metadata?.uid ?? '';
      // A static pod is known to the runtime by the hash of its manifest, not by the uid of its mirror.
      const runtimeUid = pod.metadata?.annotations?.['kubernetes.io/config.hash'] ?? uid;
      const [sandbox] = (sandboxes.get(runtimeUid) ?? [])
        .filter(({ ready }) => ready)
        .sort((a, b) => b.createdAt.localeCompare(a.createdAt));
      const ofSandbox = (sandbox && attachments.get(sandbox.id)) ?? [];
      // The pod's own network is that of eth0, for every runtime; others have what else it is attached to.
      const attachment = ofSandbox.find(({ ifName }) => ifName === 'eth0') ?? ofSandbox[0];
      const ref = { namespace: pod.metadata?.namespace ?? '', name: pod.metadata?.name ?? '', uid };
      const probes = this.#indexes.probes.get(uid) ?? [];
      return hostPortsOf(pod).flatMap((port): PathView[] => {
        const subject = { ...(node === undefined ? {} : { node: node.name }), pod: ref, port };
        const own = probes.filter((probe) => isOf(probe, port));
        const common = { pod, place, port, node, sandbox, attachment };
        const families = port.hostIP === undefined ? this.#familiesOf(pod, sandbox, node) : [];
        if (families.length < 2) {
          // Where there is but one family in common, it is the mapping's, whichever the node's first is.
          const wanted = port.hostIP ?? this.addressOf(node?.name ?? '', families[0]);
          const address = wanted !== undefined && isAddress(wanted) ? wanted : undefined;
          return [
            {
              ...common,
              subject,
              address,
              family: address === undefined ? undefined : familyOfAddress(address),
              memory: new Map(),
              probes: new Map(own.map((probe) => [probe.vantage, probe])),
            },
          ];
        }
        return families.map((family) => ({
          ...common,
          subject: { ...subject, family },
          address: this.addressOf(node!.name, family),
          family,
          memory: new Map(),
          probes: new Map(
            own
              .filter(({ target }) => familyOfAddress(target.address) === family)
              .map((probe) => [probe.vantage, probe]),
          ),
        }));
      });
    });
  }
}

/** The places of the pods that have mappings, by the name of their node. */
function placesOf(pods: readonly Pod[]): ReadonlyMap<string, readonly number[]> {
  const replacements = replacementsIn(pods);
  const isReplaced = (pod: Pod) => {
    const other = replacements.get(controllerOf(pod));
    return other !== undefined && replaces(other, pod);
  };
  const places = new Map<string, number[]>();
  for (const [place, pod] of pods.entries()) {
    if (hasEnded(pod) || isReplaced(pod) || hostPortsOf(pod).length === 0) continue;
    const node = pod.spec?.nodeName ?? '';
    const others = places.get(node);
    if (others === undefined) places.set(node, [place]);
    else others.push(place);
  }
  return places;
}

/** Whether a probe of a pod is of this mapping. */
function isOf({ protocol, hostPort, hostIP = '' }: ProbeResult, port: HostPort): boolean {
  return protocol === port.protocol && hostPort === port.hostPort && hostIP === (port.hostIP ?? '');
}

function isAddress(text: string): boolean {
  return parseIp(text) !== undefined;
}

function familyOfAddress(address: string): FamilyName {
  return FAMILY_NAME[familyOf(address)];
}
