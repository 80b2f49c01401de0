import { MASQ_CHAIN } from '../../../portmap/layout.ts';
import { rewriteMapping } from '../../heal/attach-plan.ts';
import type { Evidence } from '../../model/finding.ts';
import { formatPort } from '../../model/host-ports.ts';
import { words } from '../../model/message.ts';
import type { Sandbox } from '../../model/node-report.ts';
import { known } from '../../model/observed.ts';
import { memoKey, remembered } from '../../view/memory.ts';
import { type NodeView, portmapIn } from '../../view/node-view.ts';
import { podName } from '../../view/pod-name.ts';
import { servesOthersAlone } from '../../view/port-mapper.ts';
import { leadsToPod, traceFrom } from '../../view/traces.ts';
import { excerptOfLines } from '../evidence.ts';
import { type Detection, defineFailure } from '../failure.ts';

interface Data {
  node: NodeView;
  sandbox: Sandbox;
}

const CLIENTS: Readonly<Record<'loopback' | 'pod', string>> = {
  loopback: '127.0.0.1',
  pod: 'the pod itself',
};

export const masqueradeMissing = defineFailure<Data>({
  code: 'masquerade-missing',
  stage: 'translated',
  severity: 'broken',
  title: "portmap's masquerading of local and hairpin connections is missing",
  explanation:
    'A connection from 127.0.0.1, or from the pod to its own hostPort, only gets an answer if its source address is rewritten. portmap marks ' +
    'such packets and masquerades what is marked; when the mark, the masquerade rule or the jump to it is missing, these connections time out ' +
    'while all others work.',
  remedy: 'Write the mark and masquerade rules again.',
  restart: 'avoided',
  sources: ['k3s-io/k3s#8793', 'https://www.cni.dev/plugins/current/meta/portmap/#snat'],
  mutedBy: 'earlier',

  detect(scene) {
    return scene.paths.flatMap((path): Detection<Data>[] => {
      const { sandbox, port, subject } = path;
      if (sandbox === undefined) return [];
      const node = path.node!;
      // With snat off it is not expected: hairpin-unmasqueraded.
      if (portmapIn(node.mappingChain)?.fields.snat === false || servesOthersAlone(path)) return [];
      const lacking = (['loopback', 'pod'] as const).filter((origin) => {
        if (port.hostIP !== undefined && (origin === 'loopback') !== port.hostIP.startsWith('127.'))
          return false;
        const trace = traceFrom(origin, path, scene);
        return (
          'value' in trace &&
          leadsToPod(trace.value, path) &&
          // A packet that is dropped or has no route never reaches the masquerading.
          trace.value.verdict.known &&
          trace.value.verdict.value === 'accept' &&
          trace.value.sourceTranslation.known &&
          trace.value.sourceTranslation.value === undefined
        );
      });
      if (lacking.length === 0) return [];
      return [
        {
          subject,
          message: words(
            'connections to {port} of {pod} from {clients:and from} keep their source address on {node}',
            {
              port: formatPort(port),
              pod: podName(subject.pod!),
              clients: lacking.map((origin) => CLIENTS[origin]),
              node: node.name,
            },
          ),
          evidence: remembered(node, MASQUERADING, () => masqueradeRules(node)),
          data: { node, sandbox },
        },
      ];
    });
  },

  heal: ({ data: { node, sandbox } }) => ({
    by: 'steps',
    steps: [rewriteMapping(node, sandbox, `write marks and masquerading for ${podName(sandbox)} again`)],
  }),

  page: {
    see:
      '`curl 127.0.0.1:80` on the node times out, and so does the pod when it connects to its own hostPort; all other machines are ' +
      'served.',
    why:
      'The source of such packets is an address that the pod cannot answer (127.0.0.1), or its own address, and then its answer ' +
      'bypasses the node. portmap marks the packets in `CNI-HOSTPORT-SETMARK` and masquerades marked packets in ' +
      '`CNI-HOSTPORT-MASQ`. Any of these rules, or the jump from POSTROUTING, can be lost.',
    check: {
      run: [
        'iptables -w -t nat -S CNI-HOSTPORT-MASQ',
        'iptables -w -t nat -S CNI-HOSTPORT-SETMARK',
        'iptables -w -t nat -S POSTROUTING',
      ],
      look:
        '`-A CNI-HOSTPORT-MASQ -m mark --mark 0x2000/0x2000 -j MASQUERADE`, `-A CNI-HOSTPORT-SETMARK … --set-xmark 0x2000/0x2000` ' +
        'and the jump from POSTROUTING: one of them is missing.',
    },
    fix: 'Create any pod with a hostPort on the node: every ADD of portmap writes all of these rules again.',
  },
});

const MASQUERADING = memoKey<Evidence[]>();

/** What the node has of rules that masquerade. */
function masqueradeRules(node: NodeView): Evidence[] {
  const chains = known(node.ruleset)!.tables.flatMap((table) => [...table.chains.values()]);
  const texts = chains
    .filter(({ name }) => name === MASQ_CHAIN || name === 'POSTROUTING')
    .flatMap(({ name, rules: own }) => own.map(({ text }) => `${name}: ${text}`));
  return [
    {
      kind: 'rule' as const,
      where: `masquerading on ${node.name}`,
      saw: excerptOfLines(texts) || '(no rules)',
    },
  ];
}
