import { expect, test } from 'bun:test';
import { answerProblem, type Verb } from './answer.ts';

const RESULT = '{"cniVersion":"1.1.0","ips":[]}';
const error = (code: number, msg = 'x') => JSON.stringify({ cniVersion: '1.1.0', code, msg });
const UNWRITABLE = error(5, 'cannot write to /run/hostport/portmap/a.json: the file system is read-only');

/** Whether an answer is right with a state that can be written, and with one that cannot. */
test.each<[verb: Verb, code: number, stdout: string, writable: boolean, unwritable: boolean]>([
  ['ADD', 0, RESULT, true, true],
  ['ADD', 0, '', false, false],
  ['ADD', 0, RESULT + RESULT, false, false],
  ['ADD', 0, '[]', false, false],
  ['ADD', 0, UNWRITABLE, false, false],
  ['ADD', 1, UNWRITABLE, false, true],
  ['ADD', 1, UNWRITABLE + UNWRITABLE, false, false],
  ['ADD', 1, error(5, 'cannot read /etc/other'), false, false],
  ['ADD', 1, error(11), true, true],
  ['ADD', 1, error(999), false, false],
  ['ADD', 1, '', false, false],
  ['ADD', 139, 'panic', false, false],
  ['DEL', 0, '', true, true],
  ['DEL', 0, RESULT, false, false],
  ['DEL', 1, error(11), true, false],
  ['DEL', 1, UNWRITABLE, false, false],
  ['GC', 0, '', true, true],
  ['GC', 1, UNWRITABLE, false, false],
  ['GC', 1, error(999), false, false],
  ['CHECK', 0, '', true, true],
  ['CHECK', 1, error(11), true, true],
  ['CHECK', 1, UNWRITABLE, false, false],
])('%s that ends with %i and %j', (verb, code, stdout, writable, unwritable) => {
  const isRight = (isUnwritable: boolean) =>
    answerProblem(verb, { code, stdout, stderr: '' }, isUnwritable) === undefined;
  expect([isRight(false), isRight(true)]).toEqual([writable, unwritable]);
});
