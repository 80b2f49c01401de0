/** Configurations and rule sets that people have published: each is judged rightly, or not at all with the reason. */
import { describe, expect, test } from 'bun:test';
import { judgedNow, judgedRightly } from './field/public-cases.ts';
import { PUBLIC_CONFLISTS } from './field/public-conflists.ts';
import { PUBLIC_RULE_SETS } from './field/public-rule-sets.ts';

describe.each([
  ['configurations', PUBLIC_CONFLISTS],
  ['rule sets', PUBLIC_RULE_SETS],
] as const)('%s', (_, cases) => {
  test.each(cases.map((each) => [`${each.from}: ${each.shows}`, each] as const))('%s', (__, each) => {
    expect(judgedNow(each)).toEqual(judgedRightly(each));
  });

  test('there are twenty at least, each once', () => {
    expect(cases.length).toBeGreaterThanOrEqual(20);
    expect(new Set(cases.map(({ from }) => from)).size).toBe(cases.length);
  });
});
