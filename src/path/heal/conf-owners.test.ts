import { describe, expect, test } from 'bun:test';
import type { HealStep } from '../model/action.ts';
import { CHAINED, cniNode, listOf } from '../testing/cni-node.ts';
import { NodeView } from '../view/node-view.ts';
import { besideOwners } from './conf-owners.ts';

const DIR = '/etc/cni/net.d';
const nodeWith = (name: string, content = listOf(CHAINED)) =>
  new NodeView('n1', { value: cniNode({ [name]: content }) });

const write = (path: string): HealStep => ({
  on: 'node',
  node: 'n1',
  why: 'declare it',
  action: { do: 'write-file', path, content: '{}' },
});
const attach = (config: string): HealStep => ({
  on: 'node',
  node: 'n1',
  why: 'attach it',
  action: { do: 'attach', sandbox: 's', config, plugin: 'portmap' },
});

describe('a list in use that is written', () => {
  test.each<[string, string, string]>([
    ['by Cilium', '05-cilium.conflist', '05-cilium-portmap.conflist'],
    ['by the AWS plugin', '10-aws.conflist', '10-aws-portmap.conflist'],
    ['by Calico', '10-calico.conflist', '10-calico-portmap.conflist'],
    ['by nobody who is known', '000-cilium-portmap.conflist', '000-cilium-portmap.conflist'],
    ['by somebody, under a longer name', '10-aws.conflist-old.conflist', '10-aws.conflist-old.conflist'],
  ])('%s', (_, name, written) => {
    const steps = besideOwners([write(`${DIR}/${name}`), attach(`${DIR}/${name}`)], nodeWith(name));
    // What goes by the list in use goes by the one that is in use then.
    expect(steps.map((step) => step.on === 'node' && step.action)).toEqual([
      // What is in an operator's list may be for root alone; in place a file keeps its mode.
      {
        do: 'write-file',
        path: `${DIR}/${written}`,
        content: '{}',
        ...(name === written ? {} : { mode: '0600' }),
      },
      { do: 'attach', sandbox: 's', config: `${DIR}/${written}`, plugin: 'portmap' },
    ]);
    expect(steps[0]!.why.includes('so hostport writes a list that comes before it')).toBe(name !== written);
  });
});

test("what Cilium's agent does to other files is said, also where ours is new anyway", () => {
  const single = JSON.stringify({ name: 'net', type: 'cilium-cni' });
  const [step] = besideOwners(
    [write(`${DIR}/05-cilium-portmap.conflist`)],
    nodeWith('05-cilium.conf', single),
  );
  expect(step!.why).toContain('set cni.exclusive=false');
});

test.each<[string, HealStep[], NodeView]>([
  ['attachments alone', [attach(`${DIR}/10-aws.conflist`)], nodeWith('10-aws.conflist')],
  ['a file that is broken', [write(`${DIR}/10-aws.conflist`)], nodeWith('10-aws.conflist', '{')],
  ['another file', [write('/opt/x')], nodeWith('10-aws.conflist')],
])('%s: as they are', (_, steps, node) => {
  expect(besideOwners(steps, node)).toEqual(steps);
});
