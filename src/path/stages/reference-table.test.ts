import { expect, test } from 'bun:test';
import { readRuleset } from '../../netfilter/index.ts';
import type { NodeReport, Sandbox } from '../model/node-report.ts';
import { cniNode } from '../testing/cni-node.ts';
import { NodeView } from '../view/node-view.ts';
import { referenceOwner } from './reference-table.ts';

const ID = '9b2bd130537c7b8adcd51e7c5cfcfb86ff2b00bb9b9f65d605f6a6055418e18e';
const sandbox = { id: ID, name: 'echo', namespace: 'default' } as Sandbox;

/** The one rule of a table, as `nft -j` lists it: a translation of a port, by the reference's way of it. */
function ruleOf(table: string, comment?: string) {
  const chain = { family: 'ip', table, name: 'hostports', handle: 1 };
  const dport = { payload: { protocol: 'tcp', field: 'dport' } };
  const expr = [{ match: { op: '==', left: dport, right: 80 } }, { dnat: { addr: '10.1.0.2', port: 8080 } }];
  const nftables = [
    { table: { family: 'ip', name: table, handle: 1 } },
    { chain },
    {
      rule: {
        family: 'ip',
        table,
        chain: 'hostports',
        handle: 2,
        expr,
        ...(comment === undefined ? {} : { comment }),
      },
    },
  ];
  const { tables } = readRuleset({ iptables: [], nft: JSON.stringify({ nftables }) });
  return tables.flatMap(({ chains }) => [...chains.values()]).flatMap(({ rules }) => rules)[0]!;
}

const nodeWith = (sandboxes: NodeReport['sandboxes']) =>
  new NodeView('n1', { value: { ...cniNode({}), sandboxes } });

const WHO = "the reference portmap's nftables backend (1.6 or newer)";

test.each<[string, ReturnType<typeof ruleOf>, NodeReport['sandboxes'], string | undefined]>([
  ['of a pod that runs', ruleOf('cni_hostport', ID), { value: [sandbox] }, `${WHO}, for echo`],
  [
    'of a container that is gone',
    ruleOf('cni_hostport', ID),
    { value: [] },
    `${WHO}, for container 9b2bd130537c7, which the runtime does not have`,
  ],
  [
    'where the sandboxes are not known',
    ruleOf('cni_hostport', ID),
    { unknown: '' },
    `${WHO}, for container 9b2bd130537c7`,
  ],
  ['without a comment', ruleOf('cni_hostport'), { value: [] }, WHO],
  ['of another table', ruleOf('hostport_of_others', ID), { value: [sandbox] }, undefined],
])('a rule %s', (_, rule, sandboxes, owner) => {
  expect(referenceOwner(rule, nodeWith(sandboxes))).toBe(owner);
});
