import { afterAll, afterEach, beforeAll, describe, expect, test } from 'bun:test';
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { attachmentChain } from './layout.ts';
import { type Outcome, REFERENCE, Topology } from './testing/topology.ts';

const RESPONDER = join(import.meta.dir, 'testing/responder.ts');
const PROBE = join(import.meta.dir, 'testing/probe.ts');
// Of this run alone: a GC is of a network, and other runs share /run.
const NETWORK = `interfaces-test-${process.pid}`;
/** A number that other runs of these tests on the machine do not have: attachments are remembered by their name. */
const RUN = process.pid;
const RECORDS = '/run/hostport/portmap';
const CACHE = '/var/lib/cni/results';

/** Mappings belong to a network, a container and an interface: what Multus makes of one network asked for twice. */
describe.each([
  ['iptables', 'nft'],
  ['iptables', 'legacy'],
  ['nftables', 'nft'],
] as const)('%s (tools: %s)', (backend, variant) => {
  // node -- pod, by two links: eth0 (10.88.0.10, fd88::10) and net1 (10.89.0.10, fd89::10)
  let lab: Topology;
  let ours: string;
  const ID = `interfaces-${backend}-${variant}-${RUN}`;
  const OTHER = `${ID}-other`;
  const last: Record<string, number> = { eth0: 88, net1: 89, net2: 90 };

  function conf(ifName: string, hostPort: number, extra: Record<string, unknown> = {}) {
    const n = last[ifName]!;
    return {
      ...{ cniVersion: '1.1.0', name: NETWORK, type: 'portmap', backend },
      capabilities: { portMappings: true },
      runtimeConfig: { portMappings: [{ hostPort, containerPort: 8080, protocol: 'tcp' }] },
      prevResult: {
        cniVersion: '1.1.0',
        interfaces: [{ name: ifName, sandbox: lab.path('pod') }],
        ips: [
          { address: `10.${n}.0.10/24`, interface: 0 },
          { address: `fd${n}::10/64`, interface: 0 },
        ],
      },
      ...extra,
    };
  }

  /** As the reference takes it: in the oldest version that it and we have in common. */
  function old(ifName: string, hostPort: number) {
    const { backend: _, prevResult, ...rest } = conf(ifName, hostPort);
    const ips = prevResult.ips.map((ip) => ({ version: ip.address.includes(':') ? '6' : '4', ...ip }));
    return { ...rest, cniVersion: '0.4.0', prevResult: { ...prevResult, cniVersion: '0.4.0', ips } };
  }

  function call(verb: string, ifName: string, config: Record<string, unknown>, id = ID): Promise<Outcome> {
    return lab.portmapHere(verb, { id, netns: lab.path('pod'), ifName, config });
  }

  async function done(verb: string, ifName: string, config: Record<string, unknown>, id = ID): Promise<void> {
    expect({ verb, ifName, ...(await call(verb, ifName, config, id)) }).toMatchObject({
      code: 0,
      stderr: '',
    });
  }

  /** Host port and address of each mapping, in both backends. */
  async function mapped(): Promise<string[]> {
    const lines = [...(await lab.natRules('node')), ...(await lab.natRules('node', 'ip6tables'))];
    const iptables = lines.flatMap((line) => {
      const found = /--dport (\d+) -j DNAT --to-destination (\S+):8080/.exec(line);
      return found === null ? [] : [`${found[1]} ${found[2]!.replace(/[[\]]/g, '')}`];
    });
    const listed = await lab.run('node', ['nft', 'list', 'table', 'inet', 'hostport']);
    const nftables = [...listed.stdout.matchAll(/tcp \. (\d+) comment "[^"]*" : ([\da-f.:]+) \. 8080/g)].map(
      ([, port, to]) => `${port} ${to}`,
    );
    return [...iptables, ...nftables].sort();
  }

  const at = (hostPort: number, ifName: string) => [
    `${hostPort} 10.${last[ifName]}.0.10`,
    `${hostPort} fd${last[ifName]}::10`,
  ];

  function records(): string[] {
    const there = readdirSync(RECORDS);
    return [undefined, 'eth0', 'net1', 'net2']
      .map((ifName) => attachmentChain(NETWORK, ID, ifName))
      .filter((chain) => there.includes(`${chain}.json`));
  }

  function cacheFile(ifName: string): string {
    return `${CACHE}/${NETWORK}-${ID}-${ifName}`;
  }

  /** What libcni would remember of an attachment. */
  function remember(ifName: string): void {
    mkdirSync(CACHE, { recursive: true });
    const { prevResult: result } = conf(ifName, 0);
    const entry = { kind: 'cniCacheV1', containerId: ID, config: '', ifName, networkName: NETWORK, result };
    writeFileSync(cacheFile(ifName), JSON.stringify(entry));
  }

  beforeAll(async () => {
    lab = await Topology.create(variant);
    ours = join(lab.plugins, 'portmap');
    for (const name of ['node', 'pod']) await lab.namespace(name);
    await lab.ok('node', ['sysctl', '-qw', 'net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1']);
    for (const ifName of ['eth0', 'net1']) {
      const n = last[ifName]!;
      const host = `lxc${n}`;
      const netns = lab.path('pod').split('/').at(-1)!;
      const pair = ['ip', 'link', 'add', host, 'type', 'veth', 'peer', 'name', ifName, 'netns', netns];
      await lab.ok('node', pair);
      for (const [name, link, host] of [
        ['node', `lxc${n}`, 1],
        ['pod', ifName, 10],
      ] as const) {
        await lab.ok(name, ['ip', 'address', 'add', `10.${n}.0.${host}/24`, 'dev', link]);
        await lab.ok(name, ['ip', 'address', 'add', `fd${n}::${host}/64`, 'dev', link, 'nodad']);
        await lab.ok(name, ['ip', 'link', 'set', link, 'up']);
      }
    }
    await lab.start('pod', RESPONDER, ['pod', '8080']);
    lab.enter('node');
  });
  afterEach(async () => {
    for (const ifName of ['eth0', 'net1', 'net2']) {
      rmSync(cacheFile(ifName), { force: true });
      for (const id of [ID, OTHER]) await call('DEL', ifName, conf(ifName, 1), id);
    }
    expect(await mapped()).toEqual([]);
    expect(records()).toEqual([]);
  });
  afterAll(() => lab.dispose());

  test('a second interface does not take the first one’s mappings', async () => {
    await done('ADD', 'eth0', conf('eth0', 80));
    await done('ADD', 'net1', conf('net1', 81));
    expect(await mapped()).toEqual([...at(80, 'eth0'), ...at(81, 'net1')]);
    for (const [ifName, port] of [
      ['eth0', 80],
      ['net1', 81],
    ] as const) {
      await done('CHECK', ifName, conf(ifName, port));
      const answer = await lab.run('node', [
        process.execPath,
        'run',
        PROBE,
        'tcp',
        '127.0.0.1',
        String(port),
      ]);
      expect(answer.stdout).toStartWith('pod ');
    }
    // Asked again, in whatever order, nothing changes.
    await done('ADD', 'eth0', conf('eth0', 80));
    await done('ADD', 'net1', conf('net1', 81));
    expect(await mapped()).toEqual([...at(80, 'eth0'), ...at(81, 'net1')]);
  });

  test.each([
    ['eth0', 'net1'],
    ['net1', 'eth0'],
  ])('DEL of %s leaves %s, CHECK of which holds, and is repeatable', async (leaves, stays) => {
    const port: Record<string, number> = { eth0: 80, net1: 81 };
    for (const ifName of ['eth0', 'net1']) await done('ADD', ifName, conf(ifName, port[ifName]!));
    for (let i = 0; i < 2; i++) {
      await done('DEL', leaves, conf(leaves, port[leaves]!));
      expect(await mapped()).toEqual(at(port[stays]!, stays));
      await done('CHECK', stays, conf(stays, port[stays]!));
      expect((await call('CHECK', leaves, conf(leaves, port[leaves]!))).document).toMatchObject({
        code: 999,
      });
      // An ADD of what is there already leaves it where it is, whichever names are free now.
      await done('ADD', stays, conf(stays, port[stays]!));
      expect(await mapped()).toEqual(at(port[stays]!, stays));
    }
    await done('ADD', leaves, conf(leaves, port[leaves]!));
    expect(await mapped()).toEqual([...at(80, 'eth0'), ...at(81, 'net1')]);
    for (const ifName of [stays, leaves])
      await done('DEL', ifName, { ...conf(ifName, 1), prevResult: undefined });
    expect(await mapped()).toEqual([]);
  });

  test('GC judges interfaces, not containers', async () => {
    const valid = (...ifNames: string[]) => ({
      ...{ cniVersion: '1.1.0', name: NETWORK, type: 'portmap' },
      'cni.dev/valid-attachments': ifNames.map((ifname) => ({ containerID: ID, ifname })),
    });
    for (const [stays, port] of [
      ['eth0', 80],
      ['net1', 81],
    ] as const) {
      await done('ADD', 'eth0', conf('eth0', 80));
      await done('ADD', 'net1', conf('net1', 81));
      await done('GC', '', valid('eth0', 'net1'));
      expect(await mapped()).toEqual([...at(80, 'eth0'), ...at(81, 'net1')]);
      for (let i = 0; i < 2; i++) {
        await done('GC', '', valid(stays));
        expect(await mapped()).toEqual(at(port, stays));
        expect(records()).toHaveLength(1);
      }
    }
    await done('GC', '', valid());
    expect(await mapped()).toEqual([]);
  });

  test.each<[string, Record<string, unknown>, boolean]>([
    ['null, which libcni sends for an empty list,', { 'cni.dev/valid-attachments': null }, false],
    ['both names null', { 'cni.dev/valid-attachments': null, 'cni.dev/attachments': null }, false],
    ['no list', {}, false],
    ['an empty list', { 'cni.dev/valid-attachments': [] }, false],
    [
      'the list under its former name',
      { 'cni.dev/attachments': [{ containerID: 'ID', ifname: 'eth0' }] },
      true,
    ],
  ])('GC with %s keeps what is in it and no more', async (_what, fields, keeps) => {
    await done('ADD', 'eth0', conf('eth0', 80));
    const config = { cniVersion: '1.1.0', name: NETWORK, type: 'portmap', ...fields };
    await done('GC', '', JSON.parse(JSON.stringify(config).replace('"ID"', JSON.stringify(ID))));
    expect(await mapped()).toEqual(keeps ? at(80, 'eth0') : []);
  });

  test('a host port that two interfaces of a container want is refused, and the owner named', async () => {
    await done('ADD', 'eth0', conf('eth0', 80));
    const second = await call('ADD', 'net1', conf('net1', 80));
    expect(second.document).toMatchObject({ code: 110 });
    expect(String(second.document!.msg)).toContain(
      `tcp 80 of interface eth0 of container ${ID} of network ${NETWORK} at 10.88.0.10:8080`,
    );
    expect(await mapped()).toEqual(at(80, 'eth0'));
    await done('ADD', 'net1', conf('net1', 81));
    const first = await call('ADD', 'eth0', conf('eth0', 81));
    expect(String(first.document!.msg)).toContain(`tcp 81 of interface net1 of container ${ID}`);
    const foreign = await call('ADD', 'eth0', conf('eth0', 81), OTHER);
    expect(String(foreign.document!.msg)).toContain(`tcp 81 of interface net1 of container ${ID}`);
    expect(await mapped()).toContainEqual(at(81, 'net1')[0]!);
  });

  test('an interface alone has the container’s name, whatever it is called', async () => {
    await done('ADD', 'net1', conf('net1', 81));
    expect(records()).toContain(attachmentChain(NETWORK, ID));
    await done('DEL', 'net1', conf('net1', 81));
    expect(await mapped()).toEqual([]);
  });

  test('an interface whose name stands in no comment has its mappings for itself too', async () => {
    const strange = 'a"b\\c{}';
    last[strange] = 90;
    await done('ADD', 'eth0', conf('eth0', 80));
    await done('ADD', strange, conf(strange, 82));
    await done('CHECK', strange, conf(strange, 82));
    await done('DEL', 'eth0', conf('eth0', 80));
    expect(await mapped()).toEqual(at(82, strange));
    await done('DEL', strange, conf(strange, 82));
  });

  test('without records the rules say whose they are', async () => {
    await done('ADD', 'eth0', conf('eth0', 80));
    await done('ADD', 'net1', conf('net1', 81));
    for (const ifName of ['eth0', 'net1']) remember(ifName);
    const lose = () => {
      for (const chain of records()) rmSync(`${RECORDS}/${chain}.json`);
    };
    lose();
    await done('ADD', 'net1', conf('net1', 81));
    expect(await mapped()).toEqual([...at(80, 'eth0'), ...at(81, 'net1')]);
    lose();
    await done('DEL', 'net1', conf('net1', 81));
    expect(await mapped()).toEqual(at(80, 'eth0'));
    await done('DEL', 'eth0', conf('eth0', 80));
    expect(await mapped()).toEqual([]);
    // What is by an interface's name gives way to the same interface's by the container's.
    await done('ADD', 'eth0', conf('eth0', 80));
    await done('ADD', 'net1', conf('net1', 81));
    await done('DEL', 'eth0', conf('eth0', 80));
    lose();
    await done('ADD', 'net1', conf('net1', 81));
    expect(await mapped()).toEqual(at(81, 'net1'));
  });

  test('a record that an earlier version wrote is that of its interface', async () => {
    await done('ADD', 'net1', conf('net1', 81));
    const path = `${RECORDS}/${attachmentChain(NETWORK, ID)}.json`;
    const { devices: _, ...record } = JSON.parse(await Bun.file(path).text());
    writeFileSync(path, JSON.stringify(record));
    await done('ADD', 'eth0', conf('eth0', 80));
    await done('DEL', 'eth0', conf('eth0', 80));
    expect(await mapped()).toEqual(at(81, 'net1'));
    await done('DEL', 'net1', conf('net1', 81));
    expect(await mapped()).toEqual([]);
  });

  test('of a sandbox that is gone, a DEL takes what is by the container’s name, whichever interface had it', async () => {
    const config = conf('net1', 81);
    expect(
      await lab.cni('node', ours, 'ADD', { id: ID, netns: '/run/netns/no-such', ifName: 'net1', config }),
    ).toMatchObject({ code: 0 });
    await done('DEL', 'eth0', conf('eth0', 80));
    expect(await mapped()).toEqual([]);
  });

  if (backend === 'nftables') {
    test('of what the reference wrote in nftables, a DEL leaves what leads to another interface', async () => {
      for (const [family, one, two] of [
        ['ip', '10.88.0.10', '10.89.0.10'],
        ['ip6', '[fd88::10]', '[fd89::10]'],
      ] as const) {
        const table = `${family} cni_hostport`;
        const rules = [one, two].flatMap((to, i) => {
          const bare = to.replace(/[[\]]/g, '');
          return [
            `add rule ${table} hostports tcp dport ${80 + i} dnat to ${to}:8080 comment "${ID}"`,
            `add rule ${table} masquerading ${family} saddr ${bare} ${family} daddr ${bare} masquerade comment "${ID}"`,
          ];
        });
        const chains = [
          `add table ${table}`,
          `add chain ${table} hostports { type nat hook prerouting priority -100 ; }`,
          `add chain ${table} masquerading { type nat hook postrouting priority 100 ; }`,
        ];
        const document = `${[...chains, ...rules].join('\n')}\n`;
        expect(await lab.run('node', ['nft', '-f', '-'], document)).toMatchObject({ code: 0 });
      }
      for (const ifName of ['eth0', 'net1']) remember(ifName);
      const left = async () =>
        (await lab.ok('node', ['nft', 'list', 'ruleset']))
          .split('\n')
          .filter((line) => line.includes(ID))
          .map((line) => (/8[89]/.exec(line) ?? [''])[0]);
      for (let i = 0; i < 2; i++) {
        await done('DEL', 'net1', conf('net1', 81));
        expect(await left()).toEqual(['88', '88', '88', '88']);
      }
      rmSync(cacheFile('net1'));
      await done('DEL', 'eth0', conf('eth0', 80));
      expect(await left()).toEqual([]);
      for (const family of ['ip', 'ip6'])
        await lab.ok('node', ['nft', 'delete', 'table', family, 'cni_hostport']);
    });
  }

  if (backend === 'iptables') {
    const reference = join(REFERENCE, 'portmap');
    const byReference = (verb: string, ifName: string, hostPort: number) =>
      lab.cni('node', reference, verb, {
        ...{ id: ID, netns: lab.path('pod'), ifName, config: old(ifName, hostPort) },
      });

    test('the reference’s mappings of one interface stay when another comes and goes', async () => {
      expect(await byReference('ADD', 'eth0', 80)).toMatchObject({ code: 0 });
      remember('eth0');
      await done('ADD', 'net1', conf('net1', 81));
      expect(await mapped()).toEqual([...at(80, 'eth0'), ...at(81, 'net1')]);
      await done('DEL', 'net1', conf('net1', 81));
      expect(await mapped()).toEqual(at(80, 'eth0'));
      await done('DEL', 'eth0', conf('eth0', 80));
      expect(await mapped()).toEqual([]);
    });

    test('the reference cleans up after the only interface, and ours after the reference', async () => {
      await done('ADD', 'net1', conf('net1', 81));
      expect(await byReference('DEL', 'net1', 81)).toMatchObject({ code: 0 });
      expect(await mapped()).toEqual([]);
      await done('DEL', 'net1', conf('net1', 81));
      expect(await byReference('ADD', 'net1', 81)).toMatchObject({ code: 0 });
      await done('DEL', 'net1', conf('net1', 81));
      expect(await mapped()).toEqual([]);
    });
  }
});
