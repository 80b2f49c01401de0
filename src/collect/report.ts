import { z } from 'zod';
import { type NodeReport, nodeReportSchema } from '../path/model/node-report.ts';
import { NODE_REPORT_VERSION } from '../path/model/node-report-version.ts';
import type { Observed } from '../path/model/observed.ts';
import { messageOf } from '../util/errors.ts';
import { checkDepth, parseJson } from '../util/parse-json.ts';
import { schemaProblem } from './schema-problem.ts';

const reasonSchema = z.strictObject({ unknown: z.string() });

/**
 * The report of a node, or the reason why there is none, from its document; `what` names that in the reason. Any problem with it makes
 * this node unknown, and no other.
 */
export function parseReport(text: string, what: string): Observed<NodeReport> {
  try {
    return parseReportDocument(parseJson(text, what), what);
  } catch (cause) {
    return { unknown: messageOf(cause) };
  }
}

/** As {@link parseReport}, of a document that is parsed already. */
export function parseReportDocument(document: unknown, what: string): Observed<NodeReport> {
  try {
    checkDepth(document, what);
    const version = (document as { apiVersion?: unknown } | null)?.apiVersion;
    if (typeof version === 'string' && version !== NODE_REPORT_VERSION) {
      const theirs = JSON.stringify(version.slice(0, 100));
      return {
        unknown: `${what}: its apiVersion is ${theirs}, and this program reads ${NODE_REPORT_VERSION}: take it with "hostport node-report" of this version`,
      };
    }
    const isReason = typeof document === 'object' && document !== null && 'unknown' in document;
    const parsed = (isReason ? reasonSchema : nodeReportSchema).safeParse(document);
    if (!parsed.success) return { unknown: `${what}: ${schemaProblem(parsed.error)}` };
    return isReason ? (parsed.data as { unknown: string }) : { value: parsed.data as NodeReport };
  } catch (cause) {
    return { unknown: messageOf(cause) };
  }
}
