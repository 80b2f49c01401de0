import { expect, test } from 'bun:test';
import { ADVISORIES } from './advisories.ts';

test('each advisory says what it is, where it is published and what fixes it', () => {
  for (const { id, url, affected, fixed, effect, component } of ADVISORIES) {
    expect(id).toMatch(/^CVE-\d{4}-\d+$/);
    expect(url).toMatch(/^https:\/\//);
    expect(fixed).toMatch(/^\d+\.\d+\.\d+$/);
    expect(affected).toMatch(/\d+\.\d+\.\d+/);
    // Both are parts of one sentence.
    expect(`${effect} ${component}`).not.toMatch(/\.$|\. /);
  }
  expect(new Set(ADVISORIES.map(({ id }) => id)).size).toBe(ADVISORIES.length);
});
