import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CniError } from '../cni/errors.ts';
import type { PluginRequest } from '../cni/plugin.ts';
import type { Result } from '../cni/types.ts';
import { IptablesNat } from '../netfilter/iptables/iptables.ts';
import { RulesLockHeld } from '../netfilter/iptables/rules-lock.ts';
import { ExecError } from '../sys/exec.ts';
import { NotRegularFile } from '../sys/regular-file.ts';
import type { Family } from '../util/family.ts';
import { attachmentChain } from './layout.ts';
import { FakeMachine } from './machine.fake.ts';
import { podAddresses, portmap } from './portmap.ts';
import { RouteLocalnet } from './route-localnet.ts';
import { FakeAttachments } from './testing/attachments.fake.ts';
import { failure } from './testing/failure.ts';

// The plugin from request to answer, on a machine in memory. What packets make of it is in portmap.netns.test.ts and its neighbours.

let machine: FakeMachine;
let attachments: FakeAttachments;
let warnings: string[];
let directory: string;

beforeEach(() => {
  machine = new FakeMachine();
  attachments = new FakeAttachments();
  warnings = [];
  directory = mkdtempSync(join(tmpdir(), 'hostport-plugin-'));
});
afterEach(() => {
  rmSync(directory, { recursive: true });
  expect(machine.locks.held).toBe(0);
});

const plugin = () => portmap(machine, attachments, machine, new RouteLocalnet(machine, directory));

const CHAIN = attachmentChain('net', 'c');
const RESULT: Result = { interfaces: [], ips: [{ address: '10.0.0.5/24' }], routes: [], dns: {} };
const DUAL: Result = { ...RESULT, ips: [{ address: '10.0.0.5/24' }, { address: 'fd00::5/64' }] };

interface Asked {
  id?: string;
  ifName?: string;
  ports?: Record<string, unknown>[];
  prevResult?: Result | undefined;
  [key: string]: unknown;
}

function request({
  id = 'c',
  ifName = 'eth0',
  ports = [{ hostPort: 80 }],
  ...fields
}: Asked = {}): PluginRequest {
  const { prevResult, ...config } = { prevResult: RESULT, ...fields };
  return {
    ...{
      containerId: id,
      netns: `/run/netns/${id}`,
      ifName,
      args: '',
      path: [],
      cniVersion: '1.1.0',
      prevResult,
    },
    config: {
      name: 'net',
      // Where 127.0.0.1 is masqueraded, devices matter: these have tests of their own.
      snat: false,
      capabilities: { portMappings: true },
      runtimeConfig: { portMappings: ports.map((port) => ({ containerPort: 8080, ...port })) },
      ...config,
    },
    warn: (message) => warnings.push(message),
  };
}

/** What is mapped: backend, family, protocol, port and pod, of both backends. */
async function mapped(): Promise<string[]> {
  const nats = Object.values(machine.tables).map(async (nat) => (await nat.listAll()).flatMap(translation));
  const elements = [...(machine.nftTable.state?.maps.values() ?? [])].flatMap((map) => [...map.values()]);
  const nft = elements.flatMap(({ map, key, value }) =>
    map.endsWith('_targets') ? [`nftables ${key} > ${value}`] : [],
  );
  return [...(await Promise.all(nats)).flat(), ...nft].sort();
}

function translation(line: string): string[] {
  const found = /-p (\w+).* --dport (\d+).*(?:-d (\S+))?.* --to-destination (\S+)/.exec(line);
  return found === null ? [] : [`iptables ${found[1]} ${found[2]} > ${found[4]}`];
}

describe('ADD', () => {
  test.each<[string, Asked, string[]]>([
    ['iptables', {}, ['iptables tcp 80 > 10.0.0.5:8080']],
    [
      'iptables, both families',
      { prevResult: DUAL },
      ['iptables tcp 80 > 10.0.0.5:8080', 'iptables tcp 80 > [fd00::5]:8080'],
    ],
    ['nftables', { backend: 'nftables' }, ['nftables tcp . 80 > 10.0.0.5 . 8080']],
    [
      'nftables, both families',
      { backend: 'nftables', prevResult: DUAL },
      ['nftables tcp . 80 > 10.0.0.5 . 8080', 'nftables tcp . 80 > fd00:0:0:0:0:0:0:5 . 8080'],
    ],
    [
      'nftables, by its conditions',
      { conditionsV4: ['ip saddr 10.0.0.0/8'] },
      ['nftables tcp . 80 > 10.0.0.5 . 8080'],
    ],
  ])('by %s', async (_name, asked, wanted) => {
    const given = request(asked);
    for (let i = 0; i < 2; i++) {
      expect(await plugin().add(given)).toBe(given.prevResult!);
      expect(await mapped()).toEqual(wanted);
      await plugin().check(given);
    }
    expect(warnings).toEqual([]);
    expect([...attachments.records.keys()]).toEqual([CHAIN]);
    expect(attachments.records.get(CHAIN)).toMatchObject({
      ...{ networkName: 'net', containerId: 'c', ifName: 'eth0', netns: '/run/netns/c', devices: [] },
      ports: [{ hostPort: 80 }, { hostPort: 80 }],
    });
    expect(machine.locks.taken).toBe(2);
    for (let i = 0; i < 2; i++) {
      await plugin().del(given);
      expect([await mapped(), attachments.records.size]).toEqual([[], 0]);
    }
  });

  test('without ports changes nothing', async () => {
    const given = request({ ports: [] });
    expect(await plugin().add(given)).toBe(given.prevResult!);
    await plugin().check(given);
    expect([machine.locks.taken, machine.ran, attachments.records.size, warnings]).toEqual([0, [], 0, []]);
  });

  test('outside of a chain is an error', async () => {
    expect(await failure(plugin().add(request({ prevResult: undefined })))).toEqual({
      ...{ code: 7, message: 'portmap must be called as chained plugin' },
    });
  });

  test('says what has no effect, and fails if strict', async () => {
    const asked = {
      ports: [
        { hostPort: 80, hostIP: '10.9.9.9' },
        { hostPort: 81, hostIP: '10.1.1.1' },
        { hostPort: 82, hostIP: '10.1.1.1' },
      ],
    };
    const text = 'hostIP 10.9.9.9 of tcp 80 has no effect: it is not an address of this machine';
    await plugin().add(request(asked));
    expect(warnings).toEqual([text]);
    expect(await failure(plugin().add(request({ ...asked, strict: true })))).toEqual({
      code: 111,
      message: text,
    });
    const { capabilities: _, ...bare } = request({ ports: [] }).config;
    await plugin().add({ ...request(), config: { ...bare, runtimeConfig: undefined } });
    expect(warnings[1]).toContain('no port is ever mapped');
  });

  test('reads the addresses of the machine once a family, and only for a hostIP', async () => {
    let read: string[] = [];
    const test = machine.localAddressTest.bind(machine);
    machine.localAddressTest = (family) => {
      read.push(family);
      return test(family);
    };
    await plugin().add(request());
    expect(read).toEqual([]);
    const hostIPs = ['10.1.1.1', '10.9.9.9', 'fd01::1', 'fd01::2'];
    await plugin().add(
      request({ prevResult: DUAL, ports: hostIPs.map((hostIP, i) => ({ hostIP, hostPort: 80 + i })) }),
    );
    expect(read).toEqual(['ipv4', 'ipv6']);
    read = [];
  });

  for (const backend of ['iptables', 'nftables']) {
    const message =
      'host port is already in use: tcp 80 of container c of network net at 10.0.0.5:8080, whose sandbox still exists';

    test(`a port of another that lives (${backend})`, async () => {
      await plugin().add(request({ backend }));
      attachments.sandboxes.c = 'alive';
      for (const other of ['iptables', 'nftables']) {
        expect(await failure(plugin().add(request({ id: 'd', backend: other })))).toEqual({
          code: 110,
          message,
        });
        // Nothing was changed, so nothing is remembered.
        expect([...attachments.records.keys()]).toEqual([CHAIN]);
      }
      expect(await mapped()).toHaveLength(1);
    });

    test(`a port of another that lives, by one that has others (${backend})`, async () => {
      await plugin().add(request({ backend }));
      attachments.sandboxes.c = 'alive';
      await plugin().add(request({ id: 'd', backend, ports: [{ hostPort: 81 }] }));
      expect(await failure(plugin().add(request({ id: 'd', backend })))).toEqual({ code: 110, message });
      expect(attachments.records.size).toBe(2);
    });

    for (const other of ['iptables', 'nftables']) {
      test(`a port of another that is gone passes from ${backend} to ${other}`, async () => {
        await plugin().add(request({ backend, prevResult: DUAL }));
        attachments.sandboxes.c = 'gone';
        await plugin().add(
          request({ id: 'd', backend: other, prevResult: { ...RESULT, ips: [{ address: '10.0.0.6/24' }] } }),
        );
        expect(await mapped()).toEqual([
          other === 'iptables' ? 'iptables tcp 80 > 10.0.0.6:8080' : 'nftables tcp . 80 > 10.0.0.6 . 8080',
        ]);
        expect([...attachments.records.keys()]).toEqual([attachmentChain('net', 'd')]);
        expect(warnings).toEqual([]);
      });
    }

    test(`of other ports or families than before leaves nothing of those (${backend})`, async () => {
      await plugin().add(request({ backend, prevResult: DUAL }));
      await plugin().add(
        request({
          backend,
          ports: [{ hostPort: 81 }],
          prevResult: { ...RESULT, ips: [{ address: 'fd00::5/64' }] },
        }),
      );
      expect(await mapped()).toEqual([
        backend === 'iptables'
          ? 'iptables tcp 81 > [fd00::5]:8080'
          : 'nftables tcp . 81 > fd00:0:0:0:0:0:0:5 . 8080',
      ]);
      expect(warnings).toEqual([]);
    });

    test(`moves its mappings from ${backend} to the other backend`, async () => {
      await plugin().add(request({ backend }));
      const other = backend === 'iptables' ? 'nftables' : 'iptables';
      await plugin().add(request({ backend: other }));
      expect(await mapped()).toEqual([
        other === 'iptables' ? 'iptables tcp 80 > 10.0.0.5:8080' : 'nftables tcp . 80 > 10.0.0.5 . 8080',
      ]);
    });
  }

  test.each<[string, (Family | 'nft')[], Asked, object | string[]]>([
    [
      'iptables, which is not there',
      ['ipv4', 'ipv6'],
      { backend: 'iptables' },
      { code: 50, message: 'iptables cannot be used', details: 'no program for ipv4' },
    ],
    [
      'nftables, which is not there',
      ['nft'],
      { backend: 'nftables' },
      { code: 50, message: 'nftables cannot be used', details: 'no nftables' },
    ],
    ['whatever is there: nftables', ['ipv4', 'ipv6'], {}, ['nftables tcp . 80 > 10.0.0.5 . 8080']],
    ['whatever is there: iptables', ['nft'], {}, ['iptables tcp 80 > 10.0.0.5:8080']],
    [
      'whatever is there: nothing',
      ['ipv4', 'ipv6', 'nft'],
      {},
      { code: 50, message: 'iptables cannot be used', details: 'no program for ipv4' },
    ],
    [
      'iptables without IPv6, for IPv4',
      ['ipv6'],
      { backend: 'iptables' },
      ['iptables tcp 80 > 10.0.0.5:8080'],
    ],
    [
      'iptables without IPv6, for both',
      ['ipv6', 'nft'],
      { prevResult: DUAL },
      { code: 50, message: 'iptables cannot be used', details: 'no program for ipv6' },
    ],
  ])('by %s', async (_name, unusable, asked, wanted) => {
    for (const each of unusable) machine.unusable.add(each);
    if (Array.isArray(wanted)) {
      await plugin().add(request(asked));
      await plugin().check(request(asked));
      await plugin().status(request(asked));
      expect(await mapped()).toEqual(wanted);
      expect(attachments.records.size).toBe(1);
    } else {
      expect(await failure(plugin().add(request(asked)))).toEqual(wanted);
      // Of a family that can be used CHECK finds out more.
      if (unusable[0] !== 'ipv6') expect(await failure(plugin().check(request(asked)))).toEqual(wanted);
      expect(await mapped()).toEqual([]);
      expect(attachments.records.size).toBe(0);
    }
  });

  test('an error of the second backend is not hidden by the first, which cannot be used', async () => {
    for (const each of ['ipv4', 'ipv6'] as const) machine.unusable.add(each);
    await plugin().add(request({ id: 'd' }));
    attachments.sandboxes.d = 'alive';
    expect(await failure(plugin().add(request()))).toMatchObject({ code: 110 });
  });

  test('an error of the first backend is not answered by the second', async () => {
    await plugin().add(request({ id: 'd' }));
    attachments.sandboxes.d = 'alive';
    expect(await failure(plugin().add(request()))).toMatchObject({ code: 110 });
    expect(machine.nftTable.state).toBeUndefined();
  });

  test('another error leaves the record of what it may have added', async () => {
    machine.tables.ipv4.restore = async () => ({ applied: false, failed: undefined, reason: 'broken' });
    expect(await failure(plugin().add(request({ backend: 'iptables' })))).toEqual({
      ...{ code: 999, message: 'cannot map ports of container c (ipv4)', details: 'broken' },
    });
    expect(attachments.records.size).toBe(1);
  });

  test('a taken port in one family changes nothing in the other', async () => {
    const v6 = { ...RESULT, ips: [{ address: 'fd00::6/64' }] };
    await plugin().add(request({ id: 'd', prevResult: v6 }));
    attachments.sandboxes.d = 'alive';
    expect(await failure(plugin().add(request({ prevResult: DUAL })))).toMatchObject({ code: 110 });
    expect(await mapped()).toEqual(['iptables tcp 80 > [fd00::6]:8080']);
  });
  test.each(['ends without a change', 'is killed'])(
    'when one family refuses, that is the error, and what has begun in the other %s',
    async (end) => {
      const v6 = { ...RESULT, ips: [{ address: 'fd00::6/64' }] };
      await plugin().add(request({ id: 'd', prevResult: v6 }));
      attachments.sandboxes.d = 'alive';
      machine.glances.ipv4 = {
        portJumps: () => [],
        hasLocalJump: () => true,
        hasChain: () => false,
        removeChain: () => false,
      };
      const before = machine.tables.ipv4.documents.length;
      if (end === 'is killed') {
        const killed = new ExecError(['iptables-restore'], { code: 137, stdout: '', stderr: '' }, 'killed');
        const program = { end: () => Promise.reject(killed) };
        const begin = () => new IptablesNat({ run: machine.run, start: () => program }, 'ipv4').begin([]);
        const nat = machine.nat.bind(machine);
        machine.nat = (exec, family) => ({ ...nat(exec, family), ...(family === 'ipv4' && { begin }) });
      }
      expect(await failure(plugin().add(request({ prevResult: DUAL })))).toMatchObject({ code: 110 });
      // Nothing was changed, so there is nothing to record.
      expect([...attachments.records.keys()]).toHaveLength(1);
      const { begun, documents } = machine.tables.ipv4;
      expect([begun, documents.length - before]).toEqual([0, 0]);
    },
  );

  test('without IPv6 programs what IPv6 had stays, with a warning, where something may be', async () => {
    await plugin().add(request({ prevResult: DUAL }));
    machine.unusable.add('ipv6');
    // The kernel says that it is there.
    expect(await failure(plugin().add(request({ backend: 'iptables' })))).toEqual({
      ...{
        code: 999,
        message: 'port mappings of container c remain in table nat (ipv6)',
        details: 'no program for ipv6',
      },
    });
    machine.hasIptablesNftChain = () => false;
    machine.mayHaveIptablesChain = () => true;
    await plugin().add(request({ backend: 'iptables' }));
    expect(warnings).toEqual(['ipv6 skipped: no program for ipv6']);
  });

  test('every program that changes rules inherits the lock', async () => {
    const inherited: unknown[] = [];
    machine.nft = function (this: FakeMachine, ...[exec]: unknown[]) {
      void (exec as FakeMachine).run(['conntrack', '-L', '-f', 'ipv4', '--orig-port-dst', '1'], {
        stdin: 'x',
      });
      inherited.push(this.ran.at(-1)!.options);
      return FakeMachine.prototype.nft.call(this);
    } as never;
    await plugin().add(request());
    expect(inherited).toEqual([{ stdin: 'x', inherit: 77 }]);
  });
});

test('a result that the version of the configuration has no words for is an error before anything is mapped', async () => {
  const none = { ...RESULT, ips: [] };
  const asked = { ...request({ prevResult: none, backend: 'nftables' }), cniVersion: '0.2.0' as const };
  expect(await failure(plugin().add(asked))).toMatchObject({ code: 7 });
  expect([attachments.records.size, machine.locks.taken]).toEqual([0, 0]);
});

describe('the lock', () => {
  const held = new RulesLockHeld('cannot lock');
  const special = new NotRegularFile('/run/hostport/portmap.lock', 'a FIFO');
  test.each<[string, Error, object]>([
    ['that is held', held, { code: 11, message: 'cannot lock' }],
    ['that is no file', special, { code: 5, message: special.message }],
  ])('%s', async (_name, error, wanted) => {
    machine.lockError = error;
    for (const verb of ['add', 'del', 'gc'] as const)
      expect(await failure(plugin()[verb](request()))).toEqual(wanted);
    expect(attachments.records.size).toBe(0);
  });
  test('that cannot be opened fails an ADD, and no DEL or GC', async () => {
    const words = 'cannot open /run/hostport/portmap.lock: permission denied';
    const details = 'run portmap as root, with /run/hostport a directory that it can write to';
    await plugin().add(request({ backend: 'nftables' }));
    machine.lockError = Object.assign(new Error('denied'), { code: 'EACCES' });
    expect(await failure(plugin().add(request({ backend: 'nftables' })))).toEqual({
      ...{ code: 5, message: words, details },
    });
    expect(await failure(plugin().status(request()))).toEqual({ code: 50, message: words, details });
    for (const verb of ['del', 'gc'] as const) await plugin()[verb](request());
    expect(await mapped()).toEqual([]);
    expect(warnings).toEqual(Array(2).fill(`${words}; works without; ${details}`));
  });

  test('and records that cannot be written are the same', async () => {
    await plugin().add(request());
    attachments.isReadOnly = true;
    for (const [verb, code] of [
      ['add', 5],
      ['status', 50],
    ] as const) {
      expect(await failure(plugin()[verb](request()))).toMatchObject({ code });
    }
    for (const verb of ['del', 'gc'] as const) await plugin()[verb](request());
    expect(warnings).toHaveLength(2);
    expect(await mapped()).toEqual([]);
  });

  test('with another error', async () => {
    machine.lockError = new Error('other');
    await expect(plugin().del(request())).rejects.toBe(machine.lockError);
  });
  test('is released when the work fails', async () => {
    machine.unusable.add('nft');
    await failure(plugin().add(request({ backend: 'nftables' })));
    expect(machine.locks).toEqual({ taken: 1, held: 0 });
  });
});

describe('CHECK', () => {
  test('needs the previous result', async () => {
    expect(await failure(plugin().check(request({ prevResult: undefined })))).toEqual({
      ...{ code: 7, message: 'required prevResult missing' },
    });
  });

  test.each(['iptables', 'nftables'])('finds what is missing (%s)', async (backend) => {
    expect(await failure(plugin().check(request({ backend })))).toMatchObject({
      code: 999,
      message:
        backend === 'iptables'
          ? 'ipv4 rule missing in table nat'
          : 'nftables rule missing in table inet hostport',
    });
    await plugin().add(request({ backend }));
    await plugin().check(request({ backend }));
    expect(await failure(plugin().check(request({ backend, prevResult: DUAL })))).toMatchObject({
      code: 999,
    });
  });

  test('finds on iptables what comes first in nftables', async () => {
    await plugin().add(request({ id: 'd', backend: 'nftables' }));
    const { state } = machine.nftTable;
    machine.nftTable.state = undefined;
    await plugin().add(request({ backend: 'iptables' }));
    await plugin().check(request());
    machine.nftTable.state = state;
    const shadowed = {
      code: 999,
      message:
        'mapping shadowed: tcp 80 of container d of network net at 10.0.0.5:8080 (nftables) comes first',
    };
    expect(await failure(plugin().check(request()))).toEqual(shadowed);
    machine.unusable.add('nft');
    await plugin().check(request());
    machine.unusable.delete('nft');
    machine.nftTable.look = async () => {
      throw new Error('broken');
    };
    await expect(plugin().check(request())).rejects.toThrow('broken');
  });
});

describe('DEL', () => {
  test('of an interface whose container’s name another has', async () => {
    attachments.sandboxes.c = 'alive';
    await plugin().add(request({ ifName: 'eth0' }));
    const second = {
      ifName: 'net1',
      ports: [{ hostPort: 81 }],
      prevResult: { ...RESULT, ips: [{ address: '10.0.0.6/24' }] },
    };
    await plugin().add(request(second));
    expect([...attachments.records.keys()]).toEqual([CHAIN, attachmentChain('net', 'c', 'net1')]);
    await plugin().check(request(second));
    await plugin().del(request(second));
    expect(await mapped()).toEqual(['iptables tcp 80 > 10.0.0.5:8080']);
    await plugin().del(request());
    expect([await mapped(), attachments.records.size]).toEqual([[], 0]);
  });

  test('of an interface, without records, by where the rules lead', async () => {
    await plugin().add(request());
    attachments.records.clear();
    attachments.others.c = ['10.0.0.5'];
    await plugin().del(request({ ifName: 'net1' }));
    expect(await mapped()).toHaveLength(1);
    attachments.others.c = ['10.0.0.9'];
    await plugin().del(request({ ifName: 'net1' }));
    expect(await mapped()).toEqual([]);
  });

  test('without any tool: nothing can be there, or something is known to be', async () => {
    for (const each of ['ipv4', 'ipv6', 'nft'] as const) machine.unusable.add(each);
    await plugin().del(request());
    const warning = 'nftables cannot be used; any mappings it holds stay in place: no nftables';
    expect(warnings.splice(0)).toEqual([warning]);
    // Of iptables-legacy it is not known.
    machine.mayHaveIptablesChain = () => true;
    expect(await failure(plugin().del(request()))).toEqual({
      ...{ code: 50, message: 'iptables cannot be used', details: 'no program for ipv4' },
    });
    machine.unusable.clear();
    await plugin().add(request({ backend: 'iptables' }));
    machine.unusable.add('nft');
    await plugin().del(request());
    expect(warnings).toEqual([warning]);
    machine.unusable.clear();
    await plugin().add(request({ backend: 'iptables' }));
    for (const each of ['ipv4', 'ipv6'] as const) machine.unusable.add(each);
    expect(await failure(plugin().del(request()))).toEqual({
      ...{
        code: 999,
        message: 'port mappings of container c remain in table nat (ipv4)',
        details: 'no program for ipv4',
      },
    });
    expect(attachments.records.size).toBe(1);
  });

  test('without the tools of one family continues with the other', async () => {
    await plugin().add(request({ prevResult: DUAL }));
    machine.unusable.add('ipv6');
    machine.hasIptablesNftChain = () => false;
    machine.mayHaveIptablesChain = () => true;
    await plugin().del(request());
    expect(warnings).toContain('one address family skipped: no program for ipv6');
    expect(await mapped()).toEqual(['iptables tcp 80 > [fd00::5]:8080']);
  });

  test('a failure in one family is one, after the other is done', async () => {
    await plugin().add(request({ prevResult: DUAL }));
    machine.tables.ipv4.restore = async () => ({ applied: false, failed: 0, reason: 'broken' });
    expect(await failure(plugin().del(request()))).toEqual({
      code: 999,
      message: 'cannot remove port mappings (ipv4)',
      details: 'broken',
    });
    expect(await mapped()).toEqual(['iptables tcp 80 > 10.0.0.5:8080']);
  });
});

describe('UDP flows', () => {
  const udp = (fields: object = {}) => ({ protocol: 'udp', hostPort: 53, containerPort: 5353, ...fields });
  const flows = () => machine.flows.map(({ to, port, by }) => `${to} ${port} ${by}`);

  test('to other pods end with an ADD, as far as they are mapped now', async () => {
    machine.flows.push(
      { to: '10.1.1.1', port: 53, by: '10.0.0.9 5353' },
      { to: '10.1.1.1', port: 53, by: '10.0.0.5 53' },
      { to: '10.1.1.1', port: 53, by: '10.0.0.5 5353' },
      { to: '10.9.9.9', port: 53, by: '10.0.0.9 5353' },
      { to: '10.1.1.1', port: 54, by: '10.0.0.9 5353' },
      { to: 'fd01::1', port: 53, by: 'fd00::9 5353' },
    );
    await plugin().add(request({ ports: [udp(), { hostPort: 54 }] }));
    expect(flows()).toEqual([
      ...['10.1.1.1 53 10.0.0.5 5353', '10.9.9.9 53 10.0.0.9 5353', '10.1.1.1 54 10.0.0.9 5353'],
      'fd01::1 53 fd00::9 5353',
    ]);
    await plugin().add(request({ ports: [udp()], prevResult: DUAL }));
    expect(flows()).not.toContain('fd01::1 53 fd00::9 5353');
    expect(warnings).toEqual([]);
  });

  test.each<[string | undefined, string[]]>([
    [undefined, []],
    ['0.0.0.0', []],
    ['10.1.1.1', ['127.0.0.1 53 10.0.0.9 1']],
  ])('to hostIP %p', async (hostIP, left) => {
    machine.flows.push(
      { to: '127.0.0.1', port: 53, by: '10.0.0.9 1' },
      { to: '10.1.1.1', port: 53, by: '10.0.0.9 1' },
    );
    await plugin().add(request({ ports: [udp({ hostIP })] }));
    expect(flows()).toEqual(left);
  });

  test('are listed once a port, and not at all without UDP', async () => {
    machine.countsFlows = false;
    await plugin().add(request());
    expect(machine.ran).toEqual([]);
    await plugin().add(
      request({ ports: [udp({ hostIP: '10.1.1.1' }), udp({ hostIP: '127.0.0.1', containerPort: 1 })] }),
    );
    expect(machine.ran).toHaveLength(1);
    machine.flows.push(
      { to: '127.0.0.1', port: 53, by: '10.0.0.5 1' },
      { to: '127.0.0.1', port: 53, by: '10.0.0.5 5353' },
    );
    await plugin().add(
      request({ ports: [udp({ hostIP: '10.1.1.1' }), udp({ hostIP: '127.0.0.1', containerPort: 1 })] }),
    );
    expect(flows()).toEqual(['127.0.0.1 53 10.0.0.5 1']);
  });

  test('are not listed while the kernel tracks none', async () => {
    await plugin().add(request({ ports: [udp()] }));
    await plugin().del(request());
    expect(machine.ran.filter(({ argv }) => argv[0] === 'conntrack')).toEqual([]);
  });

  test('that cannot be listed are a warning', async () => {
    machine.countsFlows = false;
    machine.unusable.add('conntrack');
    await plugin().add(request({ ports: [udp()] }));
    expect(warnings).toEqual([expect.stringMatching(/^stale UDP connections not removed: .*no conntrack/)]);
    await plugin().del(request());
    expect(warnings[1]).toMatch(/^UDP connections not removed: .*no conntrack/);
    expect(await mapped()).toEqual([]);
  });

  test.each(['iptables', 'nftables'])('through a mapping end with its DEL (%s)', async (backend) => {
    await plugin().add(request({ backend, ports: [udp(), { hostPort: 54 }], prevResult: DUAL }));
    machine.ran.length = 0;
    machine.flows.push(
      { to: '10.1.1.1', port: 53, by: '10.0.0.5 5353' },
      { to: '10.1.1.1', port: 53, by: '10.0.0.6 5353' },
      { to: '10.1.1.1', port: 53, by: '10.0.0.5 53' },
      { to: 'fd01::1', port: 53, by: 'fd00::5 5353' },
      { to: '10.1.1.1', port: 54, by: '10.0.0.5 8080' },
    );
    await plugin().del(request());
    expect(flows()).toEqual([
      '10.1.1.1 53 10.0.0.6 5353',
      '10.1.1.1 53 10.0.0.5 53',
      '10.1.1.1 54 10.0.0.5 8080',
    ]);
    // One list a family.
    expect(machine.ran.filter(({ argv }) => argv[1] === '-L')).toHaveLength(2);
  });
});

test('UDP flows through a mapping that was changed by hand end with its DEL, as far as it can be read', async () => {
  const ports = [53, 54, 55].map((hostPort) => ({ protocol: 'udp', hostPort }));
  await plugin().add(request({ ports }));
  const rule = (port: number, target: string) =>
    `-A ${CHAIN} -p udp -m udp --dport ${port} -j DNAT --to-destination ${target}`;
  await machine.tables.ipv4.restore([
    `-F ${CHAIN}`,
    ...[rule(53, '10.0.0.5:80-90'), rule(54, '10.0.0.5'), rule(55, ':80')],
  ]);
  const answered: [port: number, by: number][] = [
    [53, 80],
    [53, 90],
    [53, 91],
    [54, 54],
    [54, 80],
    [55, 80],
  ];
  for (const [port, by] of answered) {
    machine.flows.push({ to: '10.1.1.1', port, by: `10.0.0.5 ${by}` });
  }
  await plugin().del(request());
  expect(machine.flows.map(({ port, by }) => `${port} ${by}`)).toEqual([
    '53 10.0.0.5 91',
    '54 10.0.0.5 80',
    '55 10.0.0.5 80',
  ]);
});

describe('GC', () => {
  const gc = (...valid: [string, string][]) =>
    plugin().gc(
      request({
        'cni.dev/valid-attachments': valid.map(([containerID, ifname]) => ({ containerID, ifname })),
      }),
    );
  const records = () => [...attachments.records.keys()];

  test.each(['iptables', 'nftables'])(
    'removes what is not valid, of its network only (%s)',
    async (backend) => {
      await plugin().add(request({ backend }));
      await plugin().add(request({ backend, id: 'd', ports: [{ hostPort: 81, protocol: 'udp' }] }));
      await plugin().add(request({ backend, id: 'd', name: 'other', ports: [{ hostPort: 82 }] }));
      machine.flows.push({ to: '10.1.1.1', port: 81, by: '10.0.0.5 8080' });
      for (let i = 0; i < 2; i++) {
        await gc(['c', 'eth0']);
        expect((await mapped()).map((line) => / (80|82) /.test(line))).toEqual([true, true]);
        expect(records()).toEqual([CHAIN, attachmentChain('other', 'd')]);
        expect(machine.flows).toEqual([]);
      }
      expect(attachments.tidied).toBe(2);
      await gc();
      expect(records()).toEqual([attachmentChain('other', 'd')]);
    },
  );

  test('keeps an interface by its record', async () => {
    attachments.sandboxes.c = 'alive';
    await plugin().add(request());
    await plugin().add(request({ ifName: 'net1', ports: [{ hostPort: 81 }] }));
    await gc(['c', 'eth0'], ['c', 'net1']);
    expect(await mapped()).toHaveLength(2);
    await gc(['c', 'net1']);
    expect(await mapped()).toEqual(['iptables tcp 81 > 10.0.0.5:8080']);
    expect(records()).toEqual([attachmentChain('net', 'c', 'net1')]);
    await gc(['c', 'eth0']);
    expect([await mapped(), records()]).toEqual([[], []]);
  });

  test('keeps what has no record for any interface of the container', async () => {
    await plugin().add(request());
    attachments.records.clear();
    await gc(['c', 'whatever']);
    expect(await mapped()).toHaveLength(1);
    await gc(['d', 'eth0']);
    expect(await mapped()).toEqual([]);
  });

  test('removes what only a record leads to', async () => {
    await plugin().add(request());
    await machine.tables.ipv4.restore(['-F CNI-HOSTPORT-DNAT']);
    await gc();
    expect([await mapped(), records()]).toEqual([[], []]);
  });

  test('forgets a record under a name that belongs to nobody', async () => {
    attachments.record('CNI-DN-x', {
      networkName: 'net',
      containerId: 'c',
      ifName: 'eth0',
      ports: [],
      devices: [],
    });
    attachments.record('CNI-DN-y', {
      networkName: 'other',
      containerId: 'c',
      ifName: 'eth0',
      ports: [],
      devices: [],
    });
    await gc();
    expect(records()).toEqual(['CNI-DN-y']);
  });

  test.each<[object, number]>([
    [{}, 0],
    [{ 'cni.dev/valid-attachments': null }, 0],
    [{ 'cni.dev/valid-attachments': [] }, 0],
    [{ 'cni.dev/attachments': [{ containerID: 'c', ifname: 'eth0' }] }, 1],
    [{ 'cni.dev/valid-attachments': null, 'cni.dev/attachments': [{ containerID: 'c', ifname: 'eth0' }] }, 1],
    [{ 'cni.dev/valid-attachments': [], 'cni.dev/attachments': [{ containerID: 'c', ifname: 'eth0' }] }, 0],
  ])('of %j leaves %d', async (fields, left) => {
    await plugin().add(request());
    await plugin().gc(request({ ...fields }));
    expect(await mapped()).toHaveLength(left);
  });

  test.each<[unknown, string]>([
    ['x', 'cni.dev/valid-attachments must be a list of attachments'],
    [{}, 'cni.dev/valid-attachments must be a list of attachments'],
    [
      [{ containerID: 'c', ifname: 'eth0' }, {}],
      'cni.dev/valid-attachments[1] must have a containerID and an ifname',
    ],
    [[null], 'cni.dev/valid-attachments[0] must have a containerID and an ifname'],
    [[{ containerID: 'c' }], 'cni.dev/valid-attachments[0] must have a containerID and an ifname'],
    [
      [{ containerID: 7, ifname: 'eth0' }],
      'cni.dev/valid-attachments[0] must have a containerID and an ifname',
    ],
  ])('of %j is refused', async (valid, message) => {
    await plugin().add(request());
    expect(await failure(plugin().gc(request({ 'cni.dev/valid-attachments': valid })))).toEqual({
      code: 7,
      message,
    });
    expect(await mapped()).toHaveLength(1);
  });
});

describe('STATUS', () => {
  test.each<[string, (Family | 'nft')[], Asked, object | undefined]>([
    ['of both', [], {}, undefined],
    ['of iptables', [], { backend: 'iptables' }, undefined],
    ['of nftables', [], { backend: 'nftables' }, undefined],
    ['of iptables without IPv6', ['ipv6'], { backend: 'iptables' }, undefined],
    [
      'of iptables without any',
      ['ipv4', 'ipv6'],
      { backend: 'iptables' },
      { code: 50, message: 'iptables cannot be used', details: 'no program for ipv4' },
    ],
    [
      'of nftables without it',
      ['nft'],
      { backend: 'nftables' },
      { code: 50, message: 'nftables cannot be used', details: 'no nftables' },
    ],
    ['of whatever is there', ['ipv4', 'ipv6'], {}, undefined],
    [
      'of nothing',
      ['ipv4', 'ipv6', 'nft'],
      {},
      { code: 50, message: 'iptables cannot be used', details: 'no program for ipv4' },
    ],
  ])('%s', async (_name, unusable, asked, wanted) => {
    for (const each of unusable) machine.unusable.add(each);
    if (wanted === undefined) expect(await plugin().status(request(asked))).toBeUndefined();
    else expect(await failure(plugin().status(request(asked)))).toEqual(wanted);
    expect(warnings).toEqual(
      unusable.join() === 'ipv6' ? ['one address family skipped: no program for ipv6'] : [],
    );
  });

  test('with mappings of the network there is some connectivity', async () => {
    await plugin().add(request());
    for (const each of ['ipv4', 'ipv6', 'nft'] as const) machine.unusable.add(each);
    expect(await failure(plugin().status(request()))).toEqual({
      code: 51,
      message: 'iptables cannot be used',
      details: 'no program for ipv4',
    });
    expect(await failure(plugin().status(request({ name: 'other' })))).toMatchObject({ code: 50 });
    expect(await failure(plugin().status(request({ backend: 'x' })))).toMatchObject({ code: 2 });
    machine.unusable.clear();
    machine.tables.ipv4.listChain = async () => {
      throw new CniError(11, 'busy');
    };
    expect(await failure(plugin().status(request({ backend: 'iptables' })))).toEqual({
      code: 11,
      message: 'busy',
    });
  });
});

describe('the addresses of a pod', () => {
  const interfaces = [
    { name: 'veth1' },
    { name: 'eth0', sandbox: '/n' },
    { name: 'net1', sandbox: '/n' },
    { name: 'eth0' },
  ];
  test.each<[string, Result['ips'], string[]]>([
    ['none', [], []],
    ['one', [{ address: '10.0.0.5/24' }], ['10.0.0.5/24']],
    [
      'the first of each family',
      [
        { address: 'fd00::5/64' },
        { address: '10.0.0.5/24' },
        { address: '10.0.0.6/24' },
        { address: 'fd00::6/64' },
      ],
      ['10.0.0.5/24', 'fd00::5/64'],
    ],
    [
      'of its interface',
      [
        { address: '10.0.0.4/24', interface: 2 },
        { address: '10.0.0.5/24', interface: 1 },
      ],
      ['10.0.0.5/24'],
    ],
    [
      'not of the node',
      [
        { address: '10.0.0.4/24', interface: 0 },
        { address: '10.0.0.5/24', interface: 3 },
      ],
      [],
    ],
    ['of an interface that is not listed', [{ address: '10.0.0.4/24', interface: 9 }], ['10.0.0.4/24']],
  ])('%s', (_name, ips, wanted) => {
    const found = podAddresses({ ...RESULT, interfaces, ips }, 'eth0');
    expect(
      found.map(({ ip, prefix }) => `${ip.family === 'ipv4' ? ip.bytes.join('.') : 'fd00::5'}/${prefix}`),
    ).toEqual(wanted);
  });

  test('an address without a prefix', async () => {
    const ips = [{ address: '10.0.0.5/24' }, { address: '10.0.0.5' }];
    expect(await failure(plugin().add(request({ prevResult: { ...RESULT, ips } })))).toEqual({
      ...{
        code: 7,
        message: 'prevResult.ips[1].address must be an address with prefix length, is "10.0.0.5"',
      },
    });
  });
});

test('nothing is left on the machine when all is done', () => {
  expect(readdirSync(directory)).toEqual([]);
});
