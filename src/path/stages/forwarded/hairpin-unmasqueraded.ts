import { rewriteMapping } from '../../heal/attach-plan.ts';
import { listDocument, writeConfig } from '../../heal/conf-plans.ts';
import { changePortmap } from '../../heal/list-document.ts';
import { formatPort } from '../../model/host-ports.ts';
import { words } from '../../model/message.ts';
import type { Sandbox } from '../../model/node-report.ts';
import { known } from '../../model/observed.ts';
import { type ConfigFile, type NodeView, portmapIn } from '../../view/node-view.ts';
import { linksToPod } from '../../view/pod-devices.ts';
import { podName } from '../../view/pod-name.ts';
import { primaryPlugin } from '../../view/primary-plugin.ts';
import { answered, failed, probeEvidence, probesFrom } from '../../view/probe-facts.ts';
import type { PathView, Scene } from '../../view/scene.ts';
import { leadsToPod, podAddress, traceFrom } from '../../view/traces.ts';
import { attachmentEvidence, fileEvidence } from '../evidence.ts';
import { type Detection, defineFailure } from '../failure.ts';

type Data =
  | { node: NodeView; file: ConfigFile; sandbox: Sandbox }
  | { node: NodeView /** The bridge's port that leads to the pod. */; port: string };

export const hairpinUnmasqueraded = defineFailure<Data>({
  code: 'hairpin-unmasqueraded',
  stage: 'forwarded',
  severity: 'broken',
  title:
    'a pod cannot reach its own hostPort: portmap is configured not to masquerade, or its bridge not to send back',
  explanation:
    "A pod that connects to its own hostPort gets its own packet back, with its own address as the source, and its answer bypasses the node's " +
    'translation: the connection is never established. portmap masquerades such packets, unless its entry has `"snat": false`. Connections to ' +
    '127.0.0.1 of the node fail for the same reason. Where bridges pass their packets to netfilter, as Kubernetes wants it, the packet is ' +
    'translated in the bridge, and has to leave by the port that it came in by, which a bridge does in hairpin mode only.',
  remedy:
    'Remove `"snat": false` from the portmap entry, and rewrite the rules of the running pods; or set `"hairpinMode": true` in that of bridge.',
  restart: 'avoided',
  sources: [
    'containernetworking/plugins#68',
    'cilium/cilium#9784',
    'https://www.cni.dev/plugins/current/meta/portmap/#snat',
    'https://www.cni.dev/plugins/current/main/bridge/ (hairpinMode)',
  ],
  mutedBy: 'earlier',

  detect(scene) {
    return scene.paths.flatMap((path): Detection<Data>[] => {
      const { sandbox, port, subject } = path;
      if (sandbox === undefined) return [];
      const node = path.node!;
      if (port.hostIP?.startsWith('127.')) return [];
      if (portmapIn(node.mappingChain)?.fields.snat !== false) return notSentBack(path, node, scene);
      const trace = traceFrom('pod', path, scene);
      if ('unknown' in trace || !leadsToPod(trace.value, path) || answered(path, 'pod')) return [];
      const { verdict, sourceTranslation } = trace.value;
      if (!verdict.known || verdict.value !== 'accept') return [];
      if (!sourceTranslation.known || sourceTranslation.value !== undefined) return [];
      const file = node.active!;
      const probes = probesFrom(path, ['pod', 'loopback']);
      return [
        {
          subject,
          message: words(
            '{pod} cannot reach itself by {port} of {node}: portmap in {file} is configured not to masquerade',
            { pod: podName(subject.pod!), port: formatPort(port), node: node.name, file: file.name },
          ),
          evidence: [fileEvidence(file), ...probeEvidence(probes)],
          // Nobody may ever ask for it: without a probe it is no more than a trap.
          severity: probes.some(failed) ? 'broken' : 'risk',
          data: { node, file, sandbox },
        },
      ];
    });
  },

  heal({ data }) {
    if ('port' in data) {
      return {
        by: 'hand',
        why: `"hairpinMode": true belongs in the primary plugin's entry on ${data.node.name}, and pods that run need "bridge link set dev ${data.port} hairpin on": the bridge is not portmap's`,
      };
    }
    const { node, file, sandbox } = data;
    const document = changePortmap(listDocument(file), ({ snat, ...rest }) => rest);
    return {
      by: 'steps',
      steps: [
        writeConfig(node, file.path, document, `let portmap masquerade in ${file.name}`),
        rewriteMapping(node, sandbox, `write the rules of ${podName(sandbox)} with masquerading`),
      ],
    };
  },

  page: {
    see:
      "Connections from the pod to its own hostPort (at the node's address) time out, and so do those to 127.0.0.1 on the node; " +
      'other clients are served.',
    why:
      '`"snat": false` in the portmap entry keeps all source addresses, also where that cannot work. With a bridge as primary ' +
      'plugin and `net.bridge.bridge-nf-call-iptables=1`, pods need `hairpinMode` besides the masquerading; the loopback then works without.',
    check: {
      run: [
        'grep -rE "snat|hairpinMode" /etc/cni/net.d',
        'iptables -w -t nat -S CNI-HOSTPORT-SETMARK',
        'ip -d link show type bridge_slave',
        'sysctl net.bridge.bridge-nf-call-iptables',
      ],
      look: 'The file in use has `"snat": false`; or the port of the pod has `hairpin off`, and the setting is 1.',
    },
    fix:
      "Remove it and rewrite the rules. `masqAll` is not needed for this, and hides the clients' addresses: " +
      '[source-address-lost](source-address-lost.md). On a bridge, set `"hairpinMode": true` in its entry, and ' +
      '`bridge link set dev PORT hairpin on` for pods that run.',
  },
});

const CALLS_NETFILTER = {
  IPv4: 'net.bridge.bridge-nf-call-iptables',
  IPv6: 'net.bridge.bridge-nf-call-ip6tables',
} as const;

/** A pod whose packets to itself are translated in a bridge, and have to leave it where they came in. Whether that works only a probe shows. */
function notSentBack(path: PathView, node: NodeView, scene: Scene): Detection<Data>[] {
  const { subject, family, port } = path;
  const setting = CALLS_NETFILTER[family ?? 'IPv4'];
  const primary = primaryPlugin(path);
  if (primary === undefined || primary.hairpinMode || node.sysctl(setting) !== '1') return [];
  const [probe] = probesFrom(path, ['pod']);
  if (probe === undefined || !failed(probe) || !answered(path, 'direct')) return [];
  const trace = traceFrom('pod', path, scene);
  if ('unknown' in trace || !leadsToPod(trace.value, path)) return [];
  const part = bridgePort(path, node);
  if (part === undefined) return [];
  return [
    {
      subject,
      message: words(
        '{pod} cannot reach itself by {port} of {node}: its port {device} of bridge {bridge} does not send back what came in by it',
        {
          ...{ pod: podName(subject.pod!), port: formatPort(port), node: node.name },
          ...{ device: part.name, bridge: part.master! },
        },
      ),
      evidence: [
        { kind: 'sysctl', where: `${setting} of ${node.name}`, saw: '1' },
        attachmentEvidence(path.attachment!),
        ...probeEvidence(probesFrom(path, ['direct', 'pod'])),
      ],
      data: { node, port: part.name },
    },
  ];
}

/** The link to a pod, where it is a port of a bridge. */
function bridgePort(path: PathView, node: NodeView) {
  const links = known(node.seen?.network.links) ?? [];
  const { named, peers } = linksToPod(path, node, podAddress(path) ?? '');
  return [...peers, ...named].find(({ master }) =>
    links.some(({ name, kind }) => name === master && kind === 'bridge'),
  );
}
