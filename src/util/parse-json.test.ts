import { describe, expect, test } from 'bun:test';
import { checkDepth, parseJson } from './parse-json.ts';

test('a document is read as JSON.parse reads it', () => {
  expect(parseJson('{"a":[1,{"b":null}]}', 'x')).toEqual({ a: [1, { b: null }] });
});

describe('an error names the document and does not quote it', () => {
  test.each([
    ['a secret', 'token: SECRET123', 'x: not JSON (16 characters)'],
    ['a secret as a value', '{"a": SECRET123}', 'x: not JSON (16 characters)'],
    ['nothing', '', 'x: not JSON (0 characters)'],
    ['lists without an end', '['.repeat(1_000_000), 'x: not JSON (1000000 characters)'],
  ])('%s', (_, text, message) => {
    expect(() => parseJson(text, 'x')).toThrow(new Error(message));
  });

  test('not by its cause either', () => {
    try {
      parseJson('token: SECRET123', 'x');
      expect.unreachable();
    } catch (error) {
      expect((error as Error).cause).toBeUndefined();
    }
  });
});

describe('a value that is nested', () => {
  const nested = (open: string, close: string, depth: number) =>
    parseJson(`${open.repeat(depth)}1${close.repeat(depth)}`, 'x');
  test.each([
    ['lists', '[', ']'],
    ['objects', '{"a":', '}'],
  ])('in %s 100 levels deep is fine, and deeper ones are refused', (_, open, close) => {
    checkDepth(nested(open, close, 100), 'x');
    for (const depth of [101, 40_000]) {
      expect(() => checkDepth(nested(open, close, depth), 'x')).toThrow('x: nested deeper than 100 levels');
    }
  });

  test('is looked at once, however wide it is', () => {
    checkDepth(
      Array.from({ length: 200_000 }, (_, i) => ({ i })),
      'x',
    );
  });
});
