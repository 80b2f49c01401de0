/**
 * The primary CNIs, as data: how one is recognised, and which change at its source, that is where its own configuration comes from, keeps a failure
 * from coming back. What is changed on a node instead lasts until the owner of the file writes it again.
 */

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
  /** The failures that it is for. */
  codes: readonly string[];
  /** Of failures of a plugin's file: whether it is for the plugins that the CNI brings along itself, or for all others. Both when absent. */
  plugin?: 'own' | 'other';
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

/** What is common to changes for several failures. */
type Common = Omit<SourceChange, 'codes' | 'what'>;

/** A change for each failure, in words of its own cause. */
function forEach(whats: Readonly<Record<string, string>>, common: Common): SourceChange[] {
  return Object.entries(whats).map(([code, what]) => ({ ...common, codes: [code], what }));
}

/** What is wrong with a list that chains portmap, as it is to be corrected in it. */
const CORRECTIONS = {
  'capability-missing': 'give the entry of portmap "capabilities": {"portMappings": true}',
  'plugin-order-wrong': 'put portmap behind the plugin that assigns the address',
  'cni-version-unsupported': 'set cniVersion to one that every plugin of the chain supports',
  'conflist-invalid': 'correct what is invalid',
} as const;

/** The list comes from an object that is edited. */
function edited(where: string, common: Common): SourceChange[] {
  const whats = Object.entries(CORRECTIONS).map(([code, what]) => [code, `${what} in ${where}`]);
  return forEach(Object.fromEntries(whats), common);
}

/** The list is written by an agent when it starts, and chains portmap rightly. */
function writtenBy(agent: string, common: Common): SourceChange[] {
  return forEach(
    {
      'portmap-not-chained': `${agent} writes its list, which chains portmap, when it starts`,
      'capability-missing': `${agent} writes its list, in which portmap has the capability portMappings, when it starts`,
      'plugin-order-wrong': `${agent} writes its list, in which portmap is behind its own plugin, when it starts`,
      'cni-version-unsupported': `${agent} writes its list, with a CNI version that its plugins support, when it starts`,
      'conflist-invalid': `${agent} writes its list again when it starts; a broken file of somebody else is corrected where it comes from`,
    },
    common,
  );
}

/** Plugins are installed by an agent when it starts, from its image. */
function installedBy(agent: string, common: Common): SourceChange[] {
  return forEach(
    {
      'plugin-missing': `${agent} installs the plugin when it starts; if it does not come back, the image of ${agent} has none`,
      'plugin-not-executable': `${agent} installs the plugin again, executable, when it starts; if its mode changes again, something on the node changes it`,
      'plugin-wrong-architecture': `${agent} installs the plugin of its image again when it starts; if that is wrong again, use an image for the architecture of the node`,
    },
    common,
  );
}

/** portmap comes with the image of an agent, and is as old as that. */
function broughtBy(agent: string, sources: readonly string[]): SourceChange {
  return {
    codes: ['plugin-too-old'],
    what: `portmap comes with the image of ${agent}: upgrade that`,
    commands: [],
    sources,
  };
}

/** Plugins that the CNI does not install come with the nodes. */
function builtIn(cni: string, sources: readonly string[]): SourceChange[] {
  const package_ = 'package of the CNI plugins';
  const where = 'where the nodes are built, so that new nodes have it';
  return forEach(
    {
      'plugin-missing': `${cni} does not install the plugin: install the ${package_} ${where}`,
      'plugin-not-executable': `${cni} does not install the plugin: what does must give it the mode 0755 ${where}`,
      'plugin-too-old': `${cni} does not install portmap: install a current ${package_} ${where}`,
      'plugin-wrong-architecture': `${cni} does not install the plugin: install the ${package_} for the architecture of the node ${where}`,
    },
    { plugin: 'other', commands: [], sources },
  );
}

/** Failures whose fix is that the CNI chains portmap itself: then no list of somebody else is needed. */
const UNCHAINED = ['portmap-not-chained', 'conflist-shadowed', 'conflist-too-early'] as const;

const CILIUM_DOCS = 'https://docs.cilium.io/en/stable/installation/cni-chaining-portmap/';
const cilium = (...set: string[]) => [
  [
    ...['helm', 'upgrade', 'cilium', 'cilium/cilium', '--namespace', 'kube-system', '--reuse-values'],
    ...set.flatMap((value) => ['--set', value]),
  ],
];
/** `and`: what else there is to say of chaining it. */
function chainedByCilium(common: Common, and: string): SourceChange[] {
  const instead = 'let Cilium write the list itself instead (cni.chainingMode=portmap)';
  return [
    { ...common, codes: UNCHAINED, what: `let Cilium chain portmap itself${and}` },
    ...forEach(
      {
        'capability-missing': `${instead}, in which portmap has the capability portMappings`,
        'plugin-order-wrong': `${instead}, in which portmap is behind cilium-cni`,
        'cni-version-unsupported': `${instead}, with a CNI version that its plugin supports`,
        'conflist-invalid': `${instead}; what is invalid in a file of somebody else is corrected where it comes from`,
      },
      common,
    ),
  ];
}
/** Values of `cni-chaining-mode` by which Cilium is chained behind another CNI. */
const CHAINED_BEHIND = ['aws-cni', 'flannel', 'generic-veth'];

function canal(installers: readonly Installer[], daemonset: string, source: string): SourceChange[] {
  const common = { installers, commands: restart('kube-system', daemonset), sources: [source] };
  return [...writtenBy('canal', common), ...installedBy('canal', common)];
}

/**
 * k3s is one binary, without an image, and brings flannel and portmap along. It writes flannel's list whenever it starts, but unpacks the plugins
 * only where the directory of its version is not there.
 */
const K3S = {
  installers: ['k3s'],
  commands: [],
  sources: ['https://docs.k3s.io/networking/basic-network-options', 'k3s-io/k3s: cmd/k3s/main.go (extract)'],
} as const;
const K3S_RESTART = 'restart k3s on the node (systemctl restart k3s, or k3s-agent)';
const K3S_AGAIN = `move the directory away that /var/lib/rancher/k3s/data/current leads to, and ${K3S_RESTART}`;

function ofK3s(): SourceChange[] {
  const lists = writtenBy('k3s', K3S).map((change) => ({
    ...change,
    what: `${change.what}: ${K3S_RESTART}, and do not edit its files`,
  }));
  const plugins = forEach(
    {
      'plugin-missing': `k3s installs its plugins only once for each of its versions; to have them again, ${K3S_AGAIN}; what does not come back is no plugin of k3s`,
      'plugin-not-executable': `k3s installs its plugins, executable, only once for each of its versions; to have them so again, ${K3S_AGAIN}; if the mode changes again, something on the node changes it`,
      'plugin-too-old': 'portmap is a part of k3s: upgrade k3s on the node, and do not edit its files',
      'plugin-wrong-architecture': `k3s brings plugins for the architecture that it is built for itself, which is that of the node if it runs; to have them again, ${K3S_AGAIN}`,
    },
    K3S,
  );
  return [...lists, ...plugins];
}
const ELSEWHERE: readonly Installer[] = ['rke2', 'operator', 'other'];

const AZURE_IMAGE =
  'comes with the image of the nodes: upgrade it (az aks nodepool upgrade --node-image-only)';

const WEAVE = {
  commands: restart('kube-system', 'weave-net'),
  sources: ['weaveworks/weave: prog/weave-kube/launch.sh'],
};

export const CNIS: readonly CniSource[] = [
  {
    name: 'Cilium',
    plugins: ['cilium-cni'],
    agent: { label: ['k8s-app', 'cilium'], namespaces: ['kube-system', 'cilium'], container: 'cilium-agent' },
    changes: [
      ...chainedByCilium(
        {
          installers: ['rke2'],
          commands: [],
          patch: {
            kind: 'values',
            namespace: 'kube-system',
            name: 'rke2-cilium',
            values: { cni: { chainingMode: 'portmap' } },
          },
          sources: ['https://docs.rke2.io/helm', CILIUM_DOCS],
        },
        ': in the HelmChartConfig rke2-cilium, where spec.valuesContent gets cni: {chainingMode: portmap}',
      ),
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
      ...chainedByCilium(
        {
          since: '1.14',
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
        ' (or map hostPorts itself, with kubeProxyReplacement=true, which replaces kube-proxy)',
      ),
      ...chainedByCilium(
        {
          before: '1.14',
          commands: cilium('cni.chainingMode=portmap'),
          afterwards: restart('kube-system', 'cilium'),
          sources: [CILIUM_DOCS],
        },
        ' (or map hostPorts itself, with kubeProxyReplacement=partial and hostPort.enabled=true)',
      ),
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
      ...installedBy("Cilium's agent", {
        plugin: 'own',
        commands: restart('kube-system', 'cilium'),
        sources: ['cilium/cilium: install/kubernetes/cilium/files/agent (install-cni-binaries)'],
      }),
      ...builtIn('Cilium', [CILIUM_DOCS]),
    ],
  },
  {
    name: 'Canal',
    plugins: ['calico'],
    file: /canal/,
    agent: { label: ['k8s-app', 'canal'], namespaces: ['kube-system'], container: 'calico-node' },
    changes: [
      ...canal(['rke2'], 'rke2-canal', 'rancher/rke2-charts: packages/rke2-canal'),
      ...canal(['k3s', 'operator', 'other'], 'canal', 'projectcalico/calico: manifests/canal.yaml'),
      broughtBy('canal', ['projectcalico/calico: manifests/canal.yaml']),
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
        codes: UNCHAINED,
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
      ...writtenBy('calico-node', {
        installers: ['operator'],
        commands: restart('calico-system', 'calico-node'),
        sources: ['tigera/operator: pkg/render/node.go'],
      }).filter(({ codes }) => !codes.includes('portmap-not-chained')),
      {
        codes: ['portmap-not-chained', 'conflist-shadowed'],
        installers: ['rke2', 'k3s', 'other'],
        what: 'chain portmap: add {"type": "portmap", "snat": true, "capabilities": {"portMappings": true}} to cni_network_config, a template whose placeholders (__…__) stay as they are',
        commands: edit('kube-system', 'calico-config'),
        afterwards: restart('kube-system', 'calico-node'),
        sources: ['projectcalico/calico: manifests/calico.yaml'],
      },
      ...edited('cni_network_config, a template whose placeholders (__…__) stay as they are', {
        installers: ['rke2', 'k3s', 'other'],
        commands: edit('kube-system', 'calico-config'),
        afterwards: restart('kube-system', 'calico-node'),
        sources: ['projectcalico/calico: manifests/calico.yaml'],
      }),
      ...installedBy('calico-node', {
        installers: ['operator'],
        commands: restart('calico-system', 'calico-node'),
        sources: ['projectcalico/calico: cni-plugin/pkg/install'],
      }),
      ...installedBy('calico-node', {
        installers: ['rke2', 'k3s', 'other'],
        commands: restart('kube-system', 'calico-node'),
        sources: ['projectcalico/calico: cni-plugin/pkg/install'],
      }),
      broughtBy('calico-node', ['projectcalico/calico: cni-plugin/pkg/install']),
    ],
  },
  {
    name: 'AWS VPC CNI',
    plugins: ['aws-cni'],
    agent: { label: ['k8s-app', 'aws-node'], namespaces: ['kube-system'], container: 'aws-node' },
    changes: [
      ...writtenBy('aws-node', {
        commands: restart('kube-system', 'aws-node'),
        sources: ['aws/amazon-vpc-cni-k8s: misc/10-aws.conflist'],
      }),
      ...installedBy('aws-node', {
        commands: restart('kube-system', 'aws-node'),
        sources: ['aws/amazon-vpc-cni-k8s: cmd/aws-vpc-cni-init'],
      }),
      broughtBy('aws-node', ['aws/amazon-vpc-cni-k8s: cmd/aws-vpc-cni-init']),
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
      ...ofK3s(),
      {
        codes: ['portmap-not-chained', 'conflist-shadowed'],
        installers: ELSEWHERE,
        what: 'chain portmap in the list that flannel installs',
        commands: edit('kube-flannel', 'kube-flannel-cfg'),
        patch: { kind: 'list', namespace: 'kube-flannel', name: 'kube-flannel-cfg', key: 'cni-conf.json' },
        afterwards: restart('kube-flannel', 'kube-flannel-ds'),
        sources: ['flannel-io/flannel: Documentation/kube-flannel.yml'],
      },
      ...edited('the list that flannel installs', {
        installers: ELSEWHERE,
        commands: edit('kube-flannel', 'kube-flannel-cfg'),
        afterwards: restart('kube-flannel', 'kube-flannel-ds'),
        sources: ['flannel-io/flannel: Documentation/kube-flannel.yml'],
      }),
      ...installedBy("flannel's DaemonSet", {
        installers: ELSEWHERE,
        plugin: 'own',
        commands: restart('kube-flannel', 'kube-flannel-ds'),
        sources: ['flannel-io/flannel: Documentation/kube-flannel.yml'],
      }),
      ...builtIn('flannel', ['flannel-io/flannel: README.md']),
    ],
  },
  {
    name: 'Azure CNI',
    plugins: ['azure-vnet'],
    changes: [
      ...forEach(
        {
          'portmap-not-chained': `the list, which chains portmap, ${AZURE_IMAGE}`,
          'capability-missing': `the list, in which portmap has the capability portMappings, ${AZURE_IMAGE}`,
          'plugin-order-wrong': `the list, in which portmap is behind azure-vnet, ${AZURE_IMAGE}`,
          'cni-version-unsupported': `the list, with a CNI version that its plugins support, ${AZURE_IMAGE}`,
          'conflist-invalid': `the list, to be corrected with it, ${AZURE_IMAGE}`,
          'plugin-missing': `the plugin, which is installed with it, ${AZURE_IMAGE}`,
          'plugin-not-executable': `the plugin, which is executable there, ${AZURE_IMAGE}`,
          'plugin-too-old': `portmap ${AZURE_IMAGE}`,
          'plugin-wrong-architecture': `the plugin, which is for the architecture of the node there, ${AZURE_IMAGE}`,
        },
        { commands: [], sources: ['Azure/azure-container-networking: cni/azure-linux.conflist'] },
      ),
    ],
  },
  {
    name: 'Antrea',
    plugins: ['antrea'],
    agent: { label: ['component', 'antrea-agent'], namespaces: ['kube-system'], container: 'antrea-agent' },
    changes: [
      {
        codes: ['portmap-not-chained', 'conflist-shadowed'],
        what: 'chain portmap in the list that Antrea installs',
        commands: edit('kube-system', 'antrea-config'),
        patch: { kind: 'list', namespace: 'kube-system', name: 'antrea-config', key: 'antrea-cni.conflist' },
        afterwards: restart('kube-system', 'antrea-agent'),
        sources: ['antrea-io/antrea: build/charts/antrea/conf/antrea-cni.conflist'],
      },
      ...edited('the list that Antrea installs', {
        commands: edit('kube-system', 'antrea-config'),
        afterwards: restart('kube-system', 'antrea-agent'),
        sources: ['antrea-io/antrea: build/charts/antrea/conf/antrea-cni.conflist'],
      }),
      ...installedBy("Antrea's agent", {
        commands: restart('kube-system', 'antrea-agent'),
        sources: ['antrea-io/antrea: build/images/scripts/install_cni'],
      }),
      broughtBy("Antrea's agent", ['antrea-io/antrea: build/images/scripts/install_cni']),
    ],
  },
  {
    name: 'kube-router',
    plugins: ['bridge'],
    file: /kuberouter/,
    agent: { label: ['k8s-app', 'kube-router'], namespaces: ['kube-system'], container: 'kube-router' },
    changes: [
      {
        codes: ['portmap-not-chained', 'conflist-shadowed'],
        what: 'chain portmap in the list that kube-router installs',
        commands: edit('kube-system', 'kube-router-cfg'),
        patch: { kind: 'list', namespace: 'kube-system', name: 'kube-router-cfg', key: 'cni-conf.json' },
        afterwards: restart('kube-system', 'kube-router'),
        sources: ['cloudnativelabs/kube-router: daemonset/kubeadm-kuberouter.yaml'],
      },
      ...edited('the list that kube-router installs', {
        commands: edit('kube-system', 'kube-router-cfg'),
        afterwards: restart('kube-system', 'kube-router'),
        sources: ['cloudnativelabs/kube-router: daemonset/kubeadm-kuberouter.yaml'],
      }),
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
        codes: ['portmap-not-chained', 'conflist-shadowed'],
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
      ...writtenBy('weave-net', WEAVE),
      ...installedBy('weave-net', WEAVE),
      broughtBy('weave-net', WEAVE.sources),
    ],
  },
  {
    name: 'kindnet',
    plugins: ['ptp'],
    file: /kindnet/,
    agent: { label: ['app', 'kindnet'], namespaces: ['kube-system'], container: 'kindnet-cni' },
    changes: writtenBy('kindnetd', {
      commands: restart('kube-system', 'kindnet'),
      sources: ['kubernetes-sigs/kind: images/kindnetd/cmd/kindnetd/cni.go'],
    }),
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
        codes: ['portmap-not-chained', 'conflist-shadowed'],
        what: 'Multus passes on to the list of the cluster network (clusterNetwork, or the delegates of its own file): chain portmap there',
        commands: [kubectl('-n', 'kube-system', 'get', 'configmap', 'multus-cni-config', '-o', 'yaml')],
        sources: ['k8snetworkplumbingwg/multus-cni: docs/configuration.md'],
      },
      {
        codes: ['delegate-capability-missing'],
        what: 'give the configuration of Multus "capabilities": {"portMappings": true}, where it is written',
        commands: [kubectl('-n', 'kube-system', 'get', 'configmap', 'multus-cni-config', '-o', 'yaml')],
        sources: ['k8snetworkplumbingwg/multus-cni: docs/configuration.md'],
      },
    ],
  },
];
