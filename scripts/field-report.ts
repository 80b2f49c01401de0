/** Writes the tables of cases from the field into docs/quality.md, by what the doctor says of them now. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { diagnose } from '../src/path/diagnose/diagnose.ts';
import { FIELD_CASES, type Scene } from '../test/field/cases.ts';
import { judgedNow, judgedRightly, type PublicCase } from '../test/field/public-cases.ts';
import { PUBLIC_CONFLISTS } from '../test/field/public-conflists.ts';
import { PUBLIC_RULE_SETS } from '../test/field/public-rule-sets.ts';

const PAGE = join(import.meta.dir, '../docs/quality.md');

/** The page with its tables as they have to be now. */
export function withFieldTable(page: string): string {
  const tables: readonly (readonly [string, string, () => string[]])[] = [
    ['Cases from the field', 'the cases', fieldTable],
    ['Configurations', 'the configurations', () => publicTable(PUBLIC_CONFLISTS)],
    ['Rule sets', 'the rule sets', () => publicTable(PUBLIC_RULE_SETS)],
  ];
  return tables.reduce((text, [begin, end, table]) => {
    const opening = `<!-- ${begin}: written by scripts/field-report.ts -->`;
    const closing = `<!-- End of ${end} -->`;
    const [before, rest = ''] = text.split(opening);
    const after = rest.split(closing)[1];
    if (after === undefined) throw new Error(`docs/quality.md: want ${opening} and ${closing}`);
    return `${before}${opening}\n${table().join('\n')}\n${closing}${after}`;
  }, page);
}

function fieldTable(): string[] {
  const rows = [...FIELD_CASES]
    .sort((a, b) => a.number - b.number)
    .map(
      ({ from, scenes }) =>
        `| ${from} | ${scenes.filter(isRight).length} / ${scenes.length} | ${codesOf(scenes.flatMap(({ found }) => found))} |`,
    );
  const all = FIELD_CASES.flatMap(({ scenes }) => scenes);
  return [
    '| from | right / all | what is found |',
    '|---|---|---|',
    ...rows,
    `| all | ${all.filter(isRight).length} / ${all.length} | |`,
  ];
}

function publicTable(cases: readonly PublicCase[]): string[] {
  const rows = cases.map((each) => `| ${each.from} | ${each.shows} | ${verdictOf(each)} |`);
  return [
    '| from | what it shows | what is found |',
    '|---|---|---|',
    ...rows,
    `| all | right | ${cases.filter(isPublicRight).length} / ${cases.length} |`,
  ];
}

function isPublicRight(each: PublicCase): boolean {
  return isDeepStrictEqual(judgedNow(each), judgedRightly(each));
}

function verdictOf(each: PublicCase): string {
  const { found, stages } = judgedNow(each);
  if (found.length > 0) return codesOf(found);
  const open = Object.values(stages).filter((verdict) => verdict !== 'ok');
  return open.length === 0 ? 'nothing: it is in order' : open.join(', ');
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

/** The codes of what was found, each with its page. */
function codesOf(found: readonly string[]): string {
  const codes = new Set(found.map((each) => each.split(' ')[1]!));
  return [...codes].map((code) => `[${code}](failures/${code}.md)`).join(', ');
}

if (import.meta.main) writeFileSync(PAGE, withFieldTable(readFileSync(PAGE, 'utf8')));
