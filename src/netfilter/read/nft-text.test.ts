import { expect, test } from 'bun:test';
import { elementText, expressionText, ruleText } from './nft-text.ts';

const meta = (key: string) => ({ meta: { key } });
const payload = (protocol: string, field: string) => ({ payload: { protocol, field } });

// The left side is what nft 1.0.6 prints with -j for the rule that the right side writes.
test.each<[json: Parameters<typeof expressionText>[0], text: string]>([
  [
    { match: { op: '==', left: payload('tcp', 'dport'), right: { set: [80, { range: [100, 200] }] } } },
    'tcp dport { 80, 100-200 }',
  ],
  [
    { match: { op: '!=', left: payload('ip', 'daddr'), right: { prefix: { addr: '10.0.0.0', len: 8 } } } },
    'ip daddr != 10.0.0.0/8',
  ],
  [{ match: { op: '==', left: { '&': [meta('mark'), 8192] }, right: 8192 } }, 'meta mark & 8192 == 8192'],
  [
    { match: { op: 'in', left: { ct: { key: 'state' } }, right: ['established', 'related'] } },
    'ct state established,related',
  ],
  [
    { match: { op: '==', left: { fib: { result: 'oif', flags: ['saddr', 'iif'] } }, right: false } },
    'fib saddr . iif oif missing',
  ],
  [{ match: { op: '==', left: meta('iifname'), right: 'eth*' } }, 'iifname eth*'],
  [{ dnat: { family: 'ip', addr: '1.2.3.4', port: 80 } }, 'dnat ip to 1.2.3.4:80'],
  [{ dnat: { family: 'ip6', addr: 'fd00::1', port: 80 } }, 'dnat ip6 to [fd00::1]:80'],
  [
    {
      dnat: {
        family: 'ip',
        addr: { map: { key: { concat: [meta('l4proto'), payload('th', 'dport')] }, data: '@m' } },
      },
    },
    'dnat ip to meta l4proto . th dport map @m',
  ],
  [{ redirect: { port: 90 } }, 'redirect to :90'],
  [{ masquerade: { flags: ['fully-random', 'persistent'] } }, 'masquerade fully-random,persistent'],
  [{ mangle: { key: meta('mark'), value: { '|': [meta('mark'), 8192] } } }, 'meta mark set meta mark | 8192'],
  [
    { vmap: { key: payload('tcp', 'dport'), data: { set: [[80, { jump: { target: 'x' } }]] } } },
    'tcp dport vmap { 80 : jump x }',
  ],
  [{ log: { prefix: 'a "b"' } }, 'log prefix "a \\"b\\""'],
  [{ set: { op: 'add', elem: payload('ip', 'saddr'), set: '@to' } }, 'add @to { ip saddr }'],
  [{ limit: { rate: 5, burst: 5, per: 'second' } }, 'limit rate 5/second'],
  [{ xt: { type: 'target', name: 'DNAT' } }, 'xt target DNAT'],
  [{ unheard: { of: 1 } }, 'unheard {"of":1}'],
  [null, 'null'],
])('%j', (json, text) => {
  expect(expressionText(json)).toBe(text);
});

test('rules, elements, and what is too much of something', () => {
  expect(ruleText([{ counter: { packets: 1, bytes: 2 } }, { accept: null }], 'why "so"')).toBe(
    'counter accept comment "why \\"so\\""',
  );
  expect(
    elementText({ elem: { val: { concat: ['tcp', 80] }, comment: 'hi' } }, { concat: ['10.0.0.2', 8080] }),
  ).toBe('tcp . 80 comment "hi" : 10.0.0.2 . 8080');
  expect(expressionText({ set: Array.from({ length: 20 }, (_, i) => i) })).toEndWith('15, … 4 more }');
  let deep: Parameters<typeof expressionText>[0] = 1;
  for (let i = 0; i < 1000; i++) deep = { '|': [deep, 1] };
  expect(expressionText(deep).length).toBeLessThan(200);
});

test.each<[string, (inner: object) => object]>([
  ['names', (inner) => ({ meta: { key: inner } })],
  ['addresses', (inner) => ({ dnat: { addr: inner, port: 1 } })],
  ['what nobody knows', (inner) => ({ foo: inner })],
])('%s within each other are written once a level, and no deeper than rules are', (_, wrap) => {
  let nested: object = {};
  for (let i = 0; i < 40_000; i++) nested = wrap(nested);
  const text = expressionText(nested as Parameters<typeof expressionText>[0]);
  expect(text).toContain('…');
  expect(text.length).toBeLessThan(1000);
});
