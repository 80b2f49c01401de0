/** Writes the table of cases from the field into docs/quality.md, by what the doctor says of them now. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { diagnose } from '../src/path/diagnose/diagnose.ts';
import { FIELD_CASES, type Scene } from '../test/field/cases.ts';

const PAGE = join(import.meta.dir, '../docs/quality.md');
const BEGIN = '<!-- Cases from the field: written by scripts/field-report.ts -->';
const END = '<!-- End of the cases -->';

/** The page with its table as it has to be now. */
export function withFieldTable(page: string): string {
  const [before, rest = ''] = page.split(BEGIN);
  const after = rest.split(END)[1];
  if (after === undefined) throw new Error(`docs/quality.md: want ${BEGIN} and ${END}`);
  const rows = [...FIELD_CASES]
    .sort((a, b) => a.number - b.number)
    .map(
      ({ from, scenes }) =>
        `| ${from} | ${scenes.filter(isRight).length} / ${scenes.length} | ${codesOf(scenes)} |`,
    );
  const all = FIELD_CASES.flatMap(({ scenes }) => scenes);
  const table = [
    '| from | right / all | what is found |',
    '|---|---|---|',
    ...rows,
    `| all | ${all.filter(isRight).length} / ${all.length} | |`,
  ];
  return `${before}${BEGIN}\n${table.join('\n')}\n${END}${after}`;
}

/** What is found in a world, without notes: severities and codes. */
export function foundIn(world: Scene['world']): string[] {
  return diagnose(world)
    .diagnosis.findings.filter(({ severity }) => severity !== 'note')
    .map(({ severity, code }) => `${severity} ${code}`);
}

function isRight({ world, found }: Scene): boolean {
  return foundIn(world).join() === found.join();
}

/** The codes that a case is about, each with its page. */
function codesOf(scenes: readonly Scene[]): string {
  const codes = new Set(scenes.flatMap(({ found }) => found.map((each) => each.split(' ')[1]!)));
  return [...codes].map((code) => `[${code}](failures/${code}.md)`).join(', ');
}

if (import.meta.main) writeFileSync(PAGE, withFieldTable(readFileSync(PAGE, 'utf8')));
