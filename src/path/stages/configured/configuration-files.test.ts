import { expect, test } from 'bun:test';
import type { NodeReport } from '../../model/node-report.ts';
import type { ProbeResult } from '../../model/probe.ts';
import { CHAINED, cniNode, listOf, pluginFile } from '../../testing/cni-node.ts';
import { findingsText, testFindings } from '../../testing/findings-text.ts';
import { podOn, warningOf, worldOfNode } from '../../testing/small-world.ts';

const NET = '10-net.conflist';
const [PRIMARY, PORTMAP] = CHAINED as [object, object];
const ALONE = [PRIMARY];
const RIGHT = listOf(CHAINED);
const BROKEN = '{';

type Rest = Parameters<typeof cniNode>[1];
const node = (files: Record<string, string>, rest?: Rest) => worldOfNode(cniNode(files, rest), { pods: [] });
const file = (plugins: readonly object[], more: object = {}) => ({ [NET]: listOf(plugins, more) });
/** The node has events of its pod a, which has no mapping yet. */
const withEvent = (files: Record<string, string>, message: string) =>
  worldOfNode(cniNode(files), { events: [warningOf('a', message)] });
const runtimeOf = (report: NodeReport, more: object): NodeReport =>
  'unknown' in report.runtime
    ? report
    : { ...report, runtime: { value: { ...report.runtime.value, ...more } } };

interface Attached {
  /** Of pod and sandbox. */
  name: string;
  plugins?: readonly object[];
  /** In place of the list of these plugins. */
  config?: string;
  hour?: number;
  ifName?: string;
  /** CNI version of the result. */
  version?: string;
  portMappings?: boolean;
}

/** The report with attachments, each of a sandbox that the runtime has, unless they are others'. */
function attachedIn(
  report: NodeReport,
  attached: readonly Attached[],
  others: readonly Attached[] = [],
): NodeReport {
  const attachment = ({ name, plugins = CHAINED, hour = 1, ifName = 'eth0', ...more }: Attached) => ({
    ...{ file: `/var/lib/cni/results/net-${name}`, modified: `2026-01-01T0${hour}:00:00Z` },
    ...{
      networkName: 'net',
      containerId: `sandbox-of-${name}`,
      ifName,
      config: more.config ?? listOf(plugins),
    },
    portMappings: more.portMappings ? [{ hostPort: 80, containerPort: 8080, protocol: 'tcp' }] : [],
    result: more.version === undefined ? {} : { cniVersion: more.version },
  });
  const sandbox = ({ name }: Attached) => ({
    ...{ id: `sandbox-of-${name}`, name, namespace: 'default', uid: `uid-${name}`, attempt: 0, ready: true },
    ...{ createdAt: '2026-01-01T00:00:00Z', hostNetwork: false, netnsExists: true, ips: ['10.1.0.2'] },
    portMappings: [],
  });
  return {
    ...report,
    cni: { ...report.cni, attachments: { value: [...others, ...attached].map(attachment) } },
    sandboxes: { value: attached.map(sandbox) },
  };
}

/** The same report with the netfilter rules of these sandboxes of pods. */
function mapped(report: NodeReport, ...names: string[]): NodeReport {
  const entry = (name: string) =>
    `-A CNI-HOSTPORT-DNAT -p tcp -m comment --comment "dnat name: \\"net\\" id: \\"sandbox-of-${name}\\"" -m multiport --dports 80 -j CNI-DN-${name}`;
  const nat = [
    '*nat',
    ':PREROUTING ACCEPT [0:0]',
    ':CNI-HOSTPORT-DNAT - [0:0]',
    ...names.map((name) => `:CNI-DN-${name} - [0:0]`),
    ...names.map(entry),
    'COMMIT',
    '',
  ].join('\n');
  return {
    ...report,
    netfilter: {
      ...report.netfilter,
      iptables: [{ variant: 'iptables-nft', family: 'ipv4', text: { value: nat } }],
      nft: { value: '{"nftables":[]}' },
    },
  };
}

testFindings('capability-missing', [
  [
    'without capabilities',
    node(file([PRIMARY, { type: 'portmap', snat: true }])),
    [
      'broken n1: portmap in 10-net.conflist of n1 does not declare capabilities.portMappings, so it receives no port mappings',
      'file | /etc/cni/net.d/10-net.conflist | {"cniVersion":"1.0.0","name":"net","plugins":[{"type":"cilium-cni"},{"type":"portmap","snat":true}]}',
      'write-file on n1, to declare the capability in 10-net.conflist: {"path":"/etc/cni/net.d/10-net.conflist","content":{"cniVersion":"1.0.0","name":"net","plugins":[{"type":"cilium-cni"},{"snat":true,"type":"portmap","capabilities":{"portMappings":true}}]}}',
    ],
  ],
  [
    'with another capability',
    node(file([PRIMARY, { type: 'portmap', capabilities: { bandwidth: true } }])),
    [
      'broken n1: portmap in 10-net.conflist of n1 does not declare capabilities.portMappings, so it receives no port mappings',
      'file | /etc/cni/net.d/10-net.conflist | {"cniVersion":"1.0.0","name":"net","plugins":[{"type":"cilium-cni"},{"type":"portmap","capabilities":{"bandwidth":true}}]}',
      'write-file on n1, to declare the capability in 10-net.conflist: {"path":"/etc/cni/net.d/10-net.conflist","content":{"cniVersion":"1.0.0","name":"net","plugins":[{"type":"cilium-cni"},{"capabilities":{"bandwidth":true,"portMappings":true},"type":"portmap"}]}}',
    ],
  ],
  [
    'with the capability turned off',
    node(file([PRIMARY, { type: 'portmap', capabilities: { portMappings: false } }])),
    [
      'broken n1: portmap in 10-net.conflist of n1 does not declare capabilities.portMappings, so it receives no port mappings',
      'file | /etc/cni/net.d/10-net.conflist | {"cniVersion":"1.0.0","name":"net","plugins":[{"type":"cilium-cni"},{"type":"portmap","capabilities":{"portMappings":false}}]}',
      'write-file on n1, to declare the capability in 10-net.conflist: {"path":"/etc/cni/net.d/10-net.conflist","content":{"cniVersion":"1.0.0","name":"net","plugins":[{"type":"cilium-cni"},{"capabilities":{"portMappings":true},"type":"portmap"}]}}',
    ],
  ],
  ['with it', node({ [NET]: RIGHT }), []],
  ['without portmap', node(file(ALONE)), []],
  [
    'CRI-O, which maps ports itself',
    worldOfNode(
      runtimeOf(cniNode(file([PRIMARY, { type: 'portmap' }]), { loaded: RIGHT }), { name: 'cri-o' }),
    ),
    [],
  ],
]);

/** A node whose plugins speak these versions, with the attachments of earlier pods. */
const speaking = (
  versions: Record<string, string[]>,
  attached: Attached[] = [],
  message = 'no IP address',
) => {
  const plugins = Object.entries(versions).map(([name, value]) => pluginFile(name, { versions: { value } }));
  const report = cniNode(file([PRIMARY, PORTMAP, { type: 'tuning' }]), {
    cni: { plugins: { value: plugins } },
  });
  return worldOfNode(attachedIn(report, attached), { events: [warningOf('a', message)] });
};
const OLD = ['0.3.0', '0.3.1', '0.4.0'];

testFindings('cni-version-unsupported', [
  [
    'by one plugin',
    speaking({ 'cilium-cni': OLD, portmap: [...OLD, '1.0.0'] }, [], 'incompatible CNI versions'),
    [
      'broken n1: 10-net.conflist of n1 uses CNI 1.0.0, which cilium-cni does not support',
      'file | /etc/cni/net.d/10-net.conflist | {"cniVersion":"1.0.0","name":"net","plugins":[{"type":"cilium-cni"},{"type":"portmap","capabilities":{"portMappings":true}},{"type":"tuning"}]}',
      'file | /opt/cni/bin/cilium-cni | cilium-cni supports 0.3.0, 0.3.1, 0.4.0',
      'event | pod default/a: FailedCreatePodSandBox | incompatible CNI versions',
      'write-file on n1, to use CNI 0.4.0, which every plugin of the chain supports: {"path":"/etc/cni/net.d/10-net.conflist","content":{"cniVersion":"0.4.0","name":"net","plugins":[{"type":"cilium-cni"},{"capabilities":{"portMappings":true},"type":"portmap"},{"type":"tuning"}]}}',
    ],
  ],
  [
    'by all plugins, and an event of another spelling',
    speaking({ 'cilium-cni': ['0.4.0'], portmap: ['0.3.1', '0.4.0'] }, [], 'Unsupported CNI result version'),
    [
      'broken n1: 10-net.conflist of n1 uses CNI 1.0.0, which cilium-cni and portmap do not support',
      'file | /etc/cni/net.d/10-net.conflist | {"cniVersion":"1.0.0","name":"net","plugins":[{"type":"cilium-cni"},{"type":"portmap","capabilities":{"portMappings":true}},{"type":"tuning"}]}',
      'file | /opt/cni/bin/cilium-cni | cilium-cni supports 0.4.0',
      'file | /opt/cni/bin/portmap | portmap supports 0.3.1, 0.4.0',
      'event | pod default/a: FailedCreatePodSandBox | Unsupported CNI result version',
      'write-file on n1, to use CNI 0.4.0, which every plugin of the chain supports: {"path":"/etc/cni/net.d/10-net.conflist","content":{"cniVersion":"0.4.0","name":"net","plugins":[{"type":"cilium-cni"},{"capabilities":{"portMappings":true},"type":"portmap"},{"type":"tuning"}]}}',
    ],
  ],
  [
    'by one plugin, and others have been used',
    speaking({ 'cilium-cni': OLD, portmap: OLD }, [
      { name: 'a', version: '0.3.0' },
      { name: 'b', version: '0.3.1' },
      { name: 'c', version: '0.2.0' },
      { name: 'd' },
    ]),
    [
      'broken n1: 10-net.conflist of n1 uses CNI 1.0.0, which cilium-cni and portmap do not support',
      'file | /etc/cni/net.d/10-net.conflist | {"cniVersion":"1.0.0","name":"net","plugins":[{"type":"cilium-cni"},{"type":"portmap","capabilities":{"portMappings":true}},{"type":"tuning"}]}',
      'file | /opt/cni/bin/cilium-cni | cilium-cni supports 0.3.0, 0.3.1, 0.4.0',
      'file | /opt/cni/bin/portmap | portmap supports 0.3.0, 0.3.1, 0.4.0',
      'write-file on n1, to use CNI 0.3.1, which every plugin of the chain supports: {"path":"/etc/cni/net.d/10-net.conflist","content":{"cniVersion":"0.3.1","name":"net","plugins":[{"type":"cilium-cni"},{"capabilities":{"portMappings":true},"type":"portmap"},{"type":"tuning"}]}}',
    ],
  ],
  [
    'where none is common to all',
    speaking({ 'cilium-cni': ['0.3.0'], portmap: ['0.4.0'] }),
    [
      'broken n1: 10-net.conflist of n1 uses CNI 1.0.0, which cilium-cni and portmap do not support',
      'file | /etc/cni/net.d/10-net.conflist | {"cniVersion":"1.0.0","name":"net","plugins":[{"type":"cilium-cni"},{"type":"portmap","capabilities":{"portMappings":true}},{"type":"tuning"}]}',
      'file | /opt/cni/bin/cilium-cni | cilium-cni supports 0.3.0',
      'file | /opt/cni/bin/portmap | portmap supports 0.4.0',
      'by hand: the plugins of the chain have no version in common: one of them must be replaced',
    ],
  ],
  [
    'where the one in common is too new for some runtimes',
    speaking({ 'cilium-cni': ['1.1.0'], portmap: ['1.1.0'] }),
    [
      'broken n1: 10-net.conflist of n1 uses CNI 1.0.0, which cilium-cni and portmap do not support',
      'file | /etc/cni/net.d/10-net.conflist | {"cniVersion":"1.0.0","name":"net","plugins":[{"type":"cilium-cni"},{"type":"portmap","capabilities":{"portMappings":true}},{"type":"tuning"}]}',
      'file | /opt/cni/bin/cilium-cni | cilium-cni supports 1.1.0',
      'file | /opt/cni/bin/portmap | portmap supports 1.1.0',
      'by hand: the plugins of the chain have no version in common: one of them must be replaced',
    ],
  ],
  [
    'where the one in common is too new for some runtimes, and not for this one',
    speaking({ 'cilium-cni': ['1.1.0'], portmap: ['1.1.0'] }, [{ name: 'a', version: '1.1.0' }]),
    [
      'broken n1: 10-net.conflist of n1 uses CNI 1.0.0, which cilium-cni and portmap do not support',
      'file | /etc/cni/net.d/10-net.conflist | {"cniVersion":"1.0.0","name":"net","plugins":[{"type":"cilium-cni"},{"type":"portmap","capabilities":{"portMappings":true}},{"type":"tuning"}]}',
      'file | /opt/cni/bin/cilium-cni | cilium-cni supports 1.1.0',
      'file | /opt/cni/bin/portmap | portmap supports 1.1.0',
      'write-file on n1, to use CNI 1.1.0, which every plugin of the chain supports: {"path":"/etc/cni/net.d/10-net.conflist","content":{"cniVersion":"1.1.0","name":"net","plugins":[{"type":"cilium-cni"},{"capabilities":{"portMappings":true},"type":"portmap"},{"type":"tuning"}]}}',
    ],
  ],
  ['by portmap alone', speaking({ 'cilium-cni': ['1.0.0'], portmap: OLD }), []],
  ['by none', speaking({ 'cilium-cni': ['1.0.0'], portmap: ['1.0.0'] }), []],
  ['in a file that cannot be read', node({ [NET]: BROKEN }), []],
  [
    'by one plugin, and nothing is known of attachments',
    worldOfNode(
      cniNode(file(CHAINED, { cniVersion: '1.1.0' }), { cni: { attachments: { unknown: 'EACCES' } } }),
      { pods: [] },
    ),
    [
      'broken n1: 10-net.conflist of n1 uses CNI 1.1.0, which cilium-cni and portmap do not support',
      'file | /etc/cni/net.d/10-net.conflist | {"cniVersion":"1.1.0","name":"net","plugins":[{"type":"cilium-cni"},{"type":"portmap","capabilities":{"portMappings":true}}]}',
      'file | /opt/cni/bin/cilium-cni | cilium-cni supports 0.4.0, 1.0.0',
      'file | /opt/cni/bin/portmap | portmap supports 0.4.0, 1.0.0',
      'write-file on n1, to use CNI 1.0.0, which every plugin of the chain supports: {"path":"/etc/cni/net.d/10-net.conflist","content":{"cniVersion":"1.0.0","name":"net","plugins":[{"type":"cilium-cni"},{"capabilities":{"portMappings":true},"type":"portmap"}]}}',
    ],
  ],
]);

const broken = (attached: readonly Attached[], others: readonly Attached[] = [], name = NET) =>
  worldOfNode(attachedIn(cniNode({ [name]: BROKEN, '20-other.conflist': RIGHT }), attached, others), {
    pods: [],
  });

testFindings('conflist-invalid', [
  [
    'and nothing shows how it was',
    broken([]),
    [
      'broken n1: 10-net.conflist, the first configuration file of n1, cannot be read: 10-net.conflist: not JSON: line 1, column 2: expected a string',
      'file | /etc/cni/net.d/10-net.conflist | {',
      "by hand: no attachment on n1 has a copy of 10-net.conflist, and hostport does not guess a network's configuration",
    ],
  ],
  [
    'and the runtime says so',
    worldOfNode(
      runtimeOf(cniNode({ [NET]: BROKEN }, { loaded: RIGHT }), {
        networkMessage: 'cni plugin not initialized',
      }),
      {
        pods: [],
      },
    ),
    [
      'broken n1: 10-net.conflist, the first configuration file of n1, cannot be read: 10-net.conflist: not JSON: line 1, column 2: expected a string',
      'file | /etc/cni/net.d/10-net.conflist | {',
      'runtime | runtime of n1 | cni plugin not initialized',
      "by hand: no attachment on n1 has a copy of 10-net.conflist, and hostport does not guess a network's configuration",
    ],
  ],
  [
    'and the newest attachment shows how it was',
    broken([
      { name: 'a', hour: 1 },
      { name: 'b', hour: 3, plugins: [PRIMARY, PORTMAP, { type: 'tuning' }] },
      { name: 'c', hour: 2 },
    ]),
    [
      'broken n1: 10-net.conflist, the first configuration file of n1, cannot be read: 10-net.conflist: not JSON: line 1, column 2: expected a string',
      'file | /etc/cni/net.d/10-net.conflist | {',
      'write-file on n1, to write 10-net.conflist as it was when sandbox-of-b was attached: {"path":"/etc/cni/net.d/10-net.conflist","content":{"cniVersion":"1.0.0","name":"net","plugins":[{"type":"cilium-cni"},{"type":"portmap","capabilities":{"portMappings":true}},{"type":"tuning"}]}}',
    ],
  ],
  [
    'and newer attachments are not of the chain, or not of a list',
    broken(
      [
        { name: 'a', hour: 1, plugins: ALONE },
        { name: 'b', hour: 2, ifName: 'lo' },
        { name: 'c', hour: 3, config: 'no longer there' },
      ],
      [{ name: 'podman', hour: 4 }],
    ),
    [
      'broken n1: 10-net.conflist, the first configuration file of n1, cannot be read: 10-net.conflist: not JSON: line 1, column 2: expected a string',
      'file | /etc/cni/net.d/10-net.conflist | {',
      'write-file on n1, to write 10-net.conflist as it was when sandbox-of-a was attached: {"path":"/etc/cni/net.d/10-net.conflist","content":{"cniVersion":"1.0.0","name":"net","plugins":[{"type":"cilium-cni"}]}}',
    ],
  ],
  [
    'and only other tools have attachments',
    broken([], [{ name: 'podman' }]),
    [
      'broken n1: 10-net.conflist, the first configuration file of n1, cannot be read: 10-net.conflist: not JSON: line 1, column 2: expected a string',
      'file | /etc/cni/net.d/10-net.conflist | {',
      "by hand: no attachment on n1 has a copy of 10-net.conflist, and hostport does not guess a network's configuration",
    ],
  ],
  [
    'of a single plugin, which no attachment is a copy of',
    broken([{ name: 'a' }], [], '10-net.conf'),
    [
      'broken n1: 10-net.conf, the first configuration file of n1, cannot be read: 10-net.conf: not JSON: line 1, column 2: expected a string',
      'file | /etc/cni/net.d/10-net.conf | {',
      "by hand: no attachment on n1 has a copy of 10-net.conf, and hostport does not guess a network's configuration",
    ],
  ],
  [
    'and nothing is known of attachments',
    node({ [NET]: BROKEN }, { cni: { attachments: { unknown: 'EACCES' } } }),
    [
      'broken n1: 10-net.conflist, the first configuration file of n1, cannot be read: 10-net.conflist: not JSON: line 1, column 2: expected a string',
      'file | /etc/cni/net.d/10-net.conflist | {',
      "by hand: no attachment on n1 has a copy of 10-net.conflist, and hostport does not guess a network's configuration",
    ],
  ],
  [
    'and nothing is known of sandboxes',
    worldOfNode(
      { ...attachedIn(cniNode({ [NET]: BROKEN }), [{ name: 'a' }]), sandboxes: { unknown: '' } },
      { pods: [] },
    ),
    [
      'broken n1: 10-net.conflist, the first configuration file of n1, cannot be read: 10-net.conflist: not JSON: line 1, column 2: expected a string',
      'file | /etc/cni/net.d/10-net.conflist | {',
      "by hand: no attachment on n1 has a copy of 10-net.conflist, and hostport does not guess a network's configuration",
    ],
  ],
  ['a file behind the first', node({ [NET]: RIGHT, '20-other.conflist': BROKEN }), []],
  ['no file', node({}), []],
  [
    'a file that nobody could open',
    node(
      {},
      {
        cni: {
          files: {
            value: [{ name: NET, modified: '', changed: '', content: { unknown: 'EACCES' } }],
          },
        },
      },
    ),
    [],
  ],
]);

const loadedAs = (onDisk: Record<string, string>, loaded: object[], plugins?: object[]) => {
  const report = cniNode(onDisk, { loaded: listOf(loaded) });
  const network = {
    name: 'net',
    config: listOf(loaded),
    plugins: plugins?.map((entry) => JSON.stringify(entry)),
  };
  return worldOfNode(runtimeOf(report, { loadedNetworks: { value: [network] } }), { pods: [] });
};

testFindings('conflist-not-loaded', [
  [
    'another plugin',
    loadedAs({ [NET]: RIGHT }, ALONE),
    [
      'broken n1: the runtime of n1 has not loaded 10-net.conflist: it still uses the previous configuration',
      'file | /etc/cni/net.d/10-net.conflist | {"cniVersion":"1.0.0","name":"net","plugins":[{"type":"cilium-cni"},{"type":"portmap","capabilities":{"portMappings":true}}]}',
      'runtime | network net as loaded | {"cniVersion":"1.0.0","name":"net","plugins":[{"type":"cilium-cni"}]}',
      'rewrite-file on n1, to write 10-net.conflist again in place, which the runtime notices: {"path":"/etc/cni/net.d/10-net.conflist"}',
    ],
  ],
  [
    'another setting',
    loadedAs({ [NET]: RIGHT }, [PRIMARY, { ...PORTMAP, snat: false }]),
    [
      'broken n1: the runtime of n1 has not loaded 10-net.conflist: it still uses the previous configuration',
      'file | /etc/cni/net.d/10-net.conflist | {"cniVersion":"1.0.0","name":"net","plugins":[{"type":"cilium-cni"},{"type":"portmap","capabilities":{"portMappings":true}}]}',
      'runtime | network net as loaded | {"cniVersion":"1.0.0","name":"net","plugins":[{"type":"cilium-cni"},{"type":"portmap","capabilities":{"portMappings":true},"snat":false}]}',
      'rewrite-file on n1, to write 10-net.conflist again in place, which the runtime notices: {"path":"/etc/cni/net.d/10-net.conflist"}',
    ],
  ],
  [
    'another order',
    loadedAs({ [NET]: RIGHT }, [PORTMAP, PRIMARY]),
    [
      'broken n1: the runtime of n1 has not loaded 10-net.conflist: it still uses the previous configuration',
      'file | /etc/cni/net.d/10-net.conflist | {"cniVersion":"1.0.0","name":"net","plugins":[{"type":"cilium-cni"},{"type":"portmap","capabilities":{"portMappings":true}}]}',
      'runtime | network net as loaded | {"cniVersion":"1.0.0","name":"net","plugins":[{"type":"portmap","capabilities":{"portMappings":true}},{"type":"cilium-cni"}]}',
      'rewrite-file on n1, to write 10-net.conflist again in place, which the runtime notices: {"path":"/etc/cni/net.d/10-net.conflist"}',
    ],
  ],
  ['the same', loadedAs({ [NET]: RIGHT }, CHAINED), []],
  [
    'the same, with what the runtime copies into each plugin',
    loadedAs(
      { [NET]: RIGHT },
      CHAINED,
      CHAINED.map((plugin) => ({ ...plugin, name: 'net', cniVersion: '1.0.0' })),
    ),
    [],
  ],
  ['a right one, where portmap is gone on disk', loadedAs(file(ALONE), CHAINED), []],
  [
    'a right one, where the capability is gone on disk',
    loadedAs(file([PRIMARY, { type: 'portmap' }]), CHAINED),
    [],
  ],
  [
    'a wrong one, and another wrong one is on disk',
    loadedAs(file(ALONE), [PORTMAP]),
    [
      'broken n1: the runtime of n1 has not loaded 10-net.conflist: it still uses the previous configuration',
      'file | /etc/cni/net.d/10-net.conflist | {"cniVersion":"1.0.0","name":"net","plugins":[{"type":"cilium-cni"}]}',
      'runtime | network net as loaded | {"cniVersion":"1.0.0","name":"net","plugins":[{"type":"portmap","capabilities":{"portMappings":true}}]}',
      'rewrite-file on n1, to write 10-net.conflist again in place, which the runtime notices: {"path":"/etc/cni/net.d/10-net.conflist"}',
    ],
  ],
  ['a right one, and no file', loadedAs({}, CHAINED), []],
  ['a right one, and a broken file', loadedAs({ [NET]: BROKEN }, CHAINED), []],
  ['nobody knows what', node({ [NET]: RIGHT }), []],
]);

const BAK = `${NET}.cilium_bak`;
const CILIUM = '05-cilium.conflist';
const renamed = (
  files: Record<string, string>,
  attached: Attached[] = [],
  mappedNames: string[] = [],
  portless: string[] = [],
) => {
  const report = attachedIn(cniNode(files), attached);
  return worldOfNode(mappedNames.length === 0 ? report : mapped(report, ...mappedNames), {
    pods: attached.map(({ name }) =>
      portless.includes(name) ? podOn('n1', name) : podOn('n1', name, 80, 81),
    ),
  });
};

testFindings('conflist-renamed', [
  [
    'beside the one of Cilium',
    renamed({ [CILIUM]: listOf(ALONE), [BAK]: RIGHT }),
    [
      'broken n1: 10-net.conflist of n1, which chains portmap, is called 10-net.conflist.cilium_bak and is not used',
      'file | /etc/cni/net.d/10-net.conflist.cilium_bak | {"cniVersion":"1.0.0","name":"net","plugins":[{"type":"cilium-cni"},{"type":"portmap","capabilities":{"portMappings":true}}]}',
      'file | /etc/cni/net.d/05-cilium.conflist | {"cniVersion":"1.0.0","name":"net","plugins":[{"type":"cilium-cni"}]}',
      'rename-file on n1, to restore the name 10-net.conflist (while cni.exclusive is not false in Cilium, its agent renames it again: since 1.14 at once, before that when it starts): {"from":"/etc/cni/net.d/10-net.conflist.cilium_bak","to":"/etc/cni/net.d/00-10-net.conflist"}',
    ],
  ],
  [
    'beside none',
    renamed({ [BAK]: RIGHT }),
    [
      'broken n1: 10-net.conflist of n1, which chains portmap, is called 10-net.conflist.cilium_bak and is not used',
      'file | /etc/cni/net.d/10-net.conflist.cilium_bak | {"cniVersion":"1.0.0","name":"net","plugins":[{"type":"cilium-cni"},{"type":"portmap","capabilities":{"portMappings":true}}]}',
      'rename-file on n1, to restore the name 10-net.conflist (while cni.exclusive is not false in Cilium, its agent renames it again: since 1.14 at once, before that when it starts): {"from":"/etc/cni/net.d/10-net.conflist.cilium_bak","to":"/etc/cni/net.d/10-net.conflist"}',
    ],
  ],
  [
    'of several, the first',
    renamed({ [CILIUM]: listOf(ALONE), '00-a.conflist.cilium_bak': RIGHT, [BAK]: RIGHT }),
    [
      'broken n1: 00-a.conflist of n1, which chains portmap, is called 00-a.conflist.cilium_bak and is not used',
      'file | /etc/cni/net.d/00-a.conflist.cilium_bak | {"cniVersion":"1.0.0","name":"net","plugins":[{"type":"cilium-cni"},{"type":"portmap","capabilities":{"portMappings":true}}]}',
      'file | /etc/cni/net.d/05-cilium.conflist | {"cniVersion":"1.0.0","name":"net","plugins":[{"type":"cilium-cni"}]}',
      'rename-file on n1, to restore the name 00-a.conflist (while cni.exclusive is not false in Cilium, its agent renames it again: since 1.14 at once, before that when it starts): {"from":"/etc/cni/net.d/00-a.conflist.cilium_bak","to":"/etc/cni/net.d/00-a.conflist"}',
    ],
  ],
  [
    'beside others that do not matter',
    renamed({
      [CILIUM]: listOf(ALONE),
      '00-old.conflist': RIGHT.replace('portmap', 'tuning'),
      '00-a.conflist.cilium_bak': BROKEN,
      '00-b.conflist.cilium_bak': listOf(ALONE),
      '00-c.conflist.cilium_bak': listOf([{ type: 'ptp' }, PORTMAP]),
      '00-d.conflist.bak': RIGHT,
      [BAK]: RIGHT,
    }),
    [
      'broken n1: 10-net.conflist of n1, which chains portmap, is called 10-net.conflist.cilium_bak and is not used',
      'file | /etc/cni/net.d/10-net.conflist.cilium_bak | {"cniVersion":"1.0.0","name":"net","plugins":[{"type":"cilium-cni"},{"type":"portmap","capabilities":{"portMappings":true}}]}',
      'file | /etc/cni/net.d/00-old.conflist | {"cniVersion":"1.0.0","name":"net","plugins":[{"type":"cilium-cni"},{"type":"tuning","capabilities":{"portMappings":true}}]}',
      'rename-file on n1, to restore the name 10-net.conflist (while cni.exclusive is not false in Cilium, its agent renames it again: since 1.14 at once, before that when it starts): {"from":"/etc/cni/net.d/10-net.conflist.cilium_bak","to":"/etc/cni/net.d/00-10-net.conflist"}',
    ],
  ],
  [
    'and a pod was attached without portmap',
    renamed({ [CILIUM]: listOf(ALONE), [BAK]: RIGHT }, [{ name: 'a', plugins: ALONE }]),
    [
      'broken n1: 10-net.conflist of n1, which chains portmap, is called 10-net.conflist.cilium_bak and is not used; attached without portmap: a',
      'file | /etc/cni/net.d/10-net.conflist.cilium_bak | {"cniVersion":"1.0.0","name":"net","plugins":[{"type":"cilium-cni"},{"type":"portmap","capabilities":{"portMappings":true}}]}',
      'file | /etc/cni/net.d/05-cilium.conflist | {"cniVersion":"1.0.0","name":"net","plugins":[{"type":"cilium-cni"}]}',
      'result | /var/lib/cni/results/net-a (2026-01-01T01:00:00Z) | {"cniVersion":"1.0.0","name":"net","plugins":[{"type":"cilium-cni"}]}',
      'rename-file on n1, to restore the name 10-net.conflist (while cni.exclusive is not false in Cilium, its agent renames it again: since 1.14 at once, before that when it starts): {"from":"/etc/cni/net.d/10-net.conflist.cilium_bak","to":"/etc/cni/net.d/00-10-net.conflist"}',
    ],
  ],
  [
    'and three were',
    renamed(
      { [CILIUM]: listOf(ALONE), [BAK]: RIGHT },
      ['a', 'b', 'c'].map((name) => ({ name, plugins: ALONE })),
    ),
    [
      'broken n1: 10-net.conflist of n1, which chains portmap, is called 10-net.conflist.cilium_bak and is not used; attached without portmap: a, b, c',
      'file | /etc/cni/net.d/10-net.conflist.cilium_bak | {"cniVersion":"1.0.0","name":"net","plugins":[{"type":"cilium-cni"},{"type":"portmap","capabilities":{"portMappings":true}}]}',
      'file | /etc/cni/net.d/05-cilium.conflist | {"cniVersion":"1.0.0","name":"net","plugins":[{"type":"cilium-cni"}]}',
      'result | /var/lib/cni/results/net-a (2026-01-01T01:00:00Z) | {"cniVersion":"1.0.0","name":"net","plugins":[{"type":"cilium-cni"}]}',
      'result | /var/lib/cni/results/net-b (2026-01-01T01:00:00Z) | {"cniVersion":"1.0.0","name":"net","plugins":[{"type":"cilium-cni"}]}',
      'result | /var/lib/cni/results/net-c (2026-01-01T01:00:00Z) | {"cniVersion":"1.0.0","name":"net","plugins":[{"type":"cilium-cni"}]}',
      'rename-file on n1, to restore the name 10-net.conflist (while cni.exclusive is not false in Cilium, its agent renames it again: since 1.14 at once, before that when it starts): {"from":"/etc/cni/net.d/10-net.conflist.cilium_bak","to":"/etc/cni/net.d/00-10-net.conflist"}',
    ],
  ],
  [
    'and more were, and others that do not matter',
    renamed(
      { [CILIUM]: listOf(ALONE), [BAK]: RIGHT },
      [
        { name: 'chained' },
        { name: 'mapped', plugins: ALONE },
        { name: 'portless', plugins: ALONE },
        { name: 'unread', config: '{' },
        ...['a', 'b', 'c', 'd', 'e'].map((name) => ({ name, plugins: ALONE })),
      ],
      ['mapped'],
      ['portless'],
    ),
    [
      'broken n1: 10-net.conflist of n1, which chains portmap, is called 10-net.conflist.cilium_bak and is not used; attached without portmap: a, b, c and 2 more',
      'file | /etc/cni/net.d/10-net.conflist.cilium_bak | {"cniVersion":"1.0.0","name":"net","plugins":[{"type":"cilium-cni"},{"type":"portmap","capabilities":{"portMappings":true}}]}',
      'file | /etc/cni/net.d/05-cilium.conflist | {"cniVersion":"1.0.0","name":"net","plugins":[{"type":"cilium-cni"}]}',
      'result | /var/lib/cni/results/net-a (2026-01-01T01:00:00Z) | {"cniVersion":"1.0.0","name":"net","plugins":[{"type":"cilium-cni"}]}',
      'result | /var/lib/cni/results/net-b (2026-01-01T01:00:00Z) | {"cniVersion":"1.0.0","name":"net","plugins":[{"type":"cilium-cni"}]}',
      'result | /var/lib/cni/results/net-c (2026-01-01T01:00:00Z) | {"cniVersion":"1.0.0","name":"net","plugins":[{"type":"cilium-cni"}]}',
      'rename-file on n1, to restore the name 10-net.conflist (while cni.exclusive is not false in Cilium, its agent renames it again: since 1.14 at once, before that when it starts): {"from":"/etc/cni/net.d/10-net.conflist.cilium_bak","to":"/etc/cni/net.d/00-10-net.conflist"}',
    ],
  ],
  ['while portmap is chained', renamed({ [CILIUM]: RIGHT, [BAK]: RIGHT }), []],
  ['while the file in use cannot be read', renamed({ [CILIUM]: BROKEN, [BAK]: RIGHT }), []],
  ['that did not chain portmap', renamed({ [CILIUM]: listOf(ALONE), [BAK]: listOf(ALONE) }), []],
  ['of another network, where none is in use', renamed({ [BAK]: listOf(ALONE) }), []],
  [
    'that nobody could open',
    worldOfNode(
      cniNode(
        {},
        { cni: { files: { value: [{ name: BAK, modified: '', changed: '', content: { unknown: '' } }] } } },
      ),
    ),
    [],
  ],
  ['nobody knows which files there are', worldOfNode(cniNode({}, { cni: { files: { unknown: '' } } })), []],
]);

const mountOf = (path: string) => ({
  cni: { mounts: { value: [{ path, point: path, origin: '/x', source: '/dev/sda1', readOnly: false }] } },
});

testFindings('conflist-shadowed', [
  [
    'by a plain one',
    node({ '05-a.conflist': listOf(ALONE), [NET]: RIGHT }),
    [
      'broken n1: 05-a.conflist of n1 comes before 10-net.conflist and does not chain portmap',
      'file | /etc/cni/net.d/05-a.conflist | {"cniVersion":"1.0.0","name":"net","plugins":[{"type":"cilium-cni"}]}',
      'file | /etc/cni/net.d/10-net.conflist | {"cniVersion":"1.0.0","name":"net","plugins":[{"type":"cilium-cni"},{"type":"portmap","capabilities":{"portMappings":true}}]}',
      'rename-file on n1, to rename 10-net.conflist so that it comes before 05-a.conflist: {"from":"/etc/cni/net.d/10-net.conflist","to":"/etc/cni/net.d/00-10-net.conflist"}',
    ],
  ],
  [
    'by a plain one, behind others that were not meant',
    node({
      '05-a.conflist': listOf(ALONE),
      '06-b.conflist': BROKEN,
      '07-c.conflist': listOf([{ type: 'ptp' }, PORTMAP]),
      '08-d.conflist': listOf([PRIMARY, { type: 'tuning' }]),
      [NET]: RIGHT,
    }),
    [
      'broken n1: 05-a.conflist of n1 comes before 10-net.conflist and does not chain portmap',
      'file | /etc/cni/net.d/05-a.conflist | {"cniVersion":"1.0.0","name":"net","plugins":[{"type":"cilium-cni"}]}',
      'file | /etc/cni/net.d/10-net.conflist | {"cniVersion":"1.0.0","name":"net","plugins":[{"type":"cilium-cni"},{"type":"portmap","capabilities":{"portMappings":true}}]}',
      'rename-file on n1, to rename 10-net.conflist so that it comes before 05-a.conflist: {"from":"/etc/cni/net.d/10-net.conflist","to":"/etc/cni/net.d/00-10-net.conflist"}',
    ],
  ],
  [
    'and is mounted',
    node({ '05-a.conflist': listOf(ALONE), [NET]: RIGHT }, mountOf(`/etc/cni/net.d/${NET}`)),
    [
      'broken n1: 05-a.conflist of n1 comes before 10-net.conflist and does not chain portmap',
      'file | /etc/cni/net.d/05-a.conflist | {"cniVersion":"1.0.0","name":"net","plugins":[{"type":"cilium-cni"}]}',
      'file | /etc/cni/net.d/10-net.conflist | {"cniVersion":"1.0.0","name":"net","plugins":[{"type":"cilium-cni"},{"type":"portmap","capabilities":{"portMappings":true}}]}',
      'write-file on n1, to put a copy of 10-net.conflist, which is mounted from outside, before 05-a.conflist: {"path":"/etc/cni/net.d/00-10-net.conflist","content":{"cniVersion":"1.0.0","name":"net","plugins":[{"type":"cilium-cni"},{"type":"portmap","capabilities":{"portMappings":true}}]},"mode":"0600"}',
    ],
  ],
  [
    'and its directory is mounted',
    node({ '05-a.conflist': listOf(ALONE), [NET]: RIGHT }, mountOf('/etc/cni/net.d')),
    [
      'broken n1: 05-a.conflist of n1 comes before 10-net.conflist and does not chain portmap',
      'file | /etc/cni/net.d/05-a.conflist | {"cniVersion":"1.0.0","name":"net","plugins":[{"type":"cilium-cni"}]}',
      'file | /etc/cni/net.d/10-net.conflist | {"cniVersion":"1.0.0","name":"net","plugins":[{"type":"cilium-cni"},{"type":"portmap","capabilities":{"portMappings":true}}]}',
      'rename-file on n1, to rename 10-net.conflist so that it comes before 05-a.conflist: {"from":"/etc/cni/net.d/10-net.conflist","to":"/etc/cni/net.d/00-10-net.conflist"}',
    ],
  ],
  [
    'and is written by an agent',
    node({ '05-a.conflist': listOf(ALONE), '10-kindnet.conflist': RIGHT }),
    [
      'broken n1: 05-a.conflist of n1 comes before 10-kindnet.conflist and does not chain portmap',
      'file | /etc/cni/net.d/05-a.conflist | {"cniVersion":"1.0.0","name":"net","plugins":[{"type":"cilium-cni"}]}',
      'file | /etc/cni/net.d/10-kindnet.conflist | {"cniVersion":"1.0.0","name":"net","plugins":[{"type":"cilium-cni"},{"type":"portmap","capabilities":{"portMappings":true}}]}',
      'write-file on n1, to put a copy of 10-kindnet.conflist, which kindnetd writes, before 05-a.conflist: {"path":"/etc/cni/net.d/00-10-kindnet.conflist","content":{"cniVersion":"1.0.0","name":"net","plugins":[{"type":"cilium-cni"},{"type":"portmap","capabilities":{"portMappings":true}}]},"mode":"0600"}',
    ],
  ],
  [
    'and is written by an agent that also renames others',
    node({ '00-a.conflist': listOf(ALONE), [CILIUM]: RIGHT }),
    [
      'broken n1: 00-a.conflist of n1 comes before 05-cilium.conflist and does not chain portmap',
      'file | /etc/cni/net.d/00-a.conflist | {"cniVersion":"1.0.0","name":"net","plugins":[{"type":"cilium-cni"}]}',
      'file | /etc/cni/net.d/05-cilium.conflist | {"cniVersion":"1.0.0","name":"net","plugins":[{"type":"cilium-cni"},{"type":"portmap","capabilities":{"portMappings":true}}]}',
      'write-file on n1, to put a copy of 05-cilium.conflist, which Cilium\'s agent writes, before 00-a.conflist; Cilium\'s agent renames this file unless you set cni.exclusive=false in Cilium: {"path":"/etc/cni/net.d/00-05-cilium.conflist","content":{"cniVersion":"1.0.0","name":"net","plugins":[{"type":"cilium-cni"},{"type":"portmap","capabilities":{"portMappings":true}}]},"mode":"0600"}',
    ],
  ],
  [
    'by one that gives pods no network: for loopback',
    node({ '00-loopback.conf': '{"cniVersion":"1.0.0","name":"lo","type":"loopback"}', [NET]: RIGHT }),
    [
      'broken n1: 00-loopback.conf of n1 comes before 10-net.conflist and does not chain portmap',
      'file | /etc/cni/net.d/00-loopback.conf | {"cniVersion":"1.0.0","name":"lo","type":"loopback"}',
      'file | /etc/cni/net.d/10-net.conflist | {"cniVersion":"1.0.0","name":"net","plugins":[{"type":"cilium-cni"},{"type":"portmap","capabilities":{"portMappings":true}}]}',
      'rename-file on n1, to rename 10-net.conflist so that it comes before 00-loopback.conf: {"from":"/etc/cni/net.d/10-net.conflist","to":"/etc/cni/net.d/00-10-net.conflist"}',
    ],
  ],
  [
    'by one that gives pods no network: of a service mesh, with what else runs behind a network',
    node({ '01-mesh.conflist': listOf([{ type: 'istio-cni' }, { type: 'tuning' }]), [NET]: RIGHT }),
    [
      'broken n1: 01-mesh.conflist of n1 comes before 10-net.conflist and does not chain portmap',
      'file | /etc/cni/net.d/01-mesh.conflist | {"cniVersion":"1.0.0","name":"net","plugins":[{"type":"istio-cni"},{"type":"tuning"}]}',
      'file | /etc/cni/net.d/10-net.conflist | {"cniVersion":"1.0.0","name":"net","plugins":[{"type":"cilium-cni"},{"type":"portmap","capabilities":{"portMappings":true}}]}',
      'rename-file on n1, to rename 10-net.conflist so that it comes before 01-mesh.conflist: {"from":"/etc/cni/net.d/10-net.conflist","to":"/etc/cni/net.d/00-10-net.conflist"}',
    ],
  ],
  ['by one that chains portmap as well', node({ '05-a.conflist': RIGHT, [NET]: RIGHT }), []],
  ['by a broken one', node({ '05-a.conflist': BROKEN, [NET]: RIGHT }), []],
  ['by one of another network', node({ '05-a.conflist': listOf([{ type: 'ptp' }]), [NET]: RIGHT }), []],
  ['by none', node({ [NET]: listOf(ALONE) }), []],
  ['no file', node({}), []],
  ['nobody knows which files there are', node({}, { cni: { files: { unknown: '' } } }), []],
]);

const ABSENT =
  'plugin type="cilium-cni" failed (add): unable to connect: dial unix /var/run/cilium/cilium.sock';
const starting = (messages: (string | undefined)[], more: Parameters<typeof worldOfNode>[1] = {}) =>
  worldOfNode(cniNode({ [NET]: RIGHT }), {
    events: messages.map((message, minute) => warningOf('a', message, {}, minute)),
    ...more,
  });

testFindings('conflist-too-early', [
  [
    'the agent does not answer',
    starting([ABSENT]),
    [
      'broken n1: the chain of n1 runs, but the agent of its primary plugin does not answer',
      'event | pod default/a: FailedCreatePodSandBox | plugin type="cilium-cni" failed (add): unable to connect: dial unix /var/run/cilium/cilium.sock',
      'by hand: the agent on n1 must start; the runtime then succeeds by itself',
    ],
  ],
  [
    'of two pods, once',
    starting([], {
      pods: [podOn('n1', 'b', 80), podOn('n1', 'c', 81)],
      events: [warningOf('b', ABSENT), warningOf('c', ABSENT)],
    }),
    [
      'broken n1: the chain of n1 runs, but the agent of its primary plugin does not answer',
      'event | pod default/b: FailedCreatePodSandBox | plugin type="cilium-cni" failed (add): unable to connect: dial unix /var/run/cilium/cilium.sock',
      'by hand: the agent on n1 must start; the runtime then succeeds by itself',
    ],
  ],
  [
    'after something else',
    starting(['failed to pull image', ABSENT]),
    [
      'broken n1: the chain of n1 runs, but the agent of its primary plugin does not answer',
      'event | pod default/a: FailedCreatePodSandBox | plugin type="cilium-cni" failed (add): unable to connect: dial unix /var/run/cilium/cilium.sock',
      'by hand: the agent on n1 must start; the runtime then succeeds by itself',
    ],
  ],
  [
    'before what is no warning',
    starting([], { events: [warningOf('a', ABSENT), warningOf('a', 'Pulled', { type: 'Normal' }, 1)] }),
    [
      'broken n1: the chain of n1 runs, but the agent of its primary plugin does not answer',
      'event | pod default/a: FailedCreatePodSandBox | plugin type="cilium-cni" failed (add): unable to connect: dial unix /var/run/cilium/cilium.sock',
      'by hand: the agent on n1 must start; the runtime then succeeds by itself',
    ],
  ],
  ['before something else', starting([ABSENT, 'failed to pull image']), []],
  ['before something that is not said', starting([ABSENT, undefined]), []],
  ['no event', starting([]), []],
  [
    'of a pod that has a sandbox',
    worldOfNode(attachedIn(cniNode({ [NET]: RIGHT }), [{ name: 'a' }]), { events: [warningOf('a', ABSENT)] }),
    [],
  ],
  ['of a pod without a node', starting([ABSENT], { pods: [podOn(undefined, 'a', 80)] }), []],
]);

test.each<[string, boolean]>([
  ['plugin type="calico" failed (add): dial unix /x', true],
  ['plugin type="calico" failed (add): connect: no such file or directory', true],
  ['plugin type="aws-cni" failed (add): connect: connection refused', true],
  ['plugin type="cilium-cni" failed (add): connect ECONNREFUSED', true],
  ['plugin type="cilium-cni" failed (add): ENOENT', true],
  ['plugin type="cilium-cni" failed (add): Is the agent running?', true],
  ['plugin type="cilium-cni" failed (add): the agent is not there', true],
  ['plugin type="flannel" failed (add): open /run/flannel/subnet.env: no such file or directory', true],
  ['plugin type="calico" failed (add):\nstat /var/lib/calico/nodename: no such file or directory', true],
  ['plugin type="portmap" failed (add): dial unix /x', false],
  ['plugin type="calico" failed (delete): dial unix /x', false],
  ['plugin type="calico" failed (add): no such file or directory', false],
  ['plugin type="" failed (add): dial unix /x', false],
  ['dial unix /x', false],
])('%j shows that an agent is not there: %p', (message, is) => {
  expect(findingsText('conflist-too-early', starting([message])).length > 0).toBe(is);
});

testFindings('plugin-order-wrong', [
  [
    'first of two',
    withEvent(file([PORTMAP, PRIMARY]), 'must be called as chained plugin'),
    [
      'broken n1: 10-net.conflist of n1 runs portmap first (portmap, cilium-cni)',
      'file | /etc/cni/net.d/10-net.conflist | {"cniVersion":"1.0.0","name":"net","plugins":[{"type":"portmap","capabilities":{"portMappings":true}},{"type":"cilium-cni"}]}',
      'event | pod default/a: FailedCreatePodSandBox | must be called as chained plugin',
      'write-file on n1, to move portmap behind the others: {"path":"/etc/cni/net.d/10-net.conflist","content":{"cniVersion":"1.0.0","name":"net","plugins":[{"type":"cilium-cni"},{"capabilities":{"portMappings":true},"type":"portmap"}]}}',
    ],
  ],
  [
    'first and last',
    withEvent(file([PORTMAP, PRIMARY, { type: 'tuning' }, PORTMAP]), 'must be called as a chained plugin'),
    [
      'broken n1: 10-net.conflist of n1 runs portmap first (portmap, cilium-cni, tuning, portmap)',
      'file | /etc/cni/net.d/10-net.conflist | {"cniVersion":"1.0.0","name":"net","plugins":[{"type":"portmap","capabilities":{"portMappings":true}},{"type":"cilium-cni"},{"type":"tuning"},{"type":"portmap","capabilities":{"portMappings":true}}]}',
      'event | pod default/a: FailedCreatePodSandBox | must be called as a chained plugin',
      'write-file on n1, to move portmap behind the others: {"path":"/etc/cni/net.d/10-net.conflist","content":{"cniVersion":"1.0.0","name":"net","plugins":[{"type":"cilium-cni"},{"type":"tuning"},{"capabilities":{"portMappings":true},"type":"portmap"},{"capabilities":{"portMappings":true},"type":"portmap"}]}}',
    ],
  ],
  [
    'alone',
    withEvent(file([PORTMAP]), 'no IP address'),
    [
      'broken n1: 10-net.conflist of n1 runs portmap first (portmap)',
      'file | /etc/cni/net.d/10-net.conflist | {"cniVersion":"1.0.0","name":"net","plugins":[{"type":"portmap","capabilities":{"portMappings":true}}]}',
      'by hand: 10-net.conflist has no plugin that assigns addresses, and hostport cannot choose one for n1',
    ],
  ],
  ['second', node({ [NET]: RIGHT }), []],
  ['not there', node(file(ALONE)), []],
  ['in a broken file', node({ [NET]: BROKEN }), []],
]);

const probed = (outcome: ProbeResult['outcome'], vantage: ProbeResult['vantage'] = 'outside') => ({
  probes: [
    {
      ...{ vantage, node: 'n1', podUid: 'uid-a', protocol: 'TCP', hostPort: 80, outcome },
      ...{ target: { address: '172.17.0.2', port: 80 }, detail: '', milliseconds: 1 },
    } as ProbeResult,
  ],
});
const OTHER_PRIMARY = [{ type: 'bridge' }, { type: 'tuning' }];

testFindings('portmap-not-chained', [
  [
    'in a list',
    worldOfNode(cniNode(file(OTHER_PRIMARY))),
    [
      'broken n1: 10-net.conflist, which the runtime of n1 uses, has no portmap in its chain (bridge, tuning)',
      'file | /etc/cni/net.d/10-net.conflist | {"cniVersion":"1.0.0","name":"net","plugins":[{"type":"bridge"},{"type":"tuning"}]}',
      'write-file on n1, to chain portmap behind 10-net.conflist: {"path":"/etc/cni/net.d/10-net.conflist","content":{"cniVersion":"1.0.0","name":"net","plugins":[{"type":"bridge"},{"type":"tuning"},{"type":"portmap","capabilities":{"portMappings":true}}]}}',
    ],
  ],
  [
    'in a single configuration',
    worldOfNode(cniNode({ '05-net.conf': JSON.stringify({ name: 'net', type: 'bridge' }) })),
    [
      'broken n1: 05-net.conf, which the runtime of n1 uses, has no portmap in its chain (bridge)',
      'file | /etc/cni/net.d/05-net.conf | {"name":"net","type":"bridge"}',
      'write-file on n1, to chain portmap behind 05-net.conf: {"path":"/etc/cni/net.d/05-net-portmap.conflist","content":{"name":"net","plugins":[{"type":"bridge"},{"type":"portmap","capabilities":{"portMappings":true}}]},"mode":"0600"}',
    ],
  ],
  [
    'where the primary plugin may map ports itself',
    worldOfNode(cniNode(file(ALONE))),
    [
      'risk n1: 10-net.conflist, which the runtime of n1 uses, has no portmap in its chain (cilium-cni); it is unknown whether cilium-cni maps hostPorts itself',
      'file | /etc/cni/net.d/10-net.conflist | {"cniVersion":"1.0.0","name":"net","plugins":[{"type":"cilium-cni"}]}',
      "by hand: cilium-cni may map the ports itself (Cilium's kube-proxy replacement), and portmap would conflict with it: probe from another machine to find out",
    ],
  ],
  [
    'where the primary plugin may map ports itself, and others are silent',
    worldOfNode(cniNode(file(ALONE)), probed('timeout')),
    [
      'broken n1: 10-net.conflist, which the runtime of n1 uses, has no portmap in its chain (cilium-cni)',
      'file | /etc/cni/net.d/10-net.conflist | {"cniVersion":"1.0.0","name":"net","plugins":[{"type":"cilium-cni"}]}',
      'write-file on n1, to chain portmap behind 10-net.conflist: {"path":"/etc/cni/net.d/10-net.conflist","content":{"cniVersion":"1.0.0","name":"net","plugins":[{"type":"cilium-cni"},{"type":"portmap","capabilities":{"portMappings":true}}]}}',
    ],
  ],
  [
    'where the primary plugin may map ports itself, and the node itself is silent',
    worldOfNode(cniNode(file(ALONE)), probed('timeout', 'node')),
    [
      'risk n1: 10-net.conflist, which the runtime of n1 uses, has no portmap in its chain (cilium-cni); it is unknown whether cilium-cni maps hostPorts itself',
      'file | /etc/cni/net.d/10-net.conflist | {"cniVersion":"1.0.0","name":"net","plugins":[{"type":"cilium-cni"}]}',
      "by hand: cilium-cni may map the ports itself (Cilium's kube-proxy replacement), and portmap would conflict with it: probe from another machine to find out",
    ],
  ],
  [
    'where the primary plugin may map ports itself, and portmap maps those of a pod',
    worldOfNode(attachedIn(cniNode(file(ALONE)), [{ name: 'a', portMappings: true }])),
    [
      'broken n1: 10-net.conflist, which the runtime of n1 uses, has no portmap in its chain (cilium-cni)',
      'file | /etc/cni/net.d/10-net.conflist | {"cniVersion":"1.0.0","name":"net","plugins":[{"type":"cilium-cni"}]}',
      'result | /var/lib/cni/results/net-a (2026-01-01T01:00:00Z) | {"cniVersion":"1.0.0","name":"net","plugins":[{"type":"cilium-cni"},{"type":"portmap","capabilities":{"portMappings":true}}]}',
      'write-file on n1, to chain portmap behind 10-net.conflist: {"path":"/etc/cni/net.d/10-net.conflist","content":{"cniVersion":"1.0.0","name":"net","plugins":[{"type":"cilium-cni"},{"type":"portmap","capabilities":{"portMappings":true}}]}}',
    ],
  ],
  [
    'where the primary plugin may map ports itself, and the runtime has portmap loaded',
    worldOfNode(cniNode(file(ALONE), { loaded: RIGHT })),
    [
      'broken n1: 10-net.conflist, the first of n1, has no portmap in its chain (cilium-cni)',
      'file | /etc/cni/net.d/10-net.conflist | {"cniVersion":"1.0.0","name":"net","plugins":[{"type":"cilium-cni"}]}',
      'write-file on n1, to chain portmap behind 10-net.conflist: {"path":"/etc/cni/net.d/10-net.conflist","content":{"cniVersion":"1.0.0","name":"net","plugins":[{"type":"cilium-cni"},{"type":"portmap","capabilities":{"portMappings":true}}]}}',
    ],
  ],
  [
    'where the primary plugin maps ports itself, and portmap is loaded',
    worldOfNode(cniNode(file(ALONE), { loaded: RIGHT }), probed('answered')),
    [
      'broken n1: 10-net.conflist, the first of n1, has no portmap in its chain (cilium-cni)',
      'file | /etc/cni/net.d/10-net.conflist | {"cniVersion":"1.0.0","name":"net","plugins":[{"type":"cilium-cni"}]}',
      'write-file on n1, to chain portmap behind 10-net.conflist: {"path":"/etc/cni/net.d/10-net.conflist","content":{"cniVersion":"1.0.0","name":"net","plugins":[{"type":"cilium-cni"},{"type":"portmap","capabilities":{"portMappings":true}}]}}',
    ],
  ],
  ['where the primary plugin maps ports itself', worldOfNode(cniNode(file(ALONE)), probed('answered')), []],
  ['where nobody asks for ports', node(file(OTHER_PRIMARY)), []],
  ['where the file cannot be read', worldOfNode(cniNode({ [NET]: BROKEN })), []],
  ['where it is', worldOfNode(cniNode({ [NET]: RIGHT })), []],
  ...['multus', 'multus-shim', 'genie', 'danm'].map(
    (type) =>
      [`where ${type} runs other chains`, worldOfNode(cniNode(file([{ type: 'x' }, { type }]))), []] as const,
  ),
]);

const save = (...chains: string[]) =>
  [
    ...['*filter', ':INPUT ACCEPT [0:0]', ':KUBE-MARK-FILTER - [0:0]', 'COMMIT'],
    ...[
      '*nat',
      ':PREROUTING ACCEPT [0:0]',
      ...chains.map((chain) => `:${chain} - [0:0]`),
      '-A PREROUTING -j RETURN',
      'COMMIT',
    ],
    ...['*raw', ':KUBE-MARK-RAW - [0:0]', 'COMMIT'],
    '',
  ].join('\n');
type Iptables = NodeReport['netfilter']['iptables'][number];
const marking = (
  externalSetMarkChain: unknown,
  text = save('KUBE-SERVICES'),
  { variant = 'iptables-nft', family = 'ipv4' }: Partial<Iptables> = {},
  defaultVariant: Iptables['variant'] | undefined = 'iptables-nft',
) => {
  const report = cniNode(file([PRIMARY, { ...PORTMAP, externalSetMarkChain, snat: true }]));
  const iptables: Iptables[] = [
    { variant, family, text: { value: text } },
    { variant: 'iptables-legacy', family: 'ipv4', text: { value: save('KUBE-MARK-LEGACY') } },
    { variant: 'iptables-nft', family: 'ipv6', text: { value: save('KUBE-MARK-SIX') } },
  ];
  const netfilter = { ...report.netfilter, iptables, ...(defaultVariant && { defaultVariant }) };
  return worldOfNode(
    { ...report, netfilter },
    { events: [warningOf('a', 'iptables: KUBE-MARK-MASQ not found')] },
  );
};

testFindings('set-mark-chain-missing', [
  [
    'nowhere',
    marking('KUBE-MARK-MASQ'),
    [
      'broken n1: portmap in 10-net.conflist of n1 uses the chain KUBE-MARK-MASQ, which does not exist in table nat',
      'file | /etc/cni/net.d/10-net.conflist | {"cniVersion":"1.0.0","name":"net","plugins":[{"type":"cilium-cni"},{"type":"portmap","capabilities":{"portMappings":true},"externalSetMarkChain":"KUBE-MARK-MASQ","snat":true}]}',
      'rule | chains of table nat (iptables-nft) | PREROUTING KUBE-SERVICES',
      'event | pod default/a: FailedCreatePodSandBox | iptables: KUBE-MARK-MASQ not found',
      'write-file on n1, to no longer rely on KUBE-MARK-MASQ: {"path":"/etc/cni/net.d/10-net.conflist","content":{"cniVersion":"1.0.0","name":"net","plugins":[{"type":"cilium-cni"},{"capabilities":{"portMappings":true},"snat":true,"type":"portmap"}]}}',
    ],
  ],
  [
    'in another table that comes before',
    marking('KUBE-MARK-FILTER'),
    [
      'broken n1: portmap in 10-net.conflist of n1 uses the chain KUBE-MARK-FILTER, which does not exist in table nat',
      'file | /etc/cni/net.d/10-net.conflist | {"cniVersion":"1.0.0","name":"net","plugins":[{"type":"cilium-cni"},{"type":"portmap","capabilities":{"portMappings":true},"externalSetMarkChain":"KUBE-MARK-FILTER","snat":true}]}',
      'rule | chains of table nat (iptables-nft) | PREROUTING KUBE-SERVICES',
      'write-file on n1, to no longer rely on KUBE-MARK-FILTER: {"path":"/etc/cni/net.d/10-net.conflist","content":{"cniVersion":"1.0.0","name":"net","plugins":[{"type":"cilium-cni"},{"capabilities":{"portMappings":true},"snat":true,"type":"portmap"}]}}',
    ],
  ],
  [
    'in another table that comes behind',
    marking('KUBE-MARK-RAW'),
    [
      'broken n1: portmap in 10-net.conflist of n1 uses the chain KUBE-MARK-RAW, which does not exist in table nat',
      'file | /etc/cni/net.d/10-net.conflist | {"cniVersion":"1.0.0","name":"net","plugins":[{"type":"cilium-cni"},{"type":"portmap","capabilities":{"portMappings":true},"externalSetMarkChain":"KUBE-MARK-RAW","snat":true}]}',
      'rule | chains of table nat (iptables-nft) | PREROUTING KUBE-SERVICES',
      'write-file on n1, to no longer rely on KUBE-MARK-RAW: {"path":"/etc/cni/net.d/10-net.conflist","content":{"cniVersion":"1.0.0","name":"net","plugins":[{"type":"cilium-cni"},{"capabilities":{"portMappings":true},"snat":true,"type":"portmap"}]}}',
    ],
  ],
  [
    'in another variant',
    marking('KUBE-MARK-LEGACY'),
    [
      'broken n1: portmap in 10-net.conflist of n1 uses the chain KUBE-MARK-LEGACY, which does not exist in table nat',
      'file | /etc/cni/net.d/10-net.conflist | {"cniVersion":"1.0.0","name":"net","plugins":[{"type":"cilium-cni"},{"type":"portmap","capabilities":{"portMappings":true},"externalSetMarkChain":"KUBE-MARK-LEGACY","snat":true}]}',
      'rule | chains of table nat (iptables-nft) | PREROUTING KUBE-SERVICES',
      'write-file on n1, to no longer rely on KUBE-MARK-LEGACY: {"path":"/etc/cni/net.d/10-net.conflist","content":{"cniVersion":"1.0.0","name":"net","plugins":[{"type":"cilium-cni"},{"capabilities":{"portMappings":true},"snat":true,"type":"portmap"}]}}',
    ],
  ],
  [
    'in another family',
    marking('KUBE-MARK-SIX'),
    [
      'broken n1: portmap in 10-net.conflist of n1 uses the chain KUBE-MARK-SIX, which does not exist in table nat',
      'file | /etc/cni/net.d/10-net.conflist | {"cniVersion":"1.0.0","name":"net","plugins":[{"type":"cilium-cni"},{"type":"portmap","capabilities":{"portMappings":true},"externalSetMarkChain":"KUBE-MARK-SIX","snat":true}]}',
      'rule | chains of table nat (iptables-nft) | PREROUTING KUBE-SERVICES',
      'write-file on n1, to no longer rely on KUBE-MARK-SIX: {"path":"/etc/cni/net.d/10-net.conflist","content":{"cniVersion":"1.0.0","name":"net","plugins":[{"type":"cilium-cni"},{"capabilities":{"portMappings":true},"snat":true,"type":"portmap"}]}}',
    ],
  ],
  [
    'where there is no table nat',
    marking('KUBE-MARK-MASQ', '*filter\n:KUBE-MARK-MASQ - [0:0]\nCOMMIT\n'),
    [
      'broken n1: portmap in 10-net.conflist of n1 uses the chain KUBE-MARK-MASQ, which does not exist in table nat',
      'file | /etc/cni/net.d/10-net.conflist | {"cniVersion":"1.0.0","name":"net","plugins":[{"type":"cilium-cni"},{"type":"portmap","capabilities":{"portMappings":true},"externalSetMarkChain":"KUBE-MARK-MASQ","snat":true}]}',
      'rule | chains of table nat (iptables-nft) | ',
      'event | pod default/a: FailedCreatePodSandBox | iptables: KUBE-MARK-MASQ not found',
      'write-file on n1, to no longer rely on KUBE-MARK-MASQ: {"path":"/etc/cni/net.d/10-net.conflist","content":{"cniVersion":"1.0.0","name":"net","plugins":[{"type":"cilium-cni"},{"capabilities":{"portMappings":true},"snat":true,"type":"portmap"}]}}',
    ],
  ],
  [
    'by a name with other characters, which events may have changed',
    marking('KUBE+MARK+MASQ'),
    [
      'broken n1: portmap in 10-net.conflist of n1 uses the chain KUBE+MARK+MASQ, which does not exist in table nat',
      'file | /etc/cni/net.d/10-net.conflist | {"cniVersion":"1.0.0","name":"net","plugins":[{"type":"cilium-cni"},{"type":"portmap","capabilities":{"portMappings":true},"externalSetMarkChain":"KUBE+MARK+MASQ","snat":true}]}',
      'rule | chains of table nat (iptables-nft) | PREROUTING KUBE-SERVICES',
      'event | pod default/a: FailedCreatePodSandBox | iptables: KUBE-MARK-MASQ not found',
      'write-file on n1, to no longer rely on KUBE+MARK+MASQ: {"path":"/etc/cni/net.d/10-net.conflist","content":{"cniVersion":"1.0.0","name":"net","plugins":[{"type":"cilium-cni"},{"capabilities":{"portMappings":true},"snat":true,"type":"portmap"}]}}',
    ],
  ],
  ['but is there', marking('KUBE-MARK-MASQ', save('KUBE-SERVICES', 'KUBE-MARK-MASQ')), []],
  [
    'but is there in the variant in use',
    marking('KUBE-MARK-LEGACY', undefined, undefined, 'iptables-legacy'),
    [],
  ],
  ['and no chain is named', marking(undefined), []],
  ['and none is named, in so many words', marking(''), []],
  ['and what is named is no chain', marking(7), []],
  [
    'and the rules of the variant are not known',
    marking('KUBE-MARK-MASQ', undefined, { variant: 'iptables-legacy' }),
    [],
  ],
  ['and the rules of the family are not known', marking('KUBE-MARK-MASQ', undefined, { family: 'ipv6' }), []],
  ['and portmap is not chained', node(file(ALONE)), []],
]);
