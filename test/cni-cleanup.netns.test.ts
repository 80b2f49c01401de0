import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'bun:test';
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { REFERENCE, Topology } from '../src/portmap/testing/topology.ts';
import type { ExecResult } from '../src/sys/exec.ts';

// `hostport cni cleanup` on a node whose portmap was ours, and on one that is the reference's again.

const PROGRAM = [process.execPath, 'run', join(import.meta.dir, '../src/cli/main.ts')];
const NETWORK = 'cleanup-test';
/** How a device of the node is called that a pod is behind. */
const DEVICE = 'to-pod';

let lab: Topology;
/** What the plugins and the command see at /run/hostport: other tests have mappings there. */
let run: string;

beforeAll(async () => {
  lab = await Topology.create();
  for (const name of ['node', 'pod']) await lab.namespace(name);
  await lab.join('node', '10.88.0.1/24', 'pod', '10.88.0.10/24');
  mkdirSync('/run/hostport', { recursive: true });
});
afterAll(() => lab.dispose());
beforeEach(async () => {
  await lab.ok('node', ['sysctl', '-qw', `net.ipv4.conf.${DEVICE}.route_localnet=0`]);
  run = join(lab.scratch, `run-${crypto.randomUUID().slice(0, 8)}`);
  mkdirSync(run);
});

function alone(argv: string[], stdin = '', env: Record<string, string> = {}): Promise<ExecResult> {
  const script = 'mount --bind "$0" /run/hostport && exec "$@"';
  return lab.run('node', ['unshare', '--mount', 'sh', '-c', script, run, ...argv], stdin, env);
}

const cleanup = (...words: string[]) => alone([...PROGRAM, 'cni', 'cleanup', ...words]);

async function map(plugin: string, backend: string, id: string, hostPort: number, ifName = 'eth0') {
  const config = {
    ...{ cniVersion: '1.0.0', name: NETWORK, type: 'portmap', capabilities: { portMappings: true } },
    ...(plugin === 'portmap' ? {} : { backend }),
    runtimeConfig: { portMappings: [{ hostPort, containerPort: 8080, protocol: 'tcp' }] },
    prevResult: { cniVersion: '1.0.0', ips: [{ address: '10.88.0.10/24' }] },
  };
  const env = {
    ...{ CNI_COMMAND: 'ADD', CNI_CONTAINERID: id, CNI_NETNS: lab.path('pod'), CNI_IFNAME: ifName },
    CNI_PATH: '/opt/cni/bin',
  };
  expect(await alone([plugin], JSON.stringify(config), env)).toMatchObject({ code: 0, stderr: '' });
}

const ours = () => join(lab.plugins, 'portmap');
const reference = join(REFERENCE, 'portmap');

/** Everything that any portmap has on the node. */
async function left() {
  const tables = await lab.ok('node', ['nft', 'list', 'tables']);
  const natRules = [...(await lab.natRules('node')), ...(await lab.natRules('node', 'ip6tables'))];
  return {
    table: tables.includes('table inet hostport'),
    rules: natRules.filter((line) => line.includes('CNI-')),
    localnet: (await lab.ok('node', ['sysctl', '-n', `net.ipv4.conf.${DEVICE}.route_localnet`])).trim(),
    state: readdirSync(run),
  };
}

describe.each(['nftables', 'iptables'])('mappings by %s', (backend) => {
  test('go, with all that was made for them, and a second run finds nothing', async () => {
    await map(ours(), backend, 'one', 80);
    await map(ours(), backend, 'two', 81);
    expect((await left()).localnet).toBe('1');
    const before = await left();
    const planned = await cleanup('--dry-run', '-o', 'json');
    expect(planned).toMatchObject({ code: 0, stderr: '' });
    expect(await left()).toEqual(before);
    const report = JSON.parse((await cleanup('-o', 'json')).stdout);
    const mapping = { backend, network: NETWORK, protocol: 'tcp', target: '10.88.0.10:8080' };
    expect(report).toMatchObject({
      dryRun: false,
      mappings: expect.arrayContaining([
        { ...mapping, container: 'one', hostPort: 80 },
        { ...mapping, container: 'two', hostPort: 81 },
      ]),
      keptOfOthers: 0,
    });
    expect(JSON.parse(planned.stdout)).toMatchObject({ dryRun: true, mappings: report.mappings });
    expect(report.others).toContain(`route_localnet of ${DEVICE}`);
    expect(await left()).toEqual({ table: false, rules: [], localnet: '0', state: ['portmap.lock'] });
    expect(await cleanup()).toEqual({
      ...{ code: 0, stderr: '' },
      stdout: "nothing of hostport's portmap is on this machine\n",
    });
  });

  test('leave those of the reference plugin, and what it needs', async () => {
    await map(ours(), backend, 'one', 80);
    await map(reference, 'iptables', 'theirs', 81);
    const { code, stdout } = await cleanup();
    expect(code).toBe(0);
    expect(stdout).toContain(`removed tcp 80 to 10.88.0.10:8080 of container one of network ${NETWORK}`);
    expect(stdout).toEndWith('kept 1 of another portmap plugin in CNI-HOSTPORT-DNAT\n');
    const { rules, table } = await left();
    expect(table).toBe(false);
    const ports = rules.flatMap((line) => /^-A CNI-HOSTPORT-DNAT .*--dports (\d+)/.exec(line)?.[1] ?? []);
    expect(ports).toEqual(['81']);
    expect(
      rules.filter((line) => /-j CNI-HOSTPORT-(?:DNAT|MASQ|SETMARK)$/.test(line)).length,
    ).toBeGreaterThan(3);
    await lab.ok('node', ['iptables', '-t', 'nat', '-F']);
    await lab.ok('node', ['iptables', '-t', 'nat', '-X']);
  });
});

test('without a record nothing is taken for ours in iptables; a chain that is only left is removed', async () => {
  await map(ours(), 'iptables', 'one', 80);
  await lab.ok('node', ['iptables', '-t', 'nat', '-F', 'CNI-HOSTPORT-DNAT']);
  expect((await cleanup()).code).toBe(0);
  expect((await left()).rules).toEqual([]);
});

test('it works where the plugin and its state are gone', async () => {
  await map(ours(), 'nftables', 'one', 80);
  run = join(lab.scratch, 'another');
  mkdirSync(run);
  expect(existsSync(join(run, 'portmap'))).toBe(false);
  const { stdout } = await cleanup();
  expect(stdout).toContain('removed table inet hostport\n');
  expect((await left()).table).toBe(false);
});
