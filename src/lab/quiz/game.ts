import type { Failure } from '../../path/stages/failure.ts';

/** What is asked, and what there is to say about it. Pure: whoever plays it looks at the lab. */
export interface Round {
  failure: Failure;
  candidates: readonly Failure[];
  /** What may be asked for, in order. */
  hints: readonly string[];
}

/** How a round stands. */
export interface Standing {
  phase: 'cause' | 'repair' | 'over';
  /** Codes that were wrongly named, in order. */
  wrong: readonly string[];
  hints: number;
  isFound: boolean;
  /** Whether the remedy was asked for. */
  isHelped: boolean;
  isRepaired: boolean;
}

export const begin: Standing = {
  phase: 'cause',
  wrong: [],
  hints: 0,
  isFound: false,
  isHelped: false,
  isRepaired: false,
};

/** What a player does. */
export type Move =
  | { do: 'name'; code: string }
  | { do: 'hint' | 'give up' | 'check' | 'quit' }
  | { do: 'help'; typed: string };

/** What a typed line means: the number or the code of a candidate, or a word or its first letter. */
export function readMove(typed: string, { candidates }: Round, { phase }: Standing): Move {
  const word = typed.trim().toLowerCase();
  if (word === 'q' || word === 'quit') return { do: 'quit' };
  if (word === 'h' || word === 'hint') return { do: 'hint' };
  if (word === 'g' || word === 'give up') return { do: 'give up' };
  if (phase === 'repair' && (word === 'c' || word === 'check')) return { do: 'check' };
  const numbered = /^\d{1,2}$/.test(word) ? candidates[Number(word) - 1] : undefined;
  const named = numbered ?? candidates.find(({ code }) => code === word);
  if (phase === 'cause' && named !== undefined) return { do: 'name', code: named.code };
  return { do: 'help', typed };
}

/** How the lab stands when a repair is checked, a line each. */
export interface Checked {
  /** What the doctor finds that was not there before the round. */
  left: readonly string[];
  /** Why it cannot be said whether the hostPort works again. */
  unknown: readonly string[];
}

const NOTHING: Checked = { left: [], unknown: [] };

/** What a move leads to, and what is said about it, a paragraph each. */
export function play(
  round: Round,
  standing: Standing,
  move: Move,
  { left, unknown }: Checked = NOTHING,
): { standing: Standing; said: string[] } {
  const { failure, hints } = round;
  const same = (...said: string[]) => ({ standing, said });
  const asRepair = (change: Partial<Standing>, ...said: string[]) => ({
    standing: { ...standing, ...change, phase: 'repair' as const },
    said: [...said, ...REPAIR],
  });
  switch (move.do) {
    case 'quit':
      return { standing: { ...standing, phase: 'over' }, said: [] };
    case 'help':
      return same(standing.phase === 'cause' ? HOW_TO_NAME : HOW_TO_REPAIR);
    case 'name':
      if (move.code === failure.code)
        return asRepair({ isFound: true }, `Right: ${failure.code}: ${failure.title}.`, failure.explanation);
      if (standing.wrong.includes(move.code)) return same(`${move.code} was not it before, either.`);
      return {
        standing: { ...standing, wrong: [...standing.wrong, move.code] },
        said: [`It is not ${move.code}.`],
      };
    case 'hint': {
      if (standing.phase === 'repair')
        return { standing: { ...standing, isHelped: true }, said: [`Remedy: ${failure.remedy}`] };
      const hint = hints[standing.hints];
      if (hint === undefined) return same('There are no more hints.');
      return { standing: { ...standing, hints: standing.hints + 1 }, said: [hint] };
    }
    case 'give up':
      if (standing.phase === 'repair') return { standing: { ...standing, phase: 'over' }, said: [] };
      return asRepair({}, `It is ${failure.code}: ${failure.title}.`, failure.explanation);
    case 'check':
      if (left.length > 0)
        return same('Not yet. The doctor still finds:', ...left.map((line) => `- ${line}`));
      if (unknown.length > 0) return same('Cannot check the repair:', ...unknown.map((line) => `- ${line}`));
      return { standing: { ...standing, phase: 'over', isRepaired: true }, said: ['Repaired.'] };
  }
}

/** What one may do, in the words of the game. */
export const HOW_TO_NAME =
  'Type the number or the code of the cause; "hint" for the next stage; "give up" for the answer; "quit" to end.';
const HOW_TO_REPAIR =
  'Type "check" when it is repaired; "hint" for the remedy; "give up" to have it undone; "quit" to end.';
const REPAIR = ['Now repair it by hand, in another terminal.', HOW_TO_REPAIR];

/** Points: of 60 for the cause, each wrong answer costs 15 and each hint 5; a repair by hand is worth 40, half of that with the remedy. */
export interface Score {
  cause: number;
  repair: number;
  total: number;
  maximum: number;
}

const CAUSE = 60;
const REPAIRED = 40;
const WRONG = 15;
const HINT = 5;

export function scoreOf({ isFound, wrong, hints, isRepaired, isHelped }: Standing): Score {
  const cause = isFound ? Math.max(0, CAUSE - WRONG * wrong.length - HINT * hints) : 0;
  const repair = isRepaired ? REPAIRED / (isHelped ? 2 : 1) : 0;
  return { cause, repair, total: cause + repair, maximum: CAUSE + REPAIRED };
}
