import { type PluginConfigInList, parseNetworkConfig } from '../../../cni/conflist.ts';
import { choosyRules, type Rule, refusing, type TranslationCandidate } from '../../../netfilter/index.ts';
import { type FamilyName, familyOf, NFT_FAMILY } from '../../../util/family.ts';
import { formatPort } from '../../model/host-ports.ts';
import { words } from '../../model/message.ts';
import type { Vantage } from '../../model/probe.ts';
import { type NodeView, portmapIn } from '../../view/node-view.ts';
import { mappingOwner, sandboxIds } from '../../view/owned-mappings.ts';
import { podName } from '../../view/pod-name.ts';
import { AWAY, answered, failed, probeEvidence, probesFrom } from '../../view/probe-facts.ts';
import { routeTo } from '../../view/routing.ts';
import type { PathView, Scene } from '../../view/scene.ts';
import { otherNodeOf, podAddress, takersOf, translatesTo } from '../../view/traces.ts';
import { ruleAtEvidence } from '../evidence.ts';
import { type Detection, defineFailure } from '../failure.ts';

/** A client of a mapping, as probes have them. */
interface Client {
  vantage: Vantage;
  /** Addresses that it may have. */
  sources: readonly [string, ...string[]];
  /** Undefined for one on the node. */
  inputInterface: string | undefined;
}

const NAMES: Readonly<Record<Vantage, string>> = {
  direct: 'the node',
  node: 'the node itself',
  loopback: '127.0.0.1 of the node',
  'other-node': 'another node',
  pod: 'the pod itself',
  outside: 'machines of other networks',
};

export const conditionExcludes = defineFailure<null>({
  code: 'condition-excludes',
  stage: 'translated',
  severity: 'broken',
  title: 'a condition of portmap excludes clients from the mapping',
  explanation:
    'portmap adds the conditions of its entry (`conditionsV4`, `conditionsV6`) to the rules of each mapping. Packets that do not meet them are not ' +
    'translated: they reach the node itself, which refuses them, or another mapping. A condition on source addresses often also excludes the node, ' +
    "its neighbours or the pod, whose addresses are of the cluster's own networks.",
  remedy:
    'Narrow the condition in the portmap entry, so that it lets the clients of hostPorts pass. Pods that run keep the rules that they were created with.',
  restart: 'needed',
  restartReason: 'portmap writes its conditions into the rules when a sandbox is created',
  sources: ['https://www.cni.dev/plugins/current/meta/portmap/ (conditionsV4)'],
  mutedBy: ['mapping-missing', 'entry-jump-missing'],

  detect(scene) {
    return scene.paths.flatMap((path): Detection<null>[] => {
      const { node, port, subject } = path;
      if (node === undefined) return [];
      // Whoever was answered is served, whatever the rules seem to say.
      const clients = clientsOf(path, node, scene).filter(({ vantage }) => !answered(path, vantage));
      if (clients.length === 0) return [];
      const { own, sharing } = candidatesOf(path, scene);
      if (own.length === 0) return [];
      const refusalOf = refusalsOf(own, path);
      const excluded = clients.flatMap((client) => {
        const rule = refusalOf(client);
        if (rule === undefined) return [];
        // Pods share a port by conditions that exclude each other: this client is meant for the other one.
        const isShared = sharing.some((other) => refusalsOf([other], path)(client) === undefined);
        return isShared ? [] : [{ client, rule }];
      });
      const [first] = excluded;
      if (first === undefined) return [];
      const vantages = excluded.map(({ client }) => client.vantage);
      const probes = probesFrom(path, vantages);
      const isBroken = AWAY.every((vantage) => vantages.includes(vantage)) || probes.some(failed);
      return [
        {
          subject,
          message: words(
            'the condition {condition} of portmap on {node} excludes {clients:and} from {port} of {pod}',
            {
              condition: conditionOf(path, node) ?? `of ${first.rule.text}`,
              node: node.name,
              clients: [...new Set(vantages.map((vantage) => NAMES[vantage]))],
              port: formatPort(port),
              pod: podName(subject.pod!),
            },
          ),
          evidence: [
            ruleAtEvidence(first.rule),
            ...excluded.map(({ client }) => ({
              kind: 'object' as const,
              where: NAMES[client.vantage],
              saw: `source ${client.sources.join(', ')}, which the condition excludes`,
            })),
            ...probeEvidence(probes),
          ],
          ...(isBroken ? {} : { severity: 'risk' as const }),
          data: null,
        },
      ];
    });
  },

  heal: () => ({
    by: 'hand',
    why: 'a condition is there on purpose: whoever wrote it must say which clients it should let pass',
  }),

  page: {
    see: 'Some clients are refused or reach something else on the node, and others are served: those that the condition lets pass.',
    why:
      'With `"conditionsV4": ["!", "-s", "10.0.0.0/8"]`, clients of that network are not served. It often contains the nodes and the pods as well, so ' +
      'health checks from there fail.',
    check: {
      run: ['grep -r conditionsV4 /etc/cni/net.d', 'iptables -w -t nat -S CNI-HOSTPORT-DNAT'],
      look: 'The rule of the port has more matches than protocol, comment and `--dports`, and the address of a client does not meet them.',
    },
    fix:
      'Change the condition in the configuration that the runtime uses. portmap reads it when a sandbox is created: recreate the pods, or run ADD for ' +
      'them again.',
  },
});

/** The translations of a mapping that portmap wrote, and those that it wrote for other pods that are there. */
function candidatesOf(
  path: PathView,
  scene: Scene,
): { own: TranslationCandidate[]; sharing: TranslationCandidate[] } {
  const { sandbox, node } = path;
  const address = podAddress(path);
  if (address === undefined || sandbox === undefined) return { own: [], sharing: [] };
  const ids = node && sandboxIds(node);
  const own: TranslationCandidate[] = [];
  const sharing: TranslationCandidate[] = [];
  for (const taker of takersOf(path, scene) ?? []) {
    const owner = mappingOwner(taker)?.containerId ?? taker.rule.comment;
    if (owner === sandbox.id) {
      if (translatesTo(taker.to, address)) own.push(taker);
    } else if (owner !== undefined && ids?.has(owner) === true) sharing.push(taker);
  }
  return { own, sharing };
}

/** The rule by which a client gets into none of some translations, by client; undefined when one lets it in. */
function refusalsOf(
  takers: readonly TranslationCandidate[],
  { address, port }: PathView,
): (client: Client) => Rule | undefined {
  /** Of each translation the rules that do not take all packets, by the address that these are for. */
  const ways = new Map<string, Rule[][]>();
  return ({ vantage, sources, inputInterface }) => {
    if (address === undefined) return undefined;
    const to = {
      family: NFT_FAMILY[familyOf(address)],
      protocol: port.protocol.toLowerCase(),
      address: vantage === 'loopback' ? '127.0.0.1' : address,
      port: port.hostPort,
      local: true,
    };
    const choosy = ways.get(to.address) ?? takers.map(({ rule, via }) => choosyRules([...via, rule], to));
    ways.set(to.address, choosy);
    // As with nearly every mapping.
    if (choosy.some(({ length }) => length === 0)) return undefined;
    const refusals = sources.flatMap((source) =>
      choosy.map((rules) => refusing(rules, to, { source, inputInterface })),
    );
    return refusals.every((rule) => rule !== undefined) ? refusals[0] : undefined;
  };
}

/**
 * Addresses of no network of a cluster, for clients that the node has a way to by its gateway alone: those for documentation (RFC 5737, 3849, 9637). Of
 * several networks: a condition that names one of them excludes nobody else.
 */
const ELSEWHERE: Readonly<Record<FamilyName, readonly string[]>> = {
  IPv4: ['192.0.2.1', '198.51.100.1', '203.0.113.1'],
  IPv6: ['2001:db8::1', '3fff::1'],
};

/** The clients that a mapping is probed from, with the addresses that they have there. */
function clientsOf(path: PathView, node: NodeView, scene: Scene): Client[] {
  const { address, family, port, probes } = path;
  if (address === undefined || family === undefined || port.hostIP?.startsWith('127.')) return [];
  const from = probes.get('other-node')?.from;
  const other = (from === undefined ? undefined : scene.addressOf(from, family)) ?? otherNodeOf(path, scene);
  const away = (vantage: Vantage, ...sources: (string | undefined)[]): Client[] => {
    const [first, ...rest] = sources.filter((source) => source !== undefined);
    const inputInterface = first === undefined ? undefined : routeTo(node, first)?.device;
    return first === undefined || inputInterface === undefined
      ? []
      : [{ vantage, sources: [first, ...rest], inputInterface }];
  };
  const pod = podAddress(path);
  return [
    ...away('other-node', other),
    ...away('outside', ...ELSEWHERE[family]),
    { vantage: 'node', sources: [address], inputInterface: undefined },
    ...(port.hostIP === undefined && family === 'IPv4'
      ? [{ vantage: 'loopback' as const, sources: ['127.0.0.1'] as [string], inputInterface: undefined }]
      : []),
    ...away('pod', pod),
  ];
}

/** The conditions of portmap's entry in the configuration that the mapping was made by, as iptables takes them. */
function conditionOf({ attachment, family }: PathView, node: NodeView): string | undefined {
  const field = family === 'IPv6' ? 'conditionsV6' : 'conditionsV4';
  const conditions = portmapIn(attachment === undefined ? node.mappingChain : chainIn(attachment.config))
    ?.fields[field];
  return Array.isArray(conditions) && conditions.length > 0 ? conditions.map(String).join(' ') : undefined;
}

function chainIn(config: string): readonly PluginConfigInList[] | undefined {
  try {
    return parseNetworkConfig(config, 'cached.conflist').plugins;
  } catch {
    // The runtime may have read what is not read here: then its rule shows the condition.
    return undefined;
  }
}
