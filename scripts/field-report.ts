/** Writes the tables of docs/quality.md: of cases by what the doctor says of them now, of runs by what is stored of them (test/figures.ts). */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { diagnose } from '../src/path/diagnose/diagnose.ts';
import { FIELD_CASES, type Scene } from '../test/field/cases.ts';
import { type Judged, judgedNow, judgedRightly, type PublicCase } from '../test/field/public-cases.ts';
import { PUBLIC_CONFLISTS } from '../test/field/public-conflists.ts';
import { PUBLIC_RULE_SETS } from '../test/field/public-rule-sets.ts';
import { type Agreement, compareFindings, figuresOf, type Run, type Span, sumOf } from '../test/figures.ts';
import { TOPOLOGIES } from '../test/topologies/cases.ts';

const PAGE = join(import.meta.dir, '../docs/quality.md');

/** The page with its tables as they have to be now. */
export function withFieldTable(page: string): string {
  const tables: readonly (readonly [string, string, () => string[]])[] = [
    ['Cases from the field', 'the cases', fieldTable],
    ['Configurations', 'the configurations', () => publicTable(PUBLIC_CONFLISTS)],
    ['Rule sets', 'the rule sets', () => publicTable(PUBLIC_RULE_SETS)],
    ['Figures', 'the figures', figuresTable],
    ['Agreement', 'the agreement', agreementLines],
    ['Topologies', 'the topologies', topologyTable],
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

/** Right, found of what there was to be found, and right of what was found: of all sources. */
function figuresTable(): string[] {
  const ofScenes = (scenes: readonly Scene[]): Run => ({
    cases: scenes.length,
    right: scenes.filter(isRight).length,
    ...sumOf(scenes.map(({ world, found }) => compareFindings(found, foundIn(world)))),
  });
  const ofPublic = (cases: readonly PublicCase[]): Run => ({
    cases: cases.length,
    right: cases.filter(isPublicRight).length,
    ...sumOf(cases.map((each) => compareFindings(each.found, judgementOf(each).found))),
  });
  const catalogue = figuresOf('catalogue');
  const rows: readonly (readonly [string, Run])[] = [
    ['every failure of the catalogue, in the lab', catalogue],
    ['two failures at once, in the lab', figuresOf('pairs')],
    ['cases from the field', ofScenes(FIELD_CASES.flatMap(({ scenes }) => scenes))],
    ['configurations of others', ofPublic(PUBLIC_CONFLISTS)],
    ['rule sets of others', ofPublic(PUBLIC_RULE_SETS)],
  ];
  return [
    '| source | right / all | recall | precision |',
    '|---|---|---|---|',
    ...rows.map(
      ([source, { cases, right, wanted, found, all }]) =>
        `| ${source} | ${right} / ${cases} | ${shareOf(found, wanted)} | ${shareOf(found, all)} |`,
    ),
    '',
    `In the lab, a failure of the catalogue is found ${inSeconds(catalogue.toFind)} after its injection is over, and healed ${inSeconds(catalogue.toHeal)} later.`,
  ];
}

function shareOf(part: number, all: number): string {
  return `${all === 0 ? '100' : Number(((100 * part) / all).toFixed(1))} % (${part} / ${all})`;
}

function inSeconds({ median, most }: Span): string {
  return `${median} s (median; at most ${most} s)`;
}

function agreementLines(): string[] {
  const runs = Object.entries(figuresOf('agreement'));
  const sum = (count: (run: Agreement[string]) => number) =>
    runs.reduce((all, [, run]) => all + count(run), 0);
  const [ruleSets, packets, known, steps] = [
    sum((run) => run.ruleSets),
    sum((run) => run.packets),
    sum((run) => run.known),
    sum((run) => run.steps),
  ];
  return [
    '| seed | rule sets | packets | judged without an if | rules that took them | disagreements |',
    '|---|---|---|---|---|---|',
    ...runs.map(
      ([seed, run]) =>
        `| ${seed} | ${run.ruleSets} | ${run.packets} | ${shareOf(run.known, run.packets)} | ${run.steps} | 0 |`,
    ),
    `| all | ${ruleSets} | ${packets} | ${shareOf(known, packets)} | ${steps} | 0 |`,
  ];
}

/** What is expected is what was seen: a run with anything else fails. */
function topologyTable(): string[] {
  const runs = figuresOf('topologies');
  return [
    '| how pods are attached | plugins | not answered | what is found |',
    '|---|---|---|---|',
    ...TOPOLOGIES.map(({ shows, withTheirs, silent, found }) => {
      const plugins = withTheirs ? "ours, Debian's" : 'ours';
      if (runs[shows] !== true) return `| ${shows} | not run: the kernel has no such device | | |`;
      const verdict = found.length === 0 ? 'nothing: it is in order' : codesOf(found);
      return `| ${shows} | ${plugins} | ${clientsOf(silent)} | ${verdict} |`;
    }),
  ];
}

function clientsOf(silent: readonly string[]): string {
  if (silent.length === 0) return 'nobody';
  return silent.length === 6 ? 'everybody' : silent.join(', ').replaceAll('ipv', 'IPv');
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
  return isDeepStrictEqual(judgementOf(each), judgedRightly(each));
}

function verdictOf(each: PublicCase): string {
  const { found, stages } = judgementOf(each);
  if (found.length > 0) return codesOf(found);
  const open = Object.values(stages).filter((verdict) => verdict !== 'ok');
  return open.length === 0 ? 'nothing: it is in order' : open.join(', ');
}

/** By world: each is in several tables. */
const found = new WeakMap<Scene['world'], string[]>();
const judged = new WeakMap<PublicCase, Judged>();

/** What is found in a world, without notes: severities and codes. */
export function foundIn(world: Scene['world']): string[] {
  let codes = found.get(world);
  if (codes === undefined) {
    codes = diagnose(world)
      .diagnosis.findings.filter(({ severity }) => severity !== 'note')
      .map(({ severity, code }) => `${severity} ${code}`);
    found.set(world, codes);
  }
  return codes;
}

function judgementOf(each: PublicCase): Judged {
  let judgement = judged.get(each);
  if (judgement === undefined) {
    judgement = judgedNow(each);
    judged.set(each, judgement);
  }
  return judgement;
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
