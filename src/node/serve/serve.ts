import { reversePathDrops } from '../../path/view/reverse-path-drops.ts';
import type { Exec } from '../../sys/exec.ts';
import { messageOf } from '../../util/errors.ts';
import { Backups } from '../apply/backup.ts';
import { ownPluginDirectory } from '../apply/own-plugins.ts';
import { performActions } from '../apply/perform.ts';
import type { ApplyResult } from '../apply/result.ts';
import { sendFrom } from '../probe/place.ts';
import { readAllFlows } from '../report/flows.ts';
import { rememberingExec } from '../report/remembering-exec.ts';
import { readNetstat } from '../report/sysctls.ts';
import { takeNodeReport } from '../report/take.ts';
import { type NodeRequest, requestLineSchema } from './request.ts';

/**
 * Answers requests about the node that this process runs on, each a line of JSON, until there are no more lines. Several are worked on at a
 * time, and an answer is written when it is there. A command that still runs when the lines end is killed: nobody waits for it.
 */
export async function serveRequests(
  lines: AsyncIterable<string>,
  write: (line: string) => void,
  exec: Exec,
): Promise<void> {
  const end = new AbortController();
  const server = nodeServer(exec, end.signal);
  try {
    for await (const line of lines) {
      const { id, request } = requestLineSchema.parse(JSON.parse(line));
      void server(request).then(
        (value) => write(`${JSON.stringify({ id, value })}\n`),
        (cause) => write(`${JSON.stringify({ id, error: messageOf(cause) })}\n`),
      );
    }
  } finally {
    end.abort(new Error('nobody waits for the answer'));
  }
}

function nodeServer(exec: Exec, signal: AbortSignal): (request: NodeRequest) => Promise<unknown> {
  const remembering = rememberingExec(exec);
  return async (request) => {
    switch (request.do) {
      case 'report':
        return takeNodeReport(request.node, remembering);
      case 'probe':
        return sendFrom(request.job);
      case 'apply': {
        const context = { exec, backups: new Backups(new Date()), ownPlugins: ownPluginDirectory() };
        const results: ApplyResult[] = [];
        for await (const result of performActions(request.actions, context)) results.push(result);
        return results;
      }
      case 'flows':
        return readAllFlows(exec);
      case 'reverse-path-drops':
        return reversePathDrops(readNetstat()) ?? null;
      case 'run': {
        const { argv, stdin } = request;
        return exec.run(argv, { signal, ...(stdin === undefined ? {} : { stdin }) });
      }
    }
  };
}
