import type {
  Diagnosis,
  Evidence,
  Finding,
  HostPort,
  StageVerdict,
  Subject,
} from '../../path/model/finding.ts';
import { formatPort } from '../../path/model/host-ports.ts';
import { stageQuestions, stages } from '../../path/model/stages.ts';
import { podName } from '../../path/view/pod-name.ts';
import { type AlikeFindings, alikeFindings } from './alike-findings.ts';
import { asCalled } from './as-called.ts';
import { safeText } from './safe-text.ts';
import { table } from './table.ts';

/** How a verdict is shown in a cell. */
const MARKS: Readonly<Record<StageVerdict['verdict'], string>> = {
  ok: '✓',
  broken: '✗',
  risk: '!',
  unknown: '?',
  muted: '·',
};

const LEGEND = '✓ holds   ✗ broken   ! at risk   ? unknown   · follows from a ✗';
/** The mark of a finding that is no verdict of any cell, and what is added to the legend where there is one. */
const NOTE = { mark: 'i', legend: '   i a note: looks wrong, but is not' };

/** How many pieces of evidence, and lines of each, are shown before a count of the rest. */
const MAX_EVIDENCE = 6;
const MAX_EVIDENCE_LINES = 12;
/** How much of one line from outside is shown, in characters. */
const MAX_LINE = 2000;

/** A diagnosis for people: one line a mapping, then the findings, worst first, each with the command that fixes it, as this program was called, with the flags that it needs to be about the same cluster. */
export function renderDiagnosis(diagnosis: Diagnosis, program: string, flags?: string): string {
  const { paths, findings, unknowns } = diagnosis;
  const legend = findings.some(({ severity }) => severity === 'note') ? LEGEND + NOTE.legend : LEGEND;
  const parts = [paths.length === 0 ? `${nothing(diagnosis)}\n` : `${pathTable(diagnosis)}\n${legend}\n`];
  for (const { node, what, why } of unknowns) {
    parts.push(
      `\n? ${node === undefined ? '' : `${safeText(node)}: `}${safeText(what)} not known: ${shortened(why)}\n`,
    );
  }
  const reasons = unknownReasons(diagnosis);
  if (reasons.length > 0) parts.push(`\n${reasons.join('')}`);
  for (const alike of alikeFindings(findings)) parts.push(`\n${renderFinding(alike, program, flags)}`);
  parts.push(`\n${summary(diagnosis)}\n`);
  return parts.join('');
}

/** What to say without a mapping: where the pods could not be read, there may be some. */
function nothing({ unknowns }: Diagnosis): string {
  return unknowns.every(({ kind }) => kind !== 'pod')
    ? 'No pod asks for a hostPort.'
    : 'No pod that asks for a hostPort was seen.';
}

/** Why cells are unknown, once for each stage and reason. */
function unknownReasons({ paths }: Diagnosis): string[] {
  const lines = new Map<string, Set<string>>();
  for (const path of paths) {
    for (const stage of stages) {
      const { verdict, reason } = path.stages[stage];
      if (verdict !== 'unknown' || reason === undefined) continue;
      const key = `${stage}: ${shortened(reason)}`;
      lines.set(key, (lines.get(key) ?? new Set()).add(safeText(podName(path.pod))));
    }
  }
  return [...lines].map(([what, pods]) => {
    const names = [...pods];
    const who =
      names.length <= 3 ? names.join(', ') : `${names.slice(0, 3).join(', ')} and ${names.length - 3} more`;
    return `? ${what} (${who})\n`;
  });
}

function pathTable({ paths }: Diagnosis): string {
  return table(
    ['NODE', 'POD', 'PORT', ...stages.map((stage) => stage.toUpperCase())],
    paths.map(({ node, pod, port, family, stages: verdicts }) => [
      node ?? '<none>',
      podName(pod),
      [formatPort(port), family].filter((part) => part !== undefined).join(' '),
      ...stages.map((stage) => MARKS[verdicts[stage].verdict]),
    ]),
  );
}

/** A finding in full, for the one node or the several nodes that it is about. */
function renderFinding({ finding, nodes }: AlikeFindings, program: string, flags?: string): string {
  const { code, stage, severity, subject, message, evidence, explanation, remedy, command, restart } =
    finding;
  const mark = severity === 'broken' ? MARKS.broken : severity === 'risk' ? MARKS.risk : NOTE.mark;
  const lines = [
    `${mark} ${code}  [${stage}] ${safeText(nodes.length > 1 ? describeNodes(subject, nodes) : describeSubject(subject))}`,
    `  ${shortened(message)}`,
  ];
  for (const [i, entry] of evidence.slice(0, MAX_EVIDENCE).entries()) {
    lines.push(...renderEvidence(entry, i === 0 ? 'evidence' : ''));
  }
  if (evidence.length > MAX_EVIDENCE)
    lines.push(`  ${' '.repeat(9)}and ${evidence.length - MAX_EVIDENCE} more`);
  lines.push(...labelled('why', explanation));
  lines.push(...labelled('remedy', remedy));
  // Without a command, heal does not fix it while the pod runs.
  const avoided = restart === 'avoided' && command === undefined ? 'no' : restart;
  lines.push(...labelled('restart', asCalled(RESTARTS[avoided], program, flags)));
  if (command !== undefined) lines.push(...labelled('fix', asCalled(command, program, flags)));
  lines.push(...labelled('read', finding.documentation));
  return `${lines.join('\n')}\n`;
}

const RESTARTS: Readonly<Record<Finding['restart'], string>> = {
  no: 'not needed',
  avoided: 'not needed: hostport heal fixes it while the pod runs',
  needed: 'needed: the pod must be recreated',
};

function renderEvidence({ kind, where, saw }: Evidence, label: string): string[] {
  const lines = saw.trimEnd().split('\n');
  const shown = lines.slice(0, MAX_EVIDENCE_LINES).map(shortened);
  if (lines.length > MAX_EVIDENCE_LINES) shown.push(`… ${lines.length - MAX_EVIDENCE_LINES} more lines`);
  const head = `${kind} ${shortened(where)}:`;
  return shown.length === 1
    ? labelled(label, `${head} ${shown[0]}`)
    : [...labelled(label, head), ...shown.map((line) => `${' '.repeat(13)}${line}`)];
}

function shortened(text: string): string {
  return text.length <= MAX_LINE
    ? safeText(text)
    : `${safeText(text.slice(0, MAX_LINE))} … (${text.length} characters)`;
}

function labelled(label: string, text: string): string[] {
  return [`  ${label.padEnd(9)}${text}`];
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

/** The subject of a finding about several nodes, with its address family if it is about one. */
function describeNodes({ family }: Subject, nodes: readonly string[]): string {
  return `${family === undefined ? '' : `${family} `}nodes ${nodes.join(', ')}`;
}

/** Each mapping counts once, by the worst of its stages; those at risk are mentioned only where there are any. */
function summary({ paths, findings }: Diagnosis): string {
  const counts = { broken: 0, unknown: 0, risk: 0, good: 0 };
  for (const { stages: verdicts } of paths) {
    const has = (verdict: StageVerdict['verdict']) =>
      stages.some((stage) => verdicts[stage].verdict === verdict);
    const worst = (['broken', 'unknown', 'risk'] as const).find(has);
    counts[worst ?? 'good']++;
  }
  const { broken, unknown, risk, good } = counts;
  const causes = findings.filter(({ severity }) => severity !== 'note').length;
  const atRisk = risk === 0 ? '' : `${risk} at risk, `;
  return `${paths.length} ${paths.length === 1 ? 'mapping' : 'mappings'}: ${good} good, ${atRisk}${broken} broken, ${unknown} unknown; ${causes} ${causes === 1 ? 'cause' : 'causes'} found`;
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
