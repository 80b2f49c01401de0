import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { join } from 'node:path';
import { eventually } from './eventually.ts';
import { Lab, labMissing, ROOT } from './lab.ts';
import { pidsIn } from './node-view.ts';

const missing = labMissing();

const CONFLIST = '/etc/cni/net.d/10-kindnet.conflist';
/** Runs the tests' own programs in a pod: the runtime that is inside every program of the lab (BUN_BE_BUN). */
const RUNTIME = '/usr/local/bin/echo-server';
const SCRIPTS = join(ROOT, 'src/portmap/testing');

/** Each node has its backend, so one cluster shows both. */
const BACKENDS = [
  { backend: 'iptables', node: 'worker', subnet: 1 },
  { backend: 'nftables', node: 'worker2', subnet: 2 },
] as const;

interface PodSpec {
  name: string;
  node: string;
  ports?: { hostPort: number; hostIP?: string; protocol?: 'UDP' }[];
  /** Answers TCP connections and datagrams with its name, instead of HTTP. */
  responder?: boolean;
}

/** What Kubernetes' conformance suite, critest and people at other machines expect of a hostPort, with kubectl as the client. */
describe.skipIf(missing !== undefined)(`hostPorts in a cluster${missing ? ` (${missing})` : ''}`, () => {
  const lab = new Lab('conformance');
  /** IPv4 addresses of the nodes by their short names. */
  const ip: Record<string, string> = {};
  const ipv6 = (node: string) => `fd00:172:17::${ip[node]!.split('.')[3]}`;
  const fullName = (node: string) => `${lab.name}-${node}`;

  async function kubectl(words: string, stdin?: string): Promise<string> {
    const ran = await lab.kubectl(words.split(' '), stdin === undefined ? {} : { stdin });
    if (ran.code !== 0) throw new Error(`kubectl ${words}: ${ran.stdout}${ran.stderr}`);
    return ran.stdout;
  }

  /** Runs a command in a node and throws when it fails. */
  async function inNode(node: string, ...argv: string[]): Promise<string> {
    const ran = await lab.askNode(fullName(node), ...argv);
    if (ran.code !== 0) throw new Error(`${node}: ${argv.join(' ')}: ${ran.stdout}${ran.stderr}`);
    return ran.stdout;
  }

  /** A dual-stack chain with portmap on this backend; without one, a chain without portmap. */
  function conflist(name: string, subnet: string, backend: string | undefined): string {
    const ranges = [[{ subnet: `10.244.${subnet}.0/24` }], [{ subnet: `fd00:10:244:${subnet}::/64` }]];
    const routes = [{ dst: '0.0.0.0/0' }, { dst: '::/0' }];
    const ipam = { type: 'host-local', dataDir: '/run/cni-ipam-state', ranges, routes };
    const portmap = { type: 'portmap', backend, capabilities: { portMappings: true } };
    const plugins = [{ type: 'ptp', ipMasq: false, ipam }, ...(backend === undefined ? [] : [portmap])];
    return JSON.stringify({ cniVersion: '1.0.0', name, plugins });
  }

  /** Gives a node its chain, and waits until containerd has read it. */
  async function configure(node: string, subnet: number, backend: string | undefined): Promise<void> {
    const wanted = conflist('kindnet', String(subnet), backend);
    await lab.must('cp', lab.file('conflist', wanted), `${fullName(node)}:${CONFLIST}`);
    await eventually(`${node}'s containerd to have read its chain`, async () => {
      const report = JSON.parse(await inNode(node, 'hostport', 'node-report'));
      const loaded = report.runtime.value.loadedNetworks.value as { config: string }[];
      return loaded.some(({ config }) => config === wanted);
    });
  }

  function manifest({ name, node, ports, responder = false }: PodSpec): string {
    const container = {
      ...{ name: 'echo', image: 'inanimate/echo-server' },
      ports: ports?.map((port) => ({ ...port, containerPort: 8080 })),
      ...(responder && {
        command: [RUNTIME, 'run', '/scripts/responder.ts', name, '8080'],
        env: [{ name: 'BUN_BE_BUN', value: '1' }],
        volumeMounts: [{ name: 'scripts', mountPath: '/scripts' }],
      }),
    };
    return JSON.stringify({
      ...{ apiVersion: 'v1', kind: 'Pod', metadata: { name } },
      spec: {
        nodeSelector: { 'kubernetes.io/hostname': fullName(node) },
        terminationGracePeriodSeconds: 0,
        containers: [container],
        volumes: responder ? [{ name: 'scripts', configMap: { name: 'scripts' } }] : [],
      },
    });
  }

  async function create(...pods: PodSpec[]): Promise<void> {
    const items = pods.map((pod) => JSON.parse(manifest(pod)));
    await kubectl('create -f -', JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
  }

  async function running(...pods: PodSpec[]): Promise<void> {
    await create(...pods);
    const names = pods.map(({ name }) => `pod/${name}`).join(' ');
    await kubectl(`wait --for=condition=Ready ${names} --timeout=60s`);
  }

  async function gone(...names: string[]): Promise<void> {
    await kubectl(`delete pod ${names.join(' ')} --timeout=60s`);
  }

  /** Runs a command in the pod that is on a node's network. */
  async function byClient(node: string, ...argv: string[]): Promise<string> {
    const { stdout, stderr } = await lab.kubectl(['exec', `client-${node}`, '--', ...argv]);
    return `${stdout}${stderr}`;
  }

  /** What a curl sees of the echo server: status, the pod's name and whom the pod saw, or why there is no answer. */
  function seen(text: string): string {
    const name = /My hostname is: (\S+)/.exec(text)?.[1];
    const client = /Requesting IP: (\S+):\d+/.exec(text)?.[1];
    return name === undefined ? text.trim() : `${name} saw ${client}`;
  }

  const curl = (url: string) => ['curl', '-gsS', '--max-time', '3', `http://${url}/`];

  /** A client for pods. */
  const fetching = (at: string) => [
    ...[RUNTIME, '-e', 'console.log(await (await fetch(process.argv.at(-1))).text())', `http://${at}/`],
  ];

  async function answers(what: string, ask: () => Promise<string>, expected: RegExp): Promise<void> {
    let last = '';
    await eventually(
      `${what} to answer ${expected}`,
      async () => {
        last = seen(await ask());
        return expected.test(last);
      },
      { timeoutMs: 15_000 },
    ).catch((cause) => {
      throw new Error(`${cause.message}: ${last}`);
    });
  }

  beforeAll(async () => {
    const config = lab.file(
      'config.yaml',
      'kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nnodes: [{role: control-plane}, {role: worker}, {role: worker}]\n',
    );
    await lab.must('create', 'cluster', '--name', lab.name, '--config', config);
    const nodes = JSON.parse(await kubectl('get nodes -o json')).items as {
      metadata: { name: string };
      status: { addresses: { type: string; address: string }[] };
    }[];
    for (const { metadata, status } of nodes) {
      const { address } = status.addresses.find(({ type }) => type === 'InternalIP')!;
      ip[metadata.name.slice(lab.name.length + 1)] = address;
    }
    await kubectl(
      `create configmap scripts --from-file=${SCRIPTS}/responder.ts --from-file=${SCRIPTS}/probe.ts`,
    );
    await lab.inLab('ip', 'address', 'add', 'fd00:172:17::1/64', 'dev', 'kind', 'nodad');
    for (const { backend, node, subnet } of BACKENDS) {
      await inNode(node, 'ip', 'address', 'add', `${ipv6(node)}/64`, 'dev', 'eth0', 'nodad');
      await inNode(node, 'sysctl', '-qw', 'net.ipv6.conf.all.forwarding=1');
      await configure(node, subnet, backend);
      const client = JSON.parse(manifest({ name: `client-${node}`, node, responder: true }));
      client.spec.hostNetwork = true;
      client.spec.containers[0].command = ['sleep', '3600'];
      await kubectl('create -f -', JSON.stringify(client));
    }
    await kubectl('wait --for=condition=Ready pod/client-worker pod/client-worker2 --timeout=60s');
  });
  afterAll(() => lab.delete());

  describe.each(BACKENDS)('on $backend', ({ backend, node, subnet }) => {
    const other = BACKENDS.find((one) => one.node !== node)!.node;
    const named = (name: string) => `${name}-${backend}`;

    test('no conflict between pods with the same hostPort but different hostIP and protocol', async () => {
      const [one, two, three] = ['pod1', 'pod2', 'pod3'].map(named) as [string, string, string];
      const at = { hostPort: 54323 };
      await running(
        { name: one, node, ports: [{ ...at, hostIP: '127.0.0.1' }] },
        { name: two, node, ports: [{ ...at, hostIP: ip[node]! }] },
        { name: three, node, ports: [{ ...at, hostIP: ip[node]!, protocol: 'UDP' }], responder: true },
      );
      const get = (host: string) => byClient(node, ...fetching(`${host}:54323`));
      const probe = (protocol: string, host: string) =>
        byClient(node, RUNTIME, 'run', '/scripts/probe.ts', protocol, host, '54323');
      await answers('127.0.0.1', () => get('127.0.0.1'), new RegExp(`^${one} `));
      await answers('the node', () => get(ip[node]!), new RegExp(`^${two} `));
      await answers('UDP at the node', () => probe('udp', ip[node]!), new RegExp(`^${three} `));
      // As the suite asks 127.0.0.1: from the node's address.
      const bound = ['curl', '-gsS', '--max-time', '3', '--interface', ip[node]!, 'http://127.0.0.1:54323/'];
      await answers('127.0.0.1 from the node', () => inNode(node, ...bound), new RegExp(`^${one} `));
      expect(await probe('udp', '127.0.0.1')).toContain('no answer');
      await gone(one, two, three);
    });

    test('a pod with hostPort and hostIP 0.0.0.0 keeps one with a hostIP from scheduling there', async () => {
      const [pod4, pod5] = [named('pod4'), named('pod5')];
      await running({ name: pod4, node, ports: [{ hostPort: 54322, hostIP: '' }] });
      await create({ name: pod5, node, ports: [{ hostPort: 54322, hostIP: ip[node]! }] });
      const events = `get events --field-selector involvedObject.name=${pod5},reason=FailedScheduling -o jsonpath={.items[*].message}`;
      const message = `1 node(s) didn't have free ports for the requested pod ports`;
      await eventually('the reason', async () => (await kubectl(events)).includes(message));
      expect(await kubectl(`get pod ${pod5} -o jsonpath={.status.phase}{.spec.nodeName}`)).toBe('Pending');
      await gone(pod4);
      await kubectl(`wait --for=condition=Ready pod/${pod5} --timeout=60s`);
      await gone(pod5);
    });

    test('GET podIP:port and GET 127.0.0.1:hostPort are 200', async () => {
      const name = named('critest');
      await running({ name, node, ports: [{ hostPort: 12_000 }] });
      const podIp = await kubectl(`get pod ${name} -o jsonpath={.status.podIP}`);
      for (const at of [`${podIp}:8080`, '127.0.0.1:12000']) {
        const status = [...curl(at), '-o', '/dev/null', '-w', '%{http_code}'];
        await answers(at, () => inNode(node, ...status), /^200$/);
      }
      await gone(name);
    });

    test('answers by every way there is, over IPv4 and IPv6', async () => {
      const [name, peer] = [named('ways'), named('peer')];
      await running({ name, node, ports: [{ hostPort: 8081 }] }, { name: peer, node });
      const inPod = (pod: string, host: string) => async () => {
        const argv = ['exec', pod, '--', 'env', 'BUN_BE_BUN=1', ...fetching(`${host}:8081`)];
        const { stdout, stderr } = await lab.kubectl(argv);
        return `${stdout}${stderr}`;
      };
      const from = (place: string, host: string) => async () => {
        const ran = await lab.askNode(fullName(place), ...curl(`${host}:8081`));
        return `${ran.stdout}${ran.stderr}`;
      };
      const outside = (host: string) => async () => {
        const ran = await lab.inLab(...curl(`${host}:8081`));
        return `${ran.stdout}${ran.stderr}`;
      };
      const [v4, v6] = [ip[node]!, `[${ipv6(node)}]`];
      for (const [what, ask, saw] of [
        ['outside', outside(v4), /^172\.17\.0\.1$/],
        ['another node', from(other, v4), new RegExp(`^${ip[other]}$`)],
        ['the node by its address', from(node, v4), /./],
        ['the node by 127.0.0.1', from(node, '127.0.0.1'), /^10\.244\./],
        ['a peer', inPod(peer, v4), /^10\.244\./],
        ['itself', inPod(name, v4), /^10\.244\./],
        ['outside over IPv6', outside(v6), /^\[?fd00:172:17::1\]?$/],
        ['another node over IPv6', from(other, v6), new RegExp(`^\\[?${ipv6(other)}\\]?$`)],
        ['the node by its IPv6 address', from(node, v6), /./],
        ['a peer over IPv6', inPod(peer, v6), /^\[?fd00:10:244:/],
        ['itself over IPv6', inPod(name, v6), /^\[?fd00:10:244:/],
      ] as const) {
        await answers(what, ask, new RegExp(`^${name} saw ${saw.source.replace(/^\^/, '')}`));
      }
      // There is no route_localnet for IPv6: the packet from ::1 is translated, and the kernel does not send it off.
      expect(await from(node, '[::1]')()).toMatch(/^curl: /);
      await gone(name, peer);
    });

    test('a port of somebody who lives is refused, and the event says whose it is', async () => {
      const name = named('late');
      const file = `/tmp/stranger.conflist`;
      const chain = conflist('strangers', `20${subnet}`, backend);
      await lab.must('cp', lab.file('stranger', chain), `${fullName(node)}:${file}`);
      await inNode(node, 'ip', 'netns', 'add', 'stranger');
      const cni = (verb: string, ...words: string[]) =>
        inNode(
          ...([node, 'hostport', 'cni', verb, '--conf', file, '--netns', 'stranger'] as const),
          ...['--container-id', 'squatter', ...words],
        );
      const result = JSON.parse(await cni('add', '--cap', 'portMappings=8082:80/tcp'));
      const address = result.ips[0].address.split('/')[0];
      await create({ name, node, ports: [{ hostPort: 8082 }] });
      const events = `get events --field-selector involvedObject.name=${name},reason=FailedCreatePodSandBox -o jsonpath={.items[*].message}`;
      const reason = `host port is already in use: tcp 8082 of container squatter of network strangers at ${address}:80, whose sandbox still exists`;
      await eventually('the event', async () => (await kubectl(events)).includes(reason));
      await cni('del');
      await inNode(node, 'ip', 'netns', 'delete', 'stranger');
      // Nothing but the port was in the way.
      await kubectl(`wait --for=condition=Ready pod/${name} --timeout=60s`);
      await answers('the pod', () => inNode(node, ...curl('127.0.0.1:8082')), new RegExp(`^${name} `));
      await gone(name);
    });

    test('what a chain without portmap did not delete gives way to the next pod', async () => {
      const [first, second] = [named('first'), named('second')];
      const port = { ports: [{ hostPort: 8083 }] };
      const asked = () => inNode(node, ...curl('127.0.0.1:8083')).catch(String);
      await running({ name: first, node, ...port });
      await answers('the first', asked, new RegExp(`^${first} `));
      const address = await kubectl(`get pod ${first} -o jsonpath={.status.podIP}`);
      await configure(node, subnet, undefined);
      await gone(first);
      await eventually(
        'its sandbox to be gone',
        async () => (await inNode(node, 'ip', 'route', 'show', address)) === '',
      );
      expect(await mappingsOf(node, 8083)).toBe(1);
      await configure(node, subnet, backend);
      await running({ name: second, node, ...port });
      await answers('the second', asked, new RegExp(`^${second} `));
      expect(await mappingsOf(node, 8083)).toBe(1);
      await gone(second);
      await eventually('nothing to be left', async () => (await mappingsOf(node, 8083)) === 0);
    });

    test('a flush stays a flush while the sandbox stays, also over a restart of the container', async () => {
      const name = named('flushed');
      await running({ name, node, ports: [{ hostPort: 8084 }] });
      const asked = () => inNode(node, ...curl('127.0.0.1:8084')).catch(String);
      await answers('the pod', asked, new RegExp(`^${name} `));
      const flush =
        backend === 'nftables'
          ? [['nft', 'delete', 'table', 'inet', 'hostport']]
          : [['-F'], ['-X']].map((verb) => ['iptables', '-t', 'nat', ...verb]);
      for (const argv of flush) await inNode(node, ...argv);
      expect(await asked()).toMatch(/Failed to connect/);
      const [pid] = pidsIn(lab, fullName(node), 'echo-server');
      process.kill(pid!, 'SIGKILL');
      const restarts = `get pod ${name} -o jsonpath={.status.containerStatuses[0].restartCount}`;
      await eventually('the restart', async () => (await kubectl(restarts)) === '1');
      await kubectl(`wait --for=condition=Ready pod/${name} --timeout=60s`);
      expect(await asked()).toMatch(/Failed to connect/);
      await gone(name);
      await running({ name, node, ports: [{ hostPort: 8084 }] });
      await answers('the recreated pod', asked, new RegExp(`^${name} `));
      await gone(name);
    });
  });

  /** How many translations of a host port there are on a node, on whichever backend. */
  async function mappingsOf(node: string, port: number): Promise<number> {
    const rules = await inNode(node, 'iptables', '-t', 'nat', '-S');
    const listed = await lab.askNode(fullName(node), 'nft', 'list', 'table', 'inet', 'hostport');
    const elements = new RegExp(`tcp \\. ${port} comment "[^"]*" : \\d`, 'g');
    return (
      [...rules.matchAll(new RegExp(`--dport ${port} -j DNAT`, 'g'))].length +
      [...listed.stdout.matchAll(elements)].length
    );
  }
});
