/** The real names along the mappings of recorded clusters: what the drawing of the report page shows. */
import { describe, expect, test } from 'bun:test';
import { join } from 'node:path';
import { bundleWorld } from '../src/collect/bundle.ts';
import { diagnose } from '../src/path/diagnose/diagnose.ts';
import type { World } from '../src/path/model/world.ts';
import { packetWays } from '../src/path/view/packet-way.ts';
import { moments } from './fixtures/moments.ts';

const BUNDLES = join(import.meta.dir, 'fixtures/bundles');

/** The names along the mappings of a world, by the pods' nodes. */
function waysOf(world: World) {
  const ways = packetWays(diagnose(world));
  return new Map([...ways].map(([{ node }, way]) => [node!, way]));
}

describe('before anything is fixed', async () => {
  const world = await bundleWorld(join(BUNDLES, 'begin'));
  const ways = waysOf(world);

  test('a mapping that works has a name for each step of its way, and the way of its answer', () => {
    expect(ways.get('kind-worker')).toEqual({
      address: '172.17.0.3:80',
      entry: 'eth0',
      list: '/etc/cni/net.d/000-cilium-portmap.conflist',
      plugins: 'cilium-cni → portmap',
      binary: '/opt/cni/bin/portmap',
      sandbox: 'a2a2a2a2a2a2a',
      network: 'cilium-portmap',
      chain: expect.stringMatching(/^iptables-\w+ ip nat CNI-DN-[0-9a-f]{21}$/),
      rule: expect.stringMatching(/-j DNAT --to-destination 192\.168\.1\.2:8080$/),
      route: '192.168.1.0/24 via 192.168.1.1 dev cilium_host',
      device: 'lxc000000000001',
      pod: '192.168.1.2:8080',
      probes: expect.stringMatching(/^direct: answered, node: answered, /),
      reply: '192.168.1.2 → lxc000000000001 → from 172.17.0.3 → eth0 → 172.17.0.2',
    });
  });

  test('one without a chain has what is there, and says why its answer is not known', () => {
    const way = ways.get('kind-worker3')!;
    expect(way).toMatchObject({
      list: '/etc/cni/net.d/05-cilium.conflist',
      plugins: 'cilium-cni',
      replyUnknown: 'the connection does not get to the pod for certain',
    });
    expect(way).not.toContainAnyKeys(['chain', 'rule', 'reply']);
  });

  test('one whose plugin is missing names none', () => {
    expect(ways.get('kind-worker2')).not.toContainAnyKeys(['binary', 'sandbox', 'pod', 'rule']);
  });

  test('of a node without a report only what the API says is named', () => {
    const reports = new Map([...world.reports].map(([node]) => [node, { unknown: 'no report' }]));
    expect(waysOf({ ...world, reports, probes: [] }).get('kind-worker')).toEqual({
      address: '172.17.0.3:80',
      pod: '192.168.1.2:8080',
    });
  });

  test('only mappings that are wanted are looked at', () => {
    const diagnosed = diagnose(world);
    const [, wanted] = diagnosed.diagnosis.paths;
    expect([...packetWays(diagnosed, new Set([wanted!])).keys()]).toEqual([wanted!]);
  });
});

test('fixed, every mapping has its rule and its answer', async () => {
  const { name } = moments.find(({ exitStatus }) => exitStatus === 0)!;
  for (const way of waysOf(await bundleWorld(join(BUNDLES, name))).values())
    expect(Object.keys(way).sort()).toEqual(
      [
        ...['address', 'entry', 'list', 'plugins', 'binary', 'sandbox', 'network'],
        ...['chain', 'rule', 'route', 'device', 'pod', 'probes', 'reply'],
      ].sort(),
    );
});
