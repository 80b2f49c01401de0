import type { Event, KubeObject, Node, Pod, Service } from '../../kube/types.ts';
import type { Unknown } from '../../path/model/finding.ts';
import type { NodeReport } from '../../path/model/node-report.ts';
import type { Observed } from '../../path/model/observed.ts';
import type { ProbeResult } from '../../path/model/probe.ts';
import type { NetworkPolicy, World } from '../../path/model/world.ts';
import { LabelStandIns } from './labels.ts';
import type { NameKind, NameStandIns } from './names.ts';
import { anonymousReport } from './report.ts';
import { newStandIns, type StandIns } from './stand-ins.ts';

/** The kinds of involved objects of events that are known by name. */
const KIND_NAMES: Readonly<Record<string, NameKind>> = { Pod: 'pod', Node: 'node', Service: 'service' };

/** The same, by what is said of one that could not be read. */
const UNREAD_NAMES: Readonly<Record<string, NameKind>> = {
  node: 'node',
  pod: 'pod',
  service: 'service',
  event: 'object',
  'network policy': 'policy',
};

/**
 * Replaces what names somebody's cluster: nodes, namespaces, pods, containers, images, services, labels, hosts, addresses, IDs of machines. The same has the
 * same stand-in in all that one anonymiser replaces, and networks stay networks, so that the diagnosis is the same but for names. What a program wrote
 * is looked through for all of these; words that it cannot know to be a name stay.
 */
export class Anonymiser {
  readonly #all: StandIns;
  readonly #labels: LabelStandIns;

  /** @param coin decides about addresses; random unless given. */
  constructor(world: World, coin?: () => boolean) {
    this.#all = newStandIns(coin);
    const { names, texts } = this.#all;
    this.#labels = new LabelStandIns(names, texts);
    addNames(names, world);
    for (const report of world.reports.values()) {
      if ('value' in report) noteReport(this.#all, report.value);
    }
  }

  /** The stand-in of a node's name. */
  node(name: string): string {
    return this.#all.names.of('node', name);
  }

  readonly nodes = (node: Node): Node => {
    const { texts, id } = this.#all;
    const made = this.#object(node, 'node') as Node;
    const { status, spec } = made;
    const info = status?.nodeInfo;
    return {
      ...made,
      ...(spec && {
        spec: {
          ...spec,
          ...(spec.taints && { taints: spec.taints.map((taint) => this.#labels.taint(taint)) }),
        },
      }),
      ...(status && {
        status: {
          ...status,
          ...(status.addresses && {
            addresses: node.status!.addresses!.map((address) => ({
              ...address,
              address: texts.host(address.address),
            })),
          }),
          ...(info && {
            nodeInfo: {
              ...info,
              ...(info.machineID && { machineID: id(node.status!.nodeInfo!.machineID) }),
              ...(info.bootID && { bootID: id(node.status!.nodeInfo!.bootID) }),
            },
          }),
        },
      }),
    };
  };

  readonly pods = (pod: Pod): Pod => this.#object(pod, 'pod') as Pod;

  readonly services = (service: Service): Service => this.#object(service, 'service') as Service;

  readonly events = (event: Event): Event => {
    const made = this.#object(event, 'object') as Event;
    const { kind = '', name } = event.involvedObject;
    const involvedObject = {
      ...made.involvedObject,
      ...(name !== undefined && { name: this.#all.names.of(KIND_NAMES[kind] ?? 'object', name) }),
    };
    const host = event.source?.host;
    return { ...made, involvedObject, ...(host && { source: { ...made.source, host: this.node(host) } }) };
  };

  readonly policies = (policy: NetworkPolicy): NetworkPolicy =>
    this.#object(policy, 'policy') as NetworkPolicy;

  report(report: Observed<NodeReport>): Observed<NodeReport> {
    if ('unknown' in report) return { unknown: this.#all.texts.text(report.unknown) };
    return { value: anonymousReport(report.value, this.#all) };
  }

  probe(probe: ProbeResult): ProbeResult {
    const { texts } = this.#all;
    const end = <T extends { address: string }>(of: T) => ({ ...of, address: texts.addresses(of.address) });
    return {
      ...probe,
      node: this.node(probe.node),
      ...(probe.from !== undefined && { from: this.node(probe.from) }),
      ...(probe.hostIP !== undefined && { hostIP: texts.addresses(probe.hostIP) }),
      target: end(probe.target),
      detail: texts.text(probe.detail),
      ...(probe.answeredBy && { answeredBy: end(probe.answeredBy) }),
      ...(probe.trace && { trace: { ...probe.trace, message: texts.text(probe.trace.message) } }),
      ...(probe.untold !== undefined && { untold: texts.text(probe.untold) }),
      ...(probe.seenSource !== undefined && { seenSource: texts.addresses(probe.seenSource) }),
    };
  }

  unread({ node, what, why, ...rest }: Unknown): Unknown {
    const { texts } = this.#all;
    const [, kind = '', namespace, name] =
      /^(node|pod|service|event|network policy) (?:([^/]+)\/)?([^/]+)$/.exec(what) ?? [];
    const called = UNREAD_NAMES[kind];
    const named = `${namespace === undefined ? '' : `${this.#all.names.of('namespace', namespace)}/`}`;
    const shown = {
      what:
        called === undefined || name === undefined
          ? texts.text(what)
          : `${kind} ${named}${this.#all.names.of(called, name)}`,
      why: texts.text(why),
    };
    return { ...rest, ...(node !== undefined && { node: this.node(node) }), ...shown };
  }

  /** An object of the API as far as it is kept (objects.ts). `kind` is what it is itself. */
  #object(object: KubeObject, kind: NameKind): unknown {
    const made = this.#value(object, [kind]) as KubeObject;
    const owners = object.metadata?.ownerReferences;
    if (owners === undefined) return made;
    const ownerReferences = made.metadata!.ownerReferences!.map((owner, i) => ({
      ...owner,
      // A static pod has its node as owner.
      name: this.#all.names.of(owners[i]!.kind === 'Node' ? 'node' : 'owner', owners[i]!.name),
    }));
    return { ...made, metadata: { ...made.metadata, ownerReferences } };
  }

  /** A part of an object; `path`: what it is of, and the fields that lead to it. */
  #value(value: unknown, path: readonly string[]): unknown {
    const key = path.at(-1)!;
    if (typeof value === 'string') return this.#text(value, path);
    if (typeof value !== 'object' || value === null) return value;
    // The index of a list is no field.
    if (Array.isArray(value)) return value.map((item) => this.#value(item, path));
    if (LABEL_FIELDS.has(key)) {
      if (Object.values(value).every((of) => typeof of === 'string'))
        return this.#labels.labels(value as Record<string, string>);
    }
    if (key === 'matchExpressions') return this.#labels.requirement(value);
    return Object.fromEntries(
      Object.entries(value).map(([field, of]) => [field, this.#value(of, [...path, field])]),
    );
  }

  #text(text: string, path: readonly string[]): string {
    const { names, texts } = this.#all;
    const [kind, ...fields] = path as [NameKind, ...string[]];
    const [parent = '', key = ''] = fields.length === 1 ? ['', fields[0]] : fields.slice(-2);
    switch (key) {
      case 'name': {
        if (parent === 'metadata') return names.of(kind, text);
        if (parent === 'ports') return names.of('port', text);
        if (CONTAINER_LISTS.has(parent)) return names.of('container', text);
        return names.of('object', text);
      }
      case 'fieldPath':
        // `spec.containers{echo}`.
        return text.replace(/\{([^}]*)\}/g, (_, name: string) => `{${names.of('container', name)}}`);
      case 'namespace':
        return names.of('namespace', text);
      case 'nodeName':
        return names.of('node', text);
      case 'image':
        return names.of('image', text);
      case 'targetPort':
      case 'port':
        return names.of('port', text);
      case 'hostname':
        return texts.host(text);
      case 'schedulerName':
        return text === 'default-scheduler' ? text : names.of('object', text);
      case 'apiVersion': {
        const [group, version] = text.split('/');
        return version === undefined ? text : `${texts.host(group!)}/${version}`;
      }
      case 'message':
        return texts.text(text);
      case 'uid':
        // A kubelet's events about its node have the node's name there.
        return names.ofWord(text) ?? text;
    }
    return AS_IT_IS.has(key) ? text : texts.addresses(text);
  }
}

/** Lists whose entries have the names of containers. */
const CONTAINER_LISTS: ReadonlySet<string> = new Set([
  ...['containers', 'initContainers', 'containerStatuses', 'initContainerStatuses'],
]);

const LABEL_FIELDS: ReadonlySet<string> = new Set(['labels', 'matchLabels', 'selector', 'nodeSelector']);
/** Fields of objects that hold neither a name nor an address, whatever they look like. */
const AS_IT_IS: ReadonlySet<string> = new Set([
  ...['creationTimestamp', 'deletionTimestamp', 'startTime', 'startedAt', 'finishedAt'],
  ...['firstTimestamp', 'lastTimestamp', 'eventTime', 'kind', 'type', 'reason', 'protocol', 'phase'],
]);

/** Notes all names of a world's objects. */
function addNames(names: NameStandIns, world: World): void {
  for (const { metadata, status } of world.nodes) {
    names.add('node', metadata?.name);
    // Programs on a node know it by its short name.
    names.add('node', metadata?.name?.split('.')[0]);
    for (const { type, address } of status?.addresses ?? []) {
      if (/DNS$|^Hostname$/.test(type)) names.add('host', address);
    }
  }
  for (const name of world.reports.keys()) names.add('node', name);
  for (const { metadata, spec } of world.pods) {
    names.add('namespace', metadata?.namespace);
    names.add('pod', metadata?.name);
    for (const { name } of metadata?.ownerReferences ?? []) names.add('owner', name);
    for (const { name, image } of [...(spec?.containers ?? []), ...(spec?.initContainers ?? [])]) {
      names.add('container', name);
      names.add('image', image);
    }
  }
  for (const { metadata } of world.services) {
    names.add('namespace', metadata?.namespace);
    names.add('service', metadata?.name);
  }
  for (const { metadata } of world.policies) {
    names.add('namespace', metadata?.namespace);
    names.add('policy', metadata?.name);
  }
  for (const { involvedObject, source } of world.events) {
    names.add('namespace', involvedObject.namespace);
    names.add(KIND_NAMES[involvedObject.kind ?? ''] ?? 'object', involvedObject.name);
    names.add('node', source?.host);
  }
}

/** Notes what a report has of names, and which words of it are none. */
function noteReport({ names, addresses }: StandIns, report: NodeReport): void {
  names.add('node', report.node);
  if ('value' in report.sandboxes) {
    for (const { name, namespace } of report.sandboxes.value) {
      names.add('pod', name);
      names.add('namespace', namespace);
    }
  }
  const { cni, netfilter, network } = report;
  const lists = [
    ...('value' in cni.plugins ? cni.plugins.value.map(({ name }) => name) : []),
    ...('value' in cni.attachments ? cni.attachments.value.map(({ networkName }) => networkName) : []),
    ...('value' in network.links ? network.links.value.map(({ name }) => name) : []),
    ...('value' in report.runtime && 'value' in report.runtime.value.loadedNetworks
      ? report.runtime.value.loadedNetworks.value.map(({ name }) => name)
      : []),
    ...[cni.confDir, ...cni.binDirs].flatMap((directory) => directory.split('/')),
  ];
  for (const word of lists) names.keep(word);
  const ranges = /([\da-fA-F.:]+)(?:-|",\s*")([\da-fA-F.:]+)/g;
  for (const { text } of [...netfilter.iptables, { text: netfilter.nft }]) {
    if (!('value' in text)) continue;
    for (const [, from = '', to = ''] of text.value.matchAll(ranges)) addresses.keepOrder(from, to);
  }
  if (!('value' in cni.files)) return;
  for (const { content } of cni.files.value) {
    if (!('value' in content)) continue;
    const bound = (key: string) => new RegExp(`"${key}"\\s*:\\s*"([^"]+)"`, 'g');
    const ends = [...content.value.matchAll(bound('rangeEnd'))];
    for (const [i, [, from = '']] of [...content.value.matchAll(bound('rangeStart'))].entries())
      addresses.keepOrder(from, ends[i]?.[1] ?? '');
  }
}
