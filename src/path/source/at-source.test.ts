import { describe, expect, test } from 'bun:test';
import type { Pod } from '../../kube/types.ts';
import { diagnose } from '../diagnose/diagnose.ts';
import { planHeal } from '../heal/plan.ts';
import type { NodeAction } from '../model/action.ts';
import { type Args, words } from '../model/message.ts';
import type { NodeReport } from '../model/node-report.ts';
import { catalogue } from '../stages/index.ts';
import { CHAINED, cniNode, listOf } from '../testing/cni-node.ts';
import { failureOn, podOn, smallWorld } from '../testing/small-world.ts';
import { Scene } from '../view/scene.ts';
import { durabilityOf } from './at-source.ts';
import { CNIS } from './cnis.ts';
import { primaryCnis } from './primary-cni.ts';

const ownedBy = (kind: string) => [
  { apiVersion: 'v1', kind, name: 'owner', uid: 'uid-owner', controller: true },
];

/** The pod of a CNI's agent on n1. */
function agent(label: [string, string], container: string, image: string, namespace = 'kube-system'): Pod {
  return {
    metadata: {
      ...{ name: 'agent', namespace, uid: 'uid-agent', labels: { [label[0]]: label[1] } },
      ownerReferences: ownedBy('DaemonSet'),
    },
    spec: { nodeName: 'n1', hostNetwork: true, containers: [{ name: container, image }] },
  };
}

const CILIUM = (tag: string) => agent(['k8s-app', 'cilium'], 'cilium-agent', `quay.io/cilium/cilium:${tag}`);
const CALICO = (namespace: string) =>
  agent(['k8s-app', 'calico-node'], 'calico-node', 'docker.io/calico/node:v3.28.1', namespace);
const RKE2: Pod = {
  metadata: {
    ...{
      name: 'helm',
      namespace: 'kube-system',
      labels: { 'helmcharts.helm.cattle.io/chart': 'rke2-cilium' },
    },
    ownerReferences: ownedBy('Job'),
  },
  spec: { nodeName: 'n2', containers: [] },
};
const changed = (pod: Pod, metadata: Pod['metadata']): Pod => ({
  ...pod,
  metadata: { ...pod.metadata, ...metadata },
});

interface Given {
  file?: string;
  plugins?: { type: string }[];
  pods?: Pod[];
  labels?: Record<string, string>;
  cni?: Partial<NodeReport['cni']>;
}

/** A cluster whose node n1 has this list, and a pod with a hostPort. */
function worldWith({ file = '10-x.conflist', plugins = [], pods = [], labels = {}, cni = {} }: Given) {
  const report = cniNode({ [file]: listOf(plugins) }, { cni });
  return smallWorld([podOn('n1', 'a', 80), ...pods], {
    nodes: [{ metadata: { name: 'n1', labels } }],
    reports: new Map([['n1', { value: report }]]),
  });
}

function recognised(given: Given): string | undefined {
  const scene = new Scene(worldWith(given));
  const cni = primaryCnis(scene)(scene.nodes.get('n1')!);
  return cni && [cni.cni.name, cni.version, cni.installer].join(' ');
}

describe('the primary CNI is recognised by its plugin and its agent', () => {
  const cases: [string, Given, string | undefined][] = [
    ['Cilium', { plugins: CHAINED, pods: [CILIUM('v1.16.3@sha256:ab')] }, 'Cilium 1.16.3 other'],
    ['an agent of unknown version', { plugins: CHAINED, pods: [CILIUM('latest')] }, 'Cilium  other'],
    ['no agent', { plugins: CHAINED }, 'Cilium  other'],
    ['Cilium of RKE2', { plugins: CHAINED, pods: [CILIUM('v1.15.1'), RKE2] }, 'Cilium 1.15.1 rke2'],
    [
      'Calico by its manifest',
      { plugins: [{ type: 'calico' }], pods: [CALICO('kube-system')] },
      'Calico 3.28.1 other',
    ],
    [
      'Calico by its operator',
      { plugins: [{ type: 'calico' }], pods: [CALICO('calico-system')] },
      'Calico 3.28.1 operator',
    ],
    [
      'flannel of k3s',
      { plugins: [{ type: 'flannel' }], labels: { 'node.kubernetes.io/instance-type': 'k3s' } },
      'flannel  k3s',
    ],
    [
      'a bridge of kube-router',
      { file: '10-kuberouter.conflist', plugins: [{ type: 'bridge' }] },
      'kube-router  other',
    ],
    [
      'Canal of RKE2',
      { file: '10-canal.conflist', plugins: [{ type: 'calico' }], pods: [RKE2] },
      'Canal  rke2',
    ],
    ["anybody's bridge", { plugins: [{ type: 'bridge' }] }, undefined],
    [
      'Cilium chained behind another',
      { plugins: [{ type: 'aws-cni' }, { type: 'cilium-cni' }] },
      'AWS VPC CNI  other',
    ],
    [
      'an agent, where the list shows nothing',
      { file: 'x.conf', pods: [CILIUM('v1.16.3')] },
      'Cilium 1.16.3 other',
    ],
    [
      "anybody's pod with the label of an agent",
      { plugins: CHAINED, pods: [changed(CILIUM('v1.10.0'), { namespace: 'mine' })] },
      'Cilium  other',
    ],
    [
      'the same, where the list shows nothing',
      { file: 'x.conf', pods: [changed(CILIUM('v1.10.0'), { namespace: 'mine' })] },
      undefined,
    ],
    [
      'a pod with the label that no DaemonSet has created',
      { plugins: CHAINED, pods: [changed(CILIUM('v1.10.0'), { ownerReferences: ownedBy('ReplicaSet') })] },
      'Cilium  other',
    ],
    [
      "anybody's pod with the label of a chart",
      { plugins: CHAINED, pods: [changed(RKE2, { namespace: 'mine' })] },
      'Cilium  other',
    ],
    ['nothing known', { plugins: [{ type: 'mine' }] }, undefined],
  ];
  test.each(cases)('%s', (_, given, expected) => expect(recognised(given)).toBe(expected));
});

/** What is said of a plan for a failure of a code with this step. */
function said(code: string, given: Given, action?: NodeAction, args: Args = {}) {
  const world = worldWith(given);
  const failure = failureOn(() => [], {
    code,
    detect: () => [{ subject: { node: 'n1' }, message: words('', args), evidence: [], data: null }],
    stage: 'configured',
    heal: () =>
      action === undefined
        ? { by: 'hand', why: 'so' }
        : { by: 'steps', steps: [{ on: 'node', node: 'n1', why: 'so', action }] },
  });
  const diagnosed = diagnose(world, [failure]);
  const plan = planHeal(diagnosed, { restart: false, codes: [code] });
  const { changes, temporary } = durabilityOf(plan, diagnosed.scene);
  return {
    change: changes.map(({ change }) => change.patch?.name ?? change.commands[0]?.join(' ') ?? change.what),
    what: changes.map(({ change }) => change.what),
    temporary: temporary.map(({ why }) => why),
  };
}

describe('the change at the source depends on failure, version and installer', () => {
  const cilium = (tag: string): Given => ({
    file: '05-cilium.conflist',
    plugins: CHAINED,
    pods: [CILIUM(tag)],
  });
  const helm = (set: string) =>
    `helm upgrade cilium cilium/cilium --namespace kube-system --reuse-values --set ${set}`;
  const cases: [string, code: string, Given, string[]][] = [
    ['Cilium since 1.14', 'portmap-not-chained', cilium('v1.14.0'), ['cilium-config']],
    [
      'Cilium since 1.14, by its minor version as a number',
      'conflist-renamed',
      cilium('v1.20.2'),
      ['cilium-config'],
    ],
    ['Cilium before 1.14', 'portmap-not-chained', cilium('v1.9.8'), [helm('cni.chainingMode=portmap')]],
    ['Cilium before 1.14, exclusive', 'conflist-renamed', cilium('v1.13.9'), [helm('cni.exclusive=false')]],
    ['Cilium of unknown version', 'portmap-not-chained', cilium('latest'), []],
    ['RKE2', 'conflist-renamed', { ...cilium('v1.16.0'), pods: [CILIUM('v1.16.0'), RKE2] }, ['rke2-cilium']],
    [
      'the operator of Calico',
      'portmap-not-chained',
      { plugins: [{ type: 'calico' }], pods: [CALICO('calico-system')] },
      [
        'kubectl patch installation.operator.tigera.io default --type=merge -p {"spec":{"calicoNetwork":{"hostPorts":"Enabled"}}}',
      ],
    ],
    ['flannel', 'portmap-not-chained', { plugins: [{ type: 'flannel' }] }, ['kube-flannel-cfg']],
    ['a failure that no CNI can prevent', 'ip-forward-off', cilium('v1.16.0'), []],
    ['a CNI that is not known', 'portmap-not-chained', { plugins: [{ type: 'mine' }] }, []],
  ];
  test.each(cases)('%s', (_, code, given, expected) => expect(said(code, given).change).toEqual(expected));

  test('and on whose plugin it is: its own agent installs what the CNI brings along', () => {
    const about = (args: Args) => said('plugin-not-executable', cilium('v1.16.0'), undefined, args).what;
    expect(about({ plugin: 'portmap' })).toEqual([
      'Cilium does not install the plugin: what does must give it the mode 0755 where the nodes are built, so that new nodes have it',
    ]);
    expect(about({ plugin: 'cilium-cni' })).toEqual([
      "Cilium's agent installs the plugin again, executable, when it starts; if its mode changes again, something on the node changes it",
    ]);
    // That is changed where the file system is mounted.
    expect(about({ plugins: ['portmap'], option: 'noexec' })).toEqual([]);
  });
});

describe('a fix that its owner undoes is called temporary', () => {
  const write = (name: string): NodeAction => ({
    do: 'write-file',
    path: `/etc/cni/net.d/${name}`,
    content: '',
  });
  const cases: [string, NodeAction, RegExp | undefined][] = [
    [
      "the file of Calico's agent",
      write('10-calico.conflist'),
      /^calico-node overwrites 10-calico.conflist when it starts$/,
    ],
    [
      "a list before Cilium's",
      write('05-cilium-portmap.conflist'),
      /^Cilium's agent renames this file unless you set cni.exclusive=false in Cilium$/,
    ],
    ["a list before Calico's", write('10-calico-portmap.conflist'), undefined],
    ['a file of nobody', write('10-mine.conflist'), undefined],
    ['a plugin', { do: 'install-plugin', name: 'portmap', directory: '/opt/cni/bin' }, undefined],
    [
      'a setting',
      { do: 'set-sysctl', name: 'net.ipv4.ip_forward', value: '1' },
      /^a restart of the node, or what set net.ipv4.ip_forward before, resets it: /,
    ],
    [
      'a rule',
      { do: 'iptables', variant: 'iptables-nft', family: 'ipv4', table: 'nat', commands: [['-D', 'X']] },
      /^a restart of the node, or what wrote the rules, /,
    ],
  ];
  test.each(cases)('%s', (_, action, expected) => {
    const { temporary } = said('x', { plugins: [{ type: 'mine' }] }, action);
    expect(temporary).toEqual(expected === undefined ? [] : [expect.stringMatching(expected)]);
    // It is read in a terminal, in the middle of a plan.
    for (const why of temporary) expect(why.length).toBeLessThan(100);
  });

  test("but for a list before that of Cilium's agent where the agent is seen to leave it alone", () => {
    const given = (watches: boolean): Given => ({
      file: '05-cilium.conflist',
      plugins: [{ type: 'cilium-cni' }],
      cni: { ciliumAgents: { value: [{ pid: 1, watches }] } },
    });
    const temporary = (watches: boolean) =>
      said('x', given(watches), write('05-cilium-portmap.conflist')).temporary;
    expect(temporary(true)).toEqual([
      "Cilium's agent renames this file unless you set cni.exclusive=false in Cilium",
    ]);
    expect(temporary(false)).toEqual([]);
  });
});

describe('the data', () => {
  const changes = CNIS.flatMap(({ name, changes: all }) => all.map((change) => ({ name, change })));
  test('names failures that there are, and where each change is described', () => {
    const known = new Set(catalogue.map(({ code }) => code));
    expect(changes.flatMap(({ change }) => change.codes.filter((code) => !known.has(code)))).toEqual([]);
    expect(changes.filter(({ change }) => change.sources.length === 0)).toEqual([]);
  });

  test('a change is in words of the cause of its failure, and of no other', () => {
    const wording: Record<string, RegExp> = {
      'portmap-not-chained': /chains? portmap|maps? (?:the ports|hostPorts)/,
      'conflist-shadowed': /chains? portmap|list before it/,
      'conflist-too-early': /chain portmap/,
      'conflist-renamed': /leave other configurations alone/,
      'capability-missing': /portMappings/,
      'delegate-capability-missing': /portMappings/,
      'plugin-order-wrong': /behind/,
      'conflist-invalid': /correct/,
      'cni-version-unsupported': /CNI version|cniVersion/,
      'plugin-missing': /install/,
      'plugin-not-executable': /executable|mode/,
      'plugin-too-old': /upgrade|current/,
      'plugin-wrong-architecture': /architecture/,
    };
    const own = changes.flatMap(({ change: { codes, what } }) => codes.map((code) => ({ code, what })));
    expect([...new Set(own.map(({ code }) => code))].sort()).toEqual(Object.keys(wording).sort());
    expect(own.filter(({ code, what }) => !wording[code]!.test(what))).toEqual([]);
    // What is said of one failure of a plugin's file, or of a list, is not said of another.
    const apart = ['portmap-not-chained', 'capability-missing', 'plugin-order-wrong', 'conflist-invalid'];
    const ofCauses = own.filter(({ code }) => code.startsWith('plugin-') || apart.includes(code));
    const said = Map.groupBy(ofCauses, ({ what }) => what);
    expect([...said.values()].filter((same) => new Set(same.map(({ code }) => code)).size > 1)).toEqual([]);
  });

  test('k3s is a binary: it has no image, its plugins are unpacked once, and a restart writes its list', () => {
    const ofK3s = changes.filter(
      ({ name, change }) => name === 'flannel' && change.installers?.includes('k3s') === true,
    );
    const said = new Map(ofK3s.flatMap(({ change: { codes, what } }) => codes.map((code) => [code, what])));
    expect([...said.values()].filter((what) => /image|DaemonSet/.test(what))).toEqual([]);
    expect(said.get('portmap-not-chained')).toBe(
      'k3s writes its list, which chains portmap, when it starts: restart k3s on the node (systemctl restart k3s, or k3s-agent), and do not edit its files',
    );
    expect(said.get('plugin-missing')).toBe(
      'k3s installs its plugins only once for each of its versions; to have them again, move the directory away that /var/lib/rancher/k3s/data/current leads to, and restart k3s on the node (systemctl restart k3s, or k3s-agent); what does not come back is no plugin of k3s',
    );
    expect(said.get('plugin-too-old')).toBe(
      'portmap is a part of k3s: upgrade k3s on the node, and do not edit its files',
    );
  });

  test('a change is a patch, commands, or words that say where', () => {
    const empty = changes.filter(({ change }) => !change.patch && change.commands.length === 0);
    for (const { change } of empty) expect(change.what).toMatch(/where|upgrade|restart|runtime/);
  });
});
