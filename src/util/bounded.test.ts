import { describe, expect, test } from 'bun:test';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { boundedList, boundedText } from './bounded.ts';

/** No text and no list, but with a length that cannot be compared. */
const HOSTILE = JSON.parse('{"length": {"toString": 1}}');

describe('bounds', () => {
  test.each([
    ['a text', boundedText({ least: 2, most: 3 }), ['ab', 'abc', '👋👋👋'], ['a', 'abcd', '👋']],
    ['a list', boundedList(z.number(), { least: 1, most: 2 }), [[1], [1, 2]], [[], [1, 2, 3], ['a']]],
  ] as const)('%s', (_, schema, good, bad) => {
    for (const value of good) expect(schema.safeParse(value).success).toBe(true);
    for (const value of [...bad, HOSTILE, null, 1, { length: 2 }])
      expect(schema.safeParse(value).success).toBe(false);
  });

  test('they are in the JSON schema', () => {
    const schema = z.toJSONSchema(boundedList(boundedText({ most: 3 }), { least: 1, most: 2 }));
    expect(schema).toMatchObject({ minItems: 1, maxItems: 2, items: { maxLength: 3 } });
  });

  test('nothing is bounded in another way, which would throw at hostile values', () => {
    const src = join(import.meta.dir, '..');
    const others = readdirSync(src, { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.ts') && !file.includes('.test.') && !file.includes('.gen.'))
      .filter((file) => {
        const text = readFileSync(join(src, file), 'utf8').replaceAll(/\/\*\*[\s\S]*?\*\//g, '');
        return (
          /from 'zod'/.test(text) &&
          /(?<!\bMath)(?<!\bz\.number\(\)(?:\.int\(\))?(?:\.min\(\d+\))?)\.(?:max|min|length|nonempty|size)\(/.test(
            text,
          )
        );
      });
    expect(others).toEqual([]);
  });
});
