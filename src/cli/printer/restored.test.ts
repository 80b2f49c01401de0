import { expect, test } from 'bun:test';
import type { Injected, Restored } from '../../lab/inject/book.ts';
import type { Finding } from '../../path/model/finding.ts';
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
  const aftermath = {
    notBack: [{ node: 'n1', pod: { namespace: 'default', name: 'echo' }, why: 'it has no sandbox' }],
    left: [{ code: 'd', message: 'it is so', subject: { node: 'n1' } } as Finding],
  };
  const failed = [{ entry: of('c'), cause: new Error('gone', { cause: new Error('dead') }) }];
  const where = { node: 'n1', pod: { namespace: 'default', name: 'echo', uid: 'u1' } };
  expect(restoredDocument({ undone: [of('a')], failed }, aftermath)).toEqual({
    apiVersion: 'hostport/v1',
    kind: 'UnbreakReport',
    undone: [{ code: 'a', ...where }],
    failed: [{ code: 'c', ...where, reason: 'gone: dead' }],
    notBack: [{ node: 'n1', pod: { namespace: 'default', name: 'echo' }, reason: 'it has no sandbox' }],
    left: [{ code: 'd', node: 'n1', message: 'it is so' }],
  });
});
