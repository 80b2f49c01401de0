import { afterEach, beforeEach, expect, test } from 'bun:test';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Exec } from '../../sys/exec.ts';
import { type Kernel, parseChainDevices, readNetfilter } from './netfilter.ts';

let proc: string;
beforeEach(() => {
  proc = mkdtempSync(join(tmpdir(), 'hostport-proc-'));
  mkdirSync(join(proc, 'net'));
});
afterEach(() => rmSync(proc, { recursive: true }));

/** Answers by the program's name, and remembers what was run. */
function machine(answers: Record<string, string | Error>) {
  const ran: string[] = [];
  const exec: Exec = {
    run: async (argv) => {
      const name = argv[0]!.split('/').pop()!;
      ran.push(name);
      const answer = answers[name];
      if (answer instanceof Error) throw answer;
      return { code: answer === undefined ? 1 : 0, stdout: answer ?? '', stderr: 'Permission denied' };
    },
  };
  return { exec, ran, which: (name: string) => (name in answers ? `/sbin/${name}` : undefined) };
}

/** A kernel that does not tell its tables of nf_tables, unless a test says which. */
const kernel = (...tables: string[]): Kernel => ({
  proc,
  nftTables: () =>
    tables.length === 0
      ? undefined
      : tables
          .filter((table) => table !== 'none')
          .map((table) => ({ family: table.split(' ')[0]!, name: table.split(' ')[1]! })),
});

const ALL = {
  nft: '{"nftables":[]}',
  iptables: 'iptables v1.8.9 (nf_tables)\n',
  'iptables-nft-save': '*nat\n',
  'ip6tables-nft-save': '',
  'iptables-legacy-save': '*filter\n',
  'ip6tables-legacy-save': '',
};

test('the older interface is looked at only where the kernel lists tables of it', async () => {
  const { exec, ran, which } = machine(ALL);
  writeFileSync(join(proc, 'net/ip_tables_names'), 'filter\n');
  const { iptables, ...rest } = await readNetfilter(exec, which, kernel());
  expect(iptables).toEqual([
    { variant: 'iptables-nft', family: 'ipv4', text: { value: '*nat\n' } },
    { variant: 'iptables-legacy', family: 'ipv4', text: { value: '*filter\n' } },
    { variant: 'iptables-nft', family: 'ipv6', text: { value: '' } },
    { variant: 'iptables-legacy', family: 'ipv6', text: { value: '' } },
  ]);
  expect(ran).toContain('iptables-legacy-save');
  expect(ran).not.toContain('ip6tables-legacy-save');
  expect(rest).toEqual({
    tools: { nft: '/sbin/nft', iptables: '/sbin/iptables' },
    defaultVariant: 'iptables-nft',
    nft: { value: '{"nftables":[]}' },
  });
});

test('the devices of chains at devices are read beside the rules, which leave them out', async () => {
  const chain = { family: 'netdev', table: 'edge', name: 'in', type: 'filter', hook: 'ingress', prio: 0 };
  const listed = JSON.stringify({ nftables: [{ table: { family: 'netdev', name: 'edge' } }, { chain }] });
  const { exec, which } = machine({ ...ALL, nft: listed });
  const run = exec.run.bind(exec);
  exec.run = (argv, options) =>
    argv.includes('chains')
      ? Promise.resolve({
          ...{ code: 0, stderr: '' },
          stdout:
            'table netdev edge {\n\tchain in {\n\t\ttype filter hook ingress device "eth0" priority 0;\n',
        })
      : run(argv, options);
  const { chainDevices } = await readNetfilter(exec, which, kernel());
  expect(chainDevices).toEqual({
    value: [{ family: 'netdev', table: 'edge', chain: 'in', devices: ['eth0'] }],
  });
});

test('devices are read as every nft prints them', () => {
  const text = [
    'table netdev edge {',
    '\tchain one {',
    '\t\ttype filter hook ingress device "eth0" priority filter; policy accept;',
    '\t}',
    '\tchain more {',
    '\t\ttype filter hook egress devices = { d0, "d1.5" } priority filter - 5; policy drop;',
    '\t}',
    '\tchain plain {',
    '\t}',
    '}',
    'table inet other {',
    '\tchain one {',
    '\t\ttype filter hook ingress device lo priority 0; policy accept;',
    '\t}',
    '\tchain in {',
    '\t\ttype filter hook input priority 0; policy accept;',
    '\t}',
    '}',
    '',
  ].join('\n');
  expect(parseChainDevices(text)).toEqual([
    { family: 'netdev', table: 'edge', chain: 'one', devices: ['eth0'] },
    { family: 'netdev', table: 'edge', chain: 'more', devices: ['d0', 'd1.5'] },
    { family: 'inet', table: 'other', chain: 'one', devices: ['lo'] },
  ]);
});

test('legacy tables without the tool that reads them are unknown', async () => {
  const { exec, which } = machine({ 'iptables-nft-save': '' });
  writeFileSync(join(proc, 'net/ip_tables_names'), 'nat\n');
  const { iptables, nft, defaultVariant } = await readNetfilter(exec, which, kernel());
  expect(iptables[1]!.text).toEqual({
    unknown: expect.stringContaining('iptables-legacy-save is not on this node'),
  });
  expect(nft).toEqual({ unknown: expect.stringContaining('nft is not on this node') });
  expect(defaultVariant).toBeUndefined();
});

test.each<[string, string, Record<string, string | Error>]>([
  ['refuses', 'Permission denied', {}],
  ['cannot be started', 'could not start', { nft: new Error('could not start') }],
])('a tool that %s leaves its part unknown, and says so', async (_, why, answers) => {
  const { nft: _nft, ...others } = ALL;
  const { exec, which } = machine({ ...others, ...answers });
  const { nft, iptables } = await readNetfilter(
    exec,
    (name) => (name === 'nft' ? '/sbin/nft' : which(name)),
    kernel(),
  );
  expect(nft).toEqual({ unknown: expect.stringContaining(why) });
  expect(iptables[0]!.text).toEqual({ value: '*nat\n' });
});

test('the plain name may be the older variant', async () => {
  const { exec, which } = machine({ ...ALL, iptables: 'iptables v1.8.9 (legacy)\n' });
  expect((await readNetfilter(exec, which, kernel())).defaultVariant).toBe('iptables-legacy');
});

/** What is known of nft, iptables-nft and ip6tables-nft: `listed`, `nothing` or why it is not known. */
test.each<[string, string[], string[], string[]]>([
  ['older iptables alone, and no table of nf_tables', ['none'], [], ['nothing', 'nothing', 'nothing']],
  [
    'older iptables alone, and a table of nf_tables',
    ['inet firewalld'],
    [],
    ['nft is not on this node, and the kernel has tables inet firewalld', 'nothing', 'nothing'],
  ],
  [
    'older iptables alone, and tables that another iptables made',
    ['ip nat', 'ip filter'],
    [],
    [
      'nft is not on this node, and the kernel has tables ip nat, ip filter',
      'iptables-nft-save is not on this node, and the kernel has tables ip nat, ip filter',
      'nothing',
    ],
  ],
  [
    'iptables-nft without nft',
    ['ip nat', 'ip6 nat'],
    ['iptables-nft-save', 'ip6tables-nft-save'],
    ['nothing', 'listed', 'listed'],
  ],
  [
    'iptables-nft without nft, and a table that is not its own',
    ['ip nat', 'ip kube-proxy'],
    ['iptables-nft-save', 'ip6tables-nft-save'],
    ['nft is not on this node, and the kernel has tables ip kube-proxy', 'listed', 'listed'],
  ],
  ['nft alone', ['ip nat'], ['nft'], ['listed', 'nothing', 'nothing']],
  [
    'neither, and a kernel that does not tell',
    [],
    [],
    [
      'nft is not on this node',
      'iptables-nft-save is not on this node',
      'ip6tables-nft-save is not on this node',
    ],
  ],
])('%s', async (_, tables, tools, want) => {
  const { exec, which } = machine(Object.fromEntries(tools.map((tool) => [tool, 'rules'])));
  const { nft, iptables } = await readNetfilter(exec, which, kernel(...tables));
  const [ipv4, , ipv6] = iptables.map(({ text }) => text);
  const known = [nft, ipv4!, ipv6!].map((text) => {
    if ('unknown' in text) return text.unknown.replace(/^[^:]*: /, '');
    return text.value === 'rules' ? 'listed' : 'nothing';
  });
  expect(known).toEqual(want);
});
