import { describe, expect, test } from 'bun:test';
import { type Args, textOf, withSuffix, words } from './message.ts';

describe('the text of a message', () => {
  test.each<[template: string, args: Args, text: string]>([
    ['nothing to fill in', {}, 'nothing to fill in'],
    ['{pod} on {node}, again {pod}', { pod: 'echo', node: 'n' }, 'echo on n, again echo'],
    ['port {port}', { port: 0 }, 'port 0'],
    ['on {devices}', { devices: ['a', 'b', 'c'] }, 'on a, b, c'],
    ['on {devices}', { devices: [] }, 'on '],
    ['{devices:and} fail', { devices: ['a', 'b'] }, 'a and b fail'],
    ['from {clients:and from}', { clients: ['a', 'b'] }, 'from a and from b'],
    ['{rules} {rules:rule|rules}', { rules: 1 }, '1 rule'],
    ['{rules} {rules:rule|rules}', { rules: 0 }, '0 rules'],
    ['{plugins} {plugins:does|do} not', { plugins: ['a'] }, 'a does not'],
    ['{plugins} {plugins:does|do} not', { plugins: ['a', 'b'] }, 'a, b do not'],
    ['{verdict}s them', { verdict: 'drop' }, 'drops them'],
    ['{pod} on {node}', { pod: '{node}', node: '$& {pod}' }, '{node} on $& {pod}'],
    ['{pod} runs', { pod: '\u001b]0;x\u0007\n' }, '\u001b]0;x\u0007\n runs'],
  ])('%s of %j', (template, args, text) => {
    expect(textOf({ template, args })).toBe(text);
  });

  test('lacks no value, also none that every object has', () => {
    expect(() => textOf({ template: 'of {node}', args: {} })).toThrow('no value for {node}');
    expect(() => textOf({ template: 'of {toString}', args: {} })).toThrow('no value for {toString}');
  });

  test('shows a value that is missing after all as unknown', () => {
    const missing = undefined as unknown as string;
    const message = words('of {node}', { node: missing });
    expect([textOf(message), message.args]).toEqual(['of unknown', { node: 'unknown' }]);
  });

  test('may go on, with the same values', () => {
    const message = withSuffix(words('of {node}', { node: 'n' }), '; later');
    expect([textOf(message), message.args]).toEqual(['of n; later', { node: 'n' }]);
  });
});

test('what a template lacks, or has nothing for, does not compile', () => {
  // @ts-expect-error no value
  words('{pod} of {node}', { pod: 'a' });
  // @ts-expect-error misspelt
  words('of {node}', { nod: 'a' });
  // @ts-expect-error no placeholder
  words('of {node}', { node: 'a', pod: 'b' });
  // @ts-expect-error a text is no list
  words('{nodes:and}', { nodes: 'a' });
  // @ts-expect-error a text is no number
  words('{rules:rule|rules}', { rules: '1' });
  // @ts-expect-error neither a text nor a number nor a list
  words('of {node}', { node: undefined });
  expect(words('{rules} {rules:rule|rules}', { rules: 2 }).args).toEqual({ rules: 2 });
});
