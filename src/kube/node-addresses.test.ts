import { expect, test } from 'bun:test';
import { nodeAddresses } from './node-addresses.ts';

const addresses = [
  { type: 'Hostname', address: 'n1' },
  { type: 'InternalIP', address: '10.0.0.1' },
  { type: 'ExternalIP', address: '203.0.113.1' },
  { type: 'InternalIP', address: 'fd00::1' },
  { type: 'InternalIP', address: '' },
];

test.each([
  ['InternalIP', ['10.0.0.1', 'fd00::1']],
  ['ExternalIP', ['203.0.113.1']],
] as const)('every %s, in its order', (type, expected) => {
  expect(nodeAddresses({ status: { addresses } }, type)).toEqual([...expected]);
});

test('a node that reports none has none', () =>
  expect(nodeAddresses({ metadata: { name: 'n' } })).toEqual([]));
