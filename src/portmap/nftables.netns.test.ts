import { afterAll, afterEach, beforeAll, describe, expect, test } from 'bun:test';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { formatResult, parseResult } from '../cni/result.ts';
import { cniVersions, isAtLeast } from '../cni/version.ts';
import { readRuleset } from '../netfilter/index.ts';
import { attachmentChain, NFT_TABLE } from './layout.ts';
import { type Outcome, Topology } from './testing/topology.ts';

const RESPONDER = join(import.meta.dir, 'testing/responder.ts');
const PROBE = join(import.meta.dir, 'testing/probe.ts');
// Of this run alone: a GC is of a network, and other runs share /run.
const NETWORK = `nftables-test-${process.pid}`;
/** A number that other runs of these tests on the machine do not have: attachments are remembered by their name. */
const RUN = process.pid;

interface Mapping {
  hostPort: number;
  containerPort: number;
  protocol?: string;
  hostIP?: string;
}

// outside (10.78.0.1) -- node (10.78.0.2) -- bridge 10.88.0.1/24 -- pods a, b; -- pod c (10.99.0.7/32, routed)
let lab: Topology;
let ours: string;
const address: Record<string, [string, string]> = {
  a: ['10.88.0.10/24', 'fd88::10/64'],
  b: ['10.88.0.11/24', 'fd88::11/64'],
  c: ['10.99.0.7/32', 'fd99::7/128'],
  ghost: ['10.88.0.99/24', 'fd88::99/64'],
};
const used = new Set<string>();

function idOf(pod: string): string {
  used.add(`nft-${RUN}-${pod}`);
  return `nft-${RUN}-${pod}`;
}

function conf(pod: string, mappings: Mapping[], extra: Record<string, unknown> = {}, cniVersion = '1.1.0') {
  const version = cniVersion as (typeof cniVersions)[number];
  const [v4, v6] = address[pod]!;
  const result = parseResult(
    {
      interfaces: [{ name: `to-${pod}` }, { name: 'eth0', sandbox: lab.path(pod) }],
      ips: [
        { address: v4, interface: 1 },
        { address: v6, interface: 1 },
      ],
    },
    '1.1.0',
  );
  return {
    ...{ cniVersion, name: NETWORK, type: 'portmap', backend: 'nftables' },
    capabilities: { portMappings: true },
    runtimeConfig: { portMappings: mappings.map((mapping) => ({ protocol: 'tcp', ...mapping })) },
    prevResult: formatResult(result, version),
    ...extra,
  };
}

/** In this process; what processes of it do at once, and alone, is tested at the end. */
function run(verb: string, pod: string, config: Record<string, unknown>): Promise<Outcome> {
  return lab.portmapHere(verb, {
    id: idOf(pod),
    netns: verb === 'DEL' ? '' : lab.path(pod),
    config,
  });
}

async function done(verb: string, pod: string, config: Record<string, unknown>): Promise<void> {
  expect(await run(verb, pod, config)).toMatchObject({ code: 0, stderr: '' });
}

async function ask(
  from: string,
  to: string,
  port: number,
  protocol = 'tcp',
  local?: number,
): Promise<string> {
  const argv = [process.execPath, 'run', PROBE, protocol, to, String(port)];
  const { stdout } = await lab.run(from, local === undefined ? argv : [...argv, String(local)]);
  return stdout.trim();
}

function nft(...words: string[]): Promise<string> {
  return lab.ok('node', ['nft', ...words]);
}

/** Everything in our table that belongs to an attachment: elements, and chains with conditions. */
async function owned(): Promise<string[]> {
  const text = await nft('list', 'ruleset');
  return text.split('\n').filter((line) => /comment "[^"]*\/|: return|chain CNI-DN/.test(line));
}

beforeAll(async () => {
  lab = await Topology.create();
  ours = join(lab.plugins, 'portmap');
  for (const name of ['outside', 'node']) await lab.namespace(name);
  await lab.join('outside', '10.78.0.1/24', 'node', '10.78.0.2/24');
  await lab.ok('node', ['sysctl', '-qw', 'net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1']);
  await lab.ok('node', ['ip', 'link', 'add', 'pods', 'type', 'bridge']);
  for (const own of ['10.88.0.1/24', 'fd88::1/64']) {
    await lab.ok('node', [
      'ip',
      'address',
      'add',
      own,
      'dev',
      'pods',
      ...(own.includes(':') ? ['nodad'] : []),
    ]);
  }
  await lab.ok('node', ['ip', 'link', 'set', 'pods', 'up']);
  await lab.ok('node', ['ip', 'address', 'add', 'fd78::2/64', 'dev', 'to-outside', 'nodad']);
  await lab.ok('outside', ['ip', 'address', 'add', 'fd78::1/64', 'dev', 'to-node', 'nodad']);
  for (const [pod, [v4, v6]] of Object.entries(address)) {
    if (pod === 'ghost') continue;
    await lab.namespace(pod);
    await lab.join(pod, v4, 'node', `169.254.0.${pod.charCodeAt(0)}/32`);
    await lab.ok(pod, ['ip', 'address', 'add', v6, 'dev', 'to-node', 'nodad']);
    if (pod === 'c') {
      for (const [family, host, pods] of [
        ['-4', '169.254.1.1', '10.99.0.7/32'],
        ['-6', 'fe80::1', 'fd99::7/128'],
      ] as const) {
        const own = ['ip', 'address', 'add', `${host}/${family === '-4' ? 32 : 64}`, 'dev', 'to-c'];
        await lab.ok('node', family === '-4' ? own : [...own, 'nodad']);
        await lab.ok('node', ['ip', family, 'route', 'add', pods, 'dev', 'to-c']);
        const via = ['default', 'via', host, 'dev', 'to-node'];
        await lab.ok(pod, ['ip', family, 'route', 'add', ...via, ...(family === '-4' ? ['onlink'] : [])]);
      }
    } else {
      await lab.ok('node', ['ip', 'link', 'set', `to-${pod}`, 'master', 'pods']);
      await lab.ok('node', ['bridge', 'link', 'set', 'dev', `to-${pod}`, 'hairpin', 'on']);
      await lab.ok(pod, ['ip', 'route', 'add', 'default', 'via', '10.88.0.1']);
      await lab.ok(pod, ['ip', '-6', 'route', 'add', 'default', 'via', 'fd88::1']);
    }
    await lab.start(pod, RESPONDER, [pod, '8080']);
  }
  lab.enter('node');
});

afterEach(async () => {
  const left = await owned();
  await nft('flush', 'ruleset');
  // Every test leaves nothing of anybody: a DEL that missed something is a failure of its test.
  expect(left).toEqual([]);
});

afterAll(async () => {
  for (const id of used) {
    for (const network of [NETWORK, 'another']) {
      rmSync(`/run/hostport/portmap/${attachmentChain(network, id)}.json`, { force: true });
    }
  }
  await lab.dispose();
});

const web: Mapping[] = [{ hostPort: 80, containerPort: 8080 }];

describe.each(cniVersions.map((version) => [version]))('CNI %s', (version) => {
  test('a port answers by every address, and no longer after DEL', async () => {
    const config = conf('a', [...web, { ...web[0]!, hostPort: 81, protocol: 'udp' }], {}, version);
    await done('ADD', 'a', config);
    if (isAtLeast(version, '0.4.0')) await done('CHECK', 'a', config);
    for (const [from, to, port, protocol, answer] of [
      ['node', '10.88.0.10', 8080, 'tcp', /^a /],
      ['node', '10.78.0.2', 80, 'tcp', /^a /],
      ['node', '127.0.0.1', 80, 'tcp', /^a 10\.88\.0\.1$/],
      ['a', '10.78.0.2', 80, 'tcp', /^a 10\.88\.0\.1$/],
      ['outside', '10.78.0.2', 80, 'tcp', /^a 10\.78\.0\.1$/],
      ['outside', '10.78.0.2', 81, 'udp', /^a 10\.78\.0\.1$/],
    ] as const) {
      expect(await ask(from, to, port, protocol)).toMatch(answer);
    }
    for (let i = 0; i < 2; i++) await done('DEL', 'a', config);
    expect(await ask('outside', '10.78.0.2', 80)).toMatch(/Failed to connect/);
  });
});

describe('traffic', () => {
  const mappings = [
    ...web,
    { ...web[0]!, protocol: 'udp' },
    { ...web[0]!, hostPort: 82, hostIP: '127.0.0.1' },
  ];
  // Pod a has a subnet with peers, pod c an address of its own; what needs masquerade differs.
  const table: [string, string, string, number, string, RegExp][] = [
    ['a', 'outside', '10.78.0.2', 80, 'tcp', /^a 10\.78\.0\.1$/],
    ['a', 'outside', '10.78.0.2', 80, 'udp', /^a 10\.78\.0\.1$/],
    ['a', 'outside', 'fd78::2', 80, 'tcp', /^a fd78::1$/],
    ['a', 'node', '10.78.0.2', 80, 'tcp', /^a /],
    ['a', 'node', '127.0.0.1', 80, 'tcp', /^a 10\.88\.0\.1$/],
    ['a', 'node', '127.0.0.1', 80, 'udp', /^a 10\.88\.0\.1$/],
    ['a', 'node', 'fd78::2', 80, 'tcp', /^a /],
    ['a', 'a', '10.78.0.2', 80, 'tcp', /^a 10\.88\.0\.1$/],
    ['a', 'a', 'fd78::2', 80, 'tcp', /^a fd88::1$/],
    ['a', 'b', '10.78.0.2', 80, 'tcp', /^a 10\.88\.0\.1$/],
    ['a', 'c', '10.78.0.2', 80, 'tcp', /^a 10\.99\.0\.7$/],
    ['a', 'node', '127.0.0.1', 82, 'tcp', /^a /],
    ['a', 'outside', '10.78.0.2', 82, 'tcp', /Failed to connect/],
    ['a', 'node', '10.78.0.2', 82, 'tcp', /Failed to connect/],
    ['a', 'outside', '10.88.0.11', 80, 'tcp', /Failed to connect/],
    ['c', 'outside', '10.78.0.2', 80, 'tcp', /^c 10\.78\.0\.1$/],
    ['c', 'node', '127.0.0.1', 80, 'tcp', /^c /],
    ['c', 'c', '10.78.0.2', 80, 'tcp', /^c (?!10\.99\.0\.7)/],
    ['c', 'c', 'fd78::2', 80, 'tcp', /^c (?!fd99::7)/],
    ['c', 'b', '10.78.0.2', 80, 'tcp', /^c 10\.88\.0\.11$/],
    ['c', 'node', '127.0.0.1', 82, 'tcp', /^c /],
  ];
  test.each(['a', 'c'])('to pod %s comes from whom it must', async (pod) => {
    const config = conf(pod, mappings);
    await done('ADD', pod, config);
    await done('CHECK', pod, config);
    await lab.ok('outside', ['ip', 'route', 'replace', '10.88.0.0/24', 'via', '10.78.0.2']);
    for (const [to, from, host, port, protocol, answer] of table) {
      if (to !== pod) continue;
      const said = await ask(from, host, port, protocol);
      expect(`${from} -> ${host}:${port}/${protocol}: ${said}`).toMatch(
        new RegExp(`: ${answer.source.replace(/^\^/, '')}`),
      );
    }
    await done('DEL', pod, config);
  });

  test('snat off: nothing is masqueraded; masqAll: everything is, by the mark that was asked for', async () => {
    const plain = conf('a', web, { snat: false });
    await done('ADD', 'a', plain);
    await done('CHECK', 'a', plain);
    expect(await ask('outside', '10.78.0.2', 80)).toMatch(/^a 10\.78\.0\.1$/);
    expect(await ask('node', '127.0.0.1', 80)).not.toStartWith('a ');
    await done('DEL', 'a', plain);
    const all = conf('a', web, { masqAll: true, markMasqBit: 31 });
    await done('ADD', 'a', all);
    await done('CHECK', 'a', all);
    expect(await nft('list', 'chain', 'inet', 'hostport', 'every-31')).toContain('0x80000000');
    expect(await ask('outside', '10.78.0.2', 80)).toMatch(/^a 10\.88\.0\.1$/);
    expect(await ask('outside', 'fd78::2', 80)).toMatch(/^a fd88::1$/);
    await done('DEL', 'a', all);
  });

  test('a port of several addresses goes to the pod of each, by protocol', async () => {
    // The Kubernetes conformance case for host ports.
    const at = (hostIP: string, protocol = 'tcp') => [
      { hostPort: 54323, containerPort: 8080, hostIP, protocol },
    ];
    await done('ADD', 'a', conf('a', at('127.0.0.1')));
    await done('ADD', 'b', conf('b', at('10.78.0.2')));
    await done('ADD', 'c', conf('c', at('10.78.0.2', 'udp')));
    expect(await ask('node', '127.0.0.1', 54323)).toStartWith('a ');
    expect(await ask('node', '10.78.0.2', 54323)).toStartWith('b ');
    expect(await ask('node', '10.78.0.2', 54323, 'udp')).toStartWith('c ');
    for (const pod of ['a', 'b', 'c']) await done('DEL', pod, conf(pod, []));
  });

  test('conditions are of one attachment only', async () => {
    const only = { conditionsV4: ['ip', 'saddr', '10.78.0.0/24'], conditionsV6: ['ip6 saddr != fd78::1'] };
    const a = conf('a', [...web, { ...web[0]!, hostPort: 83, hostIP: '10.78.0.2' }], only);
    const b = conf('b', [{ hostPort: 81, containerPort: 8080 }]);
    await done('ADD', 'b', b);
    await done('ADD', 'a', a);
    await done('CHECK', 'a', a);
    expect(await ask('outside', '10.78.0.2', 80)).toMatch(/^a 10\.78\.0\.1$/);
    expect(await ask('outside', '10.78.0.2', 83)).toMatch(/^a /);
    expect(await ask('c', '10.78.0.2', 80)).toMatch(/Failed to connect/);
    expect(await ask('outside', 'fd78::2', 80)).toMatch(/Failed to connect/);
    expect(await ask('outside', 'fd78::2', 81)).toMatch(/^b /);
    expect(await ask('c', '10.78.0.2', 81)).toMatch(/^b /);
    await done('ADD', 'a', a);
    await nft('flush', 'chain', 'inet', 'hostport', `${attachmentChain(NETWORK, idOf('a'))}-4`);
    const checked = await run('CHECK', 'a', a);
    expect(checked.document).toMatchObject({ code: 999 });
    await done('ADD', 'a', a);
    await done('CHECK', 'a', a);
    await done('DEL', 'a', a);
    expect(await ask('outside', '10.78.0.2', 81)).toMatch(/^b /);
    await done('DEL', 'b', b);
  });

  test('a UDP client that does not pause follows the port to its new pod', async () => {
    const mappings = [{ hostPort: 90, containerPort: 8080, protocol: 'udp' }];
    const ask90 = () => ask('outside', '10.78.0.2', 90, 'udp', 45_678);
    expect(await ask90()).toBe('Error: no answer');
    for (const pod of ['a', 'b', 'a']) {
      await done('ADD', pod, conf(pod, mappings));
      expect(await ask90()).toBe(`${pod} 10.78.0.1`);
      await done('DEL', pod, conf(pod, mappings));
      expect(await lab.ok('node', ['conntrack', '-L', '-p', 'udp', '--orig-port-dst', '90'])).toBe('');
    }
  });
});

test('CHECK finds every single element and rule that is missing, and ADD brings it back', async () => {
  const mappings = [...web, { hostPort: 53, containerPort: 53, protocol: 'udp', hostIP: '10.78.0.2' }];
  const config = conf('c', mappings);
  await done('ADD', 'c', config);
  const text = await nft('-j', '-a', 'list', 'table', 'inet', 'hostport');
  interface Listed {
    rule?: { chain: string; handle: number };
    chain?: { name: string; hook?: string };
  }
  const objects = (JSON.parse(text) as { nftables: Listed[] }).nftables;
  const rules = objects.flatMap(({ rule }) => (rule === undefined ? [] : [rule]));
  // The chains that only attachments with conditions use are part of it all the same.
  expect(rules.length).toBeGreaterThan(15);
  const damages = [
    ...rules.map(({ chain, handle }) => [
      'delete',
      'rule',
      'inet',
      'hostport',
      chain,
      'handle',
      String(handle),
    ]),
    ['delete', 'element', 'inet', 'hostport', 'any4', '{ tcp . 80 }'],
    ['delete', 'element', 'inet', 'hostport', 'any4_targets', '{ tcp . 80 }'],
    ['delete', 'element', 'inet', 'hostport', 'own4', '{ 10.99.0.7 . tcp . 80 }'],
    ['delete', 'element', 'inet', 'hostport', 'one4', '{ 10.78.0.2 . udp . 53 }'],
    ['delete', 'element', 'inet', 'hostport', 'any4', '{ udp . 53 }'],
    ['delete', 'element', 'inet', 'hostport', 'any6', '{ tcp . 80 }'],
    ['flush', 'set', 'inet', 'hostport', 'attachments'],
    ['add', 'table', 'inet', 'hostport', '{ flags dormant; }'],
    ['delete', 'table', 'inet', 'hostport'],
  ];
  for (const [i, damage] of damages.entries()) {
    // Handles of rules change with every repair: by their place.
    if (i < rules.length) {
      const now = JSON.parse(await nft('-j', '-a', 'list', 'table', 'inet', 'hostport')) as {
        nftables: Listed[];
      };
      damage[6] = String(now.nftables.flatMap(({ rule }) => (rule === undefined ? [] : [rule]))[i]!.handle);
      damage[4] = now.nftables.flatMap(({ rule }) => (rule === undefined ? [] : [rule]))[i]!.chain;
    }
    await nft(...damage);
    const outcome = await run('CHECK', 'c', config);
    expect({ damage, code: outcome.code, msg: outcome.document?.msg }).toEqual({
      damage,
      code: 1,
      msg: 'nftables rule missing in table inet hostport',
    });
    await done('ADD', 'c', config);
    await done('CHECK', 'c', config);
  }
  await done('DEL', 'c', config);
});

test('CHECK names what takes the port before, and nothing that does not', async () => {
  const config = conf('a', web);
  await done('ADD', 'a', config);
  await nft('add', 'table', 'ip', 'greedy');
  await nft('add', 'chain', 'ip', 'greedy', 'first', '{ type nat hook prerouting priority -150; }');
  await nft('add', 'rule', 'ip', 'greedy', 'first', 'tcp dport 81 redirect to :1');
  await done('CHECK', 'a', config);
  await nft(
    'add',
    'rule',
    'ip',
    'greedy',
    'first',
    'fib daddr type local tcp dport { 80, 443 } redirect to :1',
  );
  const outcome = await run('CHECK', 'a', config);
  expect(outcome.document).toMatchObject({
    code: 999,
    msg: 'mapping shadowed: an earlier rule takes tcp 80 (nftables)',
  });
  expect(String(outcome.document!.details)).toContain('in chain first of ip greedy');
  await done('DEL', 'a', config);
});

test('a condition that only looks right is an error of the configuration, and nothing is mapped', async () => {
  const outcome = await run('ADD', 'a', conf('a', web, { conditionsV4: ['ct', 'state', 'nonsense'] }));
  expect(outcome.document).toMatchObject({ code: 7 });
  expect(String(outcome.document!.details)).toContain('nonsense');
});

describe('a host port that another container has', () => {
  test('is refused while its sandbox lives, naming it', async () => {
    await done('ADD', 'b', conf('b', web));
    const before = await owned();
    const outcome = await run('ADD', 'a', conf('a', web));
    expect(outcome.document).toMatchObject({ code: 110 });
    expect(outcome.document!.msg).toContain(
      `tcp 80 of container ${idOf('b')} of network ${NETWORK} at 10.88.0.11:8080`,
    );
    expect(await owned()).toEqual(before);
    const specific = await run('ADD', 'a', conf('a', [{ ...web[0]!, hostIP: '127.0.0.1' }]));
    expect(specific.document).toMatchObject({ code: 110 });
    await done('DEL', 'b', conf('b', []));
    await done('ADD', 'b', conf('b', [{ ...web[0]!, hostIP: '127.0.0.1' }]));
    expect((await run('ADD', 'a', conf('a', web))).document).toMatchObject({ code: 110 });
    await done('ADD', 'a', conf('a', [{ ...web[0]!, hostIP: '10.78.0.2' }]));
    await done('DEL', 'a', conf('a', []));
    await done('DEL', 'b', conf('b', []));
    await done('ADD', 'a', conf('a', web));
    await done('DEL', 'a', conf('a', []));
  });

  test('is taken over when its sandbox is gone, with all that it had', async () => {
    await lab.namespace('ghost');
    const many = [...web, { ...web[0]!, hostPort: 8443 }, { ...web[0]!, hostPort: 85, hostIP: '127.0.0.1' }];
    await done('ADD', 'ghost', conf('ghost', many));
    await lab.removeNamespace('ghost');
    await done('ADD', 'a', conf('a', web));
    expect((await owned()).filter((line) => line.includes(idOf('ghost')))).toEqual([]);
    expect(await ask('outside', '10.78.0.2', 80)).toStartWith('a ');
    await done('DEL', 'a', conf('a', []));
  });

  test('is taken from one of which nothing is known, with a warning', async () => {
    await done('ADD', 'b', conf('b', web));
    rmSync(`/run/hostport/portmap/${attachmentChain(NETWORK, idOf('b'))}.json`);
    const outcome = await run('ADD', 'a', conf('a', web));
    expect(outcome).toMatchObject({ code: 0 });
    expect(outcome.stderr).toContain(`container ${idOf('b')}`);
    expect(await ask('outside', '10.78.0.2', 80)).toStartWith('a ');
    // What is left of it is not in the way of its DEL, nor is what it no longer has.
    await done('DEL', 'b', conf('b', []));
    expect(await ask('outside', '10.78.0.2', 80)).toStartWith('a ');
    await done('DEL', 'a', conf('a', []));
  });
});

test('DEL needs no mappings, no previous result, not the same backend, and nothing to be there', async () => {
  const bare = { cniVersion: '1.1.0', name: NETWORK, type: 'portmap' };
  await done('DEL', 'a', bare);
  for (const [made, removed] of [
    ['nftables', undefined],
    ['nftables', 'iptables'],
    ['iptables', 'nftables'],
  ]) {
    await done('ADD', 'a', conf('a', web, { backend: made }));
    expect(await ask('outside', '10.78.0.2', 80)).toStartWith('a ');
    await done('DEL', 'a', { ...bare, ...(removed === undefined ? {} : { backend: removed }) });
    expect(await ask('outside', '10.78.0.2', 80)).toMatch(/Failed to connect/);
    expect((await lab.natRules('node')).filter((line) => line.includes('CNI-DN'))).toEqual([]);
  }
});

test('ADD with other mappings puts them in place of what was', async () => {
  await done('ADD', 'a', conf('a', web));
  await done('ADD', 'a', conf('a', [{ hostPort: 81, containerPort: 8080, hostIP: '10.78.0.2' }]));
  expect(await ask('outside', '10.78.0.2', 80)).toMatch(/Failed to connect/);
  expect(await ask('outside', '10.78.0.2', 81)).toStartWith('a ');
  await done('DEL', 'a', conf('a', []));
});

test('the rule of a bit that is no longer used goes by the handle that is listed, and that of the other bit stays', async () => {
  await done('ADD', 'a', conf('a', web));
  const other = conf('a', web, { markMasqBit: 12 });
  await done('ADD', 'a', other);
  const rules = async () => {
    const { tables } = readRuleset({ iptables: [], nft: await nft('-j', 'list', 'ruleset') });
    return tables.find(({ name }) => name === NFT_TABLE)!.chains.get('postrouting')!.rules;
  };
  const [old] = (await rules()).filter(({ text }) => text.includes('8192'));
  await nft('delete', 'rule', 'inet', NFT_TABLE, 'postrouting', 'handle', String(old!.handle));
  expect((await rules()).map(({ text }) => /& (\d+)/.exec(text)?.[1])).toEqual(['4096']);
  await done('CHECK', 'a', other);
  await done('DEL', 'a', other);
});

test('what the reference wrote is removed by DEL, with its UDP flows, and nothing of others', async () => {
  // Recorded from the reference 1.9.1: container ID as comment, two masquerading rules; another container beside it.
  const mine = idOf('a');
  for (const family of ['ip', 'ip6']) {
    const [one, two] = family === 'ip' ? ['10.88.0.10', '10.88.0.11'] : ['[fd88::10]', '[fd88::11]'];
    const bare = (text: string) => text.replace(/[[\]]/g, '');
    const table = `${family} cni_hostport`;
    const document = [
      `add table ${table} { comment "CNI portmap plugin" ; }`,
      ...['hostports', 'hostip_hostports', 'hostports_all'].map((chain) => `add chain ${table} ${chain}`),
      `add chain ${table} prerouting { type nat hook prerouting priority -100 ; }`,
      `add chain ${table} masquerading { type nat hook postrouting priority 100 ; }`,
      `add rule ${table} hostports_all jump hostip_hostports`,
      `add rule ${table} hostports_all jump hostports`,
      `add rule ${table} prerouting fib daddr type local jump hostports_all`,
      `add rule ${table} hostports tcp dport 80 dnat to ${one}:8080 comment "${mine}"`,
      `add rule ${table} hostports udp dport 90 dnat to ${one}:8080 comment "${mine}"`,
      `add rule ${table} hostports tcp dport 81 dnat to ${two}:8080 comment "other-${RUN}"`,
      `add rule ${table} masquerading ${family} saddr ${bare(one)} ${family} daddr ${bare(one)} masquerade comment "${mine}"`,
    ];
    expect(await lab.run('node', ['nft', '-f', '-'], `${document.join('\n')}\n`)).toMatchObject({ code: 0 });
  }
  expect(await ask('outside', '10.78.0.2', 80)).toStartWith('a ');
  expect(await ask('outside', '10.78.0.2', 90, 'udp', 45_679)).toStartWith('a ');
  for (let i = 0; i < 2; i++) {
    await done('DEL', 'a', { cniVersion: '1.1.0', name: NETWORK, type: 'portmap' });
    const left = await nft('list', 'ruleset');
    expect(left).not.toContain(mine);
    expect(left.split(`other-${RUN}`).length).toBe(3);
  }
  expect(await lab.ok('node', ['conntrack', '-L', '-p', 'udp', '--orig-port-dst', '90'])).toBe('');
});

test('GC removes what is not among the valid attachments, of this network only', async () => {
  const port = (hostPort: number): Mapping[] => [{ hostPort, containerPort: 8080, hostIP: '10.78.0.2' }];
  await done('ADD', 'a', conf('a', port(80)));
  await done('ADD', 'b', conf('b', port(81)));
  const foreign = conf('c', port(83), { name: 'another' });
  await done('ADD', 'c', foreign);
  await done('GC', 'a', {
    ...{ cniVersion: '1.1.0', name: NETWORK, type: 'portmap' },
    'cni.dev/valid-attachments': [{ containerID: idOf('b'), ifname: 'eth0' }],
  });
  const answers = [80, 81, 83].map((asked) => ask('outside', '10.78.0.2', asked));
  expect((await Promise.all(answers)).map((answer) => answer.slice(0, 2))).toEqual(['Er', 'b ', 'c ']);
  await done('DEL', 'b', conf('b', []));
  await done('DEL', 'c', foreign);
});

test('eight at once: no mapping is lost or doubled', async () => {
  const count = 24;
  const pod = (i: number) => ({
    id: idOf(`many-${i}`),
    netns: lab.path('a'),
    config: conf('a', [{ hostPort: 7000 + i, containerPort: 8080 }]),
  });
  const outcomes: Outcome[] = [];
  let next = 0;
  const worker = async () => {
    while (next < count) outcomes.push(await lab.cni('node', ours, 'ADD', pod(next++)));
  };
  await Promise.all(Array.from({ length: 8 }, worker));
  expect(outcomes.filter(({ code }) => code !== 0)).toEqual([]);
  for (let i = 0; i < count; i++) {
    expect(await lab.cni('node', ours, 'CHECK', pod(i))).toMatchObject({ code: 0 });
  }
  const removed = Array.from({ length: count }, (_, i) => lab.cni('node', ours, 'DEL', pod(i)));
  expect((await Promise.all(removed)).filter(({ code }) => code !== 0)).toEqual([]);
});

test('without iptables a configuration that names no backend gets nftables', async () => {
  const broken = join(lab.scratch, 'no-iptables');
  await lab.ok('node', ['mkdir', '-p', broken]);
  for (const program of ['iptables', 'iptables-restore', 'ip6tables', 'ip6tables-restore']) {
    await lab.ok('node', ['cp', '/bin/false', join(broken, program)]);
  }
  const config = conf('a', web, { backend: undefined });
  for (const verb of ['STATUS', 'ADD', 'CHECK']) {
    const call = { id: idOf('a'), netns: lab.path('a'), config, env: { PATH: broken } };
    expect(await lab.cni('node', ours, verb, call)).toMatchObject({ code: 0 });
  }
  expect(await nft('list', 'map', 'inet', 'hostport', 'any4')).toContain(idOf('a'));
  expect(await ask('outside', '10.78.0.2', 80)).toStartWith('a ');
  await done('DEL', 'a', config);
});

test('without nft STATUS and the first ADD say so with error 50', async () => {
  const empty = join(lab.scratch, 'broken');
  await lab.ok('node', ['mkdir', '-p', empty]);
  // The system's directories are searched too: a tool that cannot work stands for one that is not there.
  await lab.ok('node', ['cp', '/bin/false', join(empty, 'nft')]);
  for (const verb of ['ADD', 'STATUS']) {
    const outcome = await lab.cni('node', ours, verb, {
      id: idOf('a'),
      netns: lab.path('a'),
      config: conf('a', web),
      env: { PATH: empty },
    });
    expect(outcome.document).toMatchObject({ code: 50, msg: 'nftables cannot be used' });
    expect(String(outcome.document!.details)).toContain('nft');
  }
  await done('STATUS', 'a', conf('a', web));
  expect(await nft('list', 'ruleset')).toBe('');
});
