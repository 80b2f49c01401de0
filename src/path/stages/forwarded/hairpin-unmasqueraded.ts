import { rewriteMapping } from '../../heal/attach-plan.ts';
import { listDocument, writeConfig } from '../../heal/conf-plans.ts';
import { changePortmap } from '../../heal/list-document.ts';
import { formatPort } from '../../model/host-ports.ts';
import { words } from '../../model/message.ts';
import type { Sandbox } from '../../model/node-report.ts';
import { type ConfigFile, type NodeView, portmapIn } from '../../view/node-view.ts';
import { podName } from '../../view/pod-name.ts';
import { answered, failed, probeEvidence, probesFrom } from '../../view/probe-facts.ts';
import { leadsToPod, traceFrom } from '../../view/traces.ts';
import { fileEvidence } from '../evidence.ts';
import { type Detection, defineFailure } from '../failure.ts';

interface Data {
  node: NodeView;
  file: ConfigFile;
  sandbox: Sandbox;
}

export const hairpinUnmasqueraded = defineFailure<Data>({
  code: 'hairpin-unmasqueraded',
  stage: 'forwarded',
  severity: 'broken',
  title: 'a pod cannot reach its own hostPort, because portmap is configured not to masquerade',
  explanation:
    "A pod that connects to its own hostPort gets its own packet back, with its own address as the source, and its answer bypasses the node's " +
    'translation: the connection is never established. portmap masquerades such packets, unless its entry has `"snat": false`. Connections to ' +
    '127.0.0.1 of the node fail for the same reason.',
  remedy: 'Remove `"snat": false` from the portmap entry, and rewrite the rules of the running pods.',
  restart: 'avoided',
  sources: [
    'containernetworking/plugins#68',
    'cilium/cilium#9784',
    'https://www.cni.dev/plugins/current/meta/portmap/#snat',
  ],
  mutedBy: 'earlier',

  detect(scene) {
    return scene.paths.flatMap((path): Detection<Data>[] => {
      const { sandbox, port, subject } = path;
      if (sandbox === undefined) return [];
      const node = path.node!;
      if (portmapIn(node.mappingChain)?.fields.snat !== false || port.hostIP?.startsWith('127.')) return [];
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

  heal({ data: { node, file, sandbox } }) {
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
      'plugin, peers on the same bridge need `hairpinMode` or masquerading as well.',
    check: {
      run: ['grep -r snat /etc/cni/net.d', 'iptables -w -t nat -S CNI-HOSTPORT-SETMARK'],
      look: 'The file in use has `"snat": false`.',
    },
    fix:
      "Remove it and rewrite the rules. `masqAll` is not needed for this, and hides the clients' addresses: " +
      '[source-address-lost](source-address-lost.md).',
  },
});
