import { describe, expect, test } from 'bun:test';
import type { StageVerdict } from '../../path/model/finding.ts';
import { isReplied, linksOf } from './way-links.ts';

const MARKS: Readonly<Record<string, StageVerdict['verdict']>> = {
  '✓': 'ok',
  '✗': 'broken',
  '!': 'risk',
  '?': 'unknown',
  '·': 'muted',
};
const read = (marks: string) => [...marks].map((mark) => MARKS[mark]!);
const shown = (verdicts: readonly StageVerdict['verdict'][]) =>
  verdicts.map((verdict) => Object.keys(MARKS).find((mark) => MARKS[mark] === verdict)).join('');

describe('a way of eight stations', () => {
  test.each([
    ['✓✓✓✓✓✓✓✓', '✓✓✓✓✓✓✓', true],
    ['✓✓✓✓!✓!✓', '✓✓✓!✓!✓', true],
    ['✓✓??✓✓✓✓', '✓??✓✓✓✓', true],
    ['✓✓✓✓✓✓✓?', '✓✓✓✓✓✓?', false],
    // What holds after a break was not reached by this way.
    ['✓✓✗✓··✓·', '✓✗·····', false],
    ['✗✓✓✓····', '·······', false],
    ['✓✓✗✓✓✓✓✓', '✓✗·····', false],
    ['✓✓✓✗✓✗!?', '✓✓✗·✗··', false],
  ])('%s has the links %s', (verdicts, links, replied) => {
    expect(shown(linksOf(read(verdicts)))).toBe(links);
    expect(isReplied(read(verdicts), 5)).toBe(replied);
  });
});
