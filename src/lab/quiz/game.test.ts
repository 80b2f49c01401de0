import { describe, expect, test } from 'bun:test';
import { catalogue } from '../../path/stages/index.ts';
import {
  begin,
  type Checked,
  type Move,
  play,
  type Round,
  readMove,
  type Standing,
  scoreOf,
} from './game.ts';

const [failure, other, third] = catalogue;
const round: Round = {
  failure: failure!,
  candidates: [other!, failure!, third!],
  hints: ['first', 'second'],
};
const repairing: Standing = { ...begin, phase: 'repair', isFound: true };

describe('a line that is typed', () => {
  test.each<[string, Standing, Move]>([
    ['2', begin, { do: 'name', code: failure!.code }],
    [` ${other!.code.toUpperCase()} `, begin, { do: 'name', code: other!.code }],
    ['hint', begin, { do: 'hint' }],
    ['H', repairing, { do: 'hint' }],
    ['give up', begin, { do: 'give up' }],
    ['check', repairing, { do: 'check' }],
    ['q', begin, { do: 'quit' }],
    ['0', begin, { do: 'help', typed: '0' }],
    ['4', begin, { do: 'help', typed: '4' }],
    ['-1', begin, { do: 'help', typed: '-1' }],
    ['', begin, { do: 'help', typed: '' }],
    // A code that is not among the candidates.
    [catalogue.at(-1)!.code, begin, { do: 'help', typed: catalogue.at(-1)!.code }],
    ['check', begin, { do: 'help', typed: 'check' }],
    ['2', repairing, { do: 'help', typed: '2' }],
  ])('%j', (typed, standing, move) => {
    expect(readMove(typed, round, standing)).toEqual(move);
  });
});

/** The standing after some moves, and what was said of the last. */
function after(...moves: (Move | ({ do: 'check' } & Checked))[]): { standing: Standing; said: string[] } {
  return moves.reduce(
    ({ standing }, move) => play(round, standing, move, 'left' in move ? move : undefined),
    {
      standing: begin,
      said: [] as string[],
    },
  );
}

const right: Move = { do: 'name', code: failure!.code };
const wrong: Move = { do: 'name', code: other!.code };

describe('a round', () => {
  test('goes from the cause to the repair, and ends when nothing is left', () => {
    const named = after(right);
    expect(named.standing).toMatchObject({ phase: 'repair', isFound: true });
    expect(named.said[0]).toBe(`Right: ${failure!.code}: ${failure!.title}.`);
    const early = after(right, { do: 'check', left: ['x: is broken'], unknown: ['y'] });
    expect(early.standing.phase).toBe('repair');
    expect(early.said).toEqual(['Not yet. The doctor still finds:', '- x: is broken']);
    const blind = after(right, { do: 'check', left: [], unknown: ['n1: node report: silent'] });
    expect(blind.standing.phase).toBe('repair');
    expect(blind.said).toEqual(['Cannot check the repair:', '- n1: node report: silent']);
    expect(after(right, { do: 'check' })).toEqual({
      standing: { ...begin, phase: 'over', isFound: true, isRepaired: true },
      said: ['Repaired.'],
    });
  });

  test('counts a wrong answer once', () => {
    expect(after(wrong).standing.wrong).toEqual([other!.code]);
    expect(after(wrong, wrong).standing.wrong).toEqual([other!.code]);
    expect(after(wrong, wrong).said).toEqual([`${other!.code} was not it before, either.`]);
  });

  test('gives its hints in order, and counts only those that there are', () => {
    const hint: Move = { do: 'hint' };
    expect(after(hint).said).toEqual(['first']);
    expect(after(hint, hint).said).toEqual(['second']);
    const none = after(hint, hint, hint);
    expect(none.said).toEqual(['There are no more hints.']);
    expect(none.standing.hints).toBe(2);
    const remedy = after(right, hint);
    expect(remedy.said).toEqual([`Remedy: ${failure!.remedy}`]);
    expect(remedy.standing).toMatchObject({ hints: 0, isHelped: true });
  });

  test('is given up in two steps: the cause is said, then the repair is left', () => {
    const up: Move = { do: 'give up' };
    expect(after(up).standing).toMatchObject({ phase: 'repair', isFound: false });
    expect(after(up).said[0]).toBe(`It is ${failure!.code}: ${failure!.title}.`);
    expect(after(up, up).standing.phase).toBe('over');
  });

  test('says what can be typed, and changes nothing', () => {
    const { standing, said } = after({ do: 'help', typed: '?' });
    expect(standing).toEqual(begin);
    expect(said).toHaveLength(1);
  });
});

describe('the score', () => {
  test.each<[string, Partial<Standing>, number, number]>([
    ['all', { isFound: true, isRepaired: true }, 60, 40],
    ['a wrong answer and two hints', { isFound: true, wrong: ['a'], hints: 2 }, 35, 0],
    ['never below nothing', { isFound: true, wrong: ['a', 'b', 'c'], hints: 9 }, 0, 0],
    ['the remedy was asked for', { isFound: true, isRepaired: true, isHelped: true }, 60, 20],
    ['given up, but repaired', { isRepaired: true, hints: 1 }, 0, 40],
    ['nothing', {}, 0, 0],
  ])('%s', (_, standing, cause, repair) => {
    const score = { cause, repair, total: cause + repair, maximum: 100 };
    expect(scoreOf({ ...begin, ...standing })).toEqual(score);
  });
});
