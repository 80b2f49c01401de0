/**
 * Clusters on which everything works, of every kind that there is: the doctor finds nothing on any of them, and nothing is inconclusive.
 */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import type { Diagnosis } from '../../src/path/model/finding.ts';
import type { NodeReport } from '../../src/path/model/node-report.ts';
import { known } from '../../src/path/model/observed.ts';
import { applyObjects, CONFLIST, CONFLIST_PATH, createCatalogueCluster } from './catalogue/cluster.ts';
import { eventually } from './eventually.ts';
import { Lab, labMissing, PROGRAM } from './lab.ts';

const missing = labMissing();
const PODS = 100;
const FIRST_PORT = 8100;

/** A pod that answers on its hostPort and needs little: a node's share of a hundred of them fits. */
function webPod(name: string, nodeName: string, hostPort: number): Record<string, unknown> {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'default', labels: { run: 'web' } },
    spec: {
      nodeName,
      terminationGracePeriodSeconds: 1,
      automountServiceAccountToken: false,
      containers: [
        {
          name: 'web',
          image: 'busybox',
          imagePullPolicy: 'IfNotPresent',
          command: ['httpd', '-f', '-p', '8080', '-h', '/tmp'],
          ports: [{ containerPort: 8080, hostPort, protocol: 'TCP' }],
        },
      ],
    },
  };
}

const SERVICE = {
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'web', namespace: 'default' },
  spec: {
    type: 'NodePort',
    clusterIP: '10.96.0.50',
    selector: { run: 'web' },
    ports: [{ name: 'http', port: 80, targetPort: 8080, nodePort: 30080, protocol: 'TCP' }],
  },
};

/** What kube-proxy writes for such a Service with one endpoint (pkg/proxy/iptables), in its order. */
function kubeProxyRules(endpoint: string): string {
  return `*nat
:KUBE-SERVICES - [0:0]
:KUBE-NODEPORTS - [0:0]
:KUBE-POSTROUTING - [0:0]
:KUBE-MARK-MASQ - [0:0]
:KUBE-EXT-JJLVHYZBQ6N3FQ2T - [0:0]
:KUBE-SVC-JJLVHYZBQ6N3FQ2T - [0:0]
:KUBE-SEP-4GXJ6W5WXGY2DNZB - [0:0]
-I PREROUTING 1 -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-I OUTPUT 1 -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-I POSTROUTING 1 -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING
-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000
-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
-A KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0
-A KUBE-POSTROUTING -m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully
-A KUBE-SERVICES -d 10.96.0.50/32 -p tcp -m comment --comment "default/web:http cluster IP" -m tcp --dport 80 -j KUBE-SVC-JJLVHYZBQ6N3FQ2T
-A KUBE-SERVICES -m comment --comment "kubernetes service nodeports; NOTE: this must be the last rule in this chain" -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS
-A KUBE-NODEPORTS -p tcp -m comment --comment "default/web:http" -m tcp --dport 30080 -j KUBE-EXT-JJLVHYZBQ6N3FQ2T
-A KUBE-EXT-JJLVHYZBQ6N3FQ2T -m comment --comment "masquerade traffic for default/web:http external destinations" -j KUBE-MARK-MASQ
-A KUBE-EXT-JJLVHYZBQ6N3FQ2T -j KUBE-SVC-JJLVHYZBQ6N3FQ2T
-A KUBE-SVC-JJLVHYZBQ6N3FQ2T -m comment --comment "default/web:http" -j KUBE-SEP-4GXJ6W5WXGY2DNZB
-A KUBE-SEP-4GXJ6W5WXGY2DNZB -s ${endpoint}/32 -m comment --comment "default/web:http" -j KUBE-MARK-MASQ
-A KUBE-SEP-4GXJ6W5WXGY2DNZB -p tcp -m comment --comment "default/web:http" -m tcp -j DNAT --to-destination ${endpoint}:8080
COMMIT
*filter
:KUBE-FORWARD - [0:0]
:KUBE-FIREWALL - [0:0]
-A INPUT -j KUBE-FIREWALL
-A OUTPUT -j KUBE-FIREWALL
-A FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD
-A KUBE-FIREWALL ! -s 127.0.0.0/8 -d 127.0.0.0/8 -m comment --comment "block incoming localnet connections" -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP
-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP
-A KUBE-FORWARD -m comment --comment "kubernetes forwarding rules" -m mark --mark 0x4000/0x4000 -j ACCEPT
-A KUBE-FORWARD -m comment --comment "kubernetes forwarding conntrack rule" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
COMMIT
`;
}

/** A plain chain of bridge and portmap, as container engines have it. */
function bridgeChain(podCidr: string): object {
  return {
    cniVersion: '0.4.0',
    name: 'plain-bridge',
    plugins: [
      {
        type: 'bridge',
        bridge: 'cni0',
        isGateway: true,
        ipMasq: false,
        hairpinMode: true,
        ipam: { type: 'host-local', ranges: [[{ subnet: podCidr }]], routes: [{ dst: '0.0.0.0/0' }] },
      },
      { type: 'portmap', capabilities: { portMappings: true } },
    ],
  };
}

async function write(lab: Lab, node: string, path: string, document: unknown): Promise<void> {
  const file = lab.file(`${node}.json`, `${JSON.stringify(document, null, 2)}\n`);
  await lab.must('cp', file, `${node}:${path}`);
}

async function allReady(lab: Lab, timeout: string): Promise<void> {
  const waited = await lab.kubectl(
    ['wait', '--for=condition=Ready', 'pod', '--all', `--timeout=${timeout}`],
    {
      timeoutMs: 120_000,
    },
  );
  if (waited.code !== 0) throw new Error(waited.stderr);
}

/** Everything that the doctor finds wrong with a cluster. */
async function complaints(lab: Lab): Promise<{ mappings: number; complaints: string[]; exit: number }> {
  const { code, stdout, stderr } = await lab.hostport('doctor', '--name', lab.name, '-o', 'json');
  if (stdout === '') throw new Error(stderr);
  const { paths, findings, unknowns } = JSON.parse(stdout) as Diagnosis;
  return {
    mappings: paths.length,
    exit: code,
    complaints: [
      ...unknowns.map(({ node, what, why }) => `${node}: ${what}: ${why}`),
      ...findings.map(({ code: found, message }) => `${found}: ${message}`),
      ...paths.flatMap(({ pod, stages }) =>
        Object.entries(stages).flatMap(([stage, { verdict, reason }]) =>
          verdict === 'ok' ? [] : [`${pod.name}: ${stage} is ${verdict} (${reason})`],
        ),
      ),
    ],
  };
}

describe.skipIf(missing !== undefined)(`no false findings${missing ? ` (${missing})` : ''}`, () => {
  describe('on the how-to’s network', () => {
    const lab = new Lab('quiet');
    let nodes: string[] = [];

    beforeAll(async () => {
      nodes = await createCatalogueCluster(lab, 2);
      const [cilium, portmap] = CONFLIST.plugins;
      const plugins = [cilium, { ...portmap, backend: 'nftables' }];
      await write(lab, nodes[1]!, CONFLIST_PATH, { ...CONFLIST, plugins });
      const pods = Array.from({ length: PODS }, (_, i) => webPod(`web-${i}`, nodes[i % 2]!, FIRST_PORT + i));
      await applyObjects(lab, [SERVICE, ...pods]);
      await allReady(lab, '110s');
    });

    afterAll(() => lab.delete());

    test('with a hundred pods, both backends of portmap and a Service', async () => {
      const rules = await lab.inNode(nodes[1]!, 'nft', 'list', 'ruleset');
      expect(rules.stdout).toContain('table inet hostport');
      expect(await complaints(lab)).toEqual({ mappings: PODS, complaints: [], exit: 0 });
    });

    test('with the rules of kube-proxy before those of portmap', async () => {
      const { stdout: endpoint } = await lab.kubectl([
        'get',
        'pod',
        'web-0',
        '-o',
        'jsonpath={.status.podIP}',
      ]);
      for (const node of nodes) {
        const restored = await lab.command(
          [PROGRAM, 'exec', '-i', node, '--', 'iptables-restore', '--noflush'],
          { stdin: kubeProxyRules(endpoint) },
        );
        expect(restored).toMatchObject({ code: 0, stderr: '' });
      }
      expect(await complaints(lab)).toEqual({ mappings: PODS, complaints: [], exit: 0 });
    });
  });

  describe('on plain chains', () => {
    const lab = new Lab('plain');
    const nodes = ['plain-worker', 'plain-worker2'] as const;

    beforeAll(async () => {
      const config = lab.file(
        'kind.yaml',
        'kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nnodes:\n- role: control-plane\n- role: worker\n- role: worker\n',
      );
      await lab.must('create', 'cluster', '--name', lab.name, '--config', config, '--wait', '60s');
      const { stdout: podCidr } = await lab.kubectl([
        ...['get', 'node', nodes[1], '-o', 'jsonpath={.spec.podCIDR}'],
      ]);
      await write(lab, nodes[1], '/etc/cni/net.d/05-bridge.conflist', bridgeChain(podCidr));
      await eventually('the runtime to load the chain with the bridge', async () => {
        const { stdout } = await lab.inNode(nodes[1], 'hostport', 'node-report');
        const { runtime } = JSON.parse(stdout) as NodeReport;
        return JSON.stringify(known(known(runtime)?.loadedNetworks)).includes('plain-bridge');
      });
      await applyObjects(
        lab,
        nodes.map((node) => webPod(`on-${node}`, node, 80)),
      );
      await allReady(lab, '60s');
    });

    afterAll(() => lab.delete());

    test('of ptp and of bridge', async () => {
      const links = await lab.inNode(nodes[1], 'ip', '-o', 'link', 'show', 'type', 'bridge');
      expect(links.stdout).toContain('cni0');
      expect(await complaints(lab)).toEqual({ mappings: 2, complaints: [], exit: 0 });
    });
  });
});
