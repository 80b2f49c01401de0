import { expect, test } from 'bun:test';
import type { Injected, Restored } from '../../lab/inject/book.ts';
import { renderRestored, restoredDocument } from './restored.ts';

const entry = (code: string, node: string) => ({ failure: { code }, target: { node } }) as Injected;

test.each<[string, Restored, string]>([
  ['nothing', { undone: [], failed: [] }, 'Nothing to undo.\n'],
  ['all', { undone: [entry('a', 'n1')], failed: [] }, 'undone: a on n1\n'],
  [
    'some, and why the others were not, in one line each',
    {
      undone: [entry('a', 'n1'), entry('b', 'n2')],
      failed: [
        { entry: entry('c', 'n1'), cause: new Error('gone\n\u001b[2J', { cause: new Error('dead') }) },
      ],
    },
    'undone: a on n1\nundone: b on n2\nnot undone: c on n1: gone\\n\\x1b[2J: dead\n',
  ],
  ['none', { undone: [], failed: [{ entry: entry('c', 'n1'), cause: 'no' }] }, 'not undone: c on n1: no\n'],
])('%s', (_, restored, text) => expect(renderRestored(restored)).toBe(text));

test('as a document: each by code, node and pod, and why what was not undone was not', () => {
  const pod = { namespace: 'default', name: 'echo', uid: 'u1', address: '10.0.0.1' };
  const of = (code: string) => ({ failure: { code }, target: { node: 'n1', pod } }) as Injected;
  const failed = [{ entry: of('c'), cause: new Error('gone', { cause: new Error('dead') }) }];
  const where = { node: 'n1', pod: { namespace: 'default', name: 'echo', uid: 'u1' } };
  expect(restoredDocument({ undone: [of('a')], failed })).toEqual({
    apiVersion: 'hostport/v1',
    kind: 'UnbreakReport',
    undone: [{ code: 'a', ...where }],
    failed: [{ code: 'c', ...where, reason: 'gone: dead' }],
  });
});
