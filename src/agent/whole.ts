import type { NodeReport } from '../path/model/node-report.ts';
import type { Observed } from '../path/model/observed.ts';

/** Parts that say nothing about how well the node was observed: CRI-O never reports the first, and the second is the words of a plugin. */
const ASIDE: ReadonlySet<string> = new Set(['loadedNetworks', 'result']);

/**
 * Whether everything was observed that a report has a place for. What is unknown may become known without any change that would be noticed: a runtime
 * answers again, a command succeeds. A file that is known to be no configuration is observed.
 */
export function isWhole(report: Observed<NodeReport>): boolean {
  const waiting: object[] = [report];
  for (let at = waiting.pop(); at !== undefined; at = waiting.pop()) {
    if ('unknown' in at && typeof at.unknown === 'string') return false;
    for (const [name, part] of Object.entries(at)) {
      const isJudged = name === 'content' && 'broken' in at;
      if (typeof part === 'object' && part !== null && !isJudged && !ASIDE.has(name)) waiting.push(part);
    }
  }
  return true;
}
