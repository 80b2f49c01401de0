import { type Answer, type Guide, plain, type TourCommand } from './guide.ts';

/** What the story needs to know about its cluster. */
export interface StoryCluster {
  /** Addresses of the nodes on the node network, by name. */
  address: Record<string, string>;
  /** Address of the network's outside, from where the author's curl comes. */
  gateway: string;
  /** Directory with `static/` and `deploy/`. */
  manifests: string;
  /** Which rules the portmap plugin writes: the how-to looks at them. */
  backend: PortmapBackend;
}

/** Where a look into a node shows what the portmap plugin made of a hostPort. */
export type PortmapBackend = 'iptables' | 'nftables';

interface RulesView {
  /** What is run in a node. */
  command: string;
  /** Of a long answer, the lines that say it. */
  point?: RegExp;
  /** What it shows of a node with a pod on port 80, and a sentence that says so. */
  mapped: { text: string; lines: readonly RegExp[] };
  /** What it answers where nothing was ever mapped. */
  none: { text: string; condition: (answer: Answer) => boolean };
}

const rulesViews: Record<PortmapBackend, RulesView> = {
  iptables: {
    command: 'iptables-save | grep HOSTPORT',
    mapped: {
      text: 'the portmap plugin has written the HOSTPORT rules',
      lines: [/^-A PREROUTING .*-j CNI-HOSTPORT-DNAT$/m, /--dports 80 -j CNI-DN-/, /-j MASQUERADE$/m],
    },
    none: { text: 'there is no HOSTPORT rule', condition: ({ text }) => text === '' },
  },
  nftables: {
    command: 'nft list table inet hostport',
    point: /cilium-portmap\/|hook prerouting|masquerade/,
    mapped: {
      text: 'the portmap plugin has mapped the port in table inet hostport',
      lines: [
        /hook prerouting priority/,
        /tcp \. 80 comment "cilium-portmap\/[0-9a-f]{64}" : jump/,
        /tcp \. 80 comment "cilium-portmap\/[0-9a-f]{64}" : [\d.]+ \. 8080/,
        /\bmasquerade\b/,
      ],
    },
    none: {
      text: 'there is no table of hostPorts',
      condition: ({ code, text }) => code !== 0 && text.includes('No such file or directory'),
    },
  },
};

const WORKERS = ['kind-worker', 'kind-worker2', 'kind-worker3'] as const;

/** The how-to from `kubectl apply -f manifests/static/` to its end, and then its Deployment. */
export async function tellStory(guide: Guide, cluster: StoryCluster): Promise<void> {
  await deployStaticPods(guide, cluster);
  await firstWorker(guide, cluster);
  await secondWorker(guide, cluster);
  await thirdWorker(guide, cluster);
  await deployment(guide, cluster);
}

async function deployStaticPods(guide: Guide, { manifests }: StoryCluster): Promise<void> {
  guide.heading('Deploy a pod with hostPort: 80 to each worker');
  const applied = await guide.run(plain(`kubectl apply -f ${manifests}/static/`));
  guide.expect('the three pods are created', applied.text.match(/created/g)?.length === 3, applied.text);
  await guide.until(
    plain('kubectl get pods'),
    'worker and worker3 run, worker2 is stuck creating',
    ({ text }) =>
      /^echo-kind-worker +1\/1 +Running/m.test(text) &&
      /^echo-kind-worker2 +0\/1 +ContainerCreating/m.test(text) &&
      /^echo-kind-worker3 +1\/1 +Running/m.test(text),
  );
  await guide.run(plain('kubectl get pods -o custom-columns=name:.metadata.name,nodeIP:.status.hostIP'));
}

async function firstWorker(guide: Guide, { address, gateway, backend }: StoryCluster): Promise<void> {
  guide.heading('kind-worker has everything: the plugin and the chain');
  const answer = await answersAs(guide, address['kind-worker']!, 'echo-kind-worker');
  guide.expect(
    `the client it saw is the bridge's address, ${gateway}`,
    new RegExp(`Requesting IP: ${gateway.replaceAll('.', '\\.')}:\\d+`).test(answer),
    answer,
  );
  const { mapped } = rulesViews[backend];
  const rules = await guide.look(rulesOf('kind-worker', backend));
  guide.expect(
    mapped.text,
    mapped.lines.every((line) => line.test(rules.text)),
    rules.text,
  );
  const listing = await guide.look(plain('docker exec kind-worker ls /opt/cni/bin /etc/cni/net.d'));
  guide.expect(
    'both the conflist and the plugin are there',
    /^000-cilium-portmap\.conflist$/m.test(listing.text) && /^portmap$/m.test(listing.text),
    listing.text,
  );
}

async function secondWorker(guide: Guide, { address }: StoryCluster): Promise<void> {
  guide.heading('kind-worker2 has the chain, but not the plugin');
  const listing = await guide.look(plain('docker exec kind-worker2 ls /opt/cni/bin /etc/cni/net.d'));
  guide.expect(
    'the conflist is there, the plugin is not',
    /^000-cilium-portmap\.conflist$/m.test(listing.text) && !/^portmap$/m.test(listing.text),
    listing.text,
  );
  await guide.until(
    plain('kubectl get events | grep echo-kind-worker2'),
    'the event carries the runtime\'s own words: failed to find plugin "portmap" in path [/opt/cni/bin]',
    ({ text }) =>
      text.includes('FailedCreatePodSandBox') &&
      text.includes('failed to find plugin "portmap" in path [/opt/cni/bin]'),
  );
  guide.heading('Put the plugin there, and do nothing else');
  await guide.run(plain('sudo cp /opt/cni/bin/portmap /tmp/empty/bin/'));
  await guide.until(
    plain('kubectl get pods'),
    'the pod comes up by itself',
    ({ text }) => /^echo-kind-worker2 +1\/1 +Running/m.test(text),
    60_000,
  );
  await answersAs(guide, address['kind-worker2']!, 'echo-kind-worker2');
}

async function thirdWorker(guide: Guide, { address, manifests, backend }: StoryCluster): Promise<void> {
  guide.heading('kind-worker3 has the plugin, but not the chain');
  const listing = await guide.look(plain('docker exec kind-worker3 ls /opt/cni/bin /etc/cni/net.d'));
  guide.expect(
    'the plugin is there, the conflist is not',
    !/^000-cilium-portmap\.conflist$/m.test(listing.text) && /^portmap$/m.test(listing.text),
    listing.text,
  );
  await isRefused(guide, address['kind-worker3']!);
  const { none } = rulesViews[backend];
  const rules = await guide.look(rulesOf('kind-worker3', backend));
  guide.expect(none.text, none.condition(rules), rules.text);

  guide.heading('Put the chain there: the pod that runs does not notice');
  await guide.run(
    plain(
      'docker cp /tmp/cni/000-cilium-portmap.conflist kind-worker3:/etc/cni/net.d/000-cilium-portmap.conflist',
    ),
  );
  await isRefused(guide, address['kind-worker3']!);

  guide.heading('Recreate the pod');
  const manifest = `${manifests}/static/echo-kind-worker3.yaml`;
  await guide.run(plain(`kubectl delete -f ${manifest}`));
  await guide.run(plain(`kubectl apply -f ${manifest}`));
  await answersAs(guide, address['kind-worker3']!, 'echo-kind-worker3');
}

async function deployment(guide: Guide, { address, manifests }: StoryCluster): Promise<void> {
  guide.heading('The same as a Deployment: the scheduler spreads what a node has only one port for');
  await guide.run(plain(`kubectl delete -f ${manifests}/static/`));
  const applied = await guide.run(plain(`kubectl apply -f ${manifests}/deploy/`));
  guide.expect('the Deployment is created', applied.text.includes('created'), applied.text);
  const status = await guide.look(plain('kubectl rollout status deployment/echo --timeout=30s'));
  guide.expect('it rolls out', status.code === 0, status.text);
  await guide.until(plain('kubectl get pods -o wide'), 'one pod runs on each worker', ({ text }) =>
    WORKERS.every((node) => {
      const here = text.split('\n').filter((line) => new RegExp(`\\s${node}\\s`).test(line));
      return here.length === 1 && here[0]!.includes('Running');
    }),
  );
  for (const node of WORKERS) await answersAs(guide, address[node]!, 'echo-');
  await guide.run(plain('kubectl scale deployment/echo --replicas=4'));
  await guide.until(
    plain('kubectl get pods'),
    'the fourth pod stays Pending',
    ({ text }) => text.match(/ Pending /g)?.length === 1 && text.match(/ Running /g)?.length === 3,
  );
  await guide.until(
    plain('kubectl get events --field-selector reason=FailedScheduling'),
    'because no node has the port free',
    ({ text }) => text.includes("didn't have free ports for the requested pod ports"),
  );
}

/** The look at a node's rules. */
function rulesOf(node: string, backend: PortmapBackend): TourCommand {
  const { command, point } = rulesViews[backend];
  return { ...plain(`docker exec ${node} ${command}`), ...(point === undefined ? {} : { point }) };
}

/** What the story looks for on the echo server's page; the rest of it is long, and the same every time. */
const POINT = /My hostname is|Requesting IP/;

/** Asks a node's port 80 until the pod whose name starts so answers; returns what it said. */
async function answersAs(guide: Guide, address: string, pod: string): Promise<string> {
  const answer = await guide.until(
    { ...plain(`curl -sS --max-time 3 ${address}`), point: POINT },
    `${address} answers as ${pod}${pod.endsWith('-') ? '…' : ''}`,
    ({ text }) => new RegExp(`My hostname is: ${pod}${pod.endsWith('-') ? '' : '$'}`, 'm').test(text),
  );
  return answer.text;
}

async function isRefused(guide: Guide, address: string): Promise<void> {
  const answer = await guide.look(plain(`curl -sS --max-time 3 ${address}`));
  guide.expect(
    `${address} refuses`,
    answer.code !== 0 && /Failed to connect|[Cc]onnection refused|Couldn't connect/.test(answer.text),
    answer.text,
  );
}
