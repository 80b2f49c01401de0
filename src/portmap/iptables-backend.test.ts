import { describe, expect, test } from 'bun:test';
import type { PluginConfig } from '../cni/types.ts';
import { FakeNat } from '../netfilter/iptables/iptables.fake.ts';
import type { Attached } from './attached.ts';
import type { Attachments } from './attachments.ts';
import { parsePortmapConfig } from './config.ts';
import { IptablesBackend } from './iptables-backend.ts';
import { attachmentChain, DNAT_CHAIN } from './layout.ts';

const config = parsePortmapConfig({
  name: 'net',
  runtimeConfig: { portMappings: [{ hostPort: 80, containerPort: 8080 }] },
} as PluginConfig);
const pod = { ip: { family: 'ipv4' as const, bytes: [10, 0, 0, 5] }, prefix: 32 };
const nothingKnown: Attachments = {
  record: () => true,
  hasRecord: () => false,
  keepDevices: () => {},
  forget: () => {},
  portsOf: () => undefined,
  conditionsOf: () => undefined,
  interfaceOf: () => undefined,
  devicesOf: () => [],
  recorded: () => new Map(),
  tidy: () => {},
  probe: () => {},
  sandboxState: () => 'unknown',
  addressesOfOthers: () => new Set(),
};

function at(containerId: string): Attached {
  return { networkName: 'net', containerId, interface: 'eth0' };
}

const machine = { glance: () => undefined, localAddressTest: () => () => false };

function setUp(attachments = nothingKnown) {
  const nat = new FakeNat();
  const warnings: string[] = [];
  return {
    nat,
    warnings,
    backend: new IptablesBackend(nat, attachments, (text) => warnings.push(text), machine),
  };
}

async function add(backend: IptablesBackend, ...request: Parameters<IptablesBackend['plan']>) {
  return backend.carryOut(await backend.plan(...request));
}

test('on a node that has mappings an ADD is one document and no more reading than the entries', async () => {
  const { nat, backend } = setUp();
  await add(backend, config, at('first'), pod);
  const before = nat.documents.length;
  let listed = 0;
  const list = nat.listChain.bind(nat);
  nat.listChain = (chain) => {
    listed++;
    return list(chain);
  };
  const other = { ...config, portMappings: [{ ...config.portMappings[0]!, hostPort: 81 }] };
  await add(backend, other, at('second'), pod);
  expect({ documents: nat.documents.length - before, listed }).toEqual({ documents: 1, listed: 1 });
});

describe('another program changes the table between the look and the change', () => {
  test.each<[string, (chains: Map<string, string[]>) => void]>([
    ['flushes everything', (chains) => chains.forEach((_, name) => void chains.set(name, []))],
    ['removes our jump', (chains) => void chains.get('PREROUTING')!.pop()],
    ['adds our chain', (chains) => void chains.set(attachmentChain('net', 'c'), ['-j RETURN'])],
  ])('%s: planned again', async (_name, change) => {
    const { nat, backend } = setUp();
    await add(backend, config, at('other'), pod);
    await backend.remove([at('other')]);
    nat.before = (chains) => {
      nat.before = undefined;
      change(chains);
    };
    await add(backend, config, at('c'), pod);
    expect((await nat.listChain(attachmentChain('net', 'c')))!.length).toBe(3);
    expect((await nat.listChain(DNAT_CHAIN))!.length).toBe(1);
    expect((await nat.listChain('PREROUTING'))!.length).toBe(1);
  });

  test('without end: an error, and nothing of ours', async () => {
    const { nat, backend } = setUp();
    nat.before = (chains) => {
      const chain = attachmentChain('net', 'c');
      if (chains.has(chain)) chains.delete(chain);
      else chains.set(chain, []);
    };
    await expect(add(backend, config, at('c'), pod)).rejects.toMatchObject({ code: 999 });
    expect(await nat.listChain('PREROUTING')).toEqual([]);
  });

  test('a DEL meets a DEL', async () => {
    const { nat, backend } = setUp();
    await add(backend, config, at('c'), pod);
    nat.before = (chains) => {
      nat.before = undefined;
      chains.set(DNAT_CHAIN, []);
      chains.delete(attachmentChain('net', 'c'));
    };
    await backend.remove([at('c')]);
    expect(await nat.listChain(attachmentChain('net', 'c'))).toBeUndefined();
  });
});

test('a living owner is named with network, container and address', async () => {
  const { backend } = setUp({ ...nothingKnown, sandboxState: () => 'alive' });
  await add(backend, config, at('old'), pod);
  await expect(add(backend, config, at('new'), pod)).rejects.toMatchObject({
    code: 110,
    message:
      'host port is already in use: tcp 80 of container old of network net at 10.0.0.5:8080, whose sandbox still exists',
  });
});

test('a mapping of which nothing is known stays, behind the new one', async () => {
  const { nat, backend, warnings } = setUp();
  await add(backend, config, at('old'), pod);
  await add(backend, config, at('new'), pod);
  const order = (await nat.listChain(DNAT_CHAIN))!.map((line) => /id: \\"(\w+)/.exec(line)![1]);
  expect(order).toEqual(['new', 'old']);
  expect(warnings).toHaveLength(1);
  await expect(backend.check(config, at('old'), pod)).rejects.toThrow();
});
