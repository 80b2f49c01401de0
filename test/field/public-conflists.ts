/**
 * Configurations of the CNI that people have published with a question or a change, each written for these tests with no more than what is
 * judged of it. Nothing of them was looked at while the diagnosis was written.
 */
import type { Pod } from '../../src/kube/types.ts';
import { cniNode, pluginFile } from '../../src/path/testing/cni-node.ts';
import { podOn, warningOf, worldOfNode } from '../../src/path/testing/small-world.ts';
import type { PublicCase } from './public-cases.ts';

const PORTS = { capabilities: { portMappings: true } };
const PORTMAP = { type: 'portmap', ...PORTS };
const HOST_LOCAL = { ipam: { type: 'host-local', ranges: [[{ subnet: '10.88.0.0/16' }]] } };
const BRIDGE = { type: 'bridge', bridge: 'cni0', isGateway: true, ...HOST_LOCAL };

const list = (plugins: readonly object[], more: object = {}) =>
  JSON.stringify({ cniVersion: '0.3.1', name: 'mynet', ...more, plugins });
const single = (plugin: object, more: object = {}) =>
  JSON.stringify({ cniVersion: '0.3.1', name: 'mynet', ...more, ...plugin });

interface Node {
  /** Plugins of the files that are not installed. */
  absent?: readonly string[];
  /** Versions that the installed plugins speak. */
  versions?: readonly string[];
  /** The rules of the node, as iptables-save prints them. */
  rules?: string;
  /** The runtime is CRI-O. */
  isCrio?: true;
  /** What is said of the pod, which has no sandbox. */
  complaint?: string;
}

const PENDING: Pod = {
  ...podOn('n1', 'a', 80),
  status: {
    phase: 'Pending',
    containerStatuses: [
      {
        ...{ name: 'c', ready: false, restartCount: 0, image: '', imageID: '' },
        state: { waiting: { reason: 'ContainerCreating' } },
      },
    ],
  },
};

/** A node with these files, and the plugins that they name. */
const node = (
  files: Readonly<Record<string, string>>,
  { absent = [], versions = ['0.3.0', '0.3.1', '0.4.0', '1.0.0'], rules, isCrio, complaint }: Node = {},
) => {
  const named = Object.values(files).flatMap((text) =>
    [...text.matchAll(/"type": ?"([\w-]+)"/g)].map(([, name]) => name!),
  );
  const plugins = [...new Set(named)]
    .filter((name) => !absent.includes(name))
    .map((name) => pluginFile(name, { versions: { value: [...versions] } }));
  const report = cniNode(files, {
    cni: { plugins: { value: plugins } },
    ...(isCrio && { loaded: '{}', version: '1.33.0' }),
  });
  const { runtime, netfilter } = report;
  return worldOfNode(
    {
      ...report,
      ...(complaint !== undefined && { sandboxes: { value: [] } }),
      ...(isCrio &&
        'value' in runtime && {
          runtime: {
            value: {
              ...runtime.value,
              name: 'cri-o',
              loadedNetworks: { unknown: 'cri-o does not report them' },
            },
          },
        }),
      ...(rules !== undefined && {
        netfilter: {
          ...netfilter,
          defaultVariant: 'iptables-nft',
          iptables: [{ variant: 'iptables-nft', family: 'ipv4', text: { value: rules } }],
          nft: { value: '{"nftables":[]}' },
        },
      }),
    },
    complaint === undefined ? {} : { pods: [PENDING], events: [warningOf('a', complaint)] },
  );
};

const NAT_OF_KUBE_PROXY = (...chains: string[]) =>
  ['*nat', ':PREROUTING ACCEPT [0:0]', ...chains.map((chain) => `:${chain} - [0:0]`), 'COMMIT', ''].join(
    '\n',
  );

const CONFLISTS: readonly Omit<PublicCase, 'of'>[] = [
  {
    from: 'containernetworking/plugins#275',
    shows: 'bridge and portmap, which marks by a chain of kube-proxy that this node does not have',
    world: node(
      { '10-wg.conflist': list([BRIDGE, { ...PORTMAP, externalSetMarkChain: 'KUBE-MARK-MASQ' }]) },
      { rules: NAT_OF_KUBE_PROXY('KUBE-SERVICES') },
    ),
    found: ['broken set-mark-chain-missing'],
  },
  {
    from: 'containernetworking/plugins#763',
    shows: "CRI-O's own list, with that chain",
    world: node(
      {
        '11-crio-ipv4-bridge.conflist': list(
          [
            { ...BRIDGE, hairpinMode: true },
            { ...PORTMAP, externalSetMarkChain: 'KUBE-MARK-MASQ' },
            { type: 'firewall' },
            { type: 'tuning' },
          ],
          { cniVersion: '1.0.0', name: 'crio' },
        ),
      },
      { rules: NAT_OF_KUBE_PROXY('KUBE-MARK-MASQ') },
    ),
    found: [],
  },
  {
    from: 'weaveworks/weave#3016',
    shows: 'portmap alone',
    world: node({ '00-portmap.conflist': list([{ ...PORTMAP, snat: true }]) }),
    found: ['broken plugin-order-wrong'],
  },
  {
    from: 'weaveworks/weave#3016, an answer',
    shows: 'weave-net and portmap, in a version that no plugin speaks',
    world: node({
      '10-weave.conflist': list([{ type: 'weave-net', hairpinMode: true }, PORTMAP], { cniVersion: '0.5.1' }),
    }),
    found: ['broken cni-version-unsupported'],
  },
  {
    from: 'weaveworks/weave#3787',
    shows: 'bandwidth behind a plugin whose result has no interfaces: the chain fails',
    world: node(
      {
        '10-weave.conflist': list([
          { type: 'weave-net', hairpinMode: true },
          PORTMAP,
          { type: 'bandwidth', capabilities: { bandwidth: true } },
        ]),
      },
      {
        complaint:
          'Failed to create pod sandbox: plugin type="bandwidth" failed (add): no interfaces provided',
      },
    ),
    found: ['broken container-not-running'],
  },
  {
    from: 'cloudnativelabs/kube-router#168',
    shows: 'a list with a comma missing',
    world: node({
      '10-kuberouter.conflist':
        '{"cniVersion":"0.3.0","name":"mynet","plugins":[{"type":"bridge"},{"type":"portmap","capabilities":{"snat":true "portMappings":true}}]}',
    }),
    found: ['broken conflist-invalid'],
  },
  {
    from: 'kubernetes-sigs/kubespray#6204',
    shows: '`snat` as a capability, which nobody provides',
    world: node({
      '10-kuberouter.conflist': list(
        [
          { ...BRIDGE, name: 'kubernetes', bridge: 'kube-bridge' },
          { type: 'portmap', capabilities: { snat: true, portMappings: true } },
        ],
        { cniVersion: '0.3.0' },
      ),
    }),
    found: [],
  },
  {
    from: 'cloudnativelabs/kube-router#611',
    shows: 'a list in a file for a single plugin',
    world: node({ '10-kuberouter.conf': list([BRIDGE, PORTMAP]) }),
    found: ['broken conflist-invalid'],
  },
  {
    from: 'AliyunContainerService/terway#34',
    shows: 'the same, of another plugin, behind which the node is NotReady',
    world: node({
      '10-terway.conf': list(
        [{ type: 'terway' }, { type: 'bandwidth', capabilities: { bandwidth: true } }, PORTMAP],
        { cniVersion: '0.3.0' },
      ),
    }),
    found: ['broken conflist-invalid'],
  },
  {
    from: 'flannel-io/flannel#888',
    shows: 'the file of an earlier version, which sorts before the new list',
    world: node({
      '10-flannel.conf': single({ type: 'flannel', delegate: { isDefaultGateway: true } }, { name: 'cbr0' }),
      '10-flannel.conflist': list([{ type: 'flannel', delegate: { isDefaultGateway: true } }, PORTMAP], {
        name: 'cbr0',
      }),
    }),
    found: ['broken conflist-shadowed'],
  },
  {
    from: 'flannel-io/flannel#890',
    shows: 'a list with a plugin that the image did not bring',
    world: node(
      { '10-flannel.conflist': list([{ type: 'flannel', delegate: {} }, PORTMAP], { name: 'cbr0' }) },
      { absent: ['portmap'] },
    ),
    found: ['broken plugin-missing'],
  },
  {
    from: 'ubicloud/ubicloud#6324',
    shows: 'a single plugin that knows nothing of ports',
    world: node({ 'ubicni-config.json': single({ type: 'ubicni', ranges: {} }, { name: 'ubicni-network' }) }),
    found: ['broken portmap-not-chained'],
  },
  {
    from: 'kelseyhightower/kubernetes-the-hard-way#418',
    shows: 'bridge, and loopback in a file of its own',
    world: node({
      '10-bridge.conf': single({ ...BRIDGE, ipMasq: true }, { name: 'bridge' }),
      '99-loopback.conf': single({ type: 'loopback' }, { name: 'lo' }),
    }),
    found: ['broken portmap-not-chained'],
  },
  {
    from: 'podman-container-tools/podman#8267',
    shows: 'macvlan alone',
    world: node({
      '20-macvlan.conflist': list([{ type: 'macvlan', mode: 'bridge', master: 'eth0', ...HOST_LOCAL }], {
        cniVersion: '0.4.0',
      }),
    }),
    found: ['broken portmap-not-chained'],
  },
  {
    from: 'podman-container-tools/podman#21511',
    shows: 'a list of version 1.0.0, and plugins that do not speak it',
    world: node(
      { 'project.conflist': list([BRIDGE, PORTMAP], { cniVersion: '1.0.0' }) },
      { versions: ['0.1.0', '0.2.0', '0.3.0', '0.3.1', '0.4.0'] },
    ),
    found: ['broken cni-version-unsupported'],
  },
  {
    from: 'podman-container-tools/podman#6114',
    shows: 'two families, with firewall and tuning behind portmap',
    world: node({
      '87-podman-bridge.conflist': list(
        [
          {
            ...BRIDGE,
            ipam: {
              type: 'host-local',
              routes: [{ dst: '0.0.0.0/0' }, { dst: '2000::/0' }],
              ranges: [[{ subnet: '10.88.0.0/16' }], [{ subnet: 'fd00:88::/64' }]],
            },
          },
          PORTMAP,
          { type: 'firewall' },
          { type: 'tuning' },
        ],
        { cniVersion: '0.4.0', name: 'podman' },
      ),
    }),
    found: [],
  },
  {
    from: 'cri-o/cri-o#6541',
    shows: 'a file for loopback without a name and without plugins, behind the one in use',
    world: node({
      '10-net.conflist': list([BRIDGE, PORTMAP]),
      '99-loopback.conflist': '{"cniVersion":"0.3.1","type":"loopback"}',
    }),
    found: [],
  },
  {
    from: 'containernetworking/plugins#1115',
    shows: 'Multus with a delegate whose portmap has conditions in the words of nft',
    world: node({
      '00-multus.conf': single(
        {
          type: 'multus',
          ...PORTS,
          delegates: [
            {
              cniVersion: '1.0.0',
              name: 'mgmt',
              plugins: [
                BRIDGE,
                {
                  ...PORTMAP,
                  backend: 'nftables',
                  conditionsV4: ['ip', 'daddr', '!=', '{ 127.0.0.0/8, 198.19.254.254 }'],
                },
              ],
            },
          ],
        },
        { cniVersion: '1.0.0' },
      ),
    }),
    found: [],
  },
  {
    from: 'greenpau/cni-plugins#17',
    shows: 'a port mapper of another project, which declares the capability',
    world: node({
      '10-mynet.conflist': list(
        [
          { ...BRIDGE, bridge: 'mynet0' },
          { type: 'cni-nftables-portmap', ...PORTS },
          { type: 'cni-nftables-firewall', forward_chain_name: 'forward' },
        ],
        { cniVersion: '0.4.0' },
      ),
    }),
    // Whether it maps them is seen by a probe or by its rules.
    found: ['risk portmap-not-chained'],
  },
  {
    from: 'containernetworking/plugins#510',
    shows: "kind's list: ptp and portmap",
    world: node({
      '10-kindnet.conflist': list(
        [
          { type: 'ptp', ipMasq: false, ipam: { type: 'host-local', dataDir: '/run/cni-ipam-state' } },
          PORTMAP,
        ],
        { name: 'kindnet' },
      ),
    }),
    found: [],
  },
  {
    from: 'linkerd/linkerd2#4807',
    shows: 'a service mesh that appends itself, without version and without anybody before it',
    world: node({
      '01-linkerd-cni.conflist': list([{ type: 'linkerd-cni', name: 'linkerd-cni', log_level: 'info' }], {
        cniVersion: '',
        name: 'linkerd-cni',
      }),
      '10-calico.conflist': list([{ type: 'calico', ipam: { type: 'calico-ipam' } }, PORTMAP], {
        name: 'k8s-pod-network',
      }),
    }),
    found: ['broken conflist-shadowed'],
  },
  {
    from: 'cilium/cilium#7862',
    shows: 'AWS VPC CNI, portmap, and Cilium behind them',
    world: node({
      '05-cilium.conflist': list(
        [
          { type: 'aws-cni', name: 'aws-cni', vethPrefix: 'eni' },
          { ...PORTMAP, snat: true },
          { type: 'cilium-cni' },
        ],
        { name: 'aws-cni' },
      ),
    }),
    found: [],
  },
  {
    from: 'cilium/cilium#5088',
    shows: "Cilium with portmap, in a file that sorts behind Cilium's own",
    world: node({
      '05-cilium.conf': single({ type: 'cilium-cni' }, { name: 'cilium' }),
      '10-cilium-portmap.conflist': list([{ type: 'cilium-cni', mtu: 8950 }, PORTMAP], {
        name: 'cilium-portmap',
      }),
    }),
    found: ['broken conflist-shadowed'],
  },
  {
    from: 'kubernetes-sigs/kubespray#7601',
    shows: 'flannel and portmap under CRI-O, which maps the ports itself',
    world: node(
      { '10-flannel.conflist': list([{ type: 'flannel', delegate: {} }, PORTMAP], { name: 'cbr0' }) },
      { isCrio: true },
    ),
    found: [],
  },
  {
    from: 'kubernetes/kubernetes#80810',
    shows: 'bridge alone under CRI-O, which maps the ports itself',
    world: node({ '10-crio.conf': single(BRIDGE, { cniVersion: '0.3.0', name: 'crio' }) }, { isCrio: true }),
    found: [],
  },
];

export const PUBLIC_CONFLISTS: readonly PublicCase[] = CONFLISTS.map((each) => ({
  ...each,
  of: 'configuration',
}));
