/**
 * The API server of a made-up cluster, for bench/scale.bench.ts: `bun bench/scale/server.ts NODES PODS_PER_NODE LATENCY_MS VERSION`. Prints a kubeconfig as one line
 * of JSON when it listens; for each line on standard input it prints how many requests there were since the last.
 */
import { gzipSync } from 'node:zlib';
import { createAuthority, issueCertificate } from '../../src/kube/pki.ts';
import type { ProbeJob } from '../../src/node/probe/order.ts';
import type { Flow } from '../../src/path/model/node-report.ts';
import type { ProbeResult } from '../../src/path/model/probe.ts';
import { type AnswerText, SimulatedApi } from '../../test/simulated/api.ts';
import { largeCluster } from '../large-cluster.ts';

const [nodes, podsPerNode, latencyMs] = process.argv.slice(2, 5).map(Number) as [number, number, number];
/** Of the program that asks: a node answers with the same. */
const version = process.argv[5]!;
const cluster = largeCluster({ nodes, podsPerNode, brokenEvery: 20 }, new Date().toISOString());
const reports = cluster.nodes.map((_, i) =>
  // The lowest level, as node-serve: the time is that of the client.
  gzipSync(JSON.stringify(cluster.report(i)), { level: 1 }).toString('base64'),
);
const addresses = new Map(
  cluster.nodes.map((node) => [
    node.metadata?.name ?? '',
    (node as { status: { addresses: { address: string }[] } }).status.addresses[0]!.address,
  ]),
);
const podAddresses = new Map(
  cluster.pods.map((pod) => [pod.metadata?.uid ?? '', (pod as { status: { podIP: string } }).status.podIP]),
);
/** The connections that each node tracks. */
const flows = new Map<string, Flow[]>();
let nextPort = 1024;

const authority = await createAuthority('scale');
const certificate = await issueCertificate(authority, {
  commonName: 'scale',
  ipAddresses: ['127.0.0.1'],
  usage: 'server',
});
const api = new SimulatedApi({
  nodes: cluster.nodes,
  pods: cluster.pods,
  latencyMs,
  tls: { cert: certificate.certPem, key: certificate.keyPem },
  answer: (node, request): AnswerText => {
    const index = Number(node.slice('node-'.length));
    switch (request.do) {
      case 'identity':
        return json({ version, inHostNetwork: true });
      case 'report':
        return { gzip: reports[index]! };
      case 'probes':
        return json(request.jobs.map((job) => ({ results: probed(job) })));
      case 'flows':
        return json(flows.get(node) ?? []);
      default:
        return json(null);
    }
  },
});
api.start();
console.log(
  JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'scale',
    contexts: [{ name: 'scale', context: { cluster: 'scale', user: 'scale' } }],
    clusters: [
      {
        name: 'scale',
        cluster: {
          server: api.url,
          'certificate-authority-data': Buffer.from(authority.certPem).toString('base64'),
        },
      },
    ],
    users: [{ name: 'scale', user: { token: 'scale' } }],
  }),
);
for await (const _ of console) {
  console.log(JSON.stringify(Object.fromEntries([...api.requests].sort())));
  api.requests.clear();
  flows.clear();
}

function json(value: unknown): AnswerText {
  return { value: JSON.stringify(value) };
}

/** What probes see: healthy nodes answer, broken ones refuse. */
function probed({ orders }: ProbeJob): ProbeResult[] {
  return orders.map((order) => {
    const isBroken = cluster.fault(Number(order.node.slice('node-'.length))) !== undefined;
    const outcome = isBroken && order.vantage !== 'direct' ? 'refused' : 'answered';
    nextPort = nextPort === 65_535 ? 1024 : nextPort + 1;
    const sourcePort = nextPort;
    const source = order.vantage === 'loopback' ? '127.0.0.1' : addresses.get(order.from ?? order.node)!;
    if (outcome === 'answered' && order.vantage !== 'direct') {
      const pod = podAddresses.get(order.podUid)!;
      const tracked = flows.get(order.node) ?? [];
      flows.set(order.node, tracked);
      tracked.push({
        protocol: order.protocol.toLowerCase(),
        source,
        sourcePort,
        destination: order.target.address,
        destinationPort: order.target.port,
        replySource: pod,
        replySourcePort: 8080,
        replyDestination: source,
        replyDestinationPort: sourcePort,
        unreplied: false,
      });
    }
    return { ...order, outcome, detail: outcome, milliseconds: 1, sourcePort };
  });
}
