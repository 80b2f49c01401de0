import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { AGENT_CAPABILITIES, type AgentMode, agentMounts, METRICS_PORT } from '../../src/agent/manifests.ts';
import type { AgentStatus } from '../../src/agent/status.ts';
import { agentImage } from '../../src/util/images.ts';
import { confinementOf, isMountReadOnly } from './confinement.ts';
import { eventually } from './eventually.ts';
import { Lab, PROGRAM } from './lab.ts';

const PORTMAP = '/opt/cni/bin/portmap';
const PORT = 9797;

const podOn = (node: string) => `apiVersion: v1
kind: Pod
metadata: {name: echo}
spec:
  nodeName: ${node}
  terminationGracePeriodSeconds: 0
  containers:
  - name: echo
    image: inanimate/echo-server
    ports: [{containerPort: 8080, hostPort: 80}]
`;

/** A cluster of the lab to install the agent in, and why it cannot be created. */
export interface AgentSuite {
  title: string;
  /** Of the cluster. */
  name: string;
  /** Further words of `create cluster`. */
  words: readonly string[];
  missing: string | undefined;
}

/** Declares the tests of `hostport agent` on a cluster with one worker. */
export function agentSuite({ title, name, words, missing }: AgentSuite): void {
  const NODES = [`${name}-control-plane`, `${name}-worker`];
  const WORKER = NODES[1]!;
  const POD = podOn(WORKER);

  describe.skipIf(missing !== undefined)(`${title}: hostport agent${missing ? ` (${missing})` : ''}`, () => {
    const lab = new Lab(name);
    const agent = (...words: string[]) => lab.hostport('agent', ...words);
    let address: string;
    let objectsBefore: string[];

    beforeAll(async () => {
      const config = lab.file(
        'config.yaml',
        'kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nnodes:\n- role: control-plane\n- role: worker\n',
      );
      const create = [PROGRAM, 'create', 'cluster', '--name', lab.name, '--config', config, ...words];
      expect(await lab.command(create, { timeoutMs: 240_000 })).toMatchObject({ code: 0 });
      await kubectl('apply', '-f', lab.file('pod.yaml', POD));
      await kubectl('wait', '--for=condition=Ready', 'pod/echo', '--timeout=60s');
      address = (
        await kubectl('get', 'node', WORKER, '-o', 'jsonpath={.status.addresses[0].address}')
      ).trim();
      objectsBefore = await objects();
    }, 300_000);
    afterAll(() => lab.delete(), 60_000);

    const kubectl = (...words: string[]) => lab.mustKubectl(...words);

    const inNode = (...argv: string[]) => lab.mustAskNode(WORKER, ...argv);

    const lines = (text: string) => text.split('\n').filter(Boolean).sort();
    const objects = async () =>
      lines(
        await kubectl(
          ...[
            'get',
            'namespaces,pods,serviceaccounts,daemonsets,clusterroles,clusterrolebindings,secrets,configmaps',
          ],
          ...['-A', '-o', 'name'],
        ),
      );
    const isInstalled = async () => (await lab.askNode(WORKER, 'test', '-x', PORTMAP)).code === 0;

    async function status(): Promise<{ code: number; found: AgentStatus & { installed: boolean } }> {
      const { code, stdout, stderr } = await agent('status', '-o', 'json');
      if (stdout === '') throw new Error(stderr);
      return { code, found: JSON.parse(stdout) };
    }

    const podOf = async () => {
      const on = ['--field-selector', `spec.nodeName=${WORKER}`];
      const labelled = ['-l', 'app.kubernetes.io/name=hostport-agent'];
      return (await kubectl('-n', 'kube-system', 'get', 'pods', ...labelled, ...on, '-o', 'name')).trim();
    };
    const inAgent = async (script: string) =>
      lab.kubectl(['-n', 'kube-system', 'exec', await podOf(), '--', 'sh', '-c', script]);

    /** The agent is confined as docs/security.md says, by what the kernel says of its process. */
    async function expectConfined(mode: AgentMode): Promise<void> {
      const [status, mounts] = await Promise.all(
        ['status', 'mountinfo'].map(async (file) => (await inAgent(`cat /proc/1/${file}`)).stdout),
      );
      const capabilities = AGENT_CAPABILITIES.filter(({ modes }) => modes.includes(mode))
        .map(({ name }) => name as string)
        .sort();
      expect(confinementOf(status!, mounts!)).toEqual({
        effective: capabilities,
        bounding: capabilities,
        hasSeccomp: true,
        hasNoNewPrivileges: mode === 'observe',
        isRootReadOnly: true,
      });
      const documented = agentMounts({ confDir: '/etc/cni/net.d', binDirs: ['/opt/cni/bin'] })
        .filter(({ modes }) => modes.includes(mode))
        .map(({ hostPath, mountPath = hostPath, isWritten }) => [
          mountPath,
          mode === 'observe' || !isWritten,
        ]);
      expect(documented.map(([path]) => [path, isMountReadOnly(mounts!, String(path))])).toEqual(documented);
    }

    /** What of a node an agent could change. */
    const nodeState = async () => ({
      files: lines(
        await inNode(
          'find',
          '/etc/cni',
          '/opt/cni',
          '/var/lib/cni',
          '-type',
          'f',
          '-printf',
          '%p %s %m %u\n',
        ),
      ),
      rules: (await inNode('iptables-save')).replace(/^#.*$|\[\d+:\d+\]/gm, ''),
      settings: lines(
        await inNode(
          'sh',
          '-c',
          'sysctl -a -r "^net\\.ipv4\\.(ip_forward|conf\\..*\\.(route_localnet|rp_filter))"',
        ),
      ),
    });

    describe('that observes', () => {
      test('is what is installed unless something else is asked for', async () => {
        const ran = await agent('install');
        expect(ran).toMatchObject({ code: 0, stderr: '' });
        expect(ran.stdout).toStartWith(
          `Cluster "${name}" of the lab\n\ncreated serviceaccount kube-system/hostport-agent\n`,
        );
        expect(ran.stdout).toEndWith('ready on 2 of 2 nodes\nThe agent observes on 2 nodes.\n');
        const { code, found } = await status();
        expect(code).toBe(0);
        expect(found).toMatchObject({ installed: true, namespace: 'kube-system', mode: 'observe' });
        expect(found.nodes.map(({ node, is, state }) => [node, is, state?.mode])).toEqual([
          [NODES[0]!, 'running', 'observe'],
          [NODES[1]!, 'running', 'observe'],
        ]);
      }, 60_000);

      test('has the capabilities, the seccomp filter and the read-only root that are documented, and can write nothing of its node', async () => {
        await expectConfined('observe');
        for (const path of [
          '/etc/cni/net.d',
          '/opt/cni/bin',
          '/var/lib/cni',
          '/run',
          '/var/run/netns',
          '/',
        ]) {
          const ran = await inAgent(`touch ${path}/probe`);
          expect([path, ran.code === 0, ran.stderr]).toEqual([
            path,
            false,
            expect.stringContaining('Read-only file system'),
          ]);
        }
        expect((await inAgent('echo 1 > /proc/sys/net/ipv4/ip_forward')).code).not.toBe(0);
      });

      test('reports what breaks, and changes nothing', async () => {
        await inNode('mv', PORTMAP, '/opt/portmap.away');
        const broken = await nodeState();
        await eventually('the agent to see it', async () => {
          const { found } = await status();
          return found.nodes[1]?.state?.broken === 1;
        });
        await eventually('the event to be there', async () =>
          /HostPortBroken.*plugin-missing/.test(await kubectl('get', 'events')),
        );
        expect(await nodeState()).toEqual(broken);
        expect((await agent('status')).stdout).toMatch(/-worker +running .* observe .* 1 +0\n/);
      }, 60_000);

      test('serves its metrics to who may read them, over TLS, and its probes to anybody', async () => {
        const ask = async (path: string, token?: string) => {
          const header = token === undefined ? [] : ['-H', `Authorization: Bearer ${token}`];
          const ran = await lab.inLab(
            'curl',
            '-sk',
            '-w',
            '\n%{http_code}',
            ...header,
            `https://${address}:${PORT}${path}`,
          );
          const [code, ...body] = ran.stdout.split('\n').toReversed();
          return { code, text: body.toReversed().join('\n') };
        };
        await kubectl('create', 'serviceaccount', 'prometheus');
        await kubectl('create', 'serviceaccount', 'stranger');
        await kubectl('create', 'clusterrole', 'reads-metrics', '--verb=get', '--non-resource-url=/metrics');
        const subject = '--serviceaccount=default:prometheus';
        await kubectl(
          'create',
          'clusterrolebinding',
          'reads-metrics',
          '--clusterrole=reads-metrics',
          subject,
        );
        try {
          const tokenOf = async (name: string) => (await kubectl('create', 'token', name)).trim();
          const metrics = await ask('/metrics', await tokenOf('prometheus'));
          expect(metrics.code).toBe('200');
          expect(metrics.text).toContain(
            'hostport_findings{code="plugin-missing",severity="broken",stage="installed"} 1\n',
          );
          expect(metrics.text).toContain('hostport_paths{stage="declared",verdict="ok"} 1\n');
          expect(await ask('/metrics')).toMatchObject({ code: '401' });
          expect(await ask('/metrics', 'made-up')).toMatchObject({ code: '401' });
          expect(await ask('/metrics', await tokenOf('stranger'))).toMatchObject({ code: '403' });
          expect(await ask('/healthz')).toEqual({ code: '200', text: 'ok\n' });
          expect(await ask('/readyz')).toEqual({ code: '200', text: 'ok\n' });
          const plain = await lab.inLab('curl', '-s', `http://${address}:${PORT}/healthz`);
          expect(plain.stdout).not.toContain('ok');
          // On the node's own address alone.
          const loopback = await lab.askNode(WORKER, 'curl', '-sk', `https://127.0.0.1:${PORT}/healthz`);
          expect(loopback.code).toBe(7);
        } finally {
          await kubectl('delete', 'clusterrolebinding/reads-metrics', 'clusterrole/reads-metrics');
          await kubectl('delete', 'serviceaccount', 'prometheus', 'stranger');
        }
      }, 60_000);
    });

    describe('that heals', () => {
      test('is what it becomes in place, and fixes what the one before has only reported', async () => {
        const identity = [
          '-n',
          'kube-system',
          'get',
          'daemonset',
          'hostport-agent',
          '-o',
          'jsonpath={.metadata.uid}',
        ];
        const before = await kubectl(...identity);
        const ran = await agent('install', '--heal');
        expect(ran.stdout).toContain('unchanged clusterrole hostport-agent\n');
        expect(ran.stdout).toContain('updated daemonset kube-system/hostport-agent\n');
        expect(ran.stdout).toEndWith('The agent heals on 2 nodes.\n');
        expect(await kubectl(...identity)).toBe(before);
        await eventually('portmap to be back', isInstalled);
        await inNode('cmp', PORTMAP, '/usr/local/lib/hostport/cni/portmap');
      }, 90_000);

      test('has the capabilities, the seccomp filter and the mounts that healing takes, and no others', async () => {
        await expectConfined('heal');
        for (const path of ['/var/run/netns', '/']) {
          const ran = await inAgent(`touch ${path}/probe`);
          expect([path, ran.code === 0, ran.stderr]).toEqual([
            path,
            false,
            expect.stringContaining('Read-only file system'),
          ]);
        }
      });

      test('stays what it is when it is installed again without a mode', async () => {
        const ran = await agent('install');
        expect(ran.stdout).toContain('unchanged daemonset kube-system/hostport-agent\n');
        expect(ran.stdout).toEndWith('The agent heals on 2 nodes.\n');
      }, 60_000);

      test('writes settings of the network, and no others of the kernel', async () => {
        await inNode('sysctl', '-w', 'net.ipv4.ip_forward=0');
        // Settings send no notice: this is a change that does.
        await inNode('iptables', '-t', 'nat', '-F', 'CNI-HOSTPORT-DNAT');
        await eventually(
          'forwarding to be on',
          async () => (await inNode('sysctl', '-n', 'net.ipv4.ip_forward')) === '1\n',
        );
        const refused = await inAgent('echo 1 > /proc/sys/kernel/panic');
        expect(refused.stderr).toContain('Read-only file system');
      }, 60_000);

      test('fixes what does not belong to root', async () => {
        const owner = 'nobody';
        await inNode('chown', owner, '/opt/cni/bin', PORTMAP);
        try {
          await inNode('chmod', '0644', PORTMAP);
          await eventually('portmap to be executable', isInstalled);
          await inNode('rm', PORTMAP);
          await eventually('portmap to be back', isInstalled);
        } finally {
          await inNode('chown', 'root', '/opt/cni/bin');
        }
      }, 60_000);
    });

    describe('what is wrong is named', () => {
      test('an image that cannot be pulled, with the nodes; what is there meanwhile is shown', async () => {
        const ran = await agent('install', '--image', 'registry.invalid/none:1', '--timeout', '3s');
        expect(ran.code).toBe(1);
        expect(ran.stderr).toMatch(
          /^error: cannot finish installing the agent: after 3 s it is not ready on [12] of 2 nodes: .*-(worker|control-plane) \(.*registry\.invalid\/none:1/,
        );
        const { code, found } = await status();
        expect(code).toBe(1);
        const states = found.nodes.map(({ is }) => is);
        expect(states).toContain('failing');
        // Otherwise the next version is looked for where this one was said to be.
        expect(await agent('install', '--image', agentImage())).toMatchObject({ code: 0 });
        expect((await status()).code).toBe(0);
      }, 90_000);

      test('a port that something else has', async () => {
        const taking = POD.replace('name: echo}', 'name: taking}')
          .replace('spec:\n', 'spec:\n  hostNetwork: true\n')
          .replace(
            / {4}ports: .*\n/,
            '    env: [{name: PORT, value: "9798"}, {name: SSLPORT, value: "9799"}]\n',
          );
        await kubectl('apply', '-f', lab.file('taking.yaml', taking));
        await kubectl('wait', '--for=condition=Ready', 'pod/taking', '--timeout=60s');
        try {
          const ran = await agent('install', '--metrics-port', '9798', '--timeout', '20s');
          expect(ran.code).toBe(1);
          expect(ran.stderr).toMatch(/-worker \(.*(?:port 9798|in use)/i);
        } finally {
          await kubectl('delete', 'pod', 'taking');
          expect(await agent('install', '--metrics-port', String(METRICS_PORT))).toMatchObject({ code: 0 });
        }
      }, 120_000);

      const REFUSED: [what: string, words: string[], said: RegExp][] = [
        [
          'a namespace that is not there',
          ['--namespace', 'nowhere'],
          /namespace nowhere: it is installed in kube-system; give --namespace kube-system/,
        ],
      ];
      test.each(REFUSED)('%s', async (_, words, said) => {
        const ran = await agent('install', ...words);
        expect(ran.code).toBe(2);
        expect(ran.stderr).toMatch(said);
      });

      test('rights that are missing', async () => {
        await kubectl('create', 'serviceaccount', 'viewer');
        try {
          const token = (await kubectl('create', 'token', 'viewer')).trim();
          const config = JSON.parse(
            await kubectl('config', 'view', '--raw', '--minify', '--flatten', '-o', 'json'),
          );
          config.users = [{ name: config.users[0].name, user: { token } }];
          const path = lab.file('viewer.json', JSON.stringify(config));
          const installed = await agent('install', '--kubeconfig', path);
          expect(installed.code).toBe(2);
          expect(installed.stderr).toMatch(
            /^error: cannot install the agent: you may not get namespaces; get, create, update serviceaccounts in namespace kube-system; /,
          );
          const removed = await agent('uninstall', '--kubeconfig', path);
          expect(removed.stderr).toMatch(/cannot (get|uninstall)/);
          expect(removed.code).not.toBe(0);
          expect((await agent('status', '--kubeconfig', path)).code).toBe(2);
        } finally {
          await kubectl('delete', 'serviceaccount', 'viewer');
        }
      });
    });

    test('the manifests that are printed are those that the API accepts', async () => {
      const ran = await agent('install', '--heal', '--dry-run=client', '-o', 'yaml');
      expect(ran.code).toBe(0);
      const applied = await kubectl(
        'apply',
        '--dry-run=server',
        '-o',
        'name',
        '-f',
        lab.file('agent.yaml', ran.stdout),
      );
      expect(lines(applied)).toHaveLength(4);
    });

    test('is gone when it is uninstalled, and says what stays', async () => {
      const ran = await agent('uninstall');
      expect(ran).toMatchObject({ code: 0, stderr: '' });
      expect(ran.stdout).toContain('removed daemonset kube-system/hostport-agent\n');
      expect(ran.stdout).toContain('/var/lib/hostport/backup');
      expect(await objects()).toEqual(objectsBefore);
      expect((await lab.askNode(WORKER, 'pgrep', '-f', 'hostport agent run')).code).toBe(1);
      expect(await isInstalled()).toBe(true);
      const again = await agent('uninstall');
      expect(again).toMatchObject({ code: 0, stdout: `Cluster "${name}" of the lab\n\nnothing to remove\n` });
      const { code, found } = await status();
      expect([code, found.installed]).toEqual([1, false]);
    }, 60_000);

    test('is not installed where it cannot be', async () => {
      expect(await agent('install', '--namespace', 'nowhere')).toMatchObject({
        code: 2,
        stderr: expect.stringContaining('namespace nowhere does not exist; create it'),
      });
      await kubectl('create', 'namespace', 'strict');
      await kubectl('label', 'namespace', 'strict', 'pod-security.kubernetes.io/enforce=baseline');
      try {
        expect(await agent('install', '--namespace', 'strict')).toMatchObject({
          code: 2,
          stderr: expect.stringContaining('enforces the Pod Security level baseline'),
        });
        await kubectl('create', 'clusterrole', 'hostport-agent', '--verb=get', '--resource=pods');
        await kubectl('label', 'clusterrole', 'hostport-agent', 'app.kubernetes.io/managed-by=Helm');
        expect(await agent('install')).toMatchObject({
          code: 1,
          stderr: expect.stringContaining('clusterrole hostport-agent is managed by Helm'),
        });
      } finally {
        await kubectl('delete', 'namespace', 'strict');
        await kubectl('delete', 'clusterrole', 'hostport-agent', '--ignore-not-found');
      }
      expect(await objects()).toEqual(objectsBefore);
    }, 60_000);
  });
}
