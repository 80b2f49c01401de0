import { once } from 'node:events';
import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Pod } from '../../../kube/types.ts';
import { type LogOptions, readLog } from '../logs/read-log.ts';
import { HttpError } from './http-error.ts';
import type { Served } from './served.ts';

/**
 * GET /containerLogs/NAMESPACE/POD/CONTAINER: the log of the container's newest run or, with `previous`, of the one before.
 * Parameters as in PodLogOptions.
 */
export async function containerLogs(
  kubelet: Served,
  pod: Pod,
  container: string,
  query: URLSearchParams,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const defined = [...(pod.spec?.containers ?? []), ...(pod.spec?.initContainers ?? [])];
  const name = pod.metadata!.name;
  if (!defined.some((candidate) => candidate.name === container)) {
    throw new HttpError(
      404,
      `container ${JSON.stringify(container)} in pod ${JSON.stringify(name)} is not found`,
    );
  }
  const runs = await kubelet.containerRuns(pod, container);
  const begun = runs.filter(({ state }) => state !== 'created');
  const previous = query.get('previous') === 'true';
  const run = begun[previous ? 1 : 0];
  if (run === undefined && previous) {
    throw new HttpError(
      400,
      `previous terminated container ${JSON.stringify(container)} in pod ${JSON.stringify(name)} not found`,
    );
  }
  if (run === undefined) {
    throw new HttpError(
      400,
      `container ${JSON.stringify(container)} in pod ${JSON.stringify(name)} is waiting to start: ${waitingReason(pod, container)}`,
    );
  }
  // Once the answer has begun there is no way left to say that there is nothing to read.
  await access(run.logPath, constants.R_OK);
  const gone = new AbortController();
  response.once('close', () => gone.abort());
  request.socket.once('close', () => gone.abort());
  const options = logOptions(query, Date.now());
  if (query.get('follow') === 'true') {
    options.follow = {
      signal: gone.signal,
      running: async () => (await kubelet.runtime.containerStatus(run.id))?.state === 'running',
    };
  }
  response.writeHead(200, { 'content-type': 'text/plain' });
  response.flushHeaders();
  for await (const chunk of readLog(run.logPath, options)) {
    if (gone.signal.aborted) return;
    if (!response.write(chunk)) await Promise.race([once(response, 'drain'), once(response, 'close')]);
  }
  response.end();
}

/** @throws HttpError naming the parameter. */
export function logOptions(query: URLSearchParams, now: number): LogOptions {
  const count = (name: string): number | undefined => {
    const text = query.get(name);
    if (text === null || text === '') return undefined;
    const value = Number(text);
    if (!Number.isInteger(value) || value < 0) throw new HttpError(400, `${name}: not a count: ${text}`);
    return value;
  };
  const options: LogOptions = { tailLines: count('tailLines'), limitBytes: count('limitBytes') };
  const seconds = count('sinceSeconds');
  const time = query.get('sinceTime');
  if (seconds !== undefined && time !== null) {
    throw new HttpError(400, 'at most one of sinceTime or sinceSeconds may be specified');
  }
  if (seconds !== undefined) options.since = now - seconds * 1000;
  if (time !== null) {
    options.since = Date.parse(time);
    if (Number.isNaN(options.since)) throw new HttpError(400, `sinceTime: not a time: ${time}`);
  }
  options.timestamps = query.get('timestamps') === 'true';
  return options;
}

function waitingReason(pod: Pod, container: string): string {
  const statuses = [...(pod.status?.containerStatuses ?? []), ...(pod.status?.initContainerStatuses ?? [])];
  const reason =
    statuses.find(({ name }) => name === container)?.state?.waiting?.reason ?? 'ContainerCreating';
  // The wording that clients of the API server expect.
  return reason === 'ErrImagePull' || reason === 'ImagePullBackOff'
    ? 'trying and failing to pull image'
    : reason;
}
