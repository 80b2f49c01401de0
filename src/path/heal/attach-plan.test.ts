import { expect, test } from 'bun:test';
import type { Sandbox } from '../model/node-report.ts';
import type { NodeView } from '../view/node-view.ts';
import { attachPortmap, rewriteMapping } from './attach-plan.ts';

const sandbox = { id: 'a' } as Sandbox;

/** A node whose chain has portmap with these fields. */
const nodeWith = (fields: Record<string, unknown>) =>
  ({
    name: 'n',
    active: { path: '/etc/cni/net.d/a' },
    mappingChain: [{ type: 'portmap', fields }],
  }) as unknown as NodeView;

test('a step runs portmap of the list in use on the sandbox', () => {
  expect(attachPortmap(nodeWith({}), sandbox, 'so')).toEqual({
    on: 'node',
    node: 'n',
    why: 'so',
    action: { do: 'attach', sandbox: 'a', config: '/etc/cni/net.d/a', plugin: 'portmap' },
  });
});

test.each([
  ['late', attachPortmap, {}, false],
  ['again', rewriteMapping, {}, true],
  ['again in iptables', rewriteMapping, { backend: 'iptables' }, true],
  // The reference plugin would not find our table at DEL.
  ['again in nftables', rewriteMapping, { backend: 'nftables' }, false],
])('a mapping made %s', (_, plan, fields, own) => {
  const step = attachPortmap(nodeWith(fields), sandbox, 'so');
  const expected = own ? { ...step, action: { ...step.action, own: true } } : step;
  expect(plan(nodeWith(fields), sandbox, 'so')).toEqual(expected as typeof step);
});
