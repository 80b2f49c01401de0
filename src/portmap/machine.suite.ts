import { describe, expect, test } from 'bun:test';
import { deviceTowards } from '../net/routes.ts';
import { deleteUdpFlows, listUdpFlows } from '../netfilter/conntrack.ts';
import type { Exec } from '../sys/exec.ts';
import { FAMILIES, type Family, type NftFamily } from '../util/family.ts';
import { parseIp } from '../util/ip.ts';
import { NFT_TABLE, REFERENCE_NFT_TABLE } from './layout.ts';
import type { Machine } from './machine.ts';
import { nftMaps } from './nftables-layout.ts';
import { ReferenceTables } from './nftables-reference.ts';
import { FakeAttachments } from './testing/attachments.fake.ts';

/**
 * A machine for the suite. Its bridge `ports` (30) has 10.1.1.1/24, fd01::1/64 and the veth `host0` (20) as a port, whose other end is
 * `eth0` in the namespace `pod`. 10.0.0.0/24 is behind `ports`, 10.9.0.0/24 a black hole, 10.8.0.0/24 unreachable, and there is no default
 * route. Nothing has route_localnet. The reference plugin's table of IPv4 has {@link REFERENCE_RULES}. Connections are tracked as
 * {@link FLOWS} say.
 */
export interface StagedMachine {
  machine: Machine;
  /** Runs the programs of the machine. */
  exec: Exec;
  /** Path of the pod's network namespace. */
  pod: string;
}

/** The rules of the chain `hostports`, each with its comment, as nft takes and prints them. */
export const REFERENCE_RULES: readonly { comment?: string; text: string; expr: object[] }[] = [
  { comment: 'c', port: 80, to: '10.0.0.5:8080', dnat: { addr: '10.0.0.5', port: 8080 } },
  { comment: 'd', port: 81, to: '10.0.0.6', dnat: { addr: '10.0.0.6' } },
  { port: 82, to: '10.0.0.7:80-90', dnat: { addr: '10.0.0.7', port: { range: [80, 90] } } },
].map(({ comment, port, to, dnat }) => ({
  ...(comment === undefined ? {} : { comment }),
  text: `tcp dport ${port} dnat to ${to}`,
  expr: [
    { match: { op: '==', left: { payload: { protocol: 'tcp', field: 'dport' } }, right: port } },
    { dnat },
  ],
}));

/** Tracked UDP flows: what the client sent to, and who answers. */
export const FLOWS: readonly { to: string; port: number; by: string; byPort: number }[] = [
  { to: '10.1.1.1', port: 53, by: '10.0.0.5', byPort: 5353 },
  { to: '10.1.1.1', port: 53, by: '10.0.0.6', byPort: 5353 },
  { to: '10.1.1.1', port: 54, by: '10.0.0.5', byPort: 5353 },
  { to: 'fd01::1', port: 53, by: 'fd00::5', byPort: 5353 },
];

/** What the plugin relies on in a machine: one suite for the real one and for the fake. */
export function machineSuite(staged: () => StagedMachine): void {
  describe('route_localnet', () => {
    test('is read and set by device', () => {
      const { machine } = staged();
      const values = () => ['all', 'host0', 'ports'].map((name) => machine.sysctl(name, 'route_localnet'));
      expect(values()).toEqual(['0', '0', '0']);
      for (let i = 0; i < 2; i++) {
        machine.setSysctl('host0', 'route_localnet', '1');
        expect(values()).toEqual(['0', '1', '0']);
      }
      machine.setSysctl('host0', 'route_localnet', '0');
      expect(values()).toEqual(['0', '0', '0']);
    });

    test('of a device that is not there is an error', () => {
      const { machine } = staged();
      expect(() => machine.sysctl('none', 'route_localnet')).toThrow();
      expect(() => machine.setSysctl('none', 'route_localnet', '1')).toThrow();
    });
  });

  test('devices are found by name, by index and by their other end', () => {
    const { machine, pod } = staged();
    const devices = machine.devices();
    try {
      const host0 = { index: 20, name: 'host0', kind: 'veth', master: 30 };
      expect(devices.byName('host0')).toMatchObject(host0);
      expect(devices.byIndex(20)).toMatchObject(host0);
      expect(devices.byName('ports')).toMatchObject({ index: 30, kind: 'bridge', master: undefined });
      expect(devices.otherEnd(pod, 'eth0')).toMatchObject(host0);
      expect([devices.byName('none'), devices.byIndex(4711)]).toEqual([undefined, undefined]);
      expect(['lo', 'none'].map((name) => devices.otherEnd(pod, name))).toEqual([undefined, undefined]);
    } finally {
      devices.close();
    }
  });

  test('a namespace is known by its path', () => {
    const { machine, pod } = staged();
    const paths = [pod, '/tmp', '/none', `${pod}/none`];
    expect(paths.map((path) => machine.isNamespace(path))).toEqual([true, false, false, false]);
  });

  test('routes say by which device a packet leaves', () => {
    const routes = staged().machine.routes();
    const leavesBy = (address: string) => deviceTowards(routes, parseIp(address)!);
    expect(['10.0.0.5', '10.1.1.9', '10.9.0.5', '10.8.0.5', '192.0.2.1'].map(leavesBy)).toEqual([
      'ports',
      'ports',
      undefined,
      undefined,
      undefined,
    ]);
    expect(routes).toContainEqual({
      ...{ device: 'ports', network: 0x0a000000, mask: 0xffffff00 },
      ...{ metric: 0, up: true, reject: false },
    });
  });

  test.each<[Family, string[]]>([
    ['ipv4', ['127.0.0.1', '127.0.0.53', '10.1.1.1']],
    ['ipv6', ['::1', 'fd01::1', 'FD01:0::1']],
  ])('local addresses of %s', (family, local) => {
    const isLocal = staged().machine.localAddressTest(family);
    const others = ['10.1.1.2', '10.0.0.5', 'fd01::2', 'here', ''];
    const ofOther = family === 'ipv4' ? ['::1', 'fd01::1'] : ['127.0.0.1', '10.1.1.1'];
    expect([...local, ...ofOther, ...others].filter(isLocal)).toEqual(local);
  });

  test('the lock is free again after its release', async () => {
    for (let i = 0; i < 2; i++) {
      const lock = await staged().machine.lockRules();
      expect(lock.fd).toBeGreaterThan(2);
      lock.release();
    }
  });

  test('rules of the nat table are listed as they are printed, and their chains are found', async () => {
    const { machine, exec } = staged();
    const chain = 'CNI-DN-0123456789abcdef01234';
    const tables = FAMILIES.map((family) => machine.nat(exec, family));
    const found = () => [
      ...[undefined, ...FAMILIES].map((family) => machine.mayHaveIptablesChain(chain, family)),
      ...FAMILIES.map((family) => machine.hasIptablesNftChain(chain, family)),
    ];
    expect(found()).toEqual([false, false, false, false, false]);
    const rule = 'tcp --dport 80 -d 10.1.1.1 -s 10.0.0.5/24 -j DNAT --to-destination 10.0.0.5:8080';
    const commands = [`-N ${chain}`, `-A ${chain} -p ${rule}`];
    expect(await tables[0]!.restore(commands)).toEqual({ applied: true });
    const printed = `-A ${chain} -s 10.0.0.0/24 -d 10.1.1.1/32 -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.0.0.5:8080`;
    expect(await tables[0]!.listChain(chain)).toEqual([printed]);
    expect(await tables[0]!.listAll()).toEqual([printed]);
    expect(await tables[1]!.listChain(chain)).toBeUndefined();
    expect(found()).toEqual([true, true, false, true, false]);
    expect(await tables[0]!.restore([`-F ${chain}`, `-X ${chain}`])).toEqual({ applied: true });
    expect(found()).toEqual([false, false, false, false, false]);
  });

  test('our nftables table has nothing before it is there', async () => {
    const { machine, exec } = staged();
    const table = machine.nft(exec, NFT_TABLE, nftMaps);
    for (const { name } of nftMaps) expect(await table.list(name)).toEqual([]);
  });

  test("the reference plugin's rules are listed with their comments, and removed", async () => {
    const { machine, exec } = staged();
    const listed = (family: NftFamily, table: string) =>
      machine.foreignRules(family, table).map(({ chain, comment }) => [chain, comment]);
    const comments = REFERENCE_RULES.map(({ comment }) => ['hostports', comment]);
    expect(listed('ip', REFERENCE_NFT_TABLE)).toEqual(comments as [string, string | undefined][]);
    expect([listed('ip6', REFERENCE_NFT_TABLE), listed('ip', 'none')]).toEqual([[], []]);
    const tables = new ReferenceTables(exec, new FakeAttachments(), machine);
    expect(await tables.targets()).toEqual(['10.0.0.5:8080', '10.0.0.6', '10.0.0.7:80-90']);
    const key = { networkName: 'net', containerId: 'd', ifName: 'eth0' };
    expect(await tables.remove(key)).toEqual([
      { protocol: 'tcp', hostPort: 81, hostIP: undefined, target: '10.0.0.6' },
    ]);
    expect(await tables.remove(key)).toEqual([]);
    expect(await tables.targets()).toEqual(['10.0.0.5:8080', '10.0.0.7:80-90']);
  });

  test('tracked flows are listed by family and port, and deleted one by one', async () => {
    const { machine, exec } = staged();
    expect(machine.tracksFlows()).toBe(true);
    const listed = async (family: Family, port: number) =>
      (await listUdpFlows(exec, family, port))
        .map((flow) => `${flow.destination} ${flow.replySource} ${flow.replySourcePort}`)
        .sort();
    expect(await listed('ipv6', 53)).toEqual(['fd01::1 fd00::5 5353']);
    expect(await listed('ipv4', 54)).toEqual(['10.1.1.1 10.0.0.5 5353']);
    expect(await listed('ipv4', 53)).toEqual(['10.1.1.1 10.0.0.5 5353', '10.1.1.1 10.0.0.6 5353']);
    const [first] = await listUdpFlows(exec, 'ipv4', 53);
    // The second time it is gone already.
    for (let i = 0; i < 2; i++) await deleteUdpFlows(exec, 'ipv4', first!);
    expect((await listed('ipv4', 53)).length).toBe(1);
    expect(await listed('ipv4', 54)).toEqual(['10.1.1.1 10.0.0.5 5353']);
  });
}
