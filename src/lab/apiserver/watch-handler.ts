import { randomInt } from 'node:crypto';
import { groupVersionOf, type KindInfo } from '../../kube/kinds.ts';
import type { Exchange } from './exchange.ts';
import { checkWatchOptions, parseResourceVersion } from './list-options.ts';
import { negotiate } from './negotiation.ts';
import { type ApiObject, decodeStored, prefixOf } from './objects.ts';
import { includeObjectOf, type Presentation, present } from './presentation.ts';
import { isTrue } from './request-info.ts';
import type { ResourceStore } from './resource-store.ts';
import { selectionOf } from './selection.ts';
import { expired, internalError, type StatusError } from './status-error.ts';
import { CompactedError } from './storage.ts';
import type { HubChange, WatchHub } from './watch-hub.ts';

/** A watch without `timeoutSeconds` ends after this long, and up to twice that; as Kubernetes' --min-request-timeout. */
const MIN_TIMEOUT_SECONDS = 1800;
const BOOKMARK_INTERVAL_MS = 60_000;
/** A client that is this far behind is dropped; it lists again. */
const MAX_UNSENT_BYTES = 32 * 1024 * 1024;

/** Answers a watch: events as lines of JSON until the client goes away, time is over or history is lost. */
export async function serveWatch(
  exchange: Exchange,
  kind: KindInfo,
  scope: { namespace: string; name: string },
  store: ResourceStore,
  hub: WatchHub,
): Promise<void> {
  const { info, request, response, signal } = exchange;
  const { query } = info;
  const format = negotiate(request.headers.accept);
  const selection = selectionOf(kind, query, scope.name);
  checkWatchOptions(query);
  const bookmarks = isTrue(query.get('allowWatchBookmarks'));
  const streamsList = isTrue(query.get('sendInitialEvents'));
  const asked = parseResourceVersion(query.get('resourceVersion')) ?? 0;
  const seconds =
    Number(query.get('timeoutSeconds') ?? 0) || MIN_TIMEOUT_SECONDS + randomInt(MIN_TIMEOUT_SECONDS);
  const presentation = (): Presentation => ({
    format: { ...format, encoding: 'json' },
    includeObject: includeObjectOf(query),
    nowMs: Date.now(),
  });

  let start = asked;
  let initial: ApiObject[] = [];
  if (asked === 0 || streamsList) {
    const { namespace } = scope;
    const list = await store.list(kind, { namespace, limit: 0, ...selection });
    initial = list.items;
    start = list.revision;
  }

  const { promise: over, resolve: finish } = Promise.withResolvers<void>();
  const write = (line: string) => {
    response.write(line);
    if (response.writableLength > MAX_UNSENT_BYTES) response.destroy();
  };
  const writeEvent = (type: string, object: unknown) => write(`${JSON.stringify({ type, object })}\n`);
  const writeBookmark = (revision: number, annotations?: Record<string, string>) => {
    const metadata = { resourceVersion: String(revision), creationTimestamp: null, annotations };
    const object = { kind: kind.kind, apiVersion: groupVersionOf(kind), metadata } as unknown as ApiObject;
    const isTable = format.shape === 'table';
    writeEvent(
      'BOOKMARK',
      isTable
        ? { kind: 'Table', apiVersion: 'meta.k8s.io/v1', metadata, columnDefinitions: [], rows: [] }
        : object,
    );
  };

  response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'no-cache, private' });
  response.flushHeaders();
  let isFirst = true;
  /** Tables say what their columns are once a watch. */
  const shown = (object: ApiObject): object => {
    const table = present(kind, object, presentation());
    if (format.shape !== 'table' || isFirst) {
      isFirst = false;
      return table;
    }
    return { ...table, columnDefinitions: null };
  };
  for (const object of initial) writeEvent('ADDED', shown(object));
  if (streamsList && bookmarks) writeBookmark(start, { 'k8s.io/initial-events-end': 'true' });

  const plain = format.shape === 'object';
  const subscription = hub.subscribe(prefixOf(kind, kind.namespaced ? scope.namespace : ''), start, {
    onChange: (change) => {
      const event = eventOf(kind, change, selection.matches);
      if (event === undefined) return;
      if (plain) write(`{"type":"${event.type}","object":${encoded(kind, change, event)}}\n`);
      else writeEvent(event.type, shown(event.object));
    },
    onEnd: (error) => {
      writeEvent('ERROR', statusOf(error, start).toStatus());
      finish();
    },
  });
  const bookmarkTimer = setInterval(() => {
    if (bookmarks) writeBookmark(subscription.revision());
  }, BOOKMARK_INTERVAL_MS);
  const endTimer = setTimeout(() => {
    if (bookmarks) writeBookmark(subscription.revision());
    finish();
  }, seconds * 1000);
  signal.addEventListener('abort', () => finish(), { once: true });
  if (signal.aborted) finish();
  await over;
  clearInterval(bookmarkTimer);
  clearTimeout(endTimer);
  subscription.stop();
  response.end();
}

interface SelectedEvent {
  type: 'ADDED' | 'MODIFIED' | 'DELETED';
  object: ApiObject;
}

/** How a change looks to a watch with a selector: an object that begins to match is added, one that ceases to match is deleted. */
function eventOf(
  kind: KindInfo,
  change: HubChange,
  matches: (object: ApiObject) => boolean,
): SelectedEvent | undefined {
  const now = decoded(kind, change, 'value');
  const before = decoded(kind, change, 'previous');
  const matchesNow = now !== undefined && matches(now);
  const matchedBefore = before !== undefined && matches(before);
  if (matchesNow) return { type: matchedBefore ? 'MODIFIED' : 'ADDED', object: now };
  return matchedBefore ? { type: 'DELETED', object: before } : undefined;
}

/** Parsed once for all watches of a kind. The result is shared and must not be changed. */
function decoded(kind: KindInfo, change: HubChange, which: 'value' | 'previous'): ApiObject | undefined {
  const text = change[which];
  if (text === undefined) return undefined;
  const key = `${groupVersionOf(kind)} ${which}`;
  const known = change.cache.get(key) as ApiObject | undefined;
  if (known !== undefined) return known;
  const object = decodeStored(kind, text, change.revision);
  change.cache.set(key, object);
  return object;
}

function encoded(kind: KindInfo, change: HubChange, event: SelectedEvent): string {
  const key = `${groupVersionOf(kind)} ${event.type === 'DELETED' ? 'previous' : 'value'} text`;
  const known = change.cache.get(key) as string | undefined;
  if (known !== undefined) return known;
  const text = JSON.stringify(event.object);
  change.cache.set(key, text);
  return text;
}

function statusOf(error: Error, start: number): StatusError {
  if (error instanceof CompactedError) return expired(`too old resource version: ${start}`);
  return internalError(error.message);
}
