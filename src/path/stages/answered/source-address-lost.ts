import type { BaseChain, Translation } from '../../../netfilter/index.ts';
import { DEFAULT_MARK_BIT, MASQ_CHAIN, maskOf } from '../../../portmap/layout.ts';
import type { Evidence } from '../../model/finding.ts';
import { formatPort } from '../../model/host-ports.ts';
import { words } from '../../model/message.ts';
import { known } from '../../model/observed.ts';
import { type NodeView, portmapIn } from '../../view/node-view.ts';
import { podName } from '../../view/pod-name.ts';
import { AWAY, probesFrom } from '../../view/probe-facts.ts';
import { routeTo } from '../../view/routing.ts';
import type { PathView, Scene } from '../../view/scene.ts';
import { leadsToPod, podAddress, traceFrom } from '../../view/traces.ts';
import { acceptAhead, translatedTo } from '../accept-rule.ts';
import { ruleAtEvidence } from '../evidence.ts';
import { type Detection, defineFailure } from '../failure.ts';

interface Data {
  node: NodeView;
  path: PathView;
  /** The rule that rewrites the source, and the chain at whose hook; undefined when none was seen to. */
  by: { translation: Translation; base: BaseChain | undefined } | undefined;
}

const SEES = '{pod} sees clients of {port} as {source}';

export const sourceAddressLost = defineFailure<Data>({
  code: 'source-address-lost',
  stage: 'answered',
  severity: 'risk',
  title: "the application sees an address of the node instead of the client's",
  explanation:
    "The translation of the destination does not change the client's address, and portmap masquerades only packets whose answers would not find " +
    'their way back. Where a rule masquerades everything that goes to pods, or portmap is configured to (masqAll), connections work, but every ' +
    'client looks like the node: logs, limits and allow lists by address become useless.',
  remedy: 'Exempt connections to hostPorts from the masquerading, or narrow the rule to what needs it.',
  restart: 'no',
  sources: ['flannel-io/flannel#1528', 'kubernetes/kubernetes#29742'],
  mutedBy: [],

  detect(scene) {
    return scene.paths.flatMap((path): Detection<Data>[] => {
      const { node, port, subject } = path;
      if (node === undefined || port.hostIP?.startsWith('127.')) return [];
      const by = rewriterOf(path, scene);
      const lost = probesFrom(path, AWAY).filter(
        ({ seenSource }) => seenSource !== undefined && node.isLocal(seenSource),
      );
      if (by === undefined && lost.length === 0) return [];
      const wanted = portmapIn(node.mappingChain)?.fields.masqAll === true;
      return [
        {
          subject,
          message: words(wanted ? `${SEES}, as configured for portmap (masqAll)` : SEES, {
            pod: podName(subject.pod!),
            port: formatPort(port),
            source: lost[0]?.seenSource ?? node.name,
          }),
          evidence: [
            ...(by === undefined ? [] : [ruleAtEvidence(by.translation.rule)]),
            ...lost.map(
              ({ vantage, from, seenSource }): Evidence => ({
                kind: 'flow',
                where: `probe from ${from ?? vantage}, in the connection tracking of ${node.name}`,
                saw: `arrived at the pod from ${seenSource}`,
              }),
            ),
          ],
          // Asked for by name, it is no more than a thing to know.
          ...(wanted ? { severity: 'note' as const } : {}),
          data: { node, path, by },
        },
      ];
    });
  },

  heal({ data: { node, path, by } }) {
    if (by === undefined) {
      return {
        by: 'hand',
        why: `no rule of ${node.name} does it: it happens on the way to the node, or outside netfilter`,
      };
    }
    const { rule } = by.translation;
    if (rule.location.chain === MASQ_CHAIN) {
      return {
        by: 'hand',
        why: 'portmap masquerades it, because another component uses its mark: see mark-bit-shared',
      };
    }
    if (!returnsByNode(path)) {
      return {
        by: 'hand',
        why: 'it is unknown whether answers would find their way back to the node without the masquerading',
      };
    }
    const bit = portmapIn(node.mappingChain)?.fields.markMasqBit;
    const mark = maskOf(typeof bit === 'number' ? bit : DEFAULT_MARK_BIT);
    const step =
      by.base &&
      acceptAhead(
        node,
        by.base,
        // What portmap marked has to be masqueraded: from 127.0.0.1, and from the pod to itself.
        [...translatedTo(path.port), '-m', 'mark', '!', '--mark', `${mark}/${mark}`],
        `keep the addresses of clients of hostPort ${path.port.protocol} ${path.port.hostPort}`,
      );
    return step === undefined
      ? { by: 'hand', why: `the rule is in an nft table of another component: "${rule.text}"` }
      : { by: 'steps', steps: [step] };
  },

  page: {
    see: "Connections work, but the application's log has the address of the node (or of a gateway) for every client.",
    why:
      'Common causes: `masqAll` of portmap; a masquerade rule of the primary CNI for everything that goes to pods (flannel, ' +
      'kube-proxy `--masquerade-all`); a rule added by hand.',
    check: {
      run: [
        'iptables -w -t nat -S POSTROUTING',
        'grep -r masqAll /etc/cni/net.d',
        'conntrack -L -p tcp --orig-port-dst 80',
      ],
      look: "In the entries the second `dst=` (the address that the pod answers to) is the node's address instead of the client's.",
    },
    fix:
      'Exempt connections to hostPorts from that rule: `iptables -w -t nat -I POSTROUTING 1 -m conntrack --ctstate DNAT … -j ' +
      'ACCEPT`, placed before it and limited to the port.',
  },
});

/** The rule that rewrites the source of what comes from other machines. */
function rewriterOf(path: PathView, scene: Scene): Data['by'] {
  const trace = traceFrom('outside', path, scene);
  if ('unknown' in trace || !leadsToPod(trace.value, path)) return undefined;
  const { sourceTranslation, outcomes } = trace.value;
  const translation = sourceTranslation.known ? sourceTranslation.value : undefined;
  if (translation === undefined) return undefined;
  const base = outcomes[0]?.steps.find(({ rule }) => rule === translation.rule)?.chain;
  return { translation, base };
}

/**
 * Whether the pod answers by way of the node whatever the client's address is: it is reached by a device of its own, a veth, and not over a
 * bridge or the node's uplink, on which it may have neighbours.
 */
function returnsByNode(path: PathView): boolean {
  const device = routeTo(path.node!, podAddress(path)!)?.device;
  const link = known(path.node!.seen!.network.links)?.find(({ name }) => name === device);
  return link?.kind === 'veth' && link.master === undefined;
}
