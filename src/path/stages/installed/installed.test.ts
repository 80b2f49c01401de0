import { expect, test } from 'bun:test';
import type { NodeReport, PluginFile } from '../../model/node-report.ts';
import { CHAINED, cniNode, listOf, pluginFile } from '../../testing/cni-node.ts';
import { findingsText, testFindings } from '../../testing/findings-text.ts';
import { podOn, warningOf, worldOfNode } from '../../testing/small-world.ts';

const FILE = '10-net.conflist';
const chainOf = (...plugins: object[]) => ({ [FILE]: listOf(plugins) });
const RIGHT = { [FILE]: listOf(CHAINED) };

/** A node with these plugins, in one directory. */
const having = (plugins: readonly PluginFile[], files: Record<string, string> = RIGHT) =>
  cniNode(files, { cni: { plugins: { value: [...plugins] } } });
const CILIUM = pluginFile('cilium-cni');

const failing = (message: string) => ({ events: [warningOf('a', message)] });

/** A node of which the netfilter tools are these, with the events that portmap complains. */
const toolsOf = (
  tools: string[],
  portmap: object = {},
  message = COMPLAINT,
  files?: Record<string, string>,
) =>
  worldOfNode(
    {
      ...cniNode(files ?? chainOf({ type: 'cilium-cni' }, { ...CHAINED[1], ...portmap })),
      netfilter: {
        tools: Object.fromEntries(tools.map((name) => [name, `/sbin/${name}`])),
        iptables: [],
        nft: { unknown: '' },
      },
    },
    failing(message),
  );
const COMPLAINT = 'plugin type="portmap" failed (add): failed to locate iptables: not in $PATH';

testFindings('netfilter-tool-missing', [
  [
    'no tool at all',
    toolsOf([]),
    [
      'broken n1: portmap of n1 needs iptables, which it did not find',
      'file | netfilter tools of n1 | (none)',
      'event | pod default/a: FailedCreatePodSandBox | plugin type="portmap" failed (add): failed to locate iptables: not in $PATH',
      'by hand: the administrator of n1 manages its packages: install iptables',
    ],
  ],
  [
    'others that portmap does not use',
    toolsOf(['nft-save', 'conntrack']),
    [
      'broken n1: portmap of n1 needs iptables, which it did not find',
      'file | netfilter tools of n1 | conntrack nft-save',
      'event | pod default/a: FailedCreatePodSandBox | plugin type="portmap" failed (add): failed to locate iptables: not in $PATH',
      'by hand: the administrator of n1 manages its packages: install iptables',
    ],
  ],
  ['nft, which portmap takes then', toolsOf(['nft']), []],
  ['iptables', toolsOf(['iptables']), []],
  [
    'nft, of a portmap with iptables',
    toolsOf(['nft'], { backend: 'iptables' }),
    [
      'broken n1: portmap of n1 needs iptables, which it did not find',
      'file | netfilter tools of n1 | nft',
      'event | pod default/a: FailedCreatePodSandBox | plugin type="portmap" failed (add): failed to locate iptables: not in $PATH',
      'by hand: the administrator of n1 manages its packages: install iptables',
    ],
  ],
  [
    'iptables, of a portmap with nftables',
    toolsOf(['iptables'], { backend: 'nftables' }),
    [
      'broken n1: portmap of n1 needs nft, which it did not find',
      'file | netfilter tools of n1 | iptables',
      'event | pod default/a: FailedCreatePodSandBox | plugin type="portmap" failed (add): failed to locate iptables: not in $PATH',
      'by hand: the administrator of n1 manages its packages: install nftables',
    ],
  ],
  ['nft, of a portmap with nftables', toolsOf(['nft'], { backend: 'nftables' }), []],
  ['no tool, and nobody complains', toolsOf([], {}, 'failed to find plugin'), []],
  ['no tool, and no portmap', toolsOf([], {}, COMPLAINT, chainOf({ type: 'cilium-cni' })), []],
]);

const FAR = 'x'.repeat(97);
test.each<[string, boolean]>([
  ['plugin type="portmap" failed (add): iptables-save cannot be used: ENOENT', true],
  ['plugin type="portmap" failed (add): exec: "nft": executable file not found in $PATH', true],
  ['portmap failed:\nnftables: no such file or directory', true],
  ['PORTMAP: IPTABLES: NO SUCH FILE', true],
  ['portmap: failed to locate iptables', true],
  ['portmap: could not find nftables binary', true],
  ['portmap: could not initialize iptables protocol 0', true],
  [`portmap: nft: ${FAR} not found`, true],
  [`portmap: nft: ${FAR}x not found`, false],
  ['portmap: iptables\nnot found', false],
  ['portmap: iptablesd not found', false],
  ['portmap: nftx not found', false],
  ['portmap: address not found', false],
  ['portmap: failed to locate ipset', false],
  ['bridge: iptables: not found', false],
])('%j is a complaint of a tool: %p', (message, is) => {
  expect(findingsText('netfilter-tool-missing', toolsOf([], {}, message)).length > 0).toBe(is);
});

testFindings('plugin-missing', [
  [
    'portmap',
    worldOfNode(having([CILIUM]), failing('failed to find plugin "portmap"')),
    [
      'broken n1: plugin portmap, which 10-net.conflist chains, is not in /opt/cni/bin of n1',
      'file | /opt/cni/bin | cilium-cni',
      'event | pod default/a: FailedCreatePodSandBox | failed to find plugin "portmap"',
      'install-plugin on n1, to install portmap: {"name":"portmap","directory":"/opt/cni/bin"}',
    ],
  ],
  [
    'the primary plugin, and no event about it',
    worldOfNode(having([pluginFile('portmap')]), failing('no IP address')),
    [
      'broken n1: plugin cilium-cni, which 10-net.conflist chains, is not in /opt/cni/bin of n1',
      'file | /opt/cni/bin | portmap',
      'by hand: cilium-cni belongs to the primary CNI: whatever installed that must install it on n1',
    ],
  ],
  [
    'both, in any of two directories',
    worldOfNode(
      cniNode(RIGHT, {
        cni: {
          binDirs: ['/opt/cni/bin', '/usr/libexec/cni'],
          plugins: {
            value: [
              pluginFile('bridge', { directory: '/usr/libexec/cni' }),
              pluginFile('tuning', { directory: '/x' }),
            ],
          },
        },
      }),
      { pods: [] },
    ),
    [
      'broken n1: plugin cilium-cni, which 10-net.conflist chains, is not in /opt/cni/bin, /usr/libexec/cni of n1',
      'file | /opt/cni/bin | (empty)',
      'file | /usr/libexec/cni | bridge',
      'by hand: cilium-cni belongs to the primary CNI: whatever installed that must install it on n1',
      'broken n1: plugin portmap, which 10-net.conflist chains, is not in /opt/cni/bin, /usr/libexec/cni of n1',
      'file | /opt/cni/bin | (empty)',
      'file | /usr/libexec/cni | bridge',
      'install-plugin on n1, to install portmap: {"name":"portmap","directory":"/opt/cni/bin"}',
    ],
  ],
  [
    'a plugin in the second directory is not',
    worldOfNode(
      cniNode(RIGHT, {
        cni: {
          binDirs: ['/a', '/opt/cni/bin'],
        },
      }),
    ),
    [],
  ],
  [
    'a plugin that is named twice is missing once',
    worldOfNode(having([], chainOf({ type: 'portmap' }, { type: 'portmap' })), { pods: [] }),
    [
      'broken n1: plugin portmap, which 10-net.conflist chains, is not in /opt/cni/bin of n1',
      'file | /opt/cni/bin | (empty)',
      'install-plugin on n1, to install portmap: {"name":"portmap","directory":"/opt/cni/bin"}',
    ],
  ],
  [
    'nobody knows which plugins there are',
    worldOfNode(cniNode(RIGHT, { cni: { plugins: { unknown: '' } } })),
    [],
  ],
  ['nobody knows which plugins are named', worldOfNode(having([], { [FILE]: '{' })), []],
]);

const inMode = (mode: string) =>
  worldOfNode(having([CILIUM, pluginFile('portmap', { mode })]), failing('fork/exec: permission denied'));

testFindings('plugin-not-executable', [
  [
    'for nobody',
    inMode('0644'),
    [
      'broken n1: plugin portmap of n1 is not executable (mode 0644)',
      'file | /opt/cni/bin/portmap | mode 0644',
      'event | pod default/a: FailedCreatePodSandBox | fork/exec: permission denied',
      'set-mode on n1, to make portmap executable: {"path":"/opt/cni/bin/portmap","mode":"0755"}',
    ],
  ],
  [
    'for nobody, and no event about it',
    worldOfNode(
      having([pluginFile('cilium-cni', { mode: '0666' }), pluginFile('portmap')]),
      failing('no IP address'),
    ),
    [
      'broken n1: plugin cilium-cni of n1 is not executable (mode 0666)',
      'file | /opt/cni/bin/cilium-cni | mode 0666',
      'set-mode on n1, to make cilium-cni executable: {"path":"/opt/cni/bin/cilium-cni","mode":"0755"}',
    ],
  ],
  ['for its owner', inMode('0700'), []],
  ['for its group', inMode('0010'), []],
  ['for others', inMode('0001'), []],
  ['one that is not there', worldOfNode(having([CILIUM])), []],
]);

const speaking = (
  portmap: string[] | undefined,
  cilium: string[] = ['0.4.0', '1.0.0'],
  message = 'no IP address',
) =>
  worldOfNode(
    having([
      pluginFile('cilium-cni', { versions: { value: cilium } }),
      pluginFile('portmap', { versions: portmap && { value: portmap } }),
    ]),
    failing(message),
  );

testFindings('plugin-too-old', [
  [
    'of versions that the others are past',
    speaking(['0.3.0', '0.4.0'], undefined, 'incompatible CNI versions: config is "1.0.0"'),
    [
      'broken n1: 10-net.conflist of n1 uses CNI 1.0.0, but the installed portmap supports only 0.3.0, 0.4.0',
      'file | /opt/cni/bin/portmap | supports 0.3.0, 0.4.0',
      'event | pod default/a: FailedCreatePodSandBox | incompatible CNI versions: config is "1.0.0"',
      'install-plugin on n1, to replace portmap with a current version: {"name":"portmap","directory":"/opt/cni/bin"}',
    ],
  ],
  [
    'and no event about it',
    speaking(['0.4.0']),
    [
      'broken n1: 10-net.conflist of n1 uses CNI 1.0.0, but the installed portmap supports only 0.4.0',
      'file | /opt/cni/bin/portmap | supports 0.4.0',
      'install-plugin on n1, to replace portmap with a current version: {"name":"portmap","directory":"/opt/cni/bin"}',
    ],
  ],
  [
    'and an event of another spelling',
    speaking(['0.4.0'], undefined, 'Unsupported CNI result version "1.0.0"'),
    [
      'broken n1: 10-net.conflist of n1 uses CNI 1.0.0, but the installed portmap supports only 0.4.0',
      'file | /opt/cni/bin/portmap | supports 0.4.0',
      'event | pod default/a: FailedCreatePodSandBox | Unsupported CNI result version "1.0.0"',
      'install-plugin on n1, to replace portmap with a current version: {"name":"portmap","directory":"/opt/cni/bin"}',
    ],
  ],
  ['of all versions', speaking(['0.4.0', '1.0.0']), []],
  ['as all others are', speaking(['0.4.0'], ['0.4.0']), []],
  ['of unknown versions', speaking(undefined), []],
  ['which is not there', worldOfNode(having([CILIUM])), []],
  [
    'in a file that cannot be read',
    worldOfNode(having([CILIUM, pluginFile('portmap')], { [FILE]: '{' })),
    [],
  ],
  [
    'where no version is named, which is the first',
    worldOfNode(
      having([pluginFile('cilium-cni', { versions: { value: ['0.1.0'] } }), pluginFile('portmap')], {
        [FILE]: listOf(CHAINED, { cniVersion: undefined }),
      }),
      { pods: [] },
    ),
    [
      'broken n1: 10-net.conflist of n1 uses CNI 0.1.0, but the installed portmap supports only 0.4.0, 1.0.0',
      'file | /opt/cni/bin/portmap | supports 0.4.0, 1.0.0',
      'install-plugin on n1, to replace portmap with a current version: {"name":"portmap","directory":"/opt/cni/bin"}',
    ],
  ],
]);

type Format = PluginFile['format'];
const elf = (machine: number, bits = 64): Format => ({ kind: 'elf', machine, bits });

/** A node of this machine, with a plugin of this format. */
const formatted = (
  format: Format,
  elfMachine = 62,
  name = 'portmap',
  versions: PluginFile['versions'] = { unknown: '' },
) => {
  const file = pluginFile(name, { format, size: 4096, versions });
  const report: NodeReport = having(
    [...[CILIUM, pluginFile('portmap')].filter((other) => other.name !== name), file].map((each) => ({
      ...each,
      ...(each === file ? {} : { format: elf(elfMachine) }),
    })),
  );
  return worldOfNode(
    { ...report, machine: { ...report.machine, elfMachine } },
    failing('fork/exec /opt/cni/bin/portmap: exec format error'),
  );
};

testFindings('plugin-wrong-architecture', [
  [
    'of another machine',
    formatted(elf(183)),
    [
      'broken n1: plugin portmap of n1 (x86-64) is for arm64',
      'file | /opt/cni/bin/portmap | for arm64, 4096 bytes',
      'event | pod default/a: FailedCreatePodSandBox | fork/exec /opt/cni/bin/portmap: exec format error',
      'install-plugin on n1, to replace portmap with the one for this machine: {"name":"portmap","directory":"/opt/cni/bin"}',
    ],
  ],
  [
    'of another machine, of the primary plugin',
    formatted(elf(62), 183, 'cilium-cni'),
    [
      'broken n1: plugin cilium-cni of n1 (arm64) is for x86-64',
      'file | /opt/cni/bin/cilium-cni | for x86-64, 4096 bytes',
      'event | pod default/a: FailedCreatePodSandBox | fork/exec /opt/cni/bin/portmap: exec format error',
      'by hand: cilium-cni belongs to the primary CNI: whatever installed that must replace it on n1',
    ],
  ],
  [
    'of no machine',
    formatted({ kind: 'other' }),
    [
      'broken n1: plugin portmap of n1 (x86-64) is not an executable',
      'file | /opt/cni/bin/portmap | not an executable, 4096 bytes',
      'event | pod default/a: FailedCreatePodSandBox | fork/exec /opt/cni/bin/portmap: exec format error',
      'install-plugin on n1, to replace portmap with the one for this machine: {"name":"portmap","directory":"/opt/cni/bin"}',
    ],
  ],
  [
    'of another machine, and no event about it',
    { ...formatted(elf(183)), events: [warningOf('a', 'no IP address')] },
    [
      'broken n1: plugin portmap of n1 (x86-64) is for arm64',
      'file | /opt/cni/bin/portmap | for arm64, 4096 bytes',
      'install-plugin on n1, to replace portmap with the one for this machine: {"name":"portmap","directory":"/opt/cni/bin"}',
    ],
  ],
  ['which ran all the same', formatted(elf(183), 62, 'portmap', { value: ['1.0.0'] }), []],
  ['of this machine', formatted(elf(62)), []],
  ['of this machine in 32 bits', formatted(elf(3, 32)), []],
  ['of an ARM in 32 bits on one of 64', formatted(elf(40, 32), 183), []],
  ['a script', formatted({ kind: 'script', interpreter: '/bin/sh' }), []],
  ['which nobody could read', formatted({ kind: 'unreadable' }), []],
  ['which is not there', worldOfNode(having([CILIUM])), []],
]);

test.each<[number, number, number, string]>([
  [62, 3, 64, 'x86'],
  [183, 3, 32, 'x86'],
  [62, 8, 32, 'MIPS'],
  [62, 21, 64, 'ppc64'],
  [62, 22, 64, 's390x'],
  [62, 40, 32, 'ARM'],
  [183, 62, 64, 'x86-64'],
  [62, 183, 64, 'arm64'],
  [62, 243, 64, 'RISC-V'],
  [62, 999, 64, 'machine 999'],
])('on machine %d a plugin of machine %d with %d bits is one for %s', (wanted, machine, bits, name) => {
  const [message] = findingsText('plugin-wrong-architecture', formatted(elf(machine, bits), wanted));
  expect(message).toEndWith(`is for ${name}`);
});

test('of two nodes each has its own', () => {
  const world = worldOfNode(having([CILIUM]), { pods: [podOn('n2', 'b', 80)] });
  const both = new Map([...world.reports, ['n2', { value: { ...having([]), node: 'n2' } }] as const]);
  const found = findingsText('plugin-missing', { ...world, reports: both }).filter((line) =>
    line.startsWith('broken'),
  );
  expect(found.map((line) => line.slice(0, line.indexOf(',')))).toEqual([
    'broken n1: plugin portmap',
    'broken n2: plugin cilium-cni',
    'broken n2: plugin portmap',
  ]);
});
