import type { CellData } from '../data.ts';
import type { State } from './page-index.ts';

/** A verdict on a stage, or the state of a mapping. */
export type Kind = CellData['verdict'] | State;

/** The sign and the word of each: nothing is said by colour alone. */
export const SIGNS: Readonly<Record<Kind, { sign: string; word: string }>> = {
  broken: { sign: '✗', word: 'broken' },
  risk: { sign: '!', word: 'at risk' },
  unknown: { sign: '?', word: 'unknown' },
  muted: { sign: '·', word: 'follows' },
  ok: { sign: '✓', word: 'holds' },
  good: { sign: '✓', word: 'good' },
};
