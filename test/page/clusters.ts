import { join } from 'node:path';
import { bundleWorld } from '../../src/collect/bundle.ts';
import { diagnose } from '../../src/path/diagnose/diagnose.ts';
import type { Diagnosis, Finding, PathVerdict, StageVerdict } from '../../src/path/model/finding.ts';
import { type Stage, stages } from '../../src/path/model/stages.ts';
import { type PacketWay, packetWays } from '../../src/path/view/packet-way.ts';

/** A made-up diagnosis with the names along its mappings. */
export interface PageCluster {
  diagnosis: Diagnosis;
  ways: Map<PathVerdict, PacketWay>;
}

/** The how-to's cluster as it was recorded, by the name of its bundle. */
export async function recordedCluster(bundle: 'begin' | 'all-fixed'): Promise<PageCluster> {
  const path = join(import.meta.dir, '../fixtures/bundles', bundle);
  const diagnosed = diagnose(await bundleWorld(path));
  return { diagnosis: diagnosed.diagnosis, ways: packetWays(diagnosed) };
}

/** How the nodes of a made-up cluster are. */
export type Condition = 'healthy' | 'broken' | 'unknown';

const OK: StageVerdict = { verdict: 'ok', codes: [] };

/** Verdicts of all stages: those given, and OK. */
function verdicts(given: Partial<Record<Stage, StageVerdict>>): PathVerdict['stages'] {
  return Object.fromEntries(stages.map((stage) => [stage, given[stage] ?? OK])) as PathVerdict['stages'];
}

const follows = (reason: string): StageVerdict => ({ verdict: 'muted', codes: [], reason });

const MISSING = verdicts({
  installed: { verdict: 'broken', codes: ['plugin-missing'] },
  attached: follows('plugin-missing'),
  translated: follows('plugin-missing'),
  answered: follows('plugin-missing'),
});
const EARLY = verdicts({
  attached: { verdict: 'risk', codes: ['pod-predates-chain'] },
});

const unseen = (node: string): PathVerdict['stages'] => {
  const reason = `no answer of ${node} within 20 s`;
  const unknown: StageVerdict = { verdict: 'unknown', codes: [], reason };
  return verdicts(Object.fromEntries(stages.slice(2).map((stage) => [stage, unknown])));
};

/**
 * A cluster of so many nodes with so many pods each, one hostPort a pod. `broken`: of four nodes one has no plugin, one has a pod at risk, and every
 * fortieth is unknown; `unknown`: nothing is known of any node.
 */
export function pageCluster(
  nodes: number,
  podsPerNode: number,
  condition: Condition,
  nameOf = (i: number) => `worker-${i + 1}`,
): PageCluster {
  const paths: PathVerdict[] = [];
  const findings: Finding[] = [];
  const unknowns: Diagnosis['unknowns'] = [];
  const ways: PageCluster['ways'] = new Map();
  for (let i = 0; i < nodes; i++) {
    const node = nameOf(i);
    const isUnknown = condition === 'unknown' || (condition === 'broken' && i % 40 === 39);
    const isMissing = condition === 'broken' && !isUnknown && i % 4 === 1;
    const isEarly = condition === 'broken' && !isUnknown && i % 4 === 2;
    if (isUnknown)
      unknowns.push({ kind: 'node', node, what: 'node report', why: `no answer of ${node} within 20 s` });
    if (isMissing) findings.push(missingOn(node));
    for (let j = 0; j < podsPerNode; j++) {
      const pod = {
        namespace: ['default', 'ingress', 'shop'][j % 3]!,
        name: `web-${i}-${j}`,
        uid: `${i}-${j}`,
      };
      const port = { hostPort: j === 0 ? 80 : 8000 + j, containerPort: 8080, protocol: 'TCP' as const };
      const isFirst = j === 0;
      const path: PathVerdict = {
        node,
        pod,
        port,
        stages: isUnknown ? unseen(node) : isMissing ? MISSING : isEarly && isFirst ? EARLY : verdicts({}),
      };
      paths.push(path);
      if (isEarly && isFirst) findings.push(earlyOf(path));
      if (!isUnknown) ways.set(path, wayOf(path, i, j, isMissing));
    }
  }
  return {
    diagnosis: {
      apiVersion: 'hostport/v1',
      kind: 'Diagnosis',
      observedAt: '2026-01-01T00:00:00.000Z',
      paths,
      findings,
      unknowns,
    },
    ways,
  };
}

function missingOn(node: string): Finding {
  return {
    code: 'plugin-missing',
    stage: 'installed',
    severity: 'broken',
    subject: { node },
    message: `plugin portmap, which 10-flannel.conflist chains, is not in /opt/cni/bin of ${node}`,
    args: { node },
    evidence: [{ kind: 'file', where: '/opt/cni/bin', saw: 'bridge flannel loopback' }],
    explanation: 'The chain names a plugin that is not in any of the directories that the runtime searches.',
    remedy: 'Install the plugin. The kubelet retries by itself.',
    command: 'hostport heal --only plugin-missing',
    restart: 'no',
    documentation: 'docs/failures/plugin-missing.md',
  };
}

function earlyOf({ node, pod, port }: PathVerdict): Finding {
  return {
    code: 'pod-predates-chain',
    stage: 'attached',
    severity: 'risk',
    subject: { node: node!, pod, port },
    message: `${pod.namespace}/${pod.name} was created before the chain on ${node}`,
    args: { node: node!, pod: pod.name },
    evidence: [
      {
        kind: 'result',
        where: `/var/lib/cni/results/cbr0-${pod.uid}-eth0`,
        saw: `{\n  "pod": "${pod.uid}"\n}`,
      },
    ],
    explanation: 'A sandbox keeps the chain that it was created with.',
    remedy: 'Attach portmap to the running sandbox, or recreate the pod.',
    command: 'hostport heal --only pod-predates-chain',
    restart: 'avoided',
    documentation: 'docs/failures/pod-predates-chain.md',
  };
}

function wayOf({ port }: PathVerdict, i: number, j: number, isMissing: boolean): PacketWay {
  const node = `10.0.${i >> 8}.${i & 255}`;
  const pod = `10.${200 + (i >> 8)}.${i & 255}.${j + 2}`;
  const id = (0x5ab1e0000000 + i * 7919 + j).toString(16);
  return {
    address: `${node}:${port.hostPort}`,
    entry: 'eth0',
    list: '/etc/cni/net.d/10-flannel.conflist',
    plugins: 'flannel → portmap',
    pod: `${pod}:8080`,
    sandbox: id,
    network: 'cbr0',
    route: '10.244.0.0/24 dev cni0',
    device: `veth${id.slice(-8)}`,
    ...(isMissing
      ? { replyUnknown: 'the connection does not get to the pod for certain' }
      : {
          binary: '/opt/cni/bin/portmap',
          chain: `iptables-nft ip nat CNI-DN-${id}`,
          rule: `-A CNI-DN-${id} -p tcp -m tcp --dport ${port.hostPort} -j DNAT --to-destination ${pod}:8080`,
          probes: 'node: answered, other-node: answered',
          reply: `${pod} → veth${id.slice(-8)} → from ${node} → eth0 → 10.0.255.254`,
        }),
  };
}

/** Texts that would do something, if a page took them for more than text; with what each must look like in it. */
export const HOSTILE = {
  markup: '<img src=x onerror="document.title=1"></script><script>document.title=2</script>',
  comment: '<!--<script>',
  ansi: '\u001b[31mred\u001b[0m\u0007',
  rightToLeft: 'safe\u202egnp.exe',
  long: `${'a'.repeat(125)}.${'b'.repeat(127)}`,
  entity: '&lt;b&gt;&quot;',
  markdown: '[x](javascript:alert`1`) **b** `code` | cell @everyone #1\n# title',
  link: 'https://evil.example.com/x, HTTP://evil.example.com, www.evil.example.com, ftp://evil.example.com or me@evil.example.com',
  list: '- item',
  numbers: '1. item',
  indented: '     - code, $x$',
} as const;

/** A cluster in which every text is hostile. */
export function hostileCluster(): PageCluster {
  const texts = Object.values(HOSTILE);
  const all = texts.join(' ');
  const paths = texts.map(
    (text, i): PathVerdict => ({
      node: text,
      pod: { namespace: text, name: text, uid: `${i}` },
      port: { hostPort: 80 + i, containerPort: 8080, protocol: 'TCP', hostIP: text },
      stages: verdicts({
        installed: { verdict: 'broken', codes: ['plugin-missing'] },
        forwarded: { verdict: 'unknown', codes: [], reason: text },
      }),
    }),
  );
  const findings = texts.map(
    (text): Finding => ({
      ...missingOn(text),
      message: text,
      evidence: [{ kind: 'file', where: text, saw: `${all}\n${text}` }],
      explanation: text,
      remedy: text,
      command: text,
      documentation: text,
    }),
  );
  const ways = new Map(
    paths.map((path, i): [PathVerdict, PacketWay] => {
      const text = texts[i]!;
      return [
        path,
        { address: text, list: text, rule: text, chain: text, route: text, reply: text, probes: text },
      ];
    }),
  );
  return {
    diagnosis: {
      apiVersion: 'hostport/v1',
      kind: 'Diagnosis',
      observedAt: HOSTILE.markup,
      paths,
      findings,
      unknowns: texts.map((text) => ({ kind: 'node', node: text, what: text, why: text })),
    },
    ways,
  };
}
