import { gzipSync } from 'node:zlib';
import type { z } from 'zod';
import { isOwnNetns } from '../../cni/sandbox.ts';
import { reversePathDrops } from '../../path/view/reverse-path-drops.ts';
import { unlessMissing } from '../../sys/errno.ts';
import type { Exec } from '../../sys/exec.ts';
import { withoutLinks } from '../../sys/links.ts';
import { messageOf } from '../../util/errors.ts';
import { VERSION } from '../../util/version.ts';
import { Backups } from '../apply/backup.ts';
import { Journal } from '../apply/journal.ts';
import { ownPluginDirectory } from '../apply/own-plugins.ts';
import { performActions } from '../apply/perform.ts';
import type { ApplyResult } from '../apply/result.ts';
import { lastHeal, undoHeal } from '../apply/undo.ts';
import { sendJobs } from '../probe/send-jobs.ts';
import { readFlowsFrom } from '../report/flows.ts';
import { readMachine } from '../report/machine.ts';
import type { readMountsOf } from '../report/mounts.ts';
import { rememberingExec } from '../report/remembering-exec.ts';
import { readNetstat } from '../report/sysctls.ts';
import { takeNodeReport, whichProgram } from '../report/take.ts';
import { ownPid } from '../trace/own-pid.ts';
import { Traces } from '../trace/traces.ts';
import { type identitySchema, type NodeRequest, requestLineSchema } from './request.ts';

/** What differs where the process runs in a container of the node. */
export interface ServedPlace {
  /** How the mounts of directories are read. */
  mountsOf?: typeof readMountsOf;
  /** Directory of the plugins that belong to this program. */
  ownPlugins?: string;
}

/**
 * Answers requests about the node that this process runs on, each a line of JSON, until there are no more lines. Several are worked on at a
 * time, and an answer is written when it is there. A command that still runs when the lines end is killed: nobody waits for it.
 */
export async function serveRequests(
  lines: AsyncIterable<string>,
  write: (line: string) => void,
  exec: Exec,
  place: ServedPlace = {},
): Promise<void> {
  const end = new AbortController();
  const traces = new Traces();
  const server = nodeServer(exec, end.signal, traces, place);
  try {
    for await (const line of lines) {
      const { id, request, gzip } = requestLineSchema.parse(JSON.parse(line));
      void server(request).then(
        (value) => write(`${answerLine(id, value, gzip === true)}\n`),
        (cause) => write(`${JSON.stringify({ id, error: messageOf(cause) })}\n`),
      );
    }
  } finally {
    end.abort(new Error('nobody waits for the answer'));
    await traces.close();
  }
}

/** An answer that is no smaller is not worth compressing, in characters. */
const LARGE = 16 * 1024;

function answerLine(id: number, value: unknown, mayCompress: boolean): string {
  const text = JSON.stringify(value ?? null);
  if (!mayCompress || text.length < LARGE) return `{"id":${id},"value":${text}}`;
  return JSON.stringify({ id, gzip: gzipSync(text).toString('base64') });
}

function nodeServer(
  exec: Exec,
  signal: AbortSignal,
  traces: Traces,
  { mountsOf, ownPlugins = ownPluginDirectory() }: ServedPlace,
): (request: NodeRequest) => Promise<unknown> {
  const remembering = rememberingExec(exec);
  return async (request) => {
    switch (request.do) {
      case 'identity':
        return identity();
      case 'report':
        return takeNodeReport(request.node, remembering, whichProgram, undefined, mountsOf);
      case 'probes':
        return sendJobs(request.jobs);
      case 'apply': {
        const { actions, heal } = request;
        const backups = new Backups(heal === undefined ? new Date() : new Date(heal));
        const journal = heal === undefined ? undefined : new Journal(heal, backups);
        const context = { exec, backups, ownPlugins, ...(journal && { journal }) };
        const results: ApplyResult[] = [];
        for await (const result of performActions(actions, context)) results.push(result);
        return results;
      }
      case 'resolve':
        return request.paths.map(withoutLinks);
      case 'last-heal':
        return lastHeal() ?? null;
      case 'undo':
        return undoHeal(request.heal);
      case 'flows':
        return readFlowsFrom(exec, new Set(request.sourcePorts));
      case 'reverse-path-drops':
        return reversePathDrops(readNetstat()) ?? null;
      case 'trace-start':
        return traces.start(request.flow);
      case 'trace-stop':
        return traces.stop(request.trace);
      case 'trace-sender':
        return ownPid() ?? null;
      case 'run': {
        const { argv, stdin } = request;
        return exec.run(argv, { signal, ...(stdin === undefined ? {} : { stdin }) });
      }
    }
  };
}

function identity(): z.infer<typeof identitySchema> {
  const { machineId, bootId } = readMachine();
  return {
    version: VERSION,
    ...(machineId !== undefined && { machineId }),
    ...(bootId !== undefined && { bootId }),
    // Who may not look there is not to send anything either.
    inHostNetwork: unlessMissing(() => isOwnNetns('/proc/1/ns/net'), ['EACCES', 'EPERM']) ?? false,
  };
}
