import { describe, expect, test } from 'bun:test';
import { faultOf } from '../../lab/faults/index.ts';
import { catalogue } from '../../path/stages/index.ts';
import { renderFailure } from './explain.ts';
import { layoutOf, WIDE } from './layout.ts';
import { columns } from './wrap.ts';

const NARROW = layoutOf({ isTTY: true, columns: 80 }, { NO_COLOR: '1' });
/** What is not broken: one word of a command. */
const WORD = /^ +(?:'[^']+'|[^' ])+( \\)?$/;

describe.each(catalogue.map((failure) => [failure.code, failure] as const))('%s', (code, failure) => {
  const shown = (layout = WIDE) => renderFailure(failure, faultOf(failure), 'hostport', layout);

  test('is explained in lines of a terminal', () => {
    const wide = shown(NARROW)
      .split('\n')
      .filter((line) => columns(line) > 80 && !WORD.test(line));
    expect(wide).toEqual([]);
  });

  test('has all that its page has, in plain text', () => {
    const text = shown();
    expect(text).toStartWith(`${code}: ${failure.title}\n\n`);
    for (const said of [failure.explanation, failure.remedy, ...failure.sources])
      expect(text).toContain(said);
    for (const command of failure.page.check.run)
      for (const line of command.split('\n')) expect(text).toContain(line.trim());
    expect(text).not.toMatch(/\]\(|\*\*|docs\/failures/);
  });
});
