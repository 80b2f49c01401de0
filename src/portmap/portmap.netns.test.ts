import { afterAll, afterEach, beforeAll, describe, expect, test } from 'bun:test';
import { existsSync, mkdirSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cniVersions } from '../cni/version.ts';
import { attachmentChain } from './layout.ts';
import { type Outcome, REFERENCE, Topology } from './testing/topology.ts';

const RESPONDER = join(import.meta.dir, 'testing/responder.ts');
const PROBE = join(import.meta.dir, 'testing/probe.ts');
// Of this run alone: a GC is of a network, and other runs share /run.
const NETWORK = `portmap-test-${process.pid}`;

interface Mapping {
  hostPort: number;
  containerPort: number;
  protocol?: string;
  hostIP?: string;
}

/** Restored without `--noflush`, it removes every rule and every chain of users from the table. */
const EMPTY_NAT = '*nat\nCOMMIT\n';

/** A number that other runs of these tests on the machine do not have: attachments are remembered by their name. */
const RUN = process.pid;

describe.each(['nft', 'legacy'] as const)('with iptables-%s', (variant) => {
  // outside (10.78.0.1) -- node (10.78.0.2) -- pods a, b (10.88.0.x, fd88::x)
  let lab: Topology;
  let ours: string;
  const reference = join(REFERENCE, 'portmap');
  const address: Record<string, string> = { a: '10.88.0.10', b: '10.88.0.11' };

  function conf(pod: string, portMappings: Mapping[], extra: Record<string, unknown> = {}) {
    return {
      cniVersion: '0.4.0',
      name: NETWORK,
      type: 'portmap',
      capabilities: { portMappings: true },
      runtimeConfig: {
        portMappings: portMappings.map((mapping) => ({ protocol: 'tcp', ...mapping })),
      },
      prevResult: {
        cniVersion: '0.4.0',
        interfaces: [{ name: `to-${pod}` }, { name: 'eth0', sandbox: lab.path(pod) }],
        ips: [
          { version: '4', address: `${address[pod]}/24`, interface: 1 },
          { version: '6', address: `fd88::${address[pod]!.split('.')[3]}/64`, interface: 1 },
        ],
      },
      ...extra,
    };
  }

  /** Calls a plugin as a process. */
  function run(plugin: string, verb: string, pod: string, config: Record<string, unknown>): Promise<Outcome> {
    return lab.cni('node', plugin, verb, requestOf(verb, pod, config));
  }

  /** Calls ours in this process: for what only the rules show. */
  function here(verb: string, pod: string, config: Record<string, unknown>): Promise<Outcome> {
    return lab.portmapHere(verb, requestOf(verb, pod, config));
  }

  function requestOf(verb: string, pod: string, config: Record<string, unknown>) {
    return { id: idOf(pod), netns: verb === 'DEL' ? '' : lab.path(pod), config };
  }

  function idOf(pod: string): string {
    return `${variant}-${RUN}-${pod}`;
  }

  async function ask(from: string, to: string, port: number, protocol = 'tcp', local?: number) {
    const argv = [process.execPath, 'run', PROBE, protocol, to, String(port)];
    const { stdout } = await lab.run(from, local === undefined ? argv : [...argv, String(local)]);
    return stdout.trim();
  }

  async function rules(): Promise<string> {
    return [...(await lab.natRules('node')), ...(await lab.natRules('node', 'ip6tables'))].join('\n');
  }

  async function linesWith(text: string): Promise<string[]> {
    return (await rules()).split('\n').filter((line) => line.includes(text));
  }

  async function restore(program: string, document: string, options = ['--noflush']): Promise<void> {
    const done = await lab.run('node', [`${program}-restore`, ...options], document);
    expect(done).toMatchObject({ code: 0, stderr: '' });
  }

  async function flush(): Promise<void> {
    for (const program of ['iptables', 'ip6tables']) await restore(program, EMPTY_NAT, []);
  }

  beforeAll(async () => {
    lab = await Topology.create(variant);
    ours = join(lab.plugins, 'portmap');
    for (const name of ['outside', 'node']) await lab.namespace(name);
    await lab.join('outside', '10.78.0.1/24', 'node', '10.78.0.2/24');
    await lab.ok('node', ['sysctl', '-qw', 'net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1']);
    await lab.ok('node', ['ip', 'link', 'add', 'pods', 'type', 'bridge']);
    await lab.ok('node', ['ip', 'address', 'add', '10.88.0.1/24', 'dev', 'pods']);
    await lab.ok('node', ['ip', 'address', 'add', 'fd88::1/64', 'dev', 'pods', 'nodad']);
    await lab.ok('node', ['ip', 'link', 'set', 'pods', 'up']);
    await lab.ok('node', ['ip', 'address', 'add', 'fd78::2/64', 'dev', 'to-outside', 'nodad']);
    await lab.ok('outside', ['ip', 'address', 'add', 'fd78::1/64', 'dev', 'to-node', 'nodad']);
    for (const pod of ['a', 'b']) {
      await lab.namespace(pod);
      const last = address[pod]!.split('.')[3];
      await lab.join(pod, `${address[pod]}/24`, 'node', `169.254.0.${last}/32`);
      await lab.ok('node', ['ip', 'link', 'set', `to-${pod}`, 'master', 'pods']);
      await lab.ok('node', ['bridge', 'link', 'set', 'dev', `to-${pod}`, 'hairpin', 'on']);
      await lab.ok(pod, ['ip', 'address', 'add', `fd88::${last}/64`, 'dev', 'to-node', 'nodad']);
      await lab.ok(pod, ['ip', 'route', 'add', 'default', 'via', '10.88.0.1']);
      await lab.ok(pod, ['ip', '-6', 'route', 'add', 'default', 'via', 'fd88::1']);
      await lab.start(pod, RESPONDER, [pod, '8080']);
    }
    lab.enter('node');
  });

  afterAll(async () => {
    for (const pod of ['a', 'b', 'ghost']) {
      rmSync(`/run/hostport/portmap/${attachmentChain(NETWORK, idOf(pod))}.json`, { force: true });
    }
    await lab.dispose();
  });

  describe('the rules are those of the reference', () => {
    afterEach(flush);
    const tcp: Mapping[] = [{ hostPort: 80, containerPort: 8080 }];
    test.each<[string, Mapping[], Record<string, unknown>?]>([
      ['one port', tcp],
      ['no port', []],
      [
        'three protocols',
        [
          { hostPort: 80, containerPort: 8080, protocol: 'udp' },
          { hostPort: 80, containerPort: 8080 },
          { hostPort: 81, containerPort: 8081, protocol: 'sctp' },
        ],
      ],
      ['a host address', [{ hostPort: 80, containerPort: 8080, hostIP: '10.78.0.2' }]],
      ['localhost', [{ hostPort: 80, containerPort: 8080, hostIP: '127.0.0.1' }]],
      ['every IPv4 address', [{ hostPort: 80, containerPort: 8080, hostIP: '0.0.0.0' }]],
      ['an IPv6 host address', [{ hostPort: 80, containerPort: 8080, hostIP: 'fd78::2' }]],
      ['every IPv6 address', [{ hostPort: 80, containerPort: 8080, hostIP: '::' }]],
      [
        // IPv4 only: the reference loses all but the first to ip6tables-legacy, whose -C takes each for the one before it.
        '32 ports',
        Array.from({ length: 32 }, (_, i) => ({ hostPort: 9000 + i, containerPort: 1 + i })),
        { prevResult: { cniVersion: '0.4.0', ips: [{ version: '4', address: '10.88.0.10/24' }] } },
      ],
      ['snat off', tcp, { snat: false }],
      ['another mark', tcp, { markMasqBit: 31 }],
      ['the first mark', tcp, { markMasqBit: 0 }],
      ['another program’s mark chain', tcp, { externalSetMarkChain: 'KUBE-MARK-MASQ' }],
      ['conditions', tcp, { conditionsV4: ['!', '-s', '10.99.0.0/16'], conditionsV6: ['-i', 'to-outside'] }],
      ['a condition with blanks', tcp, { conditionsV4: ['-m', 'comment', '--comment', 'a "b" \\ c'] }],
    ])('%s', async (_name, mappings, extra = {}) => {
      const config = conf('a', mappings, extra);
      const written: string[] = [];
      for (const add of [() => run(reference, 'ADD', 'a', config), () => here('ADD', 'a', config)]) {
        for (const program of ['iptables', 'ip6tables']) {
          await restore(program, '*nat\n:KUBE-MARK-MASQ -\nCOMMIT\n');
        }
        expect(await add()).toMatchObject({ code: 0 });
        written.push(await rules());
        if (written.length === 2) {
          expect(await here('CHECK', 'a', config)).toMatchObject({ code: 0 });
          // Again: nothing more.
          expect(await here('ADD', 'a', config)).toMatchObject({ code: 0 });
          written.push(await rules());
          expect(await here('DEL', 'a', config)).toMatchObject({ code: 0 });
        }
        await flush();
      }
      expect(written[1]).toBe(written[0]!);
      expect(written[2]).toBe(written[1]!);
    });
  });

  test.each([
    ['the reference', 'ours'],
    ['ours', 'the reference'],
    ['ours', 'ours'],
  ])('what %s added, %s deletes, and the other pod keeps its mapping', async (adder, deleter) => {
    const plugin = (name: string) => (name === 'ours' ? ours : reference);
    const first = conf('a', [{ hostPort: 80, containerPort: 8080 }]);
    const second = conf('b', [{ hostPort: 81, containerPort: 8080 }]);
    await run(plugin(adder), 'ADD', 'b', second);
    const before = await rules();
    await run(plugin(adder), 'ADD', 'a', first);
    expect(await rules()).not.toBe(before);
    for (let i = 0; i < 2; i++) {
      expect(await run(plugin(deleter), 'DEL', 'a', first)).toMatchObject({ code: 0, document: undefined });
      expect(await rules()).toBe(before);
    }
    await run(ours, 'DEL', 'b', second);
    expect(await linesWith('CNI-DN-')).toEqual([]);
    await flush();
  });

  test('DEL needs no mappings and no previous result, and nothing to be there', async () => {
    const config = { cniVersion: '1.0.0', name: NETWORK, type: 'portmap' };
    expect(await run(ours, 'DEL', 'a', config)).toMatchObject({ code: 0, stderr: '' });
    await run(ours, 'ADD', 'a', conf('a', [{ hostPort: 80, containerPort: 8080 }]));
    expect(await run(ours, 'DEL', 'a', config)).toMatchObject({ code: 0, stderr: '' });
    expect(await linesWith('CNI-DN-')).toEqual([]);
    await flush();
  });

  describe('traffic', () => {
    beforeAll(async () => {
      const mappings = [
        { hostPort: 80, containerPort: 8080 },
        { hostPort: 80, containerPort: 8080, protocol: 'udp' },
        { hostPort: 82, containerPort: 8080, hostIP: '127.0.0.1' },
      ];
      expect(await run(ours, 'ADD', 'a', conf('a', mappings))).toMatchObject({ code: 0 });
    });
    afterAll(async () => {
      await run(ours, 'DEL', 'a', conf('a', []));
      await flush();
    });

    test.each<[string, string, number, string, RegExp]>([
      ['outside', '10.78.0.2', 80, 'tcp', /^a 10\.78\.0\.1$/],
      ['outside', '10.78.0.2', 80, 'udp', /^a 10\.78\.0\.1$/],
      ['outside', 'fd78::2', 80, 'tcp', /^a fd78::1$/],
      ['node', '10.88.0.10', 8080, 'tcp', /^a 10\.88\.0\.1$/],
      ['node', '10.78.0.2', 80, 'tcp', /^a /],
      ['node', '127.0.0.1', 80, 'tcp', /^a 10\.88\.0\.1$/],
      ['node', '127.0.0.1', 80, 'udp', /^a 10\.88\.0\.1$/],
      ['a', '10.78.0.2', 80, 'tcp', /^a 10\.88\.0\.1$/],
      ['b', '10.78.0.2', 80, 'tcp', /^a /],
      ['node', '127.0.0.1', 82, 'tcp', /^a /],
      ['outside', '10.78.0.2', 82, 'tcp', /Failed to connect/],
      ['node', '10.78.0.2', 82, 'tcp', /Failed to connect/],
    ])('%s -> %s:%d/%s', async (from, to, port, protocol, answer) => {
      expect(await ask(from, to, port, protocol)).toMatch(answer);
    });
  });

  test('CHECK finds every single rule that is missing', async () => {
    const mappings = [
      { hostPort: 80, containerPort: 8080 },
      { hostPort: 53, containerPort: 53, protocol: 'udp' },
    ];
    const config = conf('a', mappings);
    await here('ADD', 'a', config);
    for (const family of ['iptables', 'ip6tables'] as const) {
      const lines = (await lab.natRules('node', family)).filter((line) => line.startsWith('-A'));
      expect(lines.length).toBeGreaterThan(8);
      for (const line of lines) {
        const document = `*nat\n-D ${line.slice(3)}\nCOMMIT\n`;
        expect(await lab.run('node', [`${family}-restore`, '--noflush'], document)).toMatchObject({
          code: 0,
        });
        const outcome = await here('CHECK', 'a', config);
        expect(outcome.document?.msg).toContain('rule missing');
        expect(await here('ADD', 'a', config)).toMatchObject({ code: 0 });
        expect(await here('CHECK', 'a', config)).toMatchObject({ code: 0 });
      }
    }
    await here('DEL', 'a', config);
    await flush();
  });

  test('ADD brings back a shared rule that somebody removed, in both families', async () => {
    await run(ours, 'ADD', 'b', conf('b', [{ hostPort: 81, containerPort: 8080 }]));
    const config = conf('a', [{ hostPort: 80, containerPort: 8080 }]);
    for (const chain of ['CNI-HOSTPORT-MASQ', 'CNI-HOSTPORT-SETMARK']) {
      for (const family of ['iptables', 'ip6tables'])
        expect(await lab.run('node', [family, '-t', 'nat', '-F', chain])).toMatchObject({ code: 0 });
      expect(await run(ours, 'ADD', 'a', config)).toMatchObject({ code: 0, stderr: '' });
      expect(await run(ours, 'CHECK', 'a', config)).toMatchObject({ code: 0 });
      await run(ours, 'DEL', 'a', config);
    }
    await run(ours, 'DEL', 'b', conf('b', []));
    await flush();
  });

  describe('CHECK finds a rule that takes the port first:', () => {
    test.each<[string, string, RegExp]>([
      [
        'in PREROUTING',
        '-I PREROUTING -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.88.0.11:8080',
        /takes tcp 80/,
      ],
      [
        'in OUTPUT',
        '-I OUTPUT -d 10.78.0.2/32 -p tcp -m multiport --dports 80,443 -j ACCEPT',
        /takes tcp 80/,
      ],
      ['on the way to the masquerade', '-I POSTROUTING -j ACCEPT', /takes tcp 80/],
      ['for other clients', '-I PREROUTING -s 10.99.0.0/16 -p tcp -j ACCEPT', /^$/],
      ['for another port', '-I PREROUTING -p tcp -m tcp --dport 81 -j ACCEPT', /^$/],
    ])('%s', async (_where, rule, message) => {
      const config = conf('a', [{ hostPort: 80, containerPort: 8080 }]);
      await here('ADD', 'a', config);
      await lab.ok('node', ['iptables', '-t', 'nat', ...rule.split(' ')]);
      const { document } = await here('CHECK', 'a', config);
      expect(String(document?.msg ?? '')).toMatch(message);
      if (document !== undefined) expect(String(document.details)).toContain(rule.slice(3, 14));
      await here('DEL', 'a', config);
      await flush();
    });
  });

  describe('what has no effect', () => {
    const mapping = { hostPort: 80, containerPort: 8080 };
    const v4Only = { prevResult: { cniVersion: '0.4.0', ips: [{ version: '4', address: '10.88.0.10/24' }] } };
    test.each<[string, Mapping[], Record<string, unknown>, string]>([
      [
        'an address of another machine',
        [{ ...mapping, hostIP: '10.99.0.1' }],
        {},
        'hostIP 10.99.0.1 of tcp 80 has no effect: it is not an address of this machine',
      ],
      [
        'an address of a family that the pod lacks',
        [{ ...mapping, hostIP: 'fd78::2' }],
        v4Only,
        'hostIP fd78::2 of tcp 80 has no effect: the pod has no ipv6 address',
      ],
      [
        'the loopback address of IPv6',
        [{ ...mapping, hostIP: '::1' }],
        {},
        'hostIP ::1 of tcp 80 has no effect: the kernel does not route packets from ::1',
      ],
      [
        'a port mapped before',
        [mapping, { ...mapping, containerPort: 9090, hostIP: '10.78.0.2' }],
        {},
        '10.78.0.2 tcp 80 to 9090 has no effect: an earlier entry of the request maps it',
      ],
      [
        'no capability, so no ports',
        [],
        { capabilities: {}, runtimeConfig: {} },
        'no port is ever mapped: the configuration does not declare "capabilities": {"portMappings": true}, so the runtime does not pass any',
      ],
      [
        'ports in the wrong place',
        [],
        { portMappings: [mapping] },
        '"portMappings" is ignored: it must be inside "runtimeConfig"',
      ],
    ])('%s: a warning, and an error if strict', async (_name, mappings, extra, text) => {
      const config = conf('a', mappings, extra);
      expect(await here('ADD', 'a', config)).toMatchObject({ code: 0, stderr: `portmap: ${text}\n` });
      await here('DEL', 'a', config);
      await flush();
      const before = await rules();
      const outcome = await here('ADD', 'a', { ...config, strict: true });
      expect(outcome).toMatchObject({ code: 1, stderr: '', document: { code: 111, msg: text } });
      expect(await rules()).toBe(before);
    });

    test('a pod without ports causes no output', async () => {
      const config = conf('a', [], { runtimeConfig: undefined, strict: true });
      expect(await here('ADD', 'a', config)).toMatchObject({ code: 0, stderr: '' });
    });
  });

  describe('a host port that another container has', () => {
    const wanted: Mapping[] = [{ hostPort: 80, containerPort: 8080 }];
    const ghost = { cniVersion: '0.4.0', name: NETWORK, type: 'portmap' };

    afterAll(async () => {
      for (const pod of ['a', 'b', 'ghost']) {
        await lab.cni('node', ours, 'DEL', { id: idOf(pod), config: ghost });
      }
      await flush();
    });

    test('is refused while its sandbox lives, naming it', async () => {
      await run(ours, 'ADD', 'b', conf('b', wanted));
      const before = await rules();
      const outcome = await run(ours, 'ADD', 'a', conf('a', wanted));
      expect(outcome.document).toMatchObject({ code: 110 });
      expect(outcome.document!.msg).toContain(
        `tcp 80 of container ${idOf('b')} of network ${NETWORK} at ${address.b}:8080`,
      );
      expect(await rules()).toBe(before);
    });

    test('is given to a mapping of another address or protocol', async () => {
      const other = [{ ...wanted[0]!, protocol: 'udp' }];
      expect(await here('ADD', 'a', conf('a', other))).toMatchObject({ code: 0 });
      await here('DEL', 'b', conf('b', []));
      await here('ADD', 'b', conf('b', [{ ...wanted[0]!, hostIP: '127.0.0.1' }]));
      const specific = [{ ...wanted[0]!, hostIP: '10.78.0.2' }];
      expect(await here('ADD', 'a', conf('a', specific))).toMatchObject({ code: 0 });
      expect(await ask('node', '127.0.0.1', 80)).toStartWith('b ');
      expect(await ask('outside', '10.78.0.2', 80)).toStartWith('a ');
      expect((await here('ADD', 'a', conf('a', wanted))).document).toMatchObject({ code: 110 });
      await here('DEL', 'a', conf('a', []));
      await here('DEL', 'b', conf('b', []));
    });

    test('is taken over when its sandbox is gone', async () => {
      await lab.namespace('ghost');
      address.ghost = '10.88.0.99';
      await here('ADD', 'ghost', conf('ghost', wanted));
      await lab.removeNamespace('ghost');
      expect(await here('ADD', 'a', conf('a', wanted))).toMatchObject({ code: 0, stderr: '' });
      expect(await linesWith(idOf('ghost'))).toEqual([]);
      expect(await ask('outside', '10.78.0.2', 80)).toStartWith('a ');
      await here('DEL', 'a', conf('a', []));
    });

    test('goes before one of which nothing is known, with a warning', async () => {
      await lab.namespace('ghost');
      await run(reference, 'ADD', 'ghost', conf('ghost', wanted));
      await lab.removeNamespace('ghost');
      const outcome = await here('ADD', 'a', conf('a', wanted));
      expect(outcome).toMatchObject({ code: 0 });
      expect(outcome.stderr).toContain(`container ${idOf('ghost')}`);
      expect(await ask('outside', '10.78.0.2', 80)).toStartWith('a ');
      const checked = await here('CHECK', 'a', conf('a', wanted));
      expect(checked).toMatchObject({ code: 0 });
    });
  });

  test('a UDP client that does not pause follows the port to its new pod', async () => {
    const mappings = [{ hostPort: 90, containerPort: 8080, protocol: 'udp' }];
    const ask90 = () => ask('outside', '10.78.0.2', 90, 'udp', 45_678);
    expect(await ask90()).toBe('Error: no answer');
    for (const pod of ['a', 'b', 'a']) {
      expect(await here('ADD', pod, conf(pod, mappings))).toMatchObject({ code: 0, stderr: '' });
      expect(await ask90()).toBe(`${pod} 10.78.0.1`);
      const others = ['conntrack', '-L', '-p', 'udp', '--orig-port-dst', '90'];
      expect(await lab.ok('node', others)).toContain(`src=${address[pod]}`);
      expect(await here('DEL', pod, conf(pod, mappings))).toMatchObject({ code: 0, stderr: '' });
      expect(await lab.ok('node', others)).toBe('');
    }
    await flush();
  });

  test('110 pods with 4 ports each, eight at once: no failure, no mapping lost or doubled', async () => {
    const [count, ports] = [110, 4];
    const pod = (i: number) => ({
      id: `${variant}-${RUN}-many-${i}`,
      netns: lab.path('a'),
      config: conf(
        'a',
        Array.from({ length: ports }, (_, port) => ({
          hostPort: 7000 + ports * i + port,
          containerPort: 8080,
        })),
      ),
    });
    const eightAtOnce = async (verb: string) => {
      const outcomes: Outcome[] = [];
      let next = 0;
      const worker = async () => {
        while (next < count) outcomes.push(await lab.cni('node', ours, verb, pod(next++)));
      };
      await Promise.all(Array.from({ length: 8 }, worker));
      expect(outcomes.filter(({ code, stderr }) => code !== 0 || stderr !== '')).toEqual([]);
    };
    await eightAtOnce('ADD');
    for (const family of ['iptables', 'ip6tables'] as const) {
      const lines = await lab.natRules('node', family);
      const entries = lines.filter((line) => line.startsWith('-A CNI-HOSTPORT-DNAT'));
      expect(entries.length).toBe(count);
      const mapped = lines.flatMap((line) => /--dport (\d+) -j DNAT/.exec(line)?.[1] ?? []).map(Number);
      expect(mapped.sort((x, y) => x - y)).toEqual(Array.from({ length: count * ports }, (_, i) => 7000 + i));
      expect(lines.filter((line) => /^-A (PRE|POST|OUT|CNI-HOSTPORT-[SM])/.test(line)).length).toBe(5);
    }
    await eightAtOnce('DEL');
    expect(await linesWith('CNI-DN-')).toEqual([]);
    await flush();
  }, 120_000);

  test('10 000 mappings of one pod are made, checked and removed', async () => {
    const mappings = Array.from({ length: 10_000 }, (_, i) => ({
      hostPort: 10_000 + i,
      containerPort: 8080,
    }));
    const v4Only = { cniVersion: '0.4.0', ips: [{ version: '4', address: '10.88.0.10/24' }] };
    const config = conf('a', mappings, { prevResult: v4Only });
    expect(await run(ours, 'ADD', 'a', config)).toMatchObject({ code: 0, stderr: '' });
    expect((await linesWith('-j DNAT')).length).toBe(mappings.length);
    expect(await run(ours, 'CHECK', 'a', config)).toMatchObject({ code: 0 });
    expect(await run(ours, 'DEL', 'a', conf('a', []))).toMatchObject({ code: 0 });
    expect(await linesWith('CNI-DN-')).toEqual([]);
    await flush();
  }, 120_000);

  if (variant === 'legacy') {
    test('a held xtables lock is waited for, then named in the error, and nothing is changed', async () => {
      const config = conf('a', [{ hostPort: 80, containerPort: 8080 }]);
      // A lock of this test's own, so that nobody else on the machine waits with us.
      const lock = join(lab.scratch, 'xtables.lock');
      const holder = Bun.spawn(['flock', '--exclusive', lock, 'cat'], { stdin: 'pipe', stdout: 'pipe' });
      try {
        holder.stdin.write('held');
        holder.stdin.flush();
        await holder.stdout.getReader().read();
        const before = performance.now();
        const outcome = await lab.cni('node', ours, 'ADD', {
          ...{ id: idOf('a'), netns: lab.path('a'), config },
          env: { XTABLES_LOCKFILE: lock },
        });
        expect(outcome.document).toMatchObject({
          code: 11,
          msg: expect.stringMatching(
            /^iptables: another process held the xtables lock .* for more than 5 s$/,
          ),
        });
        expect(performance.now() - before).toBeGreaterThan(4000);
      } finally {
        holder.stdin.end();
        await holder.exited;
      }
      expect(await linesWith('CNI-')).toEqual([]);
      expect(await run(ours, 'ADD', 'a', config)).toMatchObject({ code: 0 });
      await run(ours, 'DEL', 'a', config);
      await flush();
    });
  }

  test('GC removes what is not among the valid attachments, of this network only', async () => {
    const mapping = (hostPort: number) => [{ hostPort, containerPort: 8080 }];
    await run(reference, 'ADD', 'a', conf('a', mapping(80)));
    await run(ours, 'ADD', 'b', conf('b', mapping(81)));
    const foreign = conf('a', mapping(83), { name: 'another' });
    await run(ours, 'ADD', 'a', foreign);
    const valid = [{ containerID: idOf('b'), ifname: 'eth0' }];
    const config = {
      ...{ cniVersion: '1.1.0', name: NETWORK, type: 'portmap' },
      'cni.dev/valid-attachments': valid,
    };
    expect(await run(ours, 'GC', 'a', config)).toMatchObject({ code: 0, document: undefined });
    const left = (await lab.natRules('node')).filter((line) => line.startsWith('-A CNI-HOSTPORT-DNAT'));
    expect(left.map((line) => /dports (\d+)/.exec(line)![1])).toEqual(['81', '83']);
    await run(ours, 'DEL', 'b', conf('b', []));
    await run(ours, 'DEL', 'a', foreign);
    await flush();
  });

  test('GC forgets what was flushed, and removes chains that nothing leads to', async () => {
    const record = (pod: string) => `/run/hostport/portmap/${attachmentChain(NETWORK, idOf(pod))}.json`;
    const gone = conf('a', [{ hostPort: 80, containerPort: 8080 }]);
    const orphan = conf('b', [{ hostPort: 81, containerPort: 8080 }]);
    await here('ADD', 'a', gone);
    await flush();
    await here('ADD', 'b', orphan);
    await lab.ok('node', ['iptables', '-t', 'nat', '-F', 'CNI-HOSTPORT-DNAT']);
    const unfinished = '/run/hostport/portmap/.CNI-DN-unfinished.1';
    writeFileSync(unfinished, '{"net');
    expect([existsSync(record('a')), existsSync(record('b'))]).toEqual([true, true]);
    const config = {
      ...{ cniVersion: '1.1.0', name: NETWORK, type: 'portmap' },
      'cni.dev/valid-attachments': [],
    };
    for (let i = 0; i < 2; i++) {
      expect(await here('GC', 'a', config)).toMatchObject({ code: 0, stderr: '' });
      expect([record('a'), record('b'), unfinished].filter((path) => existsSync(path))).toEqual([]);
      expect(await linesWith('CNI-DN-')).toEqual([]);
    }
    await flush();
  });

  test('without iptables ADD and STATUS say so with error 50', async () => {
    const mappings = [{ hostPort: 80, containerPort: 8080 }];
    const config = conf('a', mappings, { cniVersion: '1.1.0', backend: 'iptables' });
    config.prevResult = { ...config.prevResult, cniVersion: '1.1.0' };
    const empty = join(lab.scratch, 'empty');
    mkdirSync(empty, { recursive: true });
    for (const program of ['iptables', 'iptables-restore', 'ip6tables', 'ip6tables-restore']) {
      // The system's directories are searched too: a tool that cannot work stands for one that is not there.
      const path = join(empty, program);
      writeFileSync(path, '#!/bin/false\n', { mode: 0o755 });
    }
    for (const verb of ['ADD', 'STATUS']) {
      const outcome = await lab.cni('node', ours, verb, {
        id: idOf('a'),
        netns: lab.path('a'),
        config,
        env: { PATH: empty },
      });
      expect(outcome.document).toMatchObject({ code: 50, msg: 'iptables cannot be used' });
      expect(String(outcome.document!.details)).toContain('iptables');
    }
    expect(await run(ours, 'STATUS', 'a', config)).toMatchObject({ code: 0, document: undefined });
    const missing = { ...config, externalSetMarkChain: 'NOT-THERE' };
    expect((await run(ours, 'STATUS', 'a', missing)).document).toMatchObject({
      code: 50,
      details: 'chain NOT-THERE, named by externalSetMarkChain, does not exist',
    });
    // A mapping that is there works on, but can neither be checked nor removed.
    await run(ours, 'ADD', 'a', config);
    const env = { PATH: empty };
    const outcome = await lab.cni('node', ours, 'STATUS', { id: idOf('a'), config, env });
    expect(outcome.document).toMatchObject({ code: 51, msg: 'iptables cannot be used' });
    await run(ours, 'DEL', 'a', config);
    await flush();
  });

  test('a mark chain that does not exist is an error, and leaves nothing behind', async () => {
    const config = conf('a', [{ hostPort: 80, containerPort: 8080 }], { externalSetMarkChain: 'NOT-THERE' });
    const before = await rules();
    const outcome = await here('ADD', 'a', config);
    expect(outcome.document).toMatchObject({ code: 999 });
    expect(String(outcome.document!.details)).toContain('NOT-THERE');
    expect(await rules()).toBe(before);
    await here('DEL', 'a', config);
  });

  test('a plugin works alone, wherever it is copied to', async () => {
    const elsewhere = join(lab.scratch, 'elsewhere');
    mkdirSync(elsewhere);
    const copy = join(elsewhere, 'portmap');
    await lab.ok('node', ['cp', ours, copy]);
    for (const version of cniVersions) {
      const outcome = await run(copy, 'VERSION', 'a', { cniVersion: version, name: NETWORK });
      expect(outcome.document?.supportedVersions).toContain(version);
    }
    unlinkSync(copy);
    symlinkSync(ours, copy);
    expect((await run(copy, 'VERSION', 'a', { name: NETWORK })).code).toBe(0);
  });
});
