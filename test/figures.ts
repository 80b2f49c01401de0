/**
 * How right the doctor was in runs that take more than a unit test: what they had is stored in test/fixtures/figures with UPDATE_GOLDEN=1, and
 * `bun scripts/field-report.ts` writes it into docs/quality.md.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const DIRECTORY = join(import.meta.dir, 'fixtures/figures');

/** Findings without notes, of several cases. */
export interface Findings {
  /** Those that there are to be found. */
  wanted: number;
  /** Those of them that were found. */
  found: number;
  /** All that were found. */
  all: number;
}

/** A run of several cases; a case is right when nothing of it was different. */
export interface Run extends Findings {
  cases: number;
  right: number;
}

/** How long cases of a run took, in seconds. */
export interface Span {
  median: number;
  most: number;
}

/** Runs of the evaluator against the kernel, by their seeds. Counts are of packets, but for `ruleSets` and `steps`. */
export type Agreement = Readonly<
  Record<string, { ruleSets: number; packets: number; known: number; steps: number }>
>;

export interface Figures {
  /** Every failure of the catalogue in the lab, and how long it took from its injection to its finding, and on to being healed. */
  catalogue: Run & { toFind: Span; toHeal: Span };
  /** Two failures at once. */
  pairs: Run;
  agreement: Agreement;
  /** Whether each of test/topologies was run, by what it is: the kernel has not all kinds of devices. */
  topologies: Readonly<Record<string, boolean>>;
}

/** What is stored of a run. */
export function figuresOf<Name extends keyof Figures>(name: Name): Figures[Name] {
  return JSON.parse(readFileSync(pathOf(name), 'utf8')) as Figures[Name];
}

/** Stores what a run had, where figures are to be stored. */
export function storeFigures<Name extends keyof Figures>(name: Name, figures: () => Figures[Name]): void {
  if (process.env.UPDATE_GOLDEN !== '1') return;
  mkdirSync(DIRECTORY, { recursive: true });
  writeFileSync(pathOf(name), `${JSON.stringify(figures(), null, 2)}\n`);
}

function pathOf(name: keyof Figures): string {
  return join(DIRECTORY, `${name}.json`);
}

export function spanOf(seconds: readonly number[]): Span {
  const inOrder = [...seconds].sort((a, b) => a - b);
  return { median: inOrder[Math.floor(inOrder.length / 2)] ?? 0, most: inOrder.at(-1) ?? 0 };
}

export function sumOf(findings: readonly Findings[]): Findings {
  const sum = (count: (of: Findings) => number) => findings.reduce((all, each) => all + count(each), 0);
  return { wanted: sum((of) => of.wanted), found: sum((of) => of.found), all: sum((of) => of.all) };
}

/** Of what there is to be found and what was found, each once. */
export function compareFindings(wanted: readonly string[], seen: readonly string[]): Findings {
  const left = [...seen];
  const found = wanted.filter((each) => {
    const at = left.indexOf(each);
    if (at >= 0) left.splice(at, 1);
    return at >= 0;
  });
  return { wanted: wanted.length, found: found.length, all: seen.length };
}
