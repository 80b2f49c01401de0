import { adviceOn } from '../../path/diagnose/advice.ts';
import { type Cause, causesOf } from '../../path/diagnose/causes.ts';
import { countMappings } from '../../path/diagnose/count-mappings.ts';
import { unknownGroups, unknownReasons } from '../../path/diagnose/unknown-groups.ts';
import type { Diagnosis, Evidence, HostPort, Subject, Unknown } from '../../path/model/finding.ts';
import { formatPort } from '../../path/model/host-ports.ts';
import { stageQuestions, stages } from '../../path/model/stages.ts';
import { podName } from '../../path/view/pod-name.ts';
import { andMore } from '../../util/and-more.ts';
import { safeText } from '../../util/safe-text.ts';
import { asCalled } from './as-called.ts';
import { FEW, foldNames } from './fold-names.ts';
import { type Layout, WIDE } from './layout.ts';
import { MARK_STYLES, MARKS, pathTable } from './path-table.ts';
import { wrap, wrapCommand } from './wrap.ts';

const LEGEND = '✓ holds   ✗ broken   ! at risk   ? unknown   · follows from a ✗';
/** The mark of a finding that is no verdict of any cell, and what is added to the legend where there is one. */
const NOTE = { mark: 'i', legend: '   i a note: looks wrong, but is not' };

/** How many pieces of evidence, and lines of each, are shown before a count of the rest. */
const MAX_EVIDENCE = 6;
const MAX_EVIDENCE_LINES = 12;
/** How much of one line from outside is shown, in characters. */
const MAX_LINE = 2000;
/** Where the texts of a finding begin. */
const INDENT = ' '.repeat(11);

/** How a diagnosis is printed: as this program was called, with the flags that a command needs to be about the same cluster. */
interface Printing {
  program: string;
  flags: string;
  layout: Layout;
}

/** A diagnosis for people: one line a mapping, then the causes, worst first, each with the command that fixes it. */
export function renderDiagnosis(
  diagnosis: Diagnosis,
  program: string,
  flags = '',
  layout: Layout = WIDE,
): string {
  const { paths, findings, unknowns } = diagnosis;
  const { width } = layout;
  const legend = findings.some(({ severity }) => severity === 'note') ? LEGEND + NOTE.legend : LEGEND;
  const parts = [
    paths.length === 0
      ? `${nothing(diagnosis)}\n`
      : `${pathTable(paths, layout)}\n${wrap(legend, width, '', '').join('\n')}\n`,
  ];
  for (const line of unknownLines(unknowns, layout)) parts.push(`\n${line}\n`);
  const reasons = unknownCells(diagnosis, width);
  if (reasons.length > 0) parts.push(`\n${reasons.join('')}`);
  const causes = causesOf(findings, paths);
  for (const cause of causes) parts.push(`\n${renderCause(cause, { program, flags, layout })}`);
  parts.push(`\n${wrap(summary(diagnosis, causes), width, '', '').join('\n')}\n`);
  return parts.join('');
}

/** What could not be observed, a paragraph for each reason. */
function unknownLines(unknowns: readonly Unknown[], { width, isUnfolded }: Layout): string[] {
  const line = (who: string, { what, why }: Pick<Unknown, 'what' | 'why'>) =>
    wrap(`${who}${safeText(what)} not known: ${shortened(why)}`, width, '? ', '  ').join('\n');
  if (isUnfolded)
    return unknowns.map((one) => line(one.node === undefined ? '' : `${safeText(one.node)}: `, one));
  return unknownGroups(unknowns).map((group) => {
    const names = group.nodes.map(safeText);
    const number = names.length > 1 ? `${names.length} nodes: ` : '';
    return line(names.length === 0 ? '' : `${number}${foldNames(names, width / 2)}: `, group);
  });
}

/** What to say without a mapping: where the pods could not be read, there may be some. */
function nothing({ unknowns }: Diagnosis): string {
  return unknowns.every(({ kind }) => kind !== 'pod')
    ? 'No pod asks for a hostPort.'
    : 'No pod that asks for a hostPort was seen.';
}

/** Why cells are unknown, a paragraph for each reason. */
function unknownCells({ paths }: Diagnosis, width: number): string[] {
  return unknownReasons(paths).map(({ stages: at, why, paths: of }) => {
    const names = [...new Set(of.map(({ pod }) => safeText(podName(pod))))];
    const text = `${at.join(', ')}: ${shortened(why)} (${andMore(names, FEW)})`;
    return `${wrap(text, width, '? ', '  ').join('\n')}\n`;
  });
}

/** A cause in full, for the one node or the many nodes or pods that it is about. */
function renderCause(cause: Cause, { program, flags, layout }: Printing): string {
  const { finding, example } = cause;
  const { code, stage, severity, message, evidence } = finding;
  const { width, paint } = layout;
  const mark = severity === 'note' ? NOTE.mark : MARKS[severity];
  const style = severity === 'note' ? 'strong' : MARK_STYLES[severity];
  const label = (name: string) => `  ${paint('faint', name.padEnd(9))}`;
  const labelled = (name: string, text: string) => wrap(text, width, label(name), INDENT);
  const lines = [
    ...wrap(
      safeText(describeCause(cause, width)),
      width,
      `${paint(style, `${mark} ${code}`)}  [${stage}] `,
      '  ',
    ),
    ...wrap(shortened(message), width, '  ', '  '),
  ];
  if (example.message !== undefined) lines.push(...wrap(exampleOf(example.message), width, '  ', '  '));
  if (cause.findings.length > 1) lines.push(...names(cause, layout));
  for (const [i, entry] of evidence.slice(0, MAX_EVIDENCE).entries()) {
    lines.push(...renderEvidence(entry, label(i === 0 ? 'evidence' : ''), width));
  }
  if (evidence.length > MAX_EVIDENCE)
    lines.push(...labelled('', `and ${evidence.length - MAX_EVIDENCE} more`));
  if (example.evidence !== undefined && evidence.length > 0)
    lines.push(...labelled('', exampleOf(example.evidence)));
  const { why, remedy, restart, fix, read } = adviceOn(finding, (text) => asCalled(text, program, flags));
  for (const [name, text] of Object.entries({ why, remedy, restart }))
    lines.push(...labelled(name, safeText(text)));
  for (const [name, command] of Object.entries({ fix, read }))
    if (command !== undefined) lines.push(...wrapCommand(command, width, label(name), INDENT));
  return `${lines.join('\n')}\n`;
}

function exampleOf(who: string): string {
  return `(that of ${safeText(who)}; those of the others: -o json)`;
}

function renderEvidence({ kind, where, saw }: Evidence, first: string, width: number): string[] {
  const lines = saw.trimEnd().split('\n');
  const shown = lines.slice(0, MAX_EVIDENCE_LINES).map(shortened);
  if (lines.length > MAX_EVIDENCE_LINES) shown.push(`… ${lines.length - MAX_EVIDENCE_LINES} more lines`);
  const head = `${kind} ${shortened(where)}:`;
  const hang = `${INDENT}  `;
  return shown.length === 1
    ? wrap(`${head} ${shown[0]}`, width, first, hang)
    : [...wrap(head, width, first, hang), ...shown.flatMap((line) => wrap(line, width, hang, `${hang}  `))];
}

function shortened(text: string): string {
  return text.length <= MAX_LINE
    ? safeText(text)
    : `${safeText(text.slice(0, MAX_LINE))} … (${text.length} characters)`;
}

/** What a cause is about: the names where they are few, else how many. */
function describeCause({ finding, findings, nodes, pods }: Cause, width: number): string {
  if (findings.length === 1) return describeSubject(finding.subject);
  const family = finding.subject.family === undefined ? '' : `${finding.subject.family} `;
  if (pods.length > 0)
    return `${family}${count(pods, 'pod')}${nodes.length === 0 ? '' : ` on ${count(nodes, 'node')}`}`;
  const all = nodes.join(', ');
  return isInline(all, width) ? `${family}nodes ${all}` : `${family}${count(nodes, 'node')}`;
}

/** Whether the names of all nodes have a place in the line that names the cause. */
function isInline(all: string, width: number): boolean {
  return all.length <= Math.min(width, USUAL_WIDTH) / 2;
}

const USUAL_WIDTH = 80;

/** The names of nodes and pods that are not in the line above. */
function names({ nodes, pods }: Cause, { width, isUnfolded, paint }: Layout): string[] {
  const labelled = (label: string, all: readonly string[]) => {
    const room = isUnfolded ? Number.POSITIVE_INFINITY : 3 * (width - INDENT.length);
    return wrap(foldNames(all.map(safeText), room), width, `  ${paint('faint', label.padEnd(9))}`, INDENT);
  };
  if (pods.length === 0) return isInline(nodes.join(', '), width) ? [] : labelled('nodes', nodes);
  return [...(nodes.length === 0 ? [] : labelled('nodes', nodes)), ...labelled('pods', pods)];
}

function count(all: readonly string[], what: string): string {
  return `${all.length} ${what}${all.length === 1 ? '' : 's'}`;
}

/** What a finding is about, in a few words. */
export function describeSubject({ node, pod, port, family }: Subject): string {
  const parts: string[] = [];
  if (pod !== undefined) parts.push(`pod ${podName(pod)}`);
  if (port !== undefined) parts.push(formatPort(port as HostPort));
  if (family !== undefined) parts.push(family);
  if (node !== undefined) parts.push(pod === undefined ? `node ${node}` : `on ${node}`);
  return parts.join(' ');
}

/** Those at risk are mentioned only where there are any. */
function summary(diagnosis: Diagnosis, causes: readonly Cause[]): string {
  const { good, risk, broken, unknown } = countMappings(diagnosis);
  const total = diagnosis.paths.length;
  const found = causes.filter(({ finding }) => finding.severity !== 'note');
  const nodes = new Set(found.flatMap((cause) => cause.nodes)).size;
  const atRisk = risk === 0 ? '' : `${risk} at risk, `;
  const where = nodes > 1 ? `on ${nodes} nodes` : 'found';
  return `${total} ${total === 1 ? 'mapping' : 'mappings'}: ${good} good, ${atRisk}${broken} broken, ${unknown} unknown; ${found.length} ${found.length === 1 ? 'cause' : 'causes'} ${where}`;
}

/**
 * Exit status of the doctor: 0 no problems found, 1 something is broken or at risk, 2 inconclusive: a mapping, a node or a pod is unknown.
 * A kind of objects that was not read (Services, policies) is only reported: without it the doctor finds less, but what holds was seen to hold.
 */
export function exitStatusOf({ paths, findings, unknowns }: Diagnosis): 0 | 1 | 2 {
  if (findings.some(({ severity }) => severity !== 'note')) return 1;
  const isUnknown = paths.some((path) => stages.some((stage) => path.stages[stage].verdict === 'unknown'));
  return isUnknown || unknowns.some(({ kind }) => kind === 'node' || kind === 'pod') ? 2 : 0;
}

/** The question of each stage, for `--help`. */
export const stageLegend = stages.map((stage) => `  ${stage.padEnd(12)}${stageQuestions[stage]}`).join('\n');
