/** Words of documents that others keep, send and read: a changed one breaks the readers of them. */
import { describe, expect, test } from 'bun:test';
import { z } from 'zod';
import { unknownKinds } from './finding.ts';
import { known, observed } from './observed.ts';
import { vantages } from './probe.ts';
import { compareStages, stageQuestions, stages } from './stages.ts';

test.each<[string, readonly string[], string]>([
  ['stages', stages, 'declared scheduled configured installed attached translated forwarded answered'],
  ['vantages', vantages, 'direct node loopback other-node pod outside'],
  ['kinds of what is unknown', unknownKinds, 'node pod objects file'],
])('%s', (_, words, expected) => {
  expect(words.join(' ')).toBe(expected);
});

test('each stage asks a question of its own', () => {
  const questions = stages.map((stage) => stageQuestions[stage]);
  for (const question of questions) expect(question).toMatch(/^[a-z].+\?$/);
  expect(new Set(questions).size).toBe(stages.length);
});

test('stages are compared by their place on the path', () => {
  expect(compareStages('declared', 'answered')).toBeLessThan(0);
  expect(compareStages('answered', 'attached')).toBeGreaterThan(0);
  expect(compareStages('forwarded', 'forwarded')).toBe(0);
});

describe('an observation', () => {
  const schema = observed(z.number());

  test.each<[string, unknown, boolean]>([
    ['of a value', { value: 1 }, true],
    ['of nothing, with the reason', { unknown: 'EACCES' }, true],
    ['of another value', { value: 'a' }, false],
    ['without a reason', { unknown: 1 }, false],
    ['of a value that is not known', { value: 1, unknown: 'EACCES' }, false],
    ['of neither', {}, false],
  ])('%s', (_, document, valid) => {
    const read = schema.safeParse(document);
    expect(read.success).toBe(valid);
    if (valid) expect(read.data).toEqual(document as typeof read.data & {});
  });

  test('is known when it has a value, whichever', () => {
    expect(known({ value: 0 })).toBe(0);
    expect(known<number>({ unknown: 'EACCES' })).toBeUndefined();
    expect(known(undefined)).toBeUndefined();
  });
});
