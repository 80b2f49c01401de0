import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { basename, join } from 'node:path';
import { eventually } from './eventually.ts';
import { Lab, labMissing, ROOT, type Started } from './lab.ts';

const missing = labMissing();
const NODE = 'watch-worker';
const CONF_DIR = '/etc/cni/net.d';
const CONFLIST = `${CONF_DIR}/10-kindnet.conflist`;
const PORTMAP = '/opt/cni/bin/portmap';

const POD = `apiVersion: v1
kind: Pod
metadata:
  name: echo
spec:
  nodeName: ${NODE}
  terminationGracePeriodSeconds: 0
  containers:
  - name: echo
    image: inanimate/echo-server
    ports:
    - {containerPort: 8080, hostPort: 80, protocol: TCP}
`;

describe.skipIf(missing !== undefined)(`hostport heal --watch${missing ? ` (${missing})` : ''}`, () => {
  const lab = new Lab('watch');
  let address: string;
  let conflist: string;
  let probe: Started;

  beforeAll(async () => {
    const config = lab.file(
      'config.yaml',
      'kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nnodes:\n- role: control-plane\n- role: worker\n',
    );
    await lab.must('create', 'cluster', '--name', 'watch', '--config', config);
    address = (await kubectl('get', 'node', NODE, '-o', 'jsonpath={.status.addresses[0].address}')).trim();
    conflist = await inNode('cat', CONFLIST);
    await kubectl('apply', '-f', lab.file('pod.yaml', POD));
    probe = lab.start([
      ...[join(ROOT, 'bin/hostport'), 'run', '--name', 'watch', '--'],
      ...[process.execPath, join(import.meta.dir, 'outage.ts'), `http://${address}:80/`],
    ]);
    await probe.until(/^up /m);
  }, 120_000);

  afterAll(async () => {
    await probe?.endInput();
    await probe?.exited;
    await lab.delete();
  }, 60_000);

  const kubectl = (...words: string[]) => lab.mustKubectl(...words);

  const inNode = (...argv: string[]) => lab.mustAskNode(NODE, ...argv);

  /** Starts an agent by hand, and waits until it has had its first look. */
  async function startAgent(...options: string[]): Promise<Started> {
    const agent = lab.start([
      ...[join(ROOT, 'bin/hostport'), 'exec', NODE, '--'],
      ...['hostport', 'heal', '--watch', '--kubeconfig', '/etc/kubernetes/kubelet.conf', ...options],
    ]);
    await agent.until(/watching watch-worker/);
    return agent;
  }

  const AGENT = '^[^ ]*hostport (heal --watch|agent run)';
  const agents = async () =>
    (await lab.askNode(NODE, 'pgrep', '-f', AGENT)).stdout.trim().split('\n').filter(Boolean);

  /** Ends the agent with a signal, and waits until it has ended. */
  async function signalAgent(signal: string): Promise<number> {
    const began = performance.now();
    // Not by the numbers that were listed: a child has the agent's command line until it runs its own, and may be gone.
    await inNode('pkill', `-${signal}`, '-f', AGENT);
    await eventually('the agent to end', async () => (await agents()).length === 0, { intervalMs: 20 });
    return performance.now() - began;
  }

  /** The last outage that the probe saw after its first `from` characters: when it began, and how long it was. */
  async function outage(from: number): Promise<number> {
    const since = () => probe.printed.slice(from);
    await eventually('the hostPort to answer again', () => /down (\d+)\nup (\d+)\n$/.test(since()), {
      timeoutMs: 30_000,
      intervalMs: 20,
    });
    const [, down, up] = /down (\d+)\n(?:.*\n)*?up (\d+)\n$/.exec(since())!;
    return Number(up) - Number(down);
  }

  /** The configuration that the runtime reads: the first by name. */
  const listInUse = async () => {
    const [first] = (await inNode('ls', CONF_DIR)).trim().split('\n');
    return inNode('cat', `${CONF_DIR}/${first}`);
  };

  const isInstalled = async () => (await lab.askNode(NODE, 'test', '-x', PORTMAP)).code === 0;
  const flush = () => inNode('iptables', '-t', 'nat', '-F', 'CNI-HOSTPORT-DNAT');
  const podIdentity = () =>
    kubectl(
      'get',
      'pod',
      'echo',
      '-o',
      'jsonpath={.metadata.uid} {.status.containerStatuses[0].state.running.startedAt}',
    );
  /** When a file got its name or lost its old one: the kernel's own time of the change, in milliseconds. */
  const changedAt = async (path: string) => Number(await inNode('stat', '-c', '%.3Z', path)) * 1000;

  describe('as a DaemonSet', () => {
    beforeAll(async () => {
      await lab.must('agent', 'install', '--name', 'watch', '--heal');
      await eventually('the agent to watch', async () => (await logs()).includes('watching watch-worker'));
    }, 90_000);

    const agentPod = async () =>
      (
        await kubectl(
          '-n',
          'kube-system',
          'get',
          'pods',
          '--field-selector',
          `spec.nodeName=${NODE}`,
          '-o',
          'name',
        )
      ).trim();
    const logs = async () => kubectl('-n', 'kube-system', 'logs', await agentPod());

    test('a mapping that was flushed is back, in the same pod', async () => {
      const before = await podIdentity();
      const took: number[] = [];
      for (let time = 0; time < 3; time++) {
        const from = probe.printed.length;
        await flush();
        took.push(await outage(from));
      }
      console.log(`flushed mapping back after ${took.join(', ')} ms`);
      expect(await podIdentity()).toBe(before);
    }, 60_000);

    test('a plugin that was removed is back, and is ours', async () => {
      const took: number[] = [];
      for (let time = 0; time < 3; time++) {
        await inNode('mv', PORTMAP, '/opt/portmap.away');
        await eventually('portmap to be back', isInstalled, { timeoutMs: 20_000, intervalMs: 20 });
        took.push(Math.round((await changedAt(PORTMAP)) - (await changedAt('/opt/portmap.away'))));
        await inNode('cmp', PORTMAP, '/usr/local/lib/hostport/cni/portmap');
      }
      console.log(`missing plugin back after ${took.join(', ')} ms`);
    }, 60_000);

    test('a chain without portmap is put right, by a list before that of the network’s owner', async () => {
      const broken = withoutPortmap(conflist);
      await lab.must('cp', lab.file('broken.conflist', broken), `${NODE}:${CONFLIST}`);
      await eventually('portmap to be chained again', async () => chained(await listInUse()));
      expect(await inNode('cat', CONFLIST)).toBe(broken);
    }, 90_000);

    test('says so by events on the pod', async () => {
      await eventually('the events to be there', async () => {
        const events = await kubectl(
          'get',
          'events',
          '-o',
          'jsonpath={range .items[*]}{.reason} {.involvedObject.name} {.message}{"\\n"}{end}',
        );
        return (
          /^HostPortBroken echo mapping-missing: /m.test(events) &&
          /^HostPortHealed echo mapping-missing: /m.test(events) &&
          /^HostPortHealed echo plugin-missing: /m.test(events) &&
          /^HostPortHealed echo portmap-not-chained: /m.test(events)
        );
      });
    });

    test('may do no more through the API than it needs', async () => {
      const can = async (...words: string[]) =>
        (
          await lab.kubectl([
            'auth',
            'can-i',
            ...words,
            '--as',
            'system:serviceaccount:kube-system:hostport-agent',
            '-A',
          ])
        ).stdout.trim();
      expect(await can('list', 'pods')).toBe('yes');
      expect(await can('create', 'events')).toBe('yes');
      for (const words of [
        ['delete', 'pods'],
        ['get', 'secrets'],
        ['list', 'secrets'],
        ['update', 'nodes'],
        ['create', 'pods'],
      ]) {
        expect([words, await can(...words)]).toEqual([words, 'no']);
      }
    });

    test('pods that come and go do not concern it', async () => {
      const before = await logs();
      for (let time = 0; time < 3; time++) {
        const names = ['one', 'two'].map((name) => `${name}-${time}`);
        const manifest = names.map((name, index) =>
          POD.replace('name: echo\n', `name: ${name}\n`).replace('hostPort: 80', `hostPort: ${9000 + index}`),
        );
        await kubectl('apply', '-f', lab.file('pods.yaml', manifest.join('---\n')));
        await kubectl(
          'wait',
          '--for=condition=Ready',
          ...names.map((name) => `pod/${name}`),
          '--timeout=60s',
        );
        await kubectl('delete', ...names.map((name) => `pod/${name}`), '--wait=true');
        await eventually(
          'their mappings to be gone',
          async () => !/dports 900\d/.test(await inNode('iptables', '-t', 'nat', '-S')),
        );
      }
      expect((await logs()).slice(before.length)).toBe('');
    }, 120_000);

    test('leaves nothing behind that it would fix again', async () => {
      const settled = await logs();
      const from = probe.printed.length;
      await Bun.sleep(3000);
      expect(await logs()).toBe(settled);
      expect(probe.printed.length).toBe(from);
    }, 30_000);

    test('ends when it is deleted, and the node stays as it is', async () => {
      await lab.must('agent', 'uninstall', '--name', 'watch');
      expect(await agents()).toEqual([]);
      expect(probe.printed.trim().split('\n').at(-1)).toMatch(/^up /);
    }, 60_000);
  });

  describe('from the command line', () => {
    beforeAll(async () => {
      await lab.must('cp', lab.file('whole.conflist', conflist), `${NODE}:${CONFLIST}`);
      const [first, ...others] = (await inNode('ls', CONF_DIR)).trim().split('\n');
      expect(others).toEqual([basename(CONFLIST)]);
      await inNode('rm', `${CONF_DIR}/${first}`);
    });

    test('a pod that was made without portmap gets its mapping as it runs', async () => {
      await lab.must('cp', lab.file('broken.conflist', withoutPortmap(conflist)), `${NODE}:${CONFLIST}`);
      // The runtime has read the file when it reports a chain without portmap.
      await eventually('the runtime to load the chain', async () => {
        const report = JSON.parse(await inNode('hostport', 'node-report', '--node', NODE));
        const { networks } = {
          networks: report.runtime.value.loadedNetworks.value as { name: string; config: string }[],
        };
        return networks.some(({ name, config }) => name === 'kindnet' && !config.includes('portmap'));
      });
      await kubectl('delete', 'pod', 'echo', '--wait=true');
      await kubectl('apply', '-f', lab.file('pod.yaml', POD));
      await eventually(
        'the pod to run',
        async () => (await podIdentity()).split(' ').length === 2 && /Z$/.test(await podIdentity()),
      );
      expect(probe.printed.trim().split('\n').at(-1)).toMatch(/^down /);
      const before = await podIdentity();

      const agent = await startAgent();
      await agent.until(/portmap-not-chained .*: healed/);
      await agent.until(/pod-predates-chain .*: healed/);
      await eventually('the hostPort to answer', () => /up \d+\n$/.test(probe.printed), { intervalMs: 20 });
      expect(chained(await listInUse())).toBe(true);
      expect(await podIdentity()).toBe(before);
      const restarts = await kubectl(
        'get',
        'pod',
        'echo',
        '-o',
        'jsonpath={.status.containerStatuses[0].restartCount}',
      );
      expect(restarts).toBe('0');

      const second = await lab.inNode(NODE, 'hostport', 'heal', '--watch');
      expect(second.code).toBe(2);
      expect(second.stderr).toContain('cannot watch this node: it is already watched by process');

      await signalAgent('TERM');
      expect(await agent.exited).toBe(0);
      expect(agent.printed).toContain('hostport-agent: stopped');
    }, 90_000);

    test('works from what the runtime knows when there is no API', async () => {
      const agent = lab.start([
        join(ROOT, 'bin/hostport'),
        'exec',
        NODE,
        '--',
        'hostport',
        'heal',
        '--watch',
      ]);
      await agent.until(/without an API/);
      const from = probe.printed.length;
      await flush();
      const took = await outage(from);
      console.log(`flushed mapping back after ${took} ms without an API`);
      await agent.until(/mapping-missing .*: healed/);
      await signalAgent('TERM');
      expect(await agent.exited).toBe(0);
    }, 60_000);

    test('killed in the middle of a fix, it leaves nothing half done', async () => {
      // Long enough apart to hit the look, the copy of the plugin and the chain.
      for (const afterMs of [0, 80, 200, 350, 500, 700]) {
        const agent = await startAgent();
        await inNode('rm', '-f', PORTMAP);
        await flush();
        await Bun.sleep(afterMs);
        await signalAgent('KILL');
        await agent.exited;
        // Whatever is there under its own name is whole.
        if ((await lab.askNode(NODE, 'test', '-e', PORTMAP)).code === 0) {
          await inNode('cmp', PORTMAP, '/usr/local/lib/hostport/cni/portmap');
        }
        expect(chained(await listInUse())).toBe(true);
      }
      const agent = await startAgent();
      await eventually(
        'everything to be healthy',
        async () => (await isInstalled()) && /up \d+\n$/.test(probe.printed),
      );
      await inNode('cmp', PORTMAP, '/usr/local/lib/hostport/cni/portmap');
      // One mapping, not one for every try.
      const rules = await inNode('iptables', '-t', 'nat', '-S', 'CNI-HOSTPORT-DNAT');
      expect(rules.match(/--dports 80 /g)).toHaveLength(1);
      // Its mapping goes with the pod, as if the runtime had made it.
      await kubectl('delete', 'pod', 'echo', '--wait=true');
      await eventually(
        'the mapping to be gone',
        async () => !(await inNode('iptables', '-t', 'nat', '-S')).includes('dports 80 '),
      );
      await signalAgent('TERM');
      expect(await agent.exited).toBe(0);
    }, 120_000);
  });
});

function withoutPortmap(conflist: string): string {
  const document = JSON.parse(conflist) as { plugins: { type: string }[] };
  return JSON.stringify({ ...document, plugins: document.plugins.filter(({ type }) => type !== 'portmap') });
}

function chained(conflist: string): boolean {
  return (JSON.parse(conflist) as { plugins: { type: string }[] }).plugins.some(
    ({ type }) => type === 'portmap',
  );
}
