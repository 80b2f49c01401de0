import { afterAll, afterEach, beforeAll, describe, expect, test } from 'bun:test';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { attachmentChain } from '../src/portmap/layout.ts';
import { REFERENCE, Topology } from '../src/portmap/testing/topology.ts';

// A node changes its plugin while pods run, in either direction: each must carry on with what the other made.
const NETWORK = `cross-${process.pid}`;
const ID = `pod-${process.pid}`;
const OTHER = `other-${process.pid}`;
const plugins = ['ours', 'reference'] as const;
type Who = (typeof plugins)[number];

describe.each(['nft', 'legacy'] as const)('iptables-%s', (variant) => {
  let lab: Topology;

  beforeAll(async () => {
    lab = await Topology.create(variant);
    for (const name of ['node', 'pod', 'other']) await lab.namespace(name);
    lab.enter('node');
  });
  afterAll(async () => {
    for (const id of [ID, OTHER]) {
      rmSync(`/run/hostport/portmap/${attachmentChain(NETWORK, id)}.json`, { force: true });
    }
    await lab.dispose();
  });
  afterEach(async () => {
    for (const program of ['iptables', 'ip6tables']) {
      const emptied = await lab.run('node', [`${program}-restore`], '*nat\nCOMMIT\n');
      expect(emptied).toMatchObject({ code: 0, stderr: '' });
    }
  });

  async function call(who: Who, verb: string, id: string, portMappings: object[], extra = {}) {
    const last = id === ID ? 10 : 11;
    const request = {
      id,
      netns: lab.path(id === ID ? 'pod' : 'other'),
      config: {
        ...{ cniVersion: '0.4.0', name: NETWORK, type: 'portmap', capabilities: { portMappings: true } },
        runtimeConfig: { portMappings },
        prevResult: {
          cniVersion: '0.4.0',
          interfaces: [{ name: 'eth0', sandbox: lab.path(id === ID ? 'pod' : 'other') }],
          ips: [
            { version: '4', address: `10.88.0.${last}/24`, interface: 0 },
            { version: '6', address: `fd88::${last}/64`, interface: 0 },
          ],
        },
        ...extra,
      },
    };
    const outcome =
      who === 'ours'
        ? await lab.portmapHere(verb, request)
        : await lab.cni('node', join(REFERENCE, 'portmap'), verb, request);
    expect({
      who,
      verb,
      code: outcome.code,
      document: outcome.code === 0 ? undefined : outcome.document,
    }).toEqual({ who, verb, code: 0, document: undefined });
  }

  async function rules(): Promise<string[]> {
    return [...(await lab.natRules('node')), ...(await lab.natRules('node', 'ip6tables'))];
  }

  const requests: [string, object[]][] = [
    ['one port', [{ hostPort: 80, containerPort: 8080, protocol: 'tcp' }]],
    [
      'protocols and addresses',
      [
        { hostPort: 53, containerPort: 53, protocol: 'udp' },
        { hostPort: 80, containerPort: 8080, protocol: 'tcp', hostIP: '127.0.0.1' },
        { hostPort: 81, containerPort: 8081, protocol: 'tcp', hostIP: 'fd00::1' },
        { hostPort: 90, containerPort: 90, protocol: 'sctp' },
      ],
    ],
  ];
  const rest = [{ hostPort: 7000, containerPort: 1, protocol: 'tcp' }];

  const cases = requests.flatMap(([request, mappings]) =>
    plugins.flatMap((first) => plugins.map((second) => [request, first, second, mappings] as const)),
  );

  test.each(cases)('%s: added by %s, deleted by %s', async (_request, first, second, mappings) => {
    await call(second, 'ADD', OTHER, rest);
    const before = await rules();
    await call(first, 'ADD', ID, mappings);
    expect((await rules()).length).toBeGreaterThan(before.length);
    for (let i = 0; i < 2; i++) await call(second, 'DEL', ID, mappings);
    expect(await rules()).toEqual(before);
    await call(first, 'DEL', OTHER, rest);
    expect((await rules()).filter((line) => line.includes('CNI-DN-'))).toEqual([]);
  });

  test.each(requests)('%s: added by the reference, checked by ours', async (_request, mappings) => {
    await call('reference', 'ADD', ID, mappings);
    await call('ours', 'CHECK', ID, mappings);
  });

  // Not the reverse: the reference 1.1.1 looks for IPv6 rules in the IPv4 table, and fails for what it made itself.

  test.each(requests)(
    '%s: added by the reference, then by ours, is added once',
    async (_request, mappings) => {
      await call('reference', 'ADD', ID, mappings);
      const before = await rules();
      await call('ours', 'ADD', ID, mappings);
      expect(await rules()).toEqual(before);
      await call('reference', 'DEL', ID, mappings);
      expect((await rules()).filter((line) => line.includes('CNI-DN-'))).toEqual([]);
    },
  );

  test('doubled by the reference, then added by ours, is added once', async () => {
    const [, mappings] = requests[0]!;
    await call('ours', 'ADD', ID, mappings);
    const right = await rules();
    await call('ours', 'DEL', ID, mappings);
    const old = {
      cniVersion: '0.4.0',
      interfaces: [{ name: 'eth0', sandbox: lab.path('pod') }],
      ips: [{ version: '4', address: '10.88.0.99/24', interface: 0 }],
    };
    await call('reference', 'ADD', ID, mappings, { prevResult: old });
    await call('reference', 'ADD', ID, mappings);
    expect((await rules()).join('\n')).toContain('10.88.0.99:8080');
    await call('ours', 'ADD', ID, mappings);
    expect(await rules()).toEqual(right);
    await call('reference', 'DEL', ID, mappings);
    expect((await rules()).filter((line) => line.includes('CNI-DN-'))).toEqual([]);
  });

  test.each(requests)('%s: added by the reference, collected by ours', async (_request, mappings) => {
    await call('reference', 'ADD', OTHER, rest);
    const before = await rules();
    await call('reference', 'ADD', ID, mappings);
    const valid = [{ containerID: OTHER, ifname: 'eth0' }];
    await call('ours', 'GC', ID, [], {
      cniVersion: '1.1.0',
      prevResult: undefined,
      'cni.dev/valid-attachments': valid,
    });
    expect(await rules()).toEqual(before);
  });
});
