import { safeText } from '../util/safe-text.ts';
import type { CauseData } from './data.ts';
import { type PageInput, pageData } from './model.ts';
import { count } from './view/count.ts';
import { hurtText } from './view/hurt-text.ts';
import { inWords } from './view/in-words.ts';
import { NO_FILTER, PageIndex } from './view/page-index.ts';
import { SIGNS } from './view/signs.ts';
import { verdictOf } from './view/verdict.ts';

/** What is written out before a count of the rest: an issue has room for 65,536 characters, and a reader for less. */
const MAX_CAUSES = 12;
const MAX_EVIDENCE = 4;
const MAX_LINES = 12;
const MAX_LINE = 300;
const MAX_MAPPINGS = 30;
const MAX_UNKNOWNS = 20;
/** Characters of evidence of all causes together. */
const MAX_EVIDENCE_TEXT = 30_000;

/** A diagnosis as Markdown (GitHub's), for an issue or a chat: the verdict, the causes with their fixes, and what does not work. */
export function pageMarkdown(input: PageInput): string {
  const data = pageData(input);
  const index = new PageIndex(data);
  const { causes, unknowns, unknownStages } = data;
  const room = { left: MAX_EVIDENCE_TEXT };
  const bad = index.matching(NO_FILTER).filter((path) => index.stateOf(path) !== 'good');
  const parts = [
    `## ${textOf(verdictOf(index))}`,
    `${textOf(data.title)}, ${textOf(data.observedAt)}, by hostport ${textOf(data.version)}${
      index.length < data.examined
        ? `; ${index.length} of ${count(data.examined, 'hostPort')}, as chosen`
        : ''
    }`,
    ...causes.slice(0, MAX_CAUSES).flatMap((cause) => causeParts(cause, index, room)),
    ...moreOf(causes.length - MAX_CAUSES, 'cause'),
    ...(bad.length === 0 ? [] : [mappingTable(bad.slice(0, MAX_MAPPINGS), index)]),
    ...moreOf(bad.length - MAX_MAPPINGS, 'mapping'),
    ...(unknowns.length === 0
      ? []
      : [
          '### What could not be observed',
          unknowns
            .slice(0, MAX_UNKNOWNS)
            .map(({ nodes, what, why }) => {
              const [first] = nodes;
              const who =
                nodes.length === 1 ? index.text(first) : nodes.length > 1 ? count(nodes.length, 'node') : '';
              return `- ${who === '' ? '' : `${codeOf(who)}: `}${textOf(what)}: ${textOf(why)}`;
            })
            .join('\n'),
        ]),
    ...moreOf(unknowns.length - MAX_UNKNOWNS, 'unknown'),
    ...(unknownStages.length === 0
      ? []
      : [
          '### Why stages are unknown',
          unknownStages
            .slice(0, MAX_UNKNOWNS)
            .map(
              ({ stages, why, paths }) =>
                `- ${stages.join(', ')} of ${count(paths, 'mapping')}: ${textOf(why)}`,
            )
            .join('\n'),
        ]),
    ...moreOf(unknownStages.length - MAX_UNKNOWNS, 'reason'),
  ];
  return `${parts.join('\n\n')}\n`;
}

function moreOf(number: number, what: string): string[] {
  return number > 0 ? [`And ${count(number, `more ${what}`)}.`] : [];
}

function causeParts(cause: CauseData, index: PageIndex, room: { left: number }): string[] {
  const { code, stage, severity, message, advice } = cause;
  const { why, remedy, restart, fix, read } = advice;
  const sign = severity === 'note' ? 'i' : SIGNS[severity].sign;
  return [
    `### ${sign} ${codeOf(code)} at ${stage}${severity === 'note' ? '' : `: ${hurtText(cause)}`}`,
    textOf(message),
    ...(fix === undefined ? [] : [fenced(safeText(fix), 'sh')]),
    `**Why:** ${proseOf(why)}`,
    `**Remedy:** ${proseOf(remedy)}`,
    `**Restart:** ${proseOf(restart)}`,
    `**Read:** ${codeOf(read)}`,
    ...evidenceParts(cause, index, room),
  ];
}

function evidenceParts({ findings }: CauseData, index: PageIndex, room: { left: number }): string[] {
  const { data } = index;
  const [first] = findings;
  const all = data.findings.evidence[first!] ?? [];
  if (all.length === 0) return [];
  const shown = all.slice(0, MAX_EVIDENCE).map((place) => {
    const [kind, where, saw] = data.evidence[place]!;
    const lines = index.text(saw).trimEnd().split('\n');
    const more = lines.length > MAX_LINES ? [`… ${lines.length - MAX_LINES} more lines`] : [];
    const text = [...lines.slice(0, MAX_LINES).map((line) => shortened(safeText(line))), ...more].join('\n');
    return `${textOf(index.text(kind))} ${codeOf(index.text(where))}:\n\n${fenced(text)}`;
  });
  room.left -= shown.join().length;
  if (room.left < 0) return ['Its evidence has no room here: `hostport doctor -o html` has it.'];
  const whose = findings.length > 1 ? `Evidence of the first of ${findings.length}` : 'Evidence';
  return [
    `<details><summary>${whose}</summary>`,
    ...shown,
    ...moreOf(all.length - MAX_EVIDENCE, 'piece'),
    '</details>',
  ];
}

function mappingTable(paths: readonly number[], index: PageIndex): string {
  const rows = paths.map((path) =>
    [
      `${SIGNS[index.stateOf(path)].sign} ${inWords(index, path)}`,
      codeOf(index.node(path) || '-'),
      codeOf(index.pod(path)),
      codeOf(index.port(path)),
    ].join(' | '),
  );
  const head = ['| state | node | pod | hostPort |', '| --- | --- | --- | --- |'];
  return [...head, ...rows.map((row) => `| ${row} |`)].join('\n');
}

function shortened(text: string): string {
  return text.length <= MAX_LINE ? text : `${text.slice(0, MAX_LINE)} … (${text.length} characters)`;
}

/**
 * A text from outside, of which nothing is markup, a link, a mention, or a line, list or block of its own. GitHub makes links of bare addresses,
 * where no backslash helps: a comment parts them.
 */
function textOf(text: string): string {
  return shortened(safeText(text))
    .replace(/[\\`*_[\]<>|~&#$]/g, (character) => `\\${character}`)
    .replace(/@|:(?=\/\/)|www(?=\.)/gi, (found) => `${found}<!-- -->`)
    .replace(/^ +/, ' ')
    .replace(/^( ?)(?=[-+](?:[ -]|$))|^( ?\d+)(?=[.)](?: |$))/, '$1$2\\');
}

/** A text of the documentation, in which code is between backticks, with names from outside in it. */
function proseOf(text: string): string {
  const parts = shortened(text).split('`');
  return parts
    .map((part, i) =>
      i % 2 === 1 && i < parts.length - 1 ? codeOf(part) : textOf(i % 2 === 1 ? `\`${part}` : part),
    )
    .join('');
}

/** A name as code. In a table a bar would end the cell, in code as well. */
function codeOf(text: string): string {
  const safe = shortened(safeText(text)).replaceAll('|', '¦');
  const ticks = '`'.repeat(longestRun(safe) + 1);
  const space = /^[ `]|[ `]$/.test(safe) ? ' ' : '';
  return safe === '' ? '' : `${ticks}${space}${safe}${space}${ticks}`;
}

function fenced(text: string, language = ''): string {
  const ticks = '`'.repeat(Math.max(3, longestRun(text) + 1));
  return `${ticks}${language}\n${text}\n${ticks}`;
}

/** The length of the longest run of backticks. */
function longestRun(text: string): number {
  return Math.max(0, ...(text.match(/`+/g) ?? []).map(({ length }) => length));
}
