import { describe, expect, test } from 'bun:test';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { loadClusterConfig } from './load.ts';
import type { PathKind } from './mounts.ts';
import type { ClusterConfig, ExtraMount, NodeConfig } from './types.ts';

const PATHS: Record<string, PathKind> = {
  '/tmp/cni/cilium.yaml': 'file',
  '/tmp/cni/000-cilium-portmap.conflist': 'file',
  '/tmp/empty': 'directory',
  '/home/me/data': 'directory',
  '/home/me/data/app.conf': 'file',
  '/run/app.sock': 'other',
};

const LINKS = ['/home/me/data/run', '/home/me/data/sub/etc'];

/** Loads `text` as the file `kind/config` of a machine that has nothing but PATHS. */
function load(text: string, name?: string, kubernetes = false) {
  return loadClusterConfig(
    'kind/config',
    { name, kubernetes },
    {
      cwd: '/home/me',
      readFile: async () => text,
      readStdin: async () => {
        throw new Error('standard input is not to be read');
      },
      kindOf: async (path) => {
        if (path === '/secret') throw new Error("EACCES: permission denied, stat '/secret'");
        return PATHS[path];
      },
      isLink: async (path) => LINKS.includes(path),
    },
  );
}

async function errorsOf(text: string, name?: string, kubernetes = false): Promise<string[]> {
  const outcome = await load(text, name, kubernetes).then(
    ({ config }) => `no error, but ${JSON.stringify(config)}`,
    (error: Error) => (error.name === 'UserError' ? error.message : `not a UserError: ${error.stack}`),
  );
  return outcome.split('\n');
}

/** A document of v1alpha4 with `body` from line 3 on. */
const cluster = (body: string) => `kind: Cluster\napiVersion: kind.sigs.k8s.io/v1alpha4\n${body}`;
/** One control plane with `body`, indented by two, from line 5 on. */
const node = (body: string) => cluster(`nodes:\n- role: control-plane\n${body.replace(/^/gm, '  ')}`);
/** One mount on line 6. */
const mount = (fields: string) => node(`extraMounts:\n- {${fields}}`);
/** One port mapping on line 6. */
const port = (fields: string) => node(`extraPortMappings:\n- {${fields}}`);
/** A patch whose text begins on line 5. */
const patch = (text: string) => cluster(`kubeadmConfigPatches:\n- |\n${text.replace(/^/gm, '  ')}`);

const BROKEN: Record<string, { text: string; errors: string[] }> = {
  // The document.
  'an empty file': { text: '', errors: ['1:1: is empty: want one YAML document'] },
  'comments only': { text: '# nothing\n---\n', errors: ['1:1: is empty: want one YAML document'] },
  'a tab for indentation': {
    text: 'kind: Cluster\nnodes:\n\t- role: worker\n',
    errors: ['3:1: not valid YAML: Tabs are not allowed as indentation'],
  },
  'a file that is no YAML at all: the first error, and how many more': {
    text: 'a: [\n%TAG\n@here: {\n\t}: "\n',
    errors: [
      '2:1: not valid YAML: Flow sequence in block collection must be sufficiently indented and end with a ] (and 3 more)',
    ],
  },
  'a second document': {
    text: `${cluster('name: a\n')}---\nkind: Pod\n`,
    errors: ['5:1: a second YAML document: want exactly one, remove what follows the first'],
  },
  'a list': { text: '- role: worker\n', errors: ['1:1: want a mapping, not a list'] },
  'a duplicate key': {
    text: cluster('nodes:\n- role: control-plane\n  role: worker\n'),
    errors: ['5:3: nodes[0].role: given twice, first on line 4: remove one'],
  },
  'a duplicate key in a part that has no effect': {
    text: cluster('featureGates:\n  A: true\n  A: false\n'),
    errors: ['5:3: featureGates.A: given twice, first on line 4: remove one'],
  },
  'an alias without an anchor': {
    text: cluster('nodes:\n- role: *r\n'),
    errors: ['4:9: nodes[0].role: *r refers to no anchor before it'],
  },
  // What it is.
  'no kind': { text: 'nodes: []\n', errors: ['1:1: no kind: want kind: Cluster'] },
  'another kind': { text: 'kind: Pod\nfoo: 1\n', errors: ['1:7: kind: "Pod": want kind: Cluster'] },
  'no apiVersion': {
    text: 'kind: Cluster\n',
    errors: [
      '1:1: no apiVersion: want apiVersion: kind.sigs.k8s.io/v1alpha3, kind.sigs.k8s.io/v1alpha4, kind.x-k8s.io/v1alpha4',
    ],
  },
  'an apiVersion of long ago': {
    text: 'kind: Cluster\napiVersion: kind.sigs.k8s.io/v1alpha2\n',
    errors: [
      '2:13: apiVersion: "kind.sigs.k8s.io/v1alpha2": want apiVersion: kind.sigs.k8s.io/v1alpha3, kind.sigs.k8s.io/v1alpha4, kind.x-k8s.io/v1alpha4',
    ],
  },
  'an unknown field of the cluster': {
    text: cluster('node: []\n'),
    errors: [
      '3:1: node: unknown field: want one of kind, apiVersion, name, nodes, networking, kubeadmConfigPatches',
    ],
  },
  "v1alpha3's spelling in v1alpha4": {
    text: cluster('kubeadmConfigPatchesJson6902: []\n'),
    errors: [
      '3:1: kubeadmConfigPatchesJson6902: unknown field: want one of kind, apiVersion, name, nodes, networking, kubeadmConfigPatches',
    ],
  },
  // Names.
  'a name in capitals': {
    text: cluster('name: Kind\n'),
    errors: [`3:7: name: "Kind" is not a cluster name: want lower-case letters, digits, '.' and '-' only`],
  },
  'a name that is a parent directory': {
    text: cluster('name: ..\n'),
    errors: [
      `3:7: name: ".." is not a cluster name: want a letter or digit at each end and around every '.'`,
    ],
  },
  'a name that makes no hostname': {
    text: cluster(`name: ${'k'.repeat(50)}\n`),
    errors: ['3:7: name: a cluster name of 50 characters makes no hostname: want at most 49'],
  },
  'a name that is a mapping': {
    text: cluster('name: {}\n'),
    errors: ['3:7: name: want a string, not a mapping'],
  },
  // Nodes.
  'nodes that are not a list': {
    text: cluster('nodes:\n  role: worker\n'),
    errors: ['4:3: nodes: want a list, not a mapping'],
  },
  'a node that is not a mapping': {
    text: cluster('nodes:\n- worker\n- role: control-plane\n'),
    errors: [
      '4:3: nodes[0]: want a mapping, not "worker"',
      '5:3: nodes[1]: a second control plane, the first is on line 4: high availability is not supported, make it role: worker',
    ],
  },
  'an invalid role': {
    text: cluster('nodes:\n- role: master\n'),
    errors: ['4:9: nodes[0].role: "master" is not one of control-plane, worker'],
  },
  'no control plane': {
    text: cluster('nodes:\n- role: worker\n- role: worker\n'),
    errors: ['4:1: nodes: has no control plane: add a node with role: control-plane'],
  },
  'two control planes, one by default': {
    text: cluster('nodes:\n- role: control-plane\n- labels: {}\n'),
    errors: [
      '5:3: nodes[1]: a second control plane, the first is on line 4: high availability is not supported, make it role: worker',
    ],
  },
  'an unknown field of a node': {
    text: node('extraMount: []'),
    errors: [
      '5:3: nodes[0].extraMount: unknown field: want one of role, labels, extraMounts, extraPortMappings',
    ],
  },
  'an invalid label key': {
    text: node('labels: {"a b": x}'),
    errors: [
      '5:12: nodes[0].labels["a b"]: not a label key: want [PREFIX/]NAME, where NAME is up to 63 letters, digits, -, _ and . with a letter or digit at both ends, and PREFIX is a DNS name',
    ],
  },
  'an invalid label value': {
    text: node('labels: {tier: "-"}'),
    errors: [
      '5:18: nodes[0].labels.tier: "-" is not a label value: want up to 63 letters, digits, -, _ and . with a letter or digit at both ends',
    ],
  },
  // Mounts.
  'a hostPath that is not there': {
    text: mount('hostPath: /tmp/cni/cilium.yml, containerPath: /x'),
    errors: [
      '6:16: nodes[0].extraMounts[0].hostPath: /tmp/cni/cilium.yml does not exist: create it or correct the path',
    ],
  },
  'a relative hostPath that is not there': {
    text: mount('hostPath: nothing, containerPath: /x'),
    errors: [
      '6:16: nodes[0].extraMounts[0].hostPath: /home/me/nothing does not exist: create it or correct the path',
    ],
  },
  'a hostPath that cannot be looked at': {
    text: mount('hostPath: /secret, containerPath: /x'),
    errors: [
      "6:16: nodes[0].extraMounts[0].hostPath: cannot look at /secret: EACCES: permission denied, stat '/secret'",
    ],
  },
  'no hostPath and no containerPath': {
    text: mount('readOnly: true'),
    errors: [
      '6:5: nodes[0].extraMounts[0]: has no containerPath: say where in the node to mount it',
      '6:5: nodes[0].extraMounts[0]: has no hostPath: say what of this machine to mount',
    ],
  },
  'a directory where a File is promised': {
    text: mount('hostPath: /tmp/empty, containerPath: /x, type: File'),
    errors: [
      '6:16: nodes[0].extraMounts[0].hostPath: /tmp/empty is a directory, but type says File: correct one of them',
    ],
  },
  'a socket where a File is promised': {
    text: mount('hostPath: /run/app.sock, containerPath: /x, type: File'),
    errors: [
      '6:16: nodes[0].extraMounts[0].hostPath: /run/app.sock is neither a file nor a directory, but type says File: correct one of them',
    ],
  },
  'a file where a Directory is promised': {
    text: mount('hostPath: data/app.conf, containerPath: /x, type: Directory'),
    errors: [
      '6:16: nodes[0].extraMounts[0].hostPath: /home/me/data/app.conf is not a directory, but type says Directory: correct one of them',
    ],
  },
  'an invalid type': {
    text: mount('hostPath: /tmp/empty, containerPath: /x, type: Socket'),
    errors: ['6:53: nodes[0].extraMounts[0].type: "Socket" is not one of File, Directory'],
  },
  'an invalid propagation': {
    text: mount('hostPath: /tmp/empty, containerPath: /x, propagation: rshared'),
    errors: [
      '6:60: nodes[0].extraMounts[0].propagation: "rshared" is not one of None, HostToContainer, Bidirectional',
    ],
  },
  'a readOnly that is a string': {
    text: mount('hostPath: /tmp/empty, containerPath: /x, readOnly: "true"'),
    errors: ['6:57: nodes[0].extraMounts[0].readOnly: want true or false, not "true"'],
  },
  'a relative containerPath': {
    text: mount('hostPath: /tmp/empty, containerPath: opt/cni'),
    errors: [
      '6:43: nodes[0].extraMounts[0].containerPath: "opt/cni" is not an absolute path: want one that starts with /',
    ],
  },
  'a containerPath mounted twice, spelled differently': {
    text: node(
      'extraMounts:\n- {hostPath: /tmp/empty, containerPath: /opt/cni/}\n- {hostPath: data, containerPath: /opt/./cni}',
    ),
    errors: [
      '7:37: nodes[0].extraMounts[1].containerPath: /opt/cni is mounted twice on this node, first on line 6: remove one',
    ],
  },
  'a misspelt field of a mount': {
    text: mount('hostPath: /tmp/empty, containerPath: /x, readonly: true'),
    errors: [
      '6:47: nodes[0].extraMounts[0].readonly: unknown field: want one of containerPath, hostPath, readOnly, type, propagation',
    ],
  },
  // Port mappings.
  'a mapping without containerPort': {
    text: port('hostPort: 8080'),
    errors: [
      '6:5: nodes[0].extraPortMappings[0]: has no containerPort: say which port of the node to publish',
    ],
  },
  'ports out of range': {
    text: port('containerPort: 70000, hostPort: -2'),
    errors: [
      '6:21: nodes[0].extraPortMappings[0].containerPort: 70000 is not a port: want 1 to 65535',
      '6:38: nodes[0].extraPortMappings[0].hostPort: -2 is not a port: want 1 to 65535, or 0 for any free one',
    ],
  },
  'a port that is a string': {
    text: port('containerPort: "80"'),
    errors: ['6:21: nodes[0].extraPortMappings[0].containerPort: want a whole number, not "80"'],
  },
  'a port with a fraction': {
    text: port('containerPort: 80.5'),
    errors: ['6:21: nodes[0].extraPortMappings[0].containerPort: want a whole number, not 80.5'],
  },
  'a wildcard listen address': {
    text: port('containerPort: 80, listenAddress: "0.0.0.0"'),
    errors: [
      '6:40: nodes[0].extraPortMappings[0].listenAddress: "0.0.0.0" is not an IPv4 loopback address, and the lab listens on no other: want 127.0.0.1 or another of 127.0.0.0/8',
    ],
  },
  'an IPv6 listen address': {
    text: port('containerPort: 80, listenAddress: "::1"'),
    errors: [
      '6:40: nodes[0].extraPortMappings[0].listenAddress: "::1" is not an IPv4 loopback address, and the lab listens on no other: want 127.0.0.1 or another of 127.0.0.0/8',
    ],
  },
  'a UDP mapping': {
    text: port('containerPort: 53, protocol: UDP'),
    errors: [
      '6:35: nodes[0].extraPortMappings[0].protocol: UDP cannot be published on this machine: only TCP can, remove the mapping',
    ],
  },
  'an invalid protocol': {
    text: port('containerPort: 53, protocol: tcp'),
    errors: ['6:35: nodes[0].extraPortMappings[0].protocol: "tcp" is not one of TCP, UDP, SCTP'],
  },
  'the same host port on two nodes': {
    text: cluster(
      'nodes:\n- role: control-plane\n  extraPortMappings: [{containerPort: 80, hostPort: 8080}]\n' +
        '- role: worker\n  extraPortMappings: [{containerPort: 81, hostPort: 8080, listenAddress: 127.0.0.1}]\n',
    ),
    errors: [
      '7:53: nodes[1].extraPortMappings[0].hostPort: 127.0.0.1:8080 is already taken on line 5: choose another port or listenAddress',
    ],
  },
  "the API server's port taken by a mapping": {
    text: `${port('containerPort: 80, hostPort: 6443')}\nnetworking:\n  apiServerPort: 6443\n`,
    errors: [
      '8:18: networking.apiServerPort: 127.0.0.1:6443 is already taken on line 6: choose another port or listenAddress',
    ],
  },
  // Networking.
  'an unknown field of networking': {
    text: cluster('networking:\n  podCIDR: 10.0.0.0/16\n'),
    errors: [
      '4:3: networking.podCIDR: unknown field: want one of ipFamily, podSubnet, serviceSubnet, apiServerAddress, apiServerPort, disableDefaultCNI',
    ],
  },
  IPv6: {
    text: cluster('networking:\n  ipFamily: ipv6\n'),
    errors: [
      '4:13: networking.ipFamily: ipv6 is not supported: want ipv4, or dual; nodes of the lab always have IPv4 addresses',
    ],
  },
  'two subnets of one family': {
    text: cluster('networking:\n  podSubnet: "10.244.0.0/16,fd00:10:244::/56"\n'),
    errors: [
      '4:14: networking.podSubnet: "10.244.0.0/16,fd00:10:244::/56" has more than one subnet: want one, as ipFamily is not dual',
    ],
  },
  'both families': {
    text: cluster('networking:\n  ipFamily: dual\n  podSubnet: "10.244.0.0/16,fd00:10:244::/56"\n'),
    errors: [
      "4:13: networking.ipFamily: dual needs Kubernetes' own programs: give --kubernetes, or want ipv4",
    ],
  },
  'an invalid family': {
    text: cluster('networking:\n  ipFamily: IPv4\n'),
    errors: ['4:13: networking.ipFamily: "IPv4" is not an IP family: want ipv4 or dual'],
  },
  'an invalid subnet': {
    text: cluster('networking:\n  podSubnet: 10.244.0.0\n  serviceSubnet: 10.96.0.256/16\n'),
    errors: [
      '4:14: networking.podSubnet: "10.244.0.0" is not a subnet: want ADDRESS/LENGTH, as 10.244.0.0/16',
      '5:18: networking.serviceSubnet: "10.96.0.256/16" is not a subnet: want ADDRESS/LENGTH, as 10.244.0.0/16',
    ],
  },
  'an IPv6 subnet': {
    text: cluster('networking:\n  podSubnet: fd00::/56\n'),
    errors: ['4:14: networking.podSubnet: "fd00::/56" is IPv6: want an IPv4 subnet'],
  },
  'subnets that overlap': {
    text: cluster('networking:\n  podSubnet: 10.0.0.0/8\n  serviceSubnet: 10.96.0.0/16\n'),
    errors: [
      '4:14: networking.podSubnet: 10.0.0.0/8 overlaps the service subnet 10.96.0.0/16: choose another',
    ],
  },
  'a service subnet that overlaps the default pod subnet': {
    text: cluster('networking:\n  serviceSubnet: 10.244.128.0/20\n'),
    errors: [
      '4:18: networking.serviceSubnet: 10.244.128.0/20 overlaps the pod subnet 10.244.0.0/16: choose another',
    ],
  },
  "a pod subnet that overlaps the nodes'": {
    text: cluster('networking:\n  podSubnet: 172.16.0.0/12\n'),
    errors: [
      '4:14: networking.podSubnet: 172.16.0.0/12 overlaps the network of the nodes, 172.17.0.0/16: choose another',
    ],
  },
  'a service subnet on loopback': {
    text: cluster('networking:\n  serviceSubnet: 127.1.0.0/16\n'),
    errors: ['4:18: networking.serviceSubnet: 127.1.0.0/16 overlaps 127.0.0.0/8 (loopback): choose another'],
  },
  'a pod subnet too small for the nodes': {
    text: cluster(
      'networking: {podSubnet: 10.1.0.0/23}\nnodes: [{role: control-plane}, {role: worker}, {role: worker}]\n',
    ),
    errors: [
      '3:25: networking.podSubnet: 10.1.0.0/23 has room for 2 of 3 nodes, each of which gets a /24: want a /22 or larger',
    ],
  },
  'more nodes than the default pod subnet has room for': {
    text: cluster(`nodes:\n- role: control-plane\n${'- role: worker\n'.repeat(256)}`),
    errors: [
      '1:1: 10.244.0.0/16 has room for 256 of 257 nodes, each of which gets a /24: want a /15 or larger',
    ],
  },
  'a service subnet too large': {
    text: cluster('networking:\n  serviceSubnet: 10.96.0.0/11\n'),
    errors: ['4:18: networking.serviceSubnet: 10.96.0.0/11 is not usable for services: want a /12 to /28'],
  },
  'a service subnet too small': {
    text: cluster('networking:\n  serviceSubnet: 10.96.0.0/29\n'),
    errors: ['4:18: networking.serviceSubnet: 10.96.0.0/29 is not usable for services: want a /12 to /28'],
  },
  'an API server for everyone': {
    text: cluster('networking:\n  apiServerAddress: 0.0.0.0\n'),
    errors: [
      '4:21: networking.apiServerAddress: "0.0.0.0" is not an IPv4 loopback address, and the lab listens on no other: want 127.0.0.1 or another of 127.0.0.0/8',
    ],
  },
  'an API server port out of range': {
    text: cluster('networking:\n  apiServerPort: 65536\n'),
    errors: ['4:18: networking.apiServerPort: 65536 is not a port: want 1 to 65535, or 0 for any free one'],
  },
  // Patches.
  'a patch without a kind': {
    text: patch('networking: {}'),
    errors: [
      '4:3: kubeadmConfigPatches[0]: has no kind: say which of the kubeadm objects it patches, as ClusterConfiguration',
    ],
  },
  'a patch that is not YAML': {
    text: patch('kind: ClusterConfiguration\nnetworking: podSubnet: x'),
    errors: [
      '6:15: kubeadmConfigPatches[0]: not valid YAML: Nested mappings are not allowed in compact mappings',
    ],
  },
  'a patch that is empty': {
    text: cluster('kubeadmConfigPatches:\n- "# none"\n'),
    errors: ['4:3: kubeadmConfigPatches[0]: is empty: want one YAML document'],
  },
  'a patch that is a mapping instead of a text': {
    text: cluster('kubeadmConfigPatches:\n- kind: ClusterConfiguration\n'),
    errors: ['4:3: kubeadmConfigPatches[0]: want a string, not a mapping'],
  },
  'a subnet of a patch, at its place in the file': {
    text: patch('kind: ClusterConfiguration\nnetworking:\n  podSubnet: "192.168.0.0/33"'),
    errors: [
      '7:16: kubeadmConfigPatches[0].networking.podSubnet: "192.168.0.0/33" is not a subnet: want ADDRESS/LENGTH, as 10.244.0.0/16',
    ],
  },
  // All of it.
  'several errors, in the order of the file': {
    text: cluster(
      'networking: {podSubnet: nine}\nname: A\nnodes:\n- role: worker\n  extraMounts:\n  - {hostPath: /gone, containerPath: /x}\n  colour: red\n',
    ),
    errors: [
      '3:25: networking.podSubnet: "nine" is not a subnet: want ADDRESS/LENGTH, as 10.244.0.0/16',
      `4:7: name: "A" is not a cluster name: want lower-case letters, digits, '.' and '-' only`,
      '6:1: nodes: has no control plane: add a node with role: control-plane',
      '8:16: nodes[0].extraMounts[0].hostPath: /gone does not exist: create it or correct the path',
      '9:3: nodes[0].colour: unknown field: want one of role, labels, extraMounts, extraPortMappings',
    ],
  },
};

describe('both families', () => {
  const dual = (pods: string, services = 'fd00:10:96::/112') =>
    cluster(
      `networking:\n  ipFamily: dual\n  podSubnet: "${pods}"\n  serviceSubnet: "10.96.0.0/16,${services}"\n`,
    );
  test('have subnets of both, kind’s or the configuration’s', async () => {
    const { config } = await load(cluster('networking: {ipFamily: dual}\n'), undefined, true);
    expect(config.networking).toMatchObject({
      ipFamily: 'dual',
      podSubnet: '10.244.0.0/16',
      serviceSubnet: '10.96.0.0/16',
      ipv6: { podSubnet: 'fd00:10:244::/56', serviceSubnet: 'fd00:10:96::/112' },
    });
    const own = await load(dual('10.1.2.3/16, fd00:1::5/60'), undefined, true);
    expect(own.config.networking).toMatchObject({
      podSubnet: '10.1.0.0/16',
      ipv6: { podSubnet: 'fd00:1::/60' },
    });
  });
  test.each([
    [
      dual('10.1.0.0/16'),
      '5:14: networking.podSubnet: "10.1.0.0/16" is not an IPv4 and an IPv6 subnet, as ipFamily dual needs: want them in this order, as 10.244.0.0/16,fd00:10:244::/56',
    ],
    [
      dual('fd00:1::/56,10.1.0.0/16'),
      '5:14: networking.podSubnet: "fd00:1::/56,10.1.0.0/16" is not an IPv4 and an IPv6 subnet, as ipFamily dual needs: want them in this order, as 10.244.0.0/16,fd00:10:244::/56',
    ],
    [
      dual('10.1.0.0/16,fd00:1::/80'),
      '5:14: networking.podSubnet: fd00:1::/80 cannot give each of 1 nodes a /64: want a /48 to /64',
    ],
    [
      dual('10.1.0.0/16,fd00:1::/56', 'fd00:2::/64'),
      '6:18: networking.serviceSubnet: fd00:2::/64 is not usable for services: want a /108 to /124',
    ],
    [
      dual('10.1.0.0/16,fd00:10:96::/56'),
      '5:14: networking.podSubnet: fd00:10:96::/56 overlaps the service subnet fd00:10:96::/112: choose another',
    ],
    [
      dual('10.1.0.0/16,fd00:172:17::/56'),
      '5:14: networking.podSubnet: fd00:172:17::/56 overlaps the network of the nodes, fd00:172:17::/64: choose another',
    ],
    [
      dual('10.1.0.0/16,fe80::/56'),
      '5:14: networking.podSubnet: fe80::/56 is not of fc00::/7 or 2000::/3: choose another',
    ],
  ])('%j', async (text, error) => {
    expect(await errorsOf(text, undefined, true)).toEqual([`kind/config:${error}`]);
  });
});

describe('a broken configuration', () => {
  for (const [name, { text, errors }] of Object.entries(BROKEN)) {
    test(name, async () => {
      expect(await errorsOf(text)).toEqual(errors.map((error) => `kind/config:${error}`));
    });
  }

  for (const [containerPath, owned, leadsTo] of [
    ['/', '/proc'],
    ['//', '/proc'],
    ['/proc/sys', '/proc'],
    ['/sys', '/sys'],
    ['/dev/', '/dev'],
    ['/run', '/run/containerd'],
    ['/run/containerd/containerd.sock', '/run/containerd'],
    ['/var/run', '/var/run'],
    ['/var/run/containerd', '/run/containerd', '/run/containerd'],
    ['/var//run/./containerd/', '/run/containerd', '/run/containerd'],
    ['/opt/../var/run/containerd/x', '/run/containerd', '/run/containerd/x'],
    ['/bin', '/bin'],
    ['/lib64/', '/lib64'],
    ['/run/../proc//sys', '/proc', '/proc/sys'],
    ['/etc', '/etc/kubernetes/pki'],
    ['/etc/kubernetes', '/etc/kubernetes/pki'],
    ['/opt/../etc/kubernetes/pki/ca.crt', '/etc/kubernetes/pki', '/etc/kubernetes/pki/ca.crt'],
    ['/var/lib/containerd', '/var/lib/containerd'],
    ['/var/lib', '/var/lib/containerd'],
    ['/var/lib/kubelet', '/var/lib/kubelet'],
    ['/usr', '/usr/bin'],
    ['/etc/resolv.conf', '/etc/resolv.conf'],
  ] as [string, string, string?][]) {
    test(`a mount on ${containerPath}`, async () => {
      const clean = leadsTo ?? containerPath.replace(/(?<=.)\/$/, '');
      expect(await errorsOf(mount(`hostPath: /tmp/empty, containerPath: ${containerPath}`))).toEqual([
        `kind/config:6:43: nodes[0].extraMounts[0].containerPath: ${clean} would hide or disturb ${owned}, which the node needs: mount somewhere else`,
      ]);
    });
  }

  for (const [inner, link] of [
    ['/x/run', '/home/me/data/run'],
    ['/x/run/containerd', '/home/me/data/run'],
    ['/x/sub/etc/sv', '/home/me/data/sub/etc'],
  ] as const) {
    test(`a mount on ${inner}, which a link in another mount leads elsewhere`, async () => {
      const text = node(
        `extraMounts:\n- {hostPath: /tmp/empty, containerPath: ${inner}}\n- {hostPath: data, containerPath: /x}`,
      );
      expect(await errorsOf(text)).toEqual([
        `kind/config:6:43: nodes[0].extraMounts[0].containerPath: ${inner} leads through the link ${link}, and so to somewhere else in the node: mount where that is`,
      ]);
    });
  }

  test('two mounts on one place, by two names', async () => {
    const text = node(
      'extraMounts:\n- {hostPath: data, containerPath: /run/mine}\n- {hostPath: data, containerPath: /var/run/mine}',
    );
    expect(await errorsOf(text)).toEqual([
      'kind/config:7:37: nodes[0].extraMounts[1].containerPath: /run/mine is mounted twice on this node, first on line 6: remove one',
    ]);
  });

  test('an invalid --name', async () => {
    expect(await errorsOf(cluster(''), 'a/b')).toEqual([
      `--name: "a/b" is not a cluster name: want lower-case letters, digits, '.' and '-' only`,
    ]);
  });

  test('a file that cannot be read', async () => {
    const loading = loadClusterConfig('/nonexistent/config', {});
    await expect(loading).rejects.toThrow(
      'cannot read the cluster configuration /nonexistent/config: no such file or directory; want a kind configuration, or no --config for a single node',
    );
  });
});

describe('a good configuration', () => {
  test("the how-to's", async () => {
    const example = join(import.meta.dir, '../../../../examples/kind-cilium-portmap/kind/config');
    const { config, warnings } = await load(await readFile(example, 'utf8'));
    const conflist: ExtraMount = {
      containerPath: '/etc/cni/net.d/000-cilium-portmap.conflist',
      hostPath: '/tmp/cni/000-cilium-portmap.conflist',
      readOnly: true,
      type: 'File',
      propagation: 'None',
    };
    const worker: Pick<NodeConfig, 'role' | 'labels' | 'schedulable' | 'extraPortMappings'> = {
      role: 'worker',
      labels: {},
      schedulable: true,
      extraPortMappings: [],
    };
    expect(warnings).toEqual([]);
    expect(config).toEqual({
      name: 'kind',
      networking: {
        ipFamily: 'ipv4',
        podSubnet: '192.168.0.0/16',
        serviceSubnet: '10.96.0.0/12',
        apiServerAddress: '127.0.0.1',
        apiServerPort: 0,
        disableDefaultCNI: false,
      },
      nodes: [
        {
          role: 'control-plane',
          name: 'kind-control-plane',
          labels: {},
          schedulable: false,
          extraPortMappings: [],
          extraMounts: [
            {
              ...conflist,
              containerPath: '/kind/manifests/default-cni.yaml',
              hostPath: '/tmp/cni/cilium.yaml',
            },
            conflist,
          ],
        },
        { ...worker, name: 'kind-worker', extraMounts: [conflist] },
        {
          ...worker,
          name: 'kind-worker2',
          extraMounts: [
            {
              containerPath: '/opt/cni',
              hostPath: '/tmp/empty',
              readOnly: false,
              type: 'Directory',
              propagation: 'None',
            },
            conflist,
          ],
        },
        { ...worker, name: 'kind-worker3', extraMounts: [] },
      ],
    });
  });

  const single: Omit<ClusterConfig, 'name'> = {
    nodes: [
      {
        role: 'control-plane',
        name: 'kind-control-plane',
        labels: {},
        schedulable: true,
        extraMounts: [],
        extraPortMappings: [],
      },
    ],
    networking: {
      ipFamily: 'ipv4',
      podSubnet: '10.244.0.0/16',
      serviceSubnet: '10.96.0.0/16',
      apiServerAddress: '127.0.0.1',
      apiServerPort: 0,
      disableDefaultCNI: false,
    },
  };

  for (const [name, path] of [
    ['no file at all', undefined],
    ['the least file', 'kind/config'],
  ] as const) {
    test(`${name} gives one control plane that also runs pods`, async () => {
      const { config, warnings } =
        path === undefined ? await loadClusterConfig(path, {}) : await load(cluster(''));
      expect(config).toEqual({ name: 'kind', ...single });
      expect(warnings).toEqual([]);
    });
  }

  const NAMES: { name: string; text: string; flag?: string; want: string }[] = [
    { name: "the file's", text: cluster('name: mine\n'), want: 'mine-control-plane' },
    {
      name: 'the flag, which beats the file',
      text: cluster('name: mine\n'),
      flag: 'yours',
      want: 'yours-control-plane',
    },
    { name: 'a number, as written', text: cluster('name: 007\n'), want: '007-control-plane' },
    { name: 'null, which is the default', text: cluster('name: ~\n'), want: 'kind-control-plane' },
    { name: 'with dots', text: cluster('name: a.b-c\n'), want: 'a.b-c-control-plane' },
  ];
  for (const { name, text, flag, want } of NAMES) {
    test(`name: ${name}`, async () => {
      const { config } = await load(text, flag);
      expect(config.nodes.map((each) => each.name)).toEqual([want]);
      expect(`${config.name}-control-plane`).toBe(want);
    });
  }

  test('every field that is honoured, with anchors, merges and spellings of Go', async () => {
    const { config, warnings } = await load(`
apiVersion: kind.sigs.k8s.io/v1alpha4
kind: Cluster
name: full
networking:
  ipFamily: ipv4
  apiServerAddress: 127.0.0.2
  apiServerPort: 6443
  podSubnet: 10.0.5.5/20
  serviceSubnet: 10.1.0.0/28
  disableDefaultCNI: yes
nodes:
- role: worker
  labels: {tier: 1, on: true, example.com/zone: a_b.c, empty: ""}
  extraMounts:
  - &inner
    hostPath: data/app.conf
    containerPath: /opt/app/conf/app.conf
    propagation: HostToContainer
  - {<<: *inner, hostPath: ./data, containerPath: /opt/app, readOnly: on}
  - {hostPath: /run/app.sock, containerPath: /run/app.sock, propagation: Bidirectional}
- extraPortMappings:
  - {containerPort: 80, hostPort: 8080}
  - {containerPort: 443, hostPort: 8080, listenAddress: 127.0.0.2, protocol: TCP}
  - {containerPort: 81}
  - {containerPort: 82, hostPort: -1}
- role: worker
`);
    expect(warnings).toEqual([]);
    expect(config.networking).toEqual({
      ipFamily: 'ipv4',
      podSubnet: '10.0.0.0/20',
      serviceSubnet: '10.1.0.0/28',
      apiServerAddress: '127.0.0.2',
      apiServerPort: 6443,
      disableDefaultCNI: true,
    });
    expect(config.nodes.map(({ name, role, schedulable }) => [name, role, schedulable])).toEqual([
      ['full-worker', 'worker', true],
      ['full-control-plane', 'control-plane', false],
      ['full-worker2', 'worker', true],
    ]);
    expect(config.nodes[0]?.labels).toEqual({
      tier: '1',
      on: 'true',
      'example.com/zone': 'a_b.c',
      empty: '',
    });
    // The parent first, although the file has it second.
    expect(config.nodes[0]?.extraMounts).toEqual([
      {
        hostPath: '/home/me/data',
        containerPath: '/opt/app',
        type: 'Directory',
        readOnly: true,
        propagation: 'HostToContainer',
      },
      {
        hostPath: '/run/app.sock',
        containerPath: '/run/app.sock',
        type: 'File',
        readOnly: false,
        propagation: 'Bidirectional',
      },
      {
        hostPath: '/home/me/data/app.conf',
        containerPath: '/opt/app/conf/app.conf',
        type: 'File',
        readOnly: false,
        propagation: 'HostToContainer',
      },
    ]);
    expect(config.nodes[1]?.extraPortMappings).toEqual([
      { containerPort: 80, hostPort: 8080, listenAddress: '127.0.0.1', protocol: 'TCP' },
      { containerPort: 443, hostPort: 8080, listenAddress: '127.0.0.2', protocol: 'TCP' },
      { containerPort: 81, hostPort: 0, listenAddress: '127.0.0.1', protocol: 'TCP' },
      { containerPort: 82, hostPort: 0, listenAddress: '127.0.0.1', protocol: 'TCP' },
    ]);
  });

  test('a patch beats networking, and of two patches the last one holds', async () => {
    const { config } = await load(
      cluster(
        'networking: {podSubnet: 10.1.0.0/16, serviceSubnet: 10.2.0.0/16}\nkubeadmConfigPatches:\n' +
          '- "{kind: ClusterConfiguration, networking: {podSubnet: 10.3.0.0/16}}"\n' +
          '- "{kind: ClusterConfiguration, networking: {podSubnet: 10.4.0.0/16}}"\n',
      ),
    );
    expect(config.networking).toMatchObject({ podSubnet: '10.4.0.0/16', serviceSubnet: '10.2.0.0/16' });
  });

  test('from standard input', async () => {
    const sources = {
      cwd: '/',
      readFile: async () => {
        throw new Error('no file is to be read');
      },
      kindOf: async () => undefined,
      isLink: async () => false,
    };
    const good = { ...sources, readStdin: async () => cluster('name: piped\n') };
    expect((await loadClusterConfig('-', {}, good)).config.name).toBe('piped');
    const bad = { ...sources, readStdin: async () => 'kind: Pod\n' };
    await expect(loadClusterConfig('-', {}, bad)).rejects.toThrow(
      'standard input:1:7: kind: "Pod": want kind: Cluster',
    );
  });

  test('keys within keys come to an end', async () => {
    const text = `${'? '.repeat(200)}kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\n`;
    await expect(load(text)).rejects.toThrow('no kind: want kind: Cluster');
  });

  test('an anchor that merges itself comes to an end', async () => {
    expect(
      (await load(cluster('networking: &n {<<: *n, apiServerPort: 1}\n'))).config.networking,
    ).toMatchObject({
      apiServerPort: 1,
    });
  });
});

describe('a field that is known and not honoured', () => {
  const NO_EFFECT = 'known to kind but not honoured here: it has no effect';
  const NO_KUBEADM = 'not honoured here, there is no kubeadm';
  const CASES: Record<string, { text: string; warnings: string[] }> = {
    'of the cluster': {
      text: cluster(
        'featureGates: {A: true}\nruntimeConfig: {api/all: "true"}\nkubeadmConfigPatchesJSON6902: [{kind: x}]\n' +
          'containerdConfigPatches: [x]\ncontainerdConfigPatchesJSON6902: [x]\n',
      ),
      warnings: [
        `3:1: featureGates: ${NO_EFFECT}`,
        `4:1: runtimeConfig: ${NO_EFFECT}`,
        `5:1: kubeadmConfigPatchesJSON6902: ${NO_EFFECT}`,
        `6:1: containerdConfigPatches: ${NO_EFFECT}`,
        `7:1: containerdConfigPatchesJSON6902: ${NO_EFFECT}`,
      ],
    },
    'in the spelling of v1alpha3': {
      text: 'kind: Cluster\napiVersion: kind.sigs.k8s.io/v1alpha3\nkubeadmConfigPatchesJson6902: [{kind: x}]\n',
      warnings: [`3:1: kubeadmConfigPatchesJson6902: ${NO_EFFECT}`],
    },
    'of a node': {
      text: node('image: kindest/node:v1.30.0\ngpus: all\nkubeadmConfigPatches: [x]'),
      warnings: [
        `5:3: nodes[0].image: ${NO_EFFECT}`,
        `6:3: nodes[0].gpus: ${NO_EFFECT}`,
        `7:3: nodes[0].kubeadmConfigPatches: ${NO_EFFECT}`,
      ],
    },
    'of a mount': {
      text: mount('hostPath: data, containerPath: /x, selinuxRelabel: true'),
      warnings: [`6:41: nodes[0].extraMounts[0].selinuxRelabel: ${NO_EFFECT}`],
    },
    'of networking': {
      text: cluster('networking:\n  kubeProxyMode: ipvs\n  dnsSearch: [example.com]\n'),
      warnings: [`4:3: networking.kubeProxyMode: ${NO_EFFECT}`, `5:3: networking.dnsSearch: ${NO_EFFECT}`],
    },
    'without a value': { text: cluster('featureGates:\n'), warnings: [] },
    'of patches': {
      text: patch(
        'kind: ClusterConfiguration\nmetadata: {name: config}\nnetworking:\n  dnsDomain: example.com\napiServer: {}',
      ),
      warnings: [
        `8:5: kubeadmConfigPatches[0].networking.dnsDomain: ${NO_KUBEADM}: it has no effect`,
        `9:3: kubeadmConfigPatches[0].apiServer: ${NO_KUBEADM}: this part of the ClusterConfiguration has no effect`,
      ],
    },
    'of patches for other objects': {
      text: patch('kind: InitConfiguration\nnodeRegistration:\n  kubeletExtraArgs: {}'),
      warnings: [
        `6:3: kubeadmConfigPatches[0].nodeRegistration: ${NO_KUBEADM}: this part of the InitConfiguration has no effect`,
      ],
    },
    'of patches for what kubeadm does not have': {
      text: patch('kind: ClusterConfigration\nnetworking:\n  podSubnet: 10.1.0.0/16'),
      warnings: [
        '5:3: kubeadmConfigPatches[0].kind: "ClusterConfigration" is not a kind that a patch can be for (ClusterConfiguration, InitConfiguration, JoinConfiguration, KubeletConfiguration, KubeProxyConfiguration): it has no effect',
      ],
    },
    'but is what the lab has anyway': {
      text: patch('kind: ClusterConfiguration\nnetworking:\n  dnsDomain: cluster.local'),
      warnings: [],
    },
  };
  for (const [name, { text, warnings }] of Object.entries(CASES)) {
    test(name, async () => {
      expect((await load(text)).warnings).toEqual(warnings.map((warning) => `kind/config:${warning}`));
    });
  }
});

describe("what only Kubernetes' own programs can do", () => {
  const CASES: Record<string, { text: string; errors?: string[]; warnings?: string[] }> = {
    'a feature gate that is neither on nor off': {
      text: cluster('featureGates: {A: maybe}\n'),
      errors: ['3:19: featureGates.A: want true or false, not "maybe"'],
    },
    'a feature gate without a value': {
      text: cluster('featureGates:\n  A:\n'),
      errors: ['4:3: featureGates.A: has no value: want true or false'],
    },
    'a mode of kube-proxy that the lab does not have': {
      text: cluster('networking:\n  kubeProxyMode: ipvs\n'),
      errors: ['4:18: networking.kubeProxyMode: "ipvs" is not one of iptables, nftables, none'],
    },
    'a flag with dashes': {
      text: patch('kind: ClusterConfiguration\napiServer:\n  extraArgs: {--v: "1"}'),
      errors: [
        '7:17: kubeadmConfigPatches[0].apiServer.extraArgs.--v: "--v" is not the name of a flag: want it without dashes, as feature-gates',
      ],
    },
    'a flag of a list without a name': {
      text: patch('kind: ClusterConfiguration\nscheduler:\n  extraArgs:\n  - {value: "1"}'),
      errors: [
        '8:7: kubeadmConfigPatches[0].scheduler.extraArgs[0]: "" is not the name of a flag: want it without dashes, as feature-gates',
      ],
    },
    "a patch of containerd's configuration that is not TOML": {
      text: cluster('containerdConfigPatches:\n- "a = = 1"\n'),
      errors: [
        "4:3: containerdConfigPatches[0]: not valid TOML: TOML Parse error: Expected a value but found '='",
      ],
    },
    'JSON patches of a wrong form': {
      text: cluster(
        'kubeadmConfigPatchesJSON6902:\n- {kind: KubeletConfiguration, patch: "a: ["}\n- {kind: KubeletConfiguration, patch: "{}"}\n' +
          '- {patch: "[]"}\n- {kind: KubeletConfiguration, patch: "[]", patches: x}\ncontainerdConfigPatchesJSON6902:\n- "[{op: add}]"\n',
      ),
      errors: [
        '4:39: kubeadmConfigPatchesJSON6902[0].patch: not a JSON patch: Flow sequence in block collection must be sufficiently indented and end with a ] at line 1, column 5:',
        '5:39: kubeadmConfigPatchesJSON6902[1].patch: not a JSON patch: error decoding patch: a JSON patch is a list of operations',
        '6:3: kubeadmConfigPatchesJSON6902[2]: has no kind: say which of the kubeadm objects it patches, as ClusterConfiguration',
        '7:45: kubeadmConfigPatchesJSON6902[3].patches: unknown field: want one of group, version, kind, patch, name, namespace',
        '9:3: containerdConfigPatchesJSON6902[0]: not a JSON patch: error decoding patch: operation 0: missing "path"',
      ],
    },
    'a JSON patch of a flag that nothing has set': {
      text: cluster(
        'kubeadmConfigPatchesJSON6902:\n- {kind: ClusterConfiguration, patch: "[{op: remove, path: /apiServer/extraArgs/v}]"}\n',
      ),
      errors: [
        '4:39: kubeadmConfigPatchesJSON6902[0].patch: does not fit the part of the ClusterConfiguration that has a meaning here: remove operation does not apply: doc is missing path: /apiServer/extraArgs/v: missing value',
      ],
    },
    'JSON patches of what has no effect here': {
      text: cluster(
        'kubeadmConfigPatchesJSON6902:\n- {kind: ClusterConfiguration, patch: "[{op: add, path: /imageRepository, value: x}]"}\n' +
          '- {group: kubeadm.k8s.io, version: v1beta4, kind: ClusterConfiguration, patch: "[]"}\n- {kind: x, patch: "[]"}\n',
      ),
      warnings: [
        '4:39: kubeadmConfigPatchesJSON6902[0].patch.imageRepository: not honoured here, there is no kubeadm: this part of the ClusterConfiguration has no effect',
        '5:3: kubeadmConfigPatchesJSON6902[1]: the ClusterConfiguration is of kubeadm.k8s.io/v1beta3, and not of kubeadm.k8s.io/v1beta4: it has no effect',
        '6:4: kubeadmConfigPatchesJSON6902[2].kind: "x" is not a kind that a patch can be for (ClusterConfiguration, InitConfiguration, JoinConfiguration, KubeletConfiguration, KubeProxyConfiguration): it has no effect',
      ],
    },
    'what kubeadm would do besides': {
      text: patch('kind: ClusterConfiguration\nimageRepository: x\napiServer: {certSANs: [a]}'),
      warnings: [
        '6:3: kubeadmConfigPatches[0].imageRepository: not honoured here, there is no kubeadm: this part of the ClusterConfiguration has no effect',
        '7:15: kubeadmConfigPatches[0].apiServer.certSANs: not honoured here, there is no kubeadm: it has no effect',
      ],
    },
    "the control plane's flags in the patch of a worker, and a subnet in that of a node": {
      text: cluster(
        'nodes:\n- role: control-plane\n- role: worker\n  kubeadmConfigPatches:\n  - |\n' +
          '    kind: ClusterConfiguration\n    apiServer: {extraArgs: {v: "1"}}\n    networking: {podSubnet: 10.1.0.0/16}\n',
      ),
      warnings: [
        '9:5: nodes[1].kubeadmConfigPatches[0].apiServer: not honoured here, there is no kubeadm: this part of the ClusterConfiguration has no effect',
        '10:5: nodes[1].kubeadmConfigPatches[0].networking: not honoured here, there is no kubeadm: this part of the ClusterConfiguration has no effect',
      ],
    },
  };
  for (const [name, { text, errors, warnings = [] }] of Object.entries(CASES)) {
    test(name, async () => {
      const outcome = await load(text, undefined, true).then(
        (loaded) => loaded.warnings,
        (error: Error) => error.message.split('\n'),
      );
      expect(outcome).toEqual((errors ?? warnings).map((remark) => `kind/config:${remark}`));
    });
  }

  test('is nowhere in a cluster of the own ones', async () => {
    const { config } = await load(cluster(''));
    expect(config.kubernetes).toBeUndefined();
    expect(config.nodes[0]!.kubelet).toBeUndefined();
  });
});
