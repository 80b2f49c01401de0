import { expect, test } from 'bun:test';
import { warnOnce } from './notices.ts';

test('a warning that is repeated is written once, without what a terminal would obey', () => {
  const written: string[] = [];
  const warn = warnOnce({ write: (text) => written.push(text) });
  for (const line of ['nodes\u001b[2J may not be listed', 'another', 'nodes\u001b[2J may not be listed'])
    warn(line);
  expect(written).toHaveLength(2);
  expect(written[0]).toMatch(/^warning: nodes.*may not be listed\n$/);
  expect(written[0]).not.toContain('\u001b[2J');
  expect(written[1]).toBe('warning: another\n');
});
