import { stages } from '../../path/model/stages.ts';
import type { PageIndex } from './page-index.ts';
import { SIGNS } from './signs.ts';

/** How a mapping is, in a few words: `broken at installed: plugin-missing`. */
export function inWords(index: PageIndex, path: number): string {
  const state = index.stateOf(path);
  if (state === 'good') return 'every stage holds';
  const cells = index.cells(path);
  const at = cells.findIndex(({ verdict }) => verdict === state);
  const codes = cells[at]!.codes.join(', ');
  return `${SIGNS[state].word} at ${stages[at]}${codes === '' ? '' : `: ${codes}`}`;
}
