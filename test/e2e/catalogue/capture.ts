/**
 * What the doctor and heal print of a failure in the lab, as the pages in docs/failures show it. It is stored in test/fixtures/failures and
 * compared at every run of the catalogue: a text that would be printed differently today is stale. With UPDATE_GOLDEN=1 it is stored again;
 * `bun scripts/failure-pages.ts` then writes the pages.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CAPTURES } from '../../../scripts/failure-pages.ts';
import { renderDiagnosis } from '../../../src/cli/printer/diagnosis.ts';
import type { Diagnosed } from '../../../src/path/diagnose/diagnose.ts';
import { possibleHeal } from '../../../src/path/heal/possible.ts';
import type { Finding } from '../../../src/path/model/finding.ts';
import { describeStep } from '../../../src/path/testing/describe-step.ts';
import { ECHO } from './cluster.ts';

/** How much of the evidence a page shows: lines of the whole text, and characters of each. */
const MAX_LINES = 32;
const MAX_LINE = 160;

/** The finding as the doctor prints it, up to its evidence, in the names of the how-to. */
export function doctorText(finding: Finding, { diagnosis }: Diagnosed, node: string): string {
  const lines = renderDiagnosis(
    { ...diagnosis, paths: [], findings: [finding], unknowns: [] },
    'hostport',
  ).split('\n');
  const begin = lines.findIndex((line) => line.includes(` ${finding.code}  [`));
  const own = inNamesOfHowTo(
    lines
      .slice(
        begin,
        lines.findIndex((line) => line.startsWith('  why ')),
      )
      .join('\n'),
    node,
  );
  const [head, message, ...evidence] = own.split('\n');
  const shown = [head!, message!, ...evidence.map(cut)];
  return `${[...shown.slice(0, MAX_LINES), ...(shown.length > MAX_LINES ? ['           …'] : [])].join('\n')}\n`;
}

function cut(line: string): string {
  return line.length <= MAX_LINE ? line : `${line.slice(0, MAX_LINE - 1)}…`;
}

/** What `hostport heal --only CODE` would do about the finding, or why it does nothing, in the names of the how-to. */
export function healText(finding: Finding, { cases, scene }: Diagnosed, node: string): string {
  const { failure, detection } = cases.find((entry) => entry.finding === finding)!;
  const { heal } = possibleHeal(failure, detection, scene, true);
  const lines =
    heal.by === 'hand'
      ? [`by hand: ${heal.why}`]
      : heal.steps.flatMap((step) => [`- ${step.why}`, `    ${describeStep(step)}`]);
  return `${inNamesOfHowTo(lines.join('\n'), node)}\n`;
}

/** A lane's node, pod and namespace under the names that they have in the how-to's cluster. */
export function inNamesOfHowTo(text: string, node: string): string {
  const cluster = node.replace(/-worker\d*$/, '');
  const namespace = `on-${node}`;
  return text
    .replaceAll(`event pod ${namespace}/`, 'event pod default/')
    .replaceAll(`${namespace}/`, '')
    .replaceAll(namespace, 'default')
    .replace(new RegExp(`(?<!container |[\\w"-])${ECHO}(?![\\w-])`, 'g'), `${ECHO}-${node}`)
    .replaceAll(`${cluster}-`, 'kind-');
}

/** The first line in which two texts differ by more than what is different in every lab: names, numbers, identifiers, and what was cut. */
export function firstDifference(stored: string, printed: string): string | undefined {
  const [a, b] = [stored, printed].map(comparedLines);
  for (let i = 0; i < Math.max(a!.length, b!.length); i++) {
    if (a![i] === undefined || b![i] === undefined || !isAlike(shapeOf(a![i]!), shapeOf(b![i]!)))
      return `stored "${a![i] ?? ''}", printed "${b![i] ?? ''}"`;
  }
  return undefined;
}

/** The lines of a text, without those of an event's message that has several. */
function comparedLines(text: string): string[] {
  let isEvent = false;
  return text
    .trimEnd()
    .split('\n')
    .filter((line) => {
      const isContinued = line.startsWith(' '.repeat(13));
      if (!isContinued) isEvent = /^.{11}event /.test(line);
      return !(isContinued && isEvent);
    });
}

function shapeOf(line: string): string {
  return (
    line
      // Which event comes first, and its words, are a matter of moments; and only some name the default namespace.
      .replace(/^(.{11}event \S+ )(?:default\/)?([^:]+):.*/, '$1$2')
      // Of a probe without an answer, connection tracking shows a translation only sometimes.
      .replace(/^(.{11}probe .*), translated to \S+$/, '$1')
      .replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'TIME')
      .replace(
        /\b(?:[0-9a-f]{2}:){5}[0-9a-f]{2}\b|\bfe80:[0-9a-f:]+|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/g,
        'ID',
      )
      .replace(/kind-worker\d*/g, 'kind-worker')
      .replace(/[0-9a-f]{8,}/g, 'ID')
      .replace(/\d+/g, '0')
  );
}

/** Of two lines that end in `…`, or one that does, only what is before it has to be the same; where nothing is, the line itself. */
function isAlike(a: string, b: string): boolean {
  const [first, second] = [a, b].map((line) => line.replace(/(?<=\S.*)\S*…$/, ''));
  const [isCut, isOtherCut] = [first !== a, second !== b];
  if (isCut && isOtherCut) return first!.startsWith(second!) || second!.startsWith(first!);
  return isCut ? b.startsWith(first!) : isOtherCut ? a.startsWith(second!) : a === b;
}

/** Why what is stored of a failure is stale; nothing when it is not, or has just been stored again. */
export function staleCaptures(code: string, printed: Readonly<Record<'doctor' | 'heal', string>>): string[] {
  return Object.entries(printed).flatMap(([what, text]) => {
    const path = join(CAPTURES, code, `${what}.txt`);
    const difference = existsSync(path)
      ? firstDifference(readFileSync(path, 'utf8'), text)
      : 'nothing is stored';
    if (difference === undefined) return [];
    if (process.env.UPDATE_GOLDEN !== '1')
      return [`${what}.txt is stale (UPDATE_GOLDEN=1 stores it again): ${difference}`];
    mkdirSync(join(CAPTURES, code), { recursive: true });
    writeFileSync(path, text);
    return [];
  });
}
