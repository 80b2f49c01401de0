import { arch, cpus, release } from 'node:os';
import type { Fact, SpecFact } from '../test/real/facts.ts';
import { type JunitCase as Case, casesIn } from './junit-report.ts';

interface Tally {
  passed: number;
  failed: string[];
  seconds: number;
  /** Why nothing of it ran. */
  skipped?: string;
}

/** What `make test-real` ran, as a page: each suite with each subject, how long it took, and what was measured. A later report replaces what it has, too. */
export function realReport(
  junit: readonly string[],
  facts: readonly Fact[],
  versions: readonly string[],
): string {
  const last = new Map(junit.flatMap(casesIn).map((one) => [`${one.suite}\n${one.name}`, one]));
  const cases = [...last.values()];
  const subjects = unique(cases.flatMap(({ suite }) => splitSuite(suite)?.subject ?? []));
  const suites = unique(cases.flatMap(({ suite }) => splitSuite(suite)?.suite ?? []));
  const others = unique(cases.map(({ suite }) => suite).filter((suite) => splitSuite(suite) === undefined));
  const failed = cases.filter(({ outcome }) => outcome === 'failed');
  const of = (wanted: (suite: string) => boolean) => tally(cases.filter(({ suite }) => wanted(suite)));
  const cell = (subject: string, suite: string) =>
    describeTally(of((text) => splitSuite(text)?.subject === subject && splitSuite(text)?.suite === suite));
  return [
    '# What runs on real programs',
    '',
    'Written by `make test-real`, which [docs/kubernetes.md](kubernetes.md) describes. The same tests run with each of these; each failure of the',
    'catalogue is injected, found as exactly that, healed, undone, and found healthy.',
    '',
    ...row(['suite', ...subjects]),
    ...row(['---', ...subjects.map(() => '---')]),
    ...suites.flatMap((suite) => row([suite, ...subjects.map((subject) => cell(subject, suite))])),
    ...(others.length === 0
      ? []
      : [
          '',
          ...row(['other tests', '']),
          ...row(['---', '---']),
          ...others.flatMap((suite) =>
            row([suite || 'by themselves', describeTally(of((text) => text === suite))]),
          ),
        ]),
    '',
    ...row(['measured', ...subjects]),
    ...row(['---', ...subjects.map(() => '---')]),
    ...unique(facts.map(({ what }) => what)).flatMap((what) =>
      row([what, ...subjects.map((subject) => measured(facts, subject, what))]),
    ),
    '',
    `Versions: ${versions.join(', ')}. Machine: ${cpus().length} processors, Linux ${release()}, ${arch()}.`,
    '',
    ...(failed.length === 0
      ? []
      : ['Failed:', '', ...failed.map(({ suite, name }) => `- ${suite}: ${name}`), '']),
  ].join('\n');
}

/** Begins the part of the page that `make test-conformance` writes; it goes to the end. */
const SPECS_TITLE = "## Specs of Kubernetes' own end-to-end suite";

/** Which specs of Kubernetes' own suite passed on which engine, as a part of the page. */
export function specsSection(specs: readonly SpecFact[]): string {
  const engines = unique(specs.map(({ engine }) => engine));
  const of = (engine: string, wanted: (spec: SpecFact) => boolean) =>
    specs.filter((spec) => spec.engine === engine && wanted(spec));
  const outcome = (ran: readonly SpecFact[]) =>
    ran.length === 0
      ? 'not run'
      : `${ran.filter(({ state }) => state === 'passed').length} of ${ran.length}, ${ran.reduce((sum, { seconds }) => sum + seconds, 0)} s`;
  const groups = unique(specs.map(({ group }) => group));
  const names = unique(specs.flatMap(({ group, name }) => (group === groups[0] ? [name] : [])));
  return [
    SPECS_TITLE,
    '',
    'Written by `make test-conformance`, which runs apart from the other tests. One spec waits five minutes for a pod that must not start.',
    '',
    ...row(['specs', ...engines]),
    ...row(['---', ...engines.map(() => '---')]),
    ...groups.flatMap((group) =>
      row([group, ...engines.map((engine) => outcome(of(engine, (spec) => spec.group === group)))]),
    ),
    ...names.flatMap((name) =>
      row([
        `\`${name}\``,
        ...engines.map((engine) => of(engine, (spec) => spec.name === name)[0]?.state ?? 'not run'),
      ]),
    ),
    '',
  ].join('\n');
}

/** A page with another part about specs, or with its first. */
export function withSpecs(page: string, section: string): string {
  return `${withoutSpecs(page).trimEnd()}\n\n${section}`;
}

/** The part about specs of a page that is written again without running them; empty if it has none. */
export function specsOf(page: string): string {
  const at = page.indexOf(SPECS_TITLE);
  return at === -1 ? '' : page.slice(at);
}

function withoutSpecs(page: string): string {
  return page.slice(0, page.length - specsOf(page).length);
}

function row(cells: readonly string[]): string[] {
  return [`| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`];
}

function measured(facts: readonly Fact[], subject: string, what: string): string {
  const fact = facts.findLast((each) => each.subject === subject && each.what === what);
  if (fact === undefined) return '';
  return fact.value < 100 ? fact.value.toFixed(1) : String(Math.round(fact.value));
}

function splitSuite(text: string): { subject: string; suite: string } | undefined {
  const match = /^(.+): ([^:(]+?)(?: \(.*\))?$/.exec(text);
  return match === null ? undefined : { subject: match[1]!, suite: match[2]! };
}

function tally(cases: readonly Case[]): Tally {
  const ran = cases.filter(({ outcome }) => outcome !== 'skipped');
  const why = cases.find(({ outcome }) => outcome === 'skipped')?.suite.match(/\((.*)\)$/)?.[1];
  return {
    passed: ran.filter(({ outcome }) => outcome === 'passed').length,
    failed: ran.flatMap(({ outcome, name }) => (outcome === 'failed' ? [name] : [])),
    seconds: ran.reduce((sum, { seconds }) => sum + seconds, 0),
    ...(ran.length === 0 && why !== undefined && { skipped: why }),
  };
}

function describeTally({ passed, failed, seconds, skipped }: Tally): string {
  if (skipped !== undefined) return `not run: ${skipped}`;
  const all = passed + failed.length;
  return all === 0 ? '' : `${passed} of ${all}, ${Math.round(seconds)} s`;
}

function unique<T>(values: readonly T[]): T[] {
  return [...new Set(values)];
}
