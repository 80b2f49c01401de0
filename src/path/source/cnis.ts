/**
 * The primary CNIs, as data: how one is recognised, and which change at its source, that is where its own configuration comes from, keeps a failure
 * from coming back. What is changed on a node instead lasts until the owner of the file writes it again.
 */

/** The failures whose fix is a change of the chain that the runtime uses. */
const CHAIN = [
  'portmap-not-chained',
  'capability-missing',
  'plugin-order-wrong',
  'conflist-invalid',
  'conflist-shadowed',
  'conflist-too-early',
  'cni-version-unsupported',
] as const;
/** Those whose fix is the plugin's file. */
const PLUGIN = [
  'plugin-missing',
  'plugin-not-executable',
  'plugin-too-old',
  'plugin-wrong-architecture',
] as const;

/** How a CNI was installed, where that decides what is changed. */
export type Installer = 'rke2' | 'k3s' | 'operator' | 'other';

/**
 * A change of one object that this program can make itself, since it adds to what is there:
 * - `data`: keys of a ConfigMap. `unless`: values of theirs that mean something else is wanted, so that nothing is changed.
 * - `list`: chains portmap in the CNI list, JSON, that a key of a ConfigMap has.
 * - `values`: Helm values of a HelmChartConfig.
 */
export type SourcePatch =
  | {
      kind: 'data';
      namespace: string;
      name: string;
      data: Record<string, string>;
      unless: Record<string, readonly string[]>;
    }
  | { kind: 'list'; namespace: string; name: string; key: string }
  | { kind: 'values'; namespace: string; name: string; values: Record<string, unknown> };

/** A durable change. */
export interface SourceChange {
  codes: readonly string[];
  /** Of which installers; all when absent. */
  installers?: readonly Installer[];
  /** From which version on, or before which: `1.14`. A CNI of unknown version has no change that depends on it. */
  since?: string;
  before?: string;
  /** What is changed, in words. */
  what: string;
  /** Commands that change it, each an argv; none where it is done in another way, which `what` says. */
  commands: readonly (readonly string[])[];
  /** The same as a patch, where this program can make it. */
  patch?: SourcePatch;
  /** Commands that make the change take effect, and disturb something meanwhile. */
  afterwards?: readonly (readonly string[])[];
  sources: readonly string[];
}

export interface CniSource {
  name: string;
  /** Types of plugins that its chain begins with. */
  plugins: readonly string[];
  /** Names of its file, where the plugin alone does not tell: `bridge` and `ptp` are anybody's. */
  file?: RegExp;
  /**
   * A pod of its agent, which a DaemonSet creates: label, the namespaces in which it is installed, and container, whose image's tag is the version.
   * Anybody may label a pod so in a namespace of their own.
   */
  agent?: { label: readonly [key: string, value: string]; namespaces: readonly string[]; container: string };
  changes: readonly SourceChange[];
}

const kubectl = (...words: string[]) => ['kubectl', ...words];
const restart = (namespace: string, name: string) => [
  kubectl('-n', namespace, 'rollout', 'restart', `daemonset/${name}`),
];
const edit = (namespace: string, name: string) => [kubectl('-n', namespace, 'edit', 'configmap', name)];

const CILIUM_DOCS = 'https://docs.cilium.io/en/stable/installation/cni-chaining-portmap/';
const cilium = (...set: string[]) => [
  [
    ...['helm', 'upgrade', 'cilium', 'cilium/cilium', '--namespace', 'kube-system', '--reuse-values'],
    ...set.flatMap((value) => ['--set', value]),
  ],
];
/** Values of `cni-chaining-mode` by which Cilium is chained behind another CNI. */
const CHAINED_BEHIND = ['aws-cni', 'flannel', 'generic-veth'];

export const CNIS: readonly CniSource[] = [
  {
    name: 'Cilium',
    plugins: ['cilium-cni'],
    agent: { label: ['k8s-app', 'cilium'], namespaces: ['kube-system', 'cilium'], container: 'cilium-agent' },
    changes: [
      {
        codes: CHAIN,
        installers: ['rke2'],
        what: 'let Cilium chain portmap itself: in the HelmChartConfig rke2-cilium, spec.valuesContent gets cni: {chainingMode: portmap}',
        commands: [],
        patch: {
          kind: 'values',
          namespace: 'kube-system',
          name: 'rke2-cilium',
          values: { cni: { chainingMode: 'portmap' } },
        },
        sources: ['https://docs.rke2.io/helm', CILIUM_DOCS],
      },
      {
        codes: ['conflist-renamed'],
        installers: ['rke2'],
        what: 'let Cilium leave other configurations alone: in the HelmChartConfig rke2-cilium, spec.valuesContent gets cni: {exclusive: false}',
        commands: [],
        patch: {
          kind: 'values',
          namespace: 'kube-system',
          name: 'rke2-cilium',
          values: { cni: { exclusive: false } },
        },
        sources: ['https://docs.rke2.io/helm', CILIUM_DOCS],
      },
      {
        codes: CHAIN,
        since: '1.14',
        what: 'let Cilium chain portmap itself (or map hostPorts itself, with kubeProxyReplacement=true, which replaces kube-proxy)',
        commands: cilium('cni.chainingMode=portmap'),
        patch: {
          kind: 'data',
          namespace: 'kube-system',
          name: 'cilium-config',
          data: { 'cni-chaining-mode': 'portmap' },
          unless: { 'cni-chaining-mode': CHAINED_BEHIND },
        },
        afterwards: restart('kube-system', 'cilium'),
        sources: [CILIUM_DOCS],
      },
      {
        codes: CHAIN,
        before: '1.14',
        what: 'let Cilium chain portmap itself (or map hostPorts itself, with kubeProxyReplacement=partial and hostPort.enabled=true)',
        commands: cilium('cni.chainingMode=portmap'),
        afterwards: restart('kube-system', 'cilium'),
        sources: [CILIUM_DOCS],
      },
      {
        codes: ['conflist-renamed'],
        since: '1.14',
        what: 'let Cilium leave other configurations alone',
        commands: cilium('cni.exclusive=false'),
        patch: {
          kind: 'data',
          namespace: 'kube-system',
          name: 'cilium-config',
          data: { 'cni-exclusive': 'false' },
          unless: {},
        },
        afterwards: restart('kube-system', 'cilium'),
        sources: ['cilium/cilium: daemon/cmd/cni/config.go'],
      },
      {
        codes: ['conflist-renamed'],
        before: '1.14',
        what: 'let Cilium leave other configurations alone',
        commands: cilium('cni.exclusive=false'),
        afterwards: restart('kube-system', 'cilium'),
        sources: ['cilium/cilium v1.13: plugins/cilium-cni/cni-install.sh'],
      },
      {
        codes: PLUGIN,
        what: 'Cilium does not install portmap: install the package of the CNI plugins where the nodes are built, so that new nodes have it',
        commands: [],
        sources: [CILIUM_DOCS],
      },
    ],
  },
  {
    name: 'Canal',
    plugins: ['calico'],
    file: /canal/,
    agent: { label: ['k8s-app', 'canal'], namespaces: ['kube-system'], container: 'calico-node' },
    changes: [
      {
        codes: [...CHAIN, ...PLUGIN],
        installers: ['rke2'],
        what: 'canal writes its list, which chains portmap, and installs the plugin when it starts',
        commands: restart('kube-system', 'rke2-canal'),
        sources: ['rancher/rke2-charts: packages/rke2-canal'],
      },
      {
        codes: [...CHAIN, ...PLUGIN],
        installers: ['k3s', 'operator', 'other'],
        what: 'canal writes its list, which chains portmap, and installs the plugin when it starts',
        commands: restart('kube-system', 'canal'),
        sources: ['projectcalico/calico: manifests/canal.yaml'],
      },
    ],
  },
  {
    name: 'Calico',
    plugins: ['calico'],
    agent: {
      label: ['k8s-app', 'calico-node'],
      namespaces: ['kube-system', 'calico-system'],
      container: 'calico-node',
    },
    changes: [
      {
        codes: CHAIN,
        installers: ['operator'],
        what: "let the operator chain portmap, by its resource Installation's spec.calicoNetwork.hostPorts",
        commands: [
          kubectl(
            ...['patch', 'installation.operator.tigera.io', 'default', '--type=merge', '-p'],
            '{"spec":{"calicoNetwork":{"hostPorts":"Enabled"}}}',
          ),
        ],
        sources: ['https://docs.tigera.io/calico/latest/reference/installation/api#calicoNetworkSpec'],
      },
      {
        codes: CHAIN,
        installers: ['rke2', 'k3s', 'other'],
        what: 'add {"type": "portmap", "snat": true, "capabilities": {"portMappings": true}} to cni_network_config, which has placeholders and is not valid JSON',
        commands: edit('kube-system', 'calico-config'),
        afterwards: restart('kube-system', 'calico-node'),
        sources: ['projectcalico/calico: manifests/calico.yaml'],
      },
      {
        codes: PLUGIN,
        what: "calico-node installs portmap when it starts; if it does not come back, the image of Calico's CNI has none",
        commands: restart('kube-system', 'calico-node'),
        sources: ['projectcalico/calico: cni-plugin/pkg/install'],
      },
    ],
  },
  {
    name: 'AWS VPC CNI',
    plugins: ['aws-cni'],
    agent: { label: ['k8s-app', 'aws-node'], namespaces: ['kube-system'], container: 'aws-node' },
    changes: [
      {
        codes: [...CHAIN, ...PLUGIN],
        what: 'aws-node writes its list, which chains portmap, and installs the plugin when it starts; an add-on that leaves it out is too old',
        commands: restart('kube-system', 'aws-node'),
        sources: [
          'aws/amazon-vpc-cni-k8s: misc/10-aws.conflist',
          'aws/amazon-vpc-cni-k8s: cmd/aws-vpc-cni-init',
        ],
      },
    ],
  },
  {
    name: 'flannel',
    plugins: ['flannel'],
    agent: {
      label: ['app', 'flannel'],
      namespaces: ['kube-flannel', 'kube-system'],
      container: 'kube-flannel',
    },
    changes: [
      {
        codes: [...CHAIN, ...PLUGIN],
        installers: ['k3s'],
        what: 'k3s brings flannel and portmap along, and writes both again when it starts: restart k3s on the node (systemctl restart k3s or k3s-agent), and do not edit its files',
        commands: [],
        sources: ['https://docs.k3s.io/networking/basic-network-options'],
      },
      {
        codes: CHAIN,
        installers: ['rke2', 'operator', 'other'],
        what: 'chain portmap in the list that flannel installs',
        commands: edit('kube-flannel', 'kube-flannel-cfg'),
        patch: { kind: 'list', namespace: 'kube-flannel', name: 'kube-flannel-cfg', key: 'cni-conf.json' },
        afterwards: restart('kube-flannel', 'kube-flannel-ds'),
        sources: ['flannel-io/flannel: Documentation/kube-flannel.yml'],
      },
      {
        codes: PLUGIN,
        what: 'flannel does not install portmap: install the package of the CNI plugins where the nodes are built, so that new nodes have it',
        commands: [],
        sources: ['flannel-io/flannel: README.md'],
      },
    ],
  },
  {
    name: 'Azure CNI',
    plugins: ['azure-vnet'],
    changes: [
      {
        codes: [...CHAIN, ...PLUGIN],
        what: 'list and plugin come with the image of the nodes: upgrade it (az aks nodepool upgrade --node-image-only)',
        commands: [],
        sources: ['Azure/azure-container-networking: cni/azure-linux.conflist'],
      },
    ],
  },
  {
    name: 'Antrea',
    plugins: ['antrea'],
    agent: { label: ['component', 'antrea-agent'], namespaces: ['kube-system'], container: 'antrea-agent' },
    changes: [
      {
        codes: CHAIN,
        what: 'chain portmap in the list that Antrea installs',
        commands: edit('kube-system', 'antrea-config'),
        patch: { kind: 'list', namespace: 'kube-system', name: 'antrea-config', key: 'antrea-cni.conflist' },
        afterwards: restart('kube-system', 'antrea-agent'),
        sources: ['antrea-io/antrea: build/charts/antrea/conf/antrea-cni.conflist'],
      },
      {
        codes: PLUGIN,
        what: 'the agent of Antrea installs portmap when it starts',
        commands: restart('kube-system', 'antrea-agent'),
        sources: ['antrea-io/antrea: build/images/scripts/install_cni'],
      },
    ],
  },
  {
    name: 'kube-router',
    plugins: ['bridge'],
    file: /kuberouter/,
    agent: { label: ['k8s-app', 'kube-router'], namespaces: ['kube-system'], container: 'kube-router' },
    changes: [
      {
        codes: CHAIN,
        what: 'chain portmap in the list that kube-router installs',
        commands: edit('kube-system', 'kube-router-cfg'),
        patch: { kind: 'list', namespace: 'kube-system', name: 'kube-router-cfg', key: 'cni-conf.json' },
        afterwards: restart('kube-system', 'kube-router'),
        sources: ['cloudnativelabs/kube-router: daemonset/kubeadm-kuberouter.yaml'],
      },
    ],
  },
  {
    name: 'OVN-Kubernetes',
    plugins: ['ovn-k8s-cni-overlay'],
    agent: {
      label: ['app', 'ovnkube-node'],
      namespaces: ['ovn-kubernetes', 'openshift-ovn-kubernetes'],
      container: 'ovnkube-controller',
    },
    changes: [
      {
        codes: CHAIN,
        what: 'ovnkube-node writes a list of its own plugin alone: with CRI-O the runtime maps the ports, and portmap is not needed; with another runtime put a list before it where the nodes are built',
        commands: [],
        sources: [
          'ovn-org/ovn-kubernetes: go-controller/pkg/config/cni.go',
          'cri-o/cri-o: internal/hostport',
        ],
      },
    ],
  },
  {
    name: 'Weave Net',
    plugins: ['weave-net'],
    agent: { label: ['name', 'weave-net'], namespaces: ['kube-system'], container: 'weave' },
    changes: [
      {
        codes: [...CHAIN, ...PLUGIN],
        what: 'weave-net writes its list, which chains portmap, when it starts',
        commands: restart('kube-system', 'weave-net'),
        sources: ['weaveworks/weave: prog/weave-kube/launch.sh'],
      },
    ],
  },
  {
    name: 'kindnet',
    plugins: ['ptp'],
    file: /kindnet/,
    agent: { label: ['app', 'kindnet'], namespaces: ['kube-system'], container: 'kindnet-cni' },
    changes: [
      {
        codes: CHAIN,
        what: 'kindnetd writes its list, which chains portmap, when it starts',
        commands: restart('kube-system', 'kindnet'),
        sources: ['kubernetes-sigs/kind: images/kindnetd/cmd/kindnetd/cni.go'],
      },
    ],
  },
  {
    name: 'Multus',
    plugins: ['multus', 'multus-shim'],
    agent: {
      label: ['app', 'multus'],
      namespaces: ['kube-system', 'openshift-multus'],
      container: 'kube-multus',
    },
    changes: [
      {
        codes: CHAIN,
        what: 'Multus passes on to the list of the cluster network (clusterNetwork, or the delegates of its own file): chain portmap there',
        commands: [kubectl('-n', 'kube-system', 'get', 'configmap', 'multus-cni-config', '-o', 'yaml')],
        sources: ['k8snetworkplumbingwg/multus-cni: docs/configuration.md'],
      },
    ],
  },
];
