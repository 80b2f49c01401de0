import { expect, test } from 'bun:test';
import type { Trace } from '../../netfilter/index.ts';
import { describeUnknown } from './unknowns.ts';

type Unknown = Extract<Trace['verdict'], { known: false }>['because'][number];

const rule = { location: { backend: 'nft', table: 'filter', chain: 'input' } };
const unknowns = {
  match: { kind: 'match', rule, text: 'meta skuid 1' },
  statement: { kind: 'statement', rule, text: 'queue' },
  order: {
    kind: 'order',
    hook: 'forward',
    chains: [
      { table: 'a', name: 'b' },
      { table: 'c', name: 'd' },
    ],
  },
  route: { kind: 'route', reason: 'the routes are not known' },
  bound: { kind: 'bound', reason: 'too many rules' },
} as unknown as Record<Unknown['kind'], Unknown>;

test.each<[string, Unknown[]]>([
  ['whether a packet matches "meta skuid 1" of filter input', [unknowns.match]],
  ['what "queue" of filter input does', [unknowns.statement]],
  ['which of a b and c d comes first at forward', [unknowns.order]],
  ['the routes are not known', [unknowns.route]],
  ['too many rules', [unknowns.bound]],
  ['the routes are not known; too many rules', [unknowns.route, unknowns.bound]],
])('%s', (words, because) => {
  expect(describeUnknown(because)).toBe(words);
});
