import type { Diagnosis } from '../../path/model/finding.ts';
import { renderDiagnosis } from './diagnosis.ts';
import { renderJson, renderJsonPieces, renderYaml } from './document.ts';
import { type Layout, WIDE } from './layout.ts';
import { renderSummary, summaryOf } from './summary.ts';
import { paragraph } from './wrap.ts';

const DOCUMENT_FORMATS = ['table', 'wide', 'json', 'yaml', 'ndjson'] as const;
/** Those of one whole diagnosis, for people elsewhere: see page-output.ts. */
export const PAGE_FORMATS = ['html', 'markdown'] as const;
/** `-o` of the doctor. */
export const DIAGNOSIS_FORMATS = [...DOCUMENT_FORMATS, ...PAGE_FORMATS] as const;

export type DiagnosisFormat = (typeof DIAGNOSIS_FORMATS)[number];
export type PageFormat = (typeof PAGE_FORMATS)[number];

/** Whether a format is a page. */
export function isPage(format: DiagnosisFormat): format is PageFormat {
  return PAGE_FORMATS.some((page) => page === format);
}

export interface DiagnosisOutput {
  output: (typeof DOCUMENT_FORMATS)[number];
  /** Numbers only. */
  summary: boolean;
  /** One of several documents in a row. */
  isRepeated: boolean;
  /** Names what was examined. */
  title: string;
  /** Said in place of a table that would be empty for another reason than that there is nothing. */
  ifEmpty: string | undefined;
  /** As this program was called, and the flags by which its cluster was meant. */
  program: string;
  flags: string;
  layout: Layout;
}

/** A diagnosis as it was asked for, in pieces. */
export function* diagnosisOutput(diagnosis: Diagnosis, options: DiagnosisOutput): Generator<string> {
  const { output, summary, isRepeated, title, program, flags, layout } = options;
  if (output === 'ndjson') return yield* lines(diagnosis, summary);
  const document = { ...(summary ? summaryOf(diagnosis) : diagnosis) };
  if (output === 'json') return yield* renderJsonPieces(document, isRepeated ? 0 : 2);
  if (output === 'yaml') return yield `${isRepeated ? '---\n' : ''}${renderYaml(document)}`;
  const shown = output === 'wide' ? { ...WIDE, paint: layout.paint } : layout;
  yield `${paragraph(title, shown)}\n`;
  if (summary) return yield renderSummary(summaryOf(diagnosis), shown);
  const { paths, findings, unknowns } = diagnosis;
  const isEmpty = paths.length + findings.length + unknowns.length === 0;
  if (isEmpty && options.ifEmpty !== undefined) return yield paragraph(options.ifEmpty, shown);
  yield renderDiagnosis(diagnosis, program, flags, shown);
}

/**
 * One JSON document a line, each with its `kind`: the summary, then every mapping, finding and unknown. A reader needs no more memory than for
 * one of them.
 */
function* lines(diagnosis: Diagnosis, summary: boolean): Generator<string> {
  const { paths, findings, unknowns } = diagnosis;
  yield renderJson(summaryOf(diagnosis), 0);
  if (summary) return;
  for (const path of paths) yield renderJson({ kind: 'Path', path }, 0);
  for (const finding of findings) yield renderJson({ kind: 'Finding', finding }, 0);
  for (const unknown of unknowns) yield renderJson({ kind: 'Unknown', unknown }, 0);
}
