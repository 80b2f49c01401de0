import { describe, expect, test } from 'bun:test';
import type { Pod } from '../../kube/types.ts';
import { parseResolvConf, podDns, resolvConf } from './dns.ts';
import { nodeHostsFile, podHostsFile } from './hosts-file.ts';

const pod = (spec: Partial<NonNullable<Pod['spec']>> = {}): Pod => ({
  metadata: { name: 'web', namespace: 'default' },
  spec: { containers: [], ...spec },
});
const cluster = { servers: ['10.96.0.10'], domain: 'cluster.local' };
const node = parseResolvConf(
  '# a comment\nnameserver 8.8.8.8\nnameserver 1.1.1.1 ; two\nsearch example.com\noptions edns0\n',
);

describe('resolv.conf', () => {
  const CLUSTER = `nameserver 10.96.0.10
search default.svc.cluster.local svc.cluster.local cluster.local example.com
options ndots:5
`;
  const NODE = 'nameserver 8.8.8.8\nnameserver 1.1.1.1\nsearch example.com\noptions edns0\n';
  test.each([
    ['ClusterFirst is the default', {}, CLUSTER],
    ['ClusterFirst on the network of the node means the node', { hostNetwork: true }, NODE],
    ['ClusterFirstWithHostNet', { hostNetwork: true, dnsPolicy: 'ClusterFirstWithHostNet' }, CLUSTER],
    ['Default', { dnsPolicy: 'Default' }, NODE],
    [
      'None with a configuration of its own',
      {
        dnsPolicy: 'None',
        dnsConfig: {
          nameservers: ['9.9.9.9'],
          searches: ['a'],
          options: [{ name: 'ndots', value: '2' }, { name: 'edns0' }],
        },
      },
      'nameserver 9.9.9.9\nsearch a\noptions ndots:2 edns0\n',
    ],
    [
      'a configuration is merged',
      { dnsConfig: { nameservers: ['10.96.0.10', '9.9.9.9'], options: [{ name: 'ndots', value: '1' }] } },
      CLUSTER.replace('search', 'nameserver 9.9.9.9\nsearch').replace('ndots:5', 'ndots:1'),
    ],
  ])('%s', (_name, spec, expected) => {
    expect(resolvConf(podDns(pod(spec), cluster, node))).toBe(expected);
  });
});

describe('/etc/hosts', () => {
  const BEGIN = `# Kubernetes-managed hosts file.
127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::0\tip6-localnet
fe00::0\tip6-mcastprefix
fe00::1\tip6-allnodes
fe00::2\tip6-allrouters
`;
  const hostAliases = [{ ip: '10.0.0.9', hostnames: ['a', 'b'] }];
  test.each([
    ['one address', {}, `${BEGIN}192.168.2.232\tweb\n`],
    ['a subdomain', { subdomain: 'sub' }, `${BEGIN}192.168.2.232\tweb.sub.default.svc.cluster.local\tweb\n`],
    [
      'aliases',
      { hostAliases },
      `${BEGIN}192.168.2.232\tweb\n\n# Entries added by HostAliases.\n10.0.0.9\ta\tb\n`,
    ],
  ])('%s', (_name, spec, expected) => {
    expect(podHostsFile(pod(spec), ['192.168.2.232'], 'web')).toBe(expected);
  });

  test('on the network of the node', () => {
    expect(nodeHostsFile(pod({ hostAliases }), '127.0.0.1 localhost\n')).toBe(
      '# Kubernetes-managed hosts file (host network).\n127.0.0.1 localhost\n\n# Entries added by HostAliases.\n10.0.0.9\ta\tb\n',
    );
  });
});
