import { expect, test } from 'bun:test';
import { parseNetworkConfig } from '../../cni/conflist.ts';
import type { NodeReport } from '../model/node-report.ts';
import { cniNode, confFile, listOf } from '../testing/cni-node.ts';
import { delegateOf } from './delegates.ts';

const PORTMAP = { type: 'portmap', capabilities: { portMappings: true } };
const CALICO = listOf([{ type: 'calico' }, PORTMAP], { name: 'k8s-pod-network' });

/** What Multus with these fields delegates to, in a directory with its own file, one of Calico, and others. */
function delegateWith(
  fields: object,
  {
    type = 'multus',
    files = {},
    cni = {},
  }: { type?: string; files?: Record<string, string>; cni?: Partial<NodeReport['cni']> } = {},
) {
  const own = JSON.stringify({ cniVersion: '1.0.0', name: 'multus-cni-network', type, ...fields });
  const report = cniNode({ '00-multus.conf': own, '10-calico.conflist': CALICO, ...files }, { cni });
  const found = delegateOf(parseNetworkConfig(own, '00-multus.conf'), report);
  if (found === undefined) return 'nothing';
  return 'unknown' in found
    ? found.unknown
    : `${found.value.from}: ${found.value.plugins.map((each) => each.type).join(' ')}`;
}

const IN_CALICO = '10-calico.conflist: calico portmap';

test.each<[string, Parameters<typeof delegateWith>, string | RegExp]>([
  [
    'a list that is written in it',
    [{ delegates: [{ name: 'net', plugins: [{ type: 'bridge' }, PORTMAP] }] }],
    'delegates[0]: bridge portmap',
  ],
  ['a plugin that is written in it', [{ delegates: [{ type: 'bridge' }] }], 'delegates[0]: bridge'],
  [
    'the first of several',
    [{ delegates: [{ type: 'flannel' }, { type: 'macvlan' }] }],
    'delegates[0]: flannel',
  ],
  ['a list without a name', [{ delegates: [{ plugins: [{ type: 'bridge' }] }] }], 'delegates[0]: bridge'],
  ['what is no list', [{ delegates: 'calico' }], /^multus says in no file of the node what it delegates to$/],
  ['none', [{ delegates: [] }], /^multus says in no file/],
  ['nothing that is a configuration', [{ delegates: [null] }], /^delegates\[0\]: /],
  ['the name of a network', [{ delegates: ['calico'] }], /^delegates\[0\]: /],
  ['a number', [{ delegates: [1] }], /^delegates\[0\]: /],
  ['nothing that names a plugin', [{ delegates: [{ name: 'x' }] }], /^delegates\[0\]: .*missing type/],
  ['a network by its name', [{ clusterNetwork: 'k8s-pod-network' }], IN_CALICO],
  ['a file by its name', [{ clusterNetwork: '10-calico.conflist' }], IN_CALICO],
  ['a file without its ending', [{ clusterNetwork: '10-calico' }], IN_CALICO],
  [
    'a file by the path that it has in a pod',
    [{ clusterNetwork: '/host/etc/cni/net.d/10-calico.conflist' }],
    IN_CALICO,
  ],
  [
    'a network, before what is written in it',
    [{ clusterNetwork: 'k8s-pod-network', delegates: [{ type: 'bridge' }] }],
    IN_CALICO,
  ],
  [
    'an object',
    [{ clusterNetwork: 'macvlan-conf' }],
    /^clusterNetwork "macvlan-conf" of multus is not in \/etc\/cni\/net\.d: it may be an object/,
  ],
  ['itself', [{ clusterNetwork: '00-multus' }], /^clusterNetwork "00-multus"/],
  [
    'a file that is broken',
    [{ clusterNetwork: '05-broken' }, { files: { '05-broken.conflist': '{' } }],
    /^05-broken\.conflist: /,
  ],
  [
    'a file behind one that is broken',
    [{ clusterNetwork: 'k8s-pod-network' }, { files: { '05-broken.conflist': '{' } }],
    IN_CALICO,
  ],
  [
    'a file behind one that is not known',
    [
      { clusterNetwork: 'k8s-pod-network' },
      {
        cni: {
          files: {
            value: [
              { ...confFile('05-link.conflist', ''), content: { unknown: 'leads out of the directory' } },
              confFile('10-calico.conflist', CALICO),
            ],
          },
        },
      },
    ],
    IN_CALICO,
  ],
  [
    'a file where none are known',
    [{ clusterNetwork: 'x' }, { cni: { files: { unknown: 'EACCES' } } }],
    /^the files of \/etc\/cni\/net\.d are not known$/,
  ],
  ['of the newer plugin', [{ clusterNetwork: 'k8s-pod-network' }, { type: 'multus-shim' }], IN_CALICO],
  ['of another plugin that delegates', [{}, { type: 'genie' }], 'what genie delegates to is not read'],
  ['of one that does not', [{ delegates: [{ type: 'bridge' }] }, { type: 'bridge' }], 'nothing'],
])('%s', (_, args, expected) => {
  const found = delegateWith(...args);
  if (typeof expected === 'string') expect(found).toBe(expected);
  else expect(found).toMatch(expected);
});
