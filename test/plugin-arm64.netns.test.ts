/** The plugin for arm64, run by qemu where this machine is of another architecture: all of it that qemu has the kernel's interfaces for. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { NO_NETFILTER } from '../scripts/excused-skips.ts';
import { type Call, Topology } from '../src/portmap/testing/topology.ts';
import { realExec } from '../src/sys/exec.ts';

const PLUGIN = join(import.meta.dir, '../dist/cni/arm64/portmap');
const emulator = process.arch === 'arm64' ? [] : [Bun.which('qemu-aarch64-static') ?? ''];
const missing = [
  ...(existsSync(PLUGIN) ? [] : ['dist/cni: make build']),
  ...(emulator.includes('') ? ['qemu-user-static: make setup'] : []),
  ...(process.getuid?.() === 0 ? [] : ['root']),
];
const why = missing.length === 0 ? '' : ` (needs ${missing.join(', ')})`;

const CALL = { CNI_CONTAINERID: 'c', CNI_IFNAME: 'eth0', CNI_NETNS: '/n', CNI_PATH: '/x' };
const PORTS = [
  { hostPort: 80, containerPort: 8080, protocol: 'tcp' },
  { hostPort: 53, containerPort: 5353, protocol: 'udp', hostIP: '127.0.0.1' },
];

function configOf(more: object = {}): Record<string, unknown> {
  return {
    ...{ cniVersion: '1.1.0', name: 'arm64', type: 'portmap', capabilities: { portMappings: true } },
    runtimeConfig: { portMappings: PORTS },
    prevResult: { cniVersion: '1.1.0', ips: [{ address: '10.89.0.10/24' }, { address: 'fd89::10/64' }] },
    ...more,
  };
}

/** Whether the kernel's netfilter can be spoken to from a program of arm64: by what the plugin says when it cannot. */
async function hasNetfilter(): Promise<boolean> {
  if (emulator.length === 0 || missing.length > 0) return true;
  const { stdout } = await realExec.run([...emulator, PLUGIN], {
    env: { ...CALL, CNI_COMMAND: 'STATUS', PATH: process.env.PATH ?? '' },
    stdin: JSON.stringify(configOf({ backend: 'nftables' })),
  });
  return !stdout.includes('nftables cannot be used');
}

describe.skipIf(missing.length > 0)(`the plugin for arm64${why}`, async () => {
  /** A call that is refused before it looks at the machine. */
  async function call(env: Record<string, string>, stdin: string) {
    const { code, stdout, stderr } = await realExec.run([...emulator, PLUGIN], { env, stdin });
    return { code, stdout: JSON.parse(stdout), stderr };
  }

  test('says its versions', async () => {
    const { code, stdout } = await call({ CNI_COMMAND: 'VERSION' }, '');
    expect({ code, stdout }).toMatchObject({ code: 0, stdout: { cniVersion: '1.1.0' } });
  });

  test.each<[string, string, object]>([
    ['nothing', '', { code: 6 }],
    ['no JSON', '{"name": "x",}', { code: 6, msg: expect.stringContaining('line 1, column 14') }],
    ['a name that is no text', '{"cniVersion":"1.1.0","name":5}', { code: 6 }],
    ['a version of the future', JSON.stringify(configOf({ cniVersion: '9.0.0' })), { code: 1 }],
    ['an unknown backend', JSON.stringify(configOf({ backend: 'ebpf' })), { code: 2 }],
    [
      'a port out of range',
      JSON.stringify(configOf({ runtimeConfig: { portMappings: [{ hostPort: 70_000, containerPort: 1 }] } })),
      { code: 7, msg: expect.stringContaining('70000') },
    ],
    ['a target as a condition', JSON.stringify(configOf({ conditionsV4: ['-j', 'ACCEPT'] })), { code: 7 }],
    ['to be the first of a chain', JSON.stringify(configOf({ prevResult: undefined })), { code: 7 }],
  ])('refuses %s', async (_, stdin, document) => {
    expect(await call({ ...CALL, CNI_COMMAND: 'ADD' }, stdin)).toMatchObject({ code: 1, stdout: document });
  });

  test('reads a pipe in pieces, and says that a directory is none', async () => {
    const note = JSON.stringify(configOf({ cniVersion: '9.9.9', note: 'é'.repeat(100_000) }));
    expect((await call({ ...CALL, CNI_COMMAND: 'ADD' }, note)).stdout.details).toContain('9.9.9');
    const script = '"$@" </tmp';
    const { stdout } = await realExec.run(['sh', '-c', script, 'sh', ...emulator, PLUGIN], {
      env: { ...CALL, CNI_COMMAND: 'ADD' },
    });
    expect(JSON.parse(stdout)).toMatchObject({ code: 5, msg: expect.stringContaining('it is a directory') });
  });

  describe('on a node with iptables-legacy', () => {
    let lab: Topology;
    /** The plugin as a runtime starts it. */
    let plugin: string;

    beforeAll(async () => {
      lab = await Topology.create('legacy');
      for (const name of ['node', 'pod']) await lab.namespace(name);
      plugin = join(lab.scratch, 'arm64');
      writeFileSync(plugin, `#!/bin/sh\nexec ${emulator.join(' ')} ${PLUGIN}\n`, { mode: 0o755 });
    });
    afterAll(() => lab.dispose());

    const pod = (): Call => ({ id: 'a', netns: lab.path('pod'), config: configOf({ backend: 'iptables' }) });
    const rules = async () => [await lab.natRules('node'), await lab.natRules('node', 'ip6tables')];

    test('writes the rules that the plugin for this machine writes, and each removes those of the other', async () => {
      const own = join(lab.plugins, 'portmap');
      const before = await rules();
      const added: string[][][] = [];
      for (const [adds, removes] of [
        [own, plugin],
        [plugin, own],
      ] as const) {
        expect(await lab.cni('node', adds, 'ADD', pod())).toMatchObject({ code: 0 });
        added.push(await rules());
        for (const who of [own, plugin])
          expect(await lab.cni('node', who, 'CHECK', pod())).toMatchObject({ code: 0 });
        expect(await lab.cni('node', removes, 'DEL', pod())).toMatchObject({ code: 0, document: undefined });
        expect((await rules()).flat().join()).not.toContain('CNI-DN-');
      }
      expect(added[1]).toEqual(added[0]!);
      expect(added[0]![0]!.length).toBeGreaterThan(before[0]!.length);
    });

    test('says that it can work, and collects what nobody has', async () => {
      expect(await lab.cni('node', plugin, 'STATUS', pod())).toMatchObject({ code: 0 });
      expect(await lab.cni('node', plugin, 'ADD', pod())).toMatchObject({ code: 0 });
      const collecting = { ...pod(), config: configOf({ 'cni.dev/valid-attachments': [] }) };
      expect(await lab.cni('node', plugin, 'GC', collecting)).toMatchObject({ code: 0 });
      expect((await rules()).flat().join()).not.toContain('CNI-DN-');
    });
  });

  const isHeard = await hasNetfilter();
  // The emulator's kernel has none.
  if (!isHeard)
    test('on a kernel without nftables, error 50 says what to do', async () => {
      const { stdout } = await call(
        { ...CALL, CNI_COMMAND: 'STATUS', PATH: process.env.PATH ?? '' },
        JSON.stringify(configOf({ backend: 'nftables' })),
      );
      expect(stdout).toMatchObject({
        ...{ code: 50, msg: 'nftables cannot be used' },
        details:
          'the kernel has no nftables; load its module nf_tables, or set "backend": "iptables" in the configuration',
      });
    });

  describe('on a node with nftables', () => {
    let lab: Topology;

    beforeAll(async () => {
      if (!isHeard) return;
      lab = await Topology.create();
      for (const name of ['node', 'pod']) await lab.namespace(name);
    });
    afterAll(() => lab?.dispose());

    test.skipIf(!isHeard)(`adds, checks and removes a mapping (${NO_NETFILTER})`, async () => {
      const call = { id: 'a', netns: lab.path('pod'), config: configOf({ backend: 'nftables' }) };
      const plugin = join(lab.scratch, 'arm64');
      writeFileSync(plugin, `#!/bin/sh\nexec ${emulator.join(' ')} ${PLUGIN}\n`, { mode: 0o755 });
      const table = () => lab.ok('node', ['nft', 'list', 'table', 'inet', 'hostport']);
      expect(await lab.cni('node', plugin, 'ADD', call)).toMatchObject({ code: 0 });
      expect(await table()).toContain('tcp . 80');
      expect(await lab.cni('node', plugin, 'CHECK', call)).toMatchObject({ code: 0 });
      expect(await lab.cni('node', plugin, 'DEL', call)).toMatchObject({ code: 0 });
      expect(await table()).not.toContain('tcp . 80');
    });
  });
});
