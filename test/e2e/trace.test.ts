/** `hostport trace` in a lab: one probe's way through a node, by its kernel's own word. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Diagnosis } from '../../src/path/model/finding.ts';
import { type TraceDocument, traceDocumentSchema } from '../../src/path/trace/document.ts';
import { openTracefs } from '../../src/sys/tracefs.ts';
import { onTerminal, tooWide } from '../pseudo-terminal.ts';
import { eventually } from './eventually.ts';
import { Lab, labMissing, PROGRAM } from './lab.ts';

const missing = labMissing();
const NODE = 'trace-worker';
const PORT = 8080;

const pod = (name: string, command: string[], ports: object[] = []) => ({
  ...{ apiVersion: 'v1', kind: 'Pod', metadata: { name } },
  spec: {
    nodeName: NODE,
    terminationGracePeriodSeconds: 1,
    containers: [{ name, image: 'busybox', imagePullPolicy: 'IfNotPresent', command, ports }],
  },
});
const OF_LATE = 'involvedObject.name=late,reason=FailedCreatePodSandBox';
const HTTPD = ['httpd', '-f', '-p', '80', '-h', '/tmp'];

interface Case {
  name: string;
  /** On the node, before and after. */
  arrange?: string[][];
  restore?: string[][];
  words?: string[];
  status: number;
  death?: Partial<TraceDocument['death']>;
}

const rule = (table: string, chain: string, ...match: string[]): Pick<Case, 'arrange' | 'restore'> => {
  const words = (verb: string) => ['iptables', '-t', table, verb, chain, '-p', 'tcp', ...match, '-j', 'DROP'];
  return { arrange: [words('-I')], restore: [words('-D')] };
};

describe.skipIf(missing !== undefined)(`hostport trace${missing ? ` (${missing})` : ''}`, () => {
  const lab = new Lab('trace');

  beforeAll(async () => {
    const config = lab.file(
      'config.yaml',
      'kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nnodes:\n- role: control-plane\n- role: worker\n',
    );
    await lab.must('create', 'cluster', '--name', lab.name, '--config', config);
    const items = [
      pod('web', HTTPD, [{ containerPort: 80, hostPort: PORT }]),
      pod('mute', ['sleep', '3600'], [{ containerPort: 80, hostPort: 8081 }]),
    ];
    const list = JSON.stringify({ apiVersion: 'v1', kind: 'List', items });
    const ran = await lab.kubectl(['create', '-f', '-'], { stdin: list });
    if (ran.code !== 0) throw new Error(ran.stderr);
    await lab.kubectl(['wait', '--for=condition=Ready', 'pod/web', 'pod/mute', '--timeout=60s']);
  });
  afterAll(() => lab.delete());

  const onNode = async (commands: readonly string[][] = []) => {
    for (const argv of commands) {
      const ran = await lab.askNode(NODE, ...argv);
      if (ran.code !== 0) throw new Error(`${argv.join(' ')}: ${ran.stderr}`);
    }
  };
  const trace = (...words: string[]) => lab.hostport('trace', '--name', lab.name, ...words);

  const CASES: Case[] = [
    { name: 'healthy', status: 0 },
    { name: 'healthy, from the node to loopback', words: ['--from', NODE, '--to', '127.0.0.1'], status: 0 },
    { name: 'healthy, from another node', words: ['--from', 'trace-control-plane'], status: 0 },
    { name: 'healthy, from the pod itself', words: ['--from', 'web'], status: 0 },
    {
      name: 'a drop in raw',
      ...rule('raw', 'PREROUTING', '--dport', `${PORT}`),
      status: 1,
      death: { table: 'ip raw', chain: 'PREROUTING', reason: 'NETFILTER_DROP', code: 'packet-dropped' },
    },
    {
      name: 'a drop in mangle',
      ...rule('mangle', 'PREROUTING', '--dport', `${PORT}`),
      status: 1,
      death: {
        ...{ table: 'ip mangle', chain: 'PREROUTING' },
        rule: `-A PREROUTING -p tcp -m tcp --dport ${PORT} -j DROP`,
      },
    },
    {
      name: 'a drop in filter',
      ...rule('filter', 'FORWARD', '--dport', '80'),
      status: 1,
      death: { table: 'ip filter', chain: 'FORWARD', code: 'forward-policy-drop' },
    },
    {
      name: 'a drop in nat',
      arrange: [
        ['nft', 'add', 'table', 'ip', 't'],
        ['nft', 'add', 'chain', 'ip', 't', 'c', '{ type nat hook prerouting priority -110; }'],
        ['nft', 'add', 'rule', 'ip', 't', 'c', `tcp dport ${PORT} drop`],
      ],
      restore: [['nft', 'delete', 'table', 'ip', 't']],
      status: 1,
      death: { table: 'ip t', chain: 'c', rule: `tcp dport ${PORT} drop` },
    },
    {
      name: 'no listener',
      words: [`${NODE}:8081`],
      status: 1,
      death: { code: 'application-not-listening' },
    },
    {
      name: 'forwarding is off',
      arrange: [['sysctl', '-qw', 'net.ipv4.ip_forward=0']],
      restore: [['sysctl', '-qw', 'net.ipv4.ip_forward=1']],
      status: 1,
      death: { reason: 'IP_INADDRERRORS', code: 'ip-forward-off' },
    },
    {
      name: 'the reverse path filter',
      arrange: [
        ['sh', '-c', 'sysctl -qw net.ipv4.conf.eth0.rp_filter=1'],
        ['ip', 'rule', 'add', 'pref', '100', 'from', 'all', 'lookup', '77'],
        [
          'sh',
          '-c',
          'ip route add 172.17.0.1/32 dev "$(ip -o link | grep -o "veth[0-9a-f]*" | head -1)" table 77',
        ],
      ],
      restore: [
        ['ip', 'rule', 'del', 'pref', '100'],
        ['ip', 'route', 'flush', 'table', '77'],
        ['sysctl', '-qw', 'net.ipv4.conf.eth0.rp_filter=0'],
      ],
      status: 1,
      death: { reason: 'IP_RPFILTER', code: 'rp-filter-strict' },
    },
    {
      name: 'route_localnet is missing',
      arrange: [['sh', '-c', 'for f in /proc/sys/net/ipv4/conf/*/route_localnet; do echo 0 >"$f"; done']],
      restore: [['sh', '-c', 'for f in /proc/sys/net/ipv4/conf/*/route_localnet; do echo 1 >"$f"; done']],
      words: ['--from', NODE, '--to', '127.0.0.1'],
      status: 1,
      death: { code: 'route-localnet-off' },
    },
  ];

  test.each(CASES)('$name', async ({ arrange, restore, words = [], status, death }) => {
    const target = words[0]?.includes(':') ? [] : [`${NODE}:${PORT}`];
    await onNode(arrange);
    try {
      const ran = await trace(...target, ...words, '-o', 'json');
      expect({ status: ran.code, stderr: ran.stderr, stdout: status === ran.code ? '' : ran.stdout }).toEqual(
        {
          ...{ status, stderr: '', stdout: '' },
        },
      );
      const document = traceDocumentSchema.parse(JSON.parse(ran.stdout));
      if (death !== undefined) expect(document.death).toMatchObject(death);
      else expect(document.steps.filter(({ direction }) => direction === 'answer')).not.toEqual([]);
    } finally {
      await onNode(restore);
    }
  });

  test('a port that no pod asks for is no failure of the node', async () => {
    const ran = await trace(`${NODE}:8082`, '-o', 'json');
    const { outcome, death, notes } = traceDocumentSchema.parse(JSON.parse(ran.stdout));
    expect({ outcome, code: death?.code, notes }).toEqual({
      outcome: 'died',
      code: undefined,
      notes: [`no pod on ${NODE} asks for hostPort TCP 8082`],
    });
  });

  test('a refusal without a rule has the cause that the doctor finds; the node is named by its address', async () => {
    const plugin = '/opt/cni/bin/portmap';
    await onNode([['mv', plugin, `${plugin}.away`]]);
    try {
      const late = JSON.stringify(pod('late', HTTPD, [{ containerPort: 80, hostPort: 8083 }]));
      const created = await lab.kubectl(['create', '-f', '-'], { stdin: late });
      expect(created).toMatchObject({ code: 0, stderr: '' });
      await eventually('an event of its sandbox', async () => {
        const { stdout } = await lab.kubectl(['get', 'events', '-o', 'name', '--field-selector', OF_LATE]);
        return stdout !== '';
      });
      const ran = await trace('172.17.0.3:8083', '-o', 'json');
      const { node, death } = traceDocumentSchema.parse(JSON.parse(ran.stdout));
      expect({ node, ...death }).toMatchObject({
        ...{ node: NODE, code: 'plugin-missing' },
        cause: expect.stringContaining('plugin portmap'),
      });
    } finally {
      await onNode([['mv', `${plugin}.away`, plugin]]);
      await lab.kubectl(['delete', 'pod', 'late', '--ignore-not-found']);
    }
  });

  test('is read on a terminal of 80 columns', async () => {
    const words = ['trace', '--name', lab.name, `${NODE}:${PORT}`];
    const shown = await onTerminal(PROGRAM, [words], 80, { ...lab.env, NO_COLOR: '1' });
    expect(tooWide(shown, 80)).toEqual([]);
    const stdout = shown[0]!.lines.join('\n');
    expect(stdout).toContain(`TCP 172.17.0.3:${PORT} of ${NODE}, hostPort of default/web, from outside`);
    expect(stdout).toContain('✓ the probe was answered');
  });

  test('doctor --trace quotes the kernel where the cause is not known', async () => {
    // In the pods' own networks, which no report shows.
    const inPods = (what: string) => [
      ['sh', '-c', `for n in /run/netns/*; do nsenter --net="$n" sh -c '${what}' || exit 1; done`],
    ];
    await onNode(
      inPods(
        'nft add table ip t && nft add chain ip t c "{ type filter hook input priority 0; policy drop; }"',
      ),
    );
    try {
      const ran = await lab.hostport('doctor', '--name', lab.name, '--trace', '-o', 'json');
      const { findings } = JSON.parse(ran.stdout) as Diagnosis;
      const web = findings.filter(({ subject }) => subject.pod?.name === 'web');
      expect(web.map(({ code }) => code)).toEqual(['not-answering']);
      const word = web[0]!.evidence.find(({ where }) => where.startsWith(`the kernel of ${NODE}`));
      expect(word?.saw).toMatch(
        /^the request was dropped behind \S+, in another network than the node's: a netfilter rule \(NETFILTER_DROP\)$/,
      );
      const untraced = await lab.hostport('doctor', '--name', lab.name, '-o', 'json');
      expect(untraced.stdout).not.toContain('the kernel of');
    } finally {
      await onNode(inPods('nft delete table ip t'));
    }
  });

  test.each([
    [
      ['nowhere:80'],
      'node "nowhere" not found in cluster "trace"; the nodes are trace-control-plane, trace-worker',
    ],
    [['172.17.0.9:80'], 'node "172.17.0.9" not found in cluster "trace"'],
    [[`${NODE}:0`], 'port 0 is out of range; give a port from 1 to 65535'],
    [[NODE], 'not a node and a port'],
    [[`${NODE}:80`, '--from', 'none'], 'node or pod "none" not found in cluster "trace"'],
    [[`${NODE}:80`, '--to', '127.0.0.1'], 'it is an address of each machine itself'],
  ])('%j is one error', async (words, said) => {
    const { code, stderr, stdout } = await trace(...words);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain(said);
    expect(stderr.trim().split('\n')).toHaveLength(1);
  });

  test('leaves nothing on the node and on the machine', async () => {
    const { stdout } = await lab.askNode(NODE, 'nft', 'list', 'tables');
    expect(stdout).not.toContain('hostport-trace');
    const { stdout: number } = await lab.askNode(NODE, 'stat', '-Lc', '%i', '/proc/self/ns/net');
    const tracefs = openTracefs();
    const instances = readdirSync(join(tracefs.path, 'instances'));
    tracefs.close();
    expect(instances.filter((name) => name.startsWith(`hostport-${number.trim()}-`))).toEqual([]);
  });
});
