import { type KindInfo, ownKind } from '../../kube/kinds.ts';
import { APPLY_TYPE, apply, parseConfiguration } from './applying.ts';
import { checkFields, decodeObject } from './decoding.ts';
import type { DeleteOptions } from './deletion.ts';
import { answer, contentTypeOf, type Exchange, parseBody, readBody } from './exchange.ts';
import { invalidField } from './field-errors.ts';
import { writingOf } from './field-tracking.ts';
import { limitOf, listVersionOf, parseResourceVersion } from './list-options.ts';
import { negotiate } from './negotiation.ts';
import { type ApiObject, targetOf } from './objects.ts';
import { dryRunOf, fieldValidationOf, type OptionsKind } from './options-errors.ts';
import { parsePatch, patchResultError } from './patching.ts';
import { includeObjectOf, type Presentation, present, presentList } from './presentation.ts';
import type { ResourcePath } from './request-info.ts';
import { checkIdentity, type ResourceStore, type WriteCheck } from './resource-store.ts';
import { selectionOf } from './selection.ts';
import { badRequest, invalid, methodNotAllowed, StatusError } from './status-error.ts';
import { serveWatch } from './watch-handler.ts';
import type { WatchHub } from './watch-hub.ts';
import { applyOptionsOf, managerOf, refuseForce } from './write-options.ts';

/** Kinds whose deletion answers with the object and not with a Status, as in Kubernetes. */
const RETURNS_DELETED = new Set(['Pod', 'Service', 'ServiceAccount']);

/** Kinds whose objects are only replaced by who has seen what they replace. */
function needsVersion(kind: KindInfo): boolean {
  return kind.custom === true || kind.kind === 'CustomResourceDefinition';
}

/** Answers requests for objects and collections of kinds that are stored. */
export class ResourceHandler {
  readonly #store: ResourceStore;
  readonly #hub: WatchHub;

  constructor(store: ResourceStore, hub: WatchHub) {
    this.#store = store;
    this.#hub = hub;
  }

  /** `path.subresource` is '' or one that has the kind's own objects (`status`, `finalize`). */
  async handle(exchange: Exchange, kind: KindInfo, path: ResourcePath, check: WriteCheck): Promise<void> {
    const { verb } = exchange.info;
    switch (verb) {
      case 'get': {
        parseResourceVersion(exchange.info.query.get('resourceVersion'));
        const object = await this.#store.get(kind, path.namespace, path.name);
        return await answer(
          exchange,
          200,
          present(kind, object, presentationOf(exchange)),
          formatOf(exchange),
        );
      }
      case 'list':
        return await this.#list(exchange, kind, path);
      case 'watch':
        return await serveWatch(exchange, kind, path, this.#store, this.#hub);
      case 'create':
        return await this.#create(exchange, kind, path, check);
      case 'update':
      case 'patch':
        return await this.#change(exchange, kind, path, check);
      case 'delete':
        return await this.#delete(exchange, kind, path, check);
      case 'deletecollection':
        return await this.#deleteCollection(exchange, kind, path, check);
      default:
        throw methodNotAllowed();
    }
  }

  async #list(exchange: Exchange, kind: KindInfo, path: ResourcePath): Promise<void> {
    const { query } = exchange.info;
    const how = presentationOf(exchange);
    const { revision: asked, exact } = listVersionOf(query);
    const limit = limitOf(query);
    const list = await this.#store.list(kind, {
      namespace: path.namespace,
      limit,
      continue: query.get('continue') || undefined,
      exactRevision: exact ? asked : undefined,
      ...selectionOf(kind, query),
    });
    // Not older than what the client has seen; a greater one is of another history than this storage's.
    if (asked !== undefined && asked > list.revision) {
      throw new StatusError(
        504,
        'Timeout',
        `Too large resource version: ${asked}, current: ${list.revision}`,
        {
          retryAfterSeconds: 1,
          causes: [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version' }],
        },
      );
    }
    const metadata = {
      resourceVersion: String(list.revision),
      ...(list.continue === undefined ? {} : { continue: list.continue }),
      ...(list.remaining === undefined ? {} : { remainingItemCount: list.remaining }),
    };
    await answer(exchange, 200, presentList(kind, list.items, metadata, how), how.format);
  }

  async #create(exchange: Exchange, kind: KindInfo, path: ResourcePath, check: WriteCheck): Promise<void> {
    const { query } = exchange.info;
    const how = presentationOf(exchange);
    const dryRun = dryRunOf(query.getAll('dryRun'), 'CreateOptions');
    const body = await parseBody(exchange.request, await readBody(exchange.request), kind.kind, kind.custom);
    const object = decodeObject(kind, body, fieldValidationOf(query, 'CreateOptions'), exchange.warnings);
    checkIdentity(kind, object, path.namespace, path.name);
    const writer = { manager: managerOf(exchange, 'CreateOptions'), subresource: '' };
    const created = await this.#store.create(kind, path.namespace, object, { dryRun, check, writer });
    await answer(exchange, 201, present(kind, created, how), how.format);
  }

  async #change(exchange: Exchange, kind: KindInfo, path: ResourcePath, check: WriteCheck): Promise<void> {
    const { verb, query } = exchange.info;
    if (verb === 'patch' && contentTypeOf(exchange.request) === APPLY_TYPE) {
      return await this.#apply(exchange, kind, path, check);
    }
    const how = presentationOf(exchange);
    const parameters: OptionsKind = verb === 'update' ? 'UpdateOptions' : 'PatchOptions';
    const dryRun = dryRunOf(query.getAll('dryRun'), parameters);
    const validation = fieldValidationOf(query, parameters);
    const manager = managerOf(exchange, parameters);
    if (verb === 'patch') refuseForce(exchange);
    const body = await readBody(exchange.request);
    const warned = exchange.warnings.length;
    let change: (current: ApiObject) => ApiObject;
    if (verb === 'update') {
      const parsed = await parseBody(exchange.request, body, kind.kind, kind.custom);
      const object = decodeObject(kind, parsed, validation, exchange.warnings);
      checkIdentity(kind, object, path.namespace, path.name);
      if (needsVersion(kind) && !object.metadata.resourceVersion) {
        throw invalid({ group: kind.group, kind: kind.plural }, path.name, [
          invalidField('metadata.resourceVersion', 0, 'must be specified for an update'),
        ]);
      }
      change = () => structuredClone(object);
    } else {
      const patch = await parsePatch(kind, contentTypeOf(exchange.request), body);
      change = (current) => {
        const object = patch(current);
        if (object.kind !== kind.kind || object.apiVersion !== current.apiVersion) {
          throw patchResultError(body, 'a patch cannot change the kind or the apiVersion of an object');
        }
        exchange.warnings.length = warned;
        checkFields(kind, object, validation, exchange.warnings, (problem) =>
          patchResultError(body, problem),
        );
        object.metadata ??= {};
        checkIdentity(kind, object, path.namespace, path.name);
        return object;
      };
    }
    const { subresource } = path;
    const options = { subresource, dryRun, check, writer: { manager, subresource } };
    const changed = await this.#store.update(kind, path.namespace, path.name, change, options);
    await answer(exchange, 200, present(kind, changed, how), how.format);
  }

  /** Server-side apply: changes an object, or creates it, to have what the configuration says. */
  async #apply(exchange: Exchange, kind: KindInfo, path: ResourcePath, check: WriteCheck): Promise<void> {
    const { query } = exchange.info;
    const how = presentationOf(exchange);
    const dryRun = dryRunOf(query.getAll('dryRun'), 'PatchOptions');
    const options = applyOptionsOf(exchange);
    const { namespace, name, subresource } = path;
    const body = await readBody(exchange.request);
    const config = await parseConfiguration(
      body,
      fieldValidationOf(query, 'PatchOptions'),
      exchange.warnings,
    );
    const change = (live: ApiObject | undefined) => {
      const writing = writingOf(kind, subresource, Date.now());
      const object = apply(kind, writing, live, { config, ...options });
      checkIdentity(kind, object, namespace, name);
      return object;
    };
    const { object, created } = await this.#store.updateOrCreate(kind, namespace, name, change, {
      subresource,
      dryRun,
      check,
    });
    await answer(exchange, created ? 201 : 200, present(kind, object, how), how.format);
  }

  async #delete(exchange: Exchange, kind: KindInfo, path: ResourcePath, check: WriteCheck): Promise<void> {
    const how = presentationOf(exchange);
    const options = await deleteOptionsOf(exchange);
    const { gone, object } = await this.#store.delete(kind, path.namespace, path.name, options, check);
    if (!gone || RETURNS_DELETED.has(ownKind(kind))) {
      return await answer(exchange, 200, present(kind, object, how), how.format);
    }
    const { group, plural } = targetOf(kind);
    await answer(exchange, 200, {
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Success',
      details: {
        name: path.name,
        ...(group === '' ? {} : { group }),
        kind: plural,
        uid: object.metadata.uid,
      },
    });
  }

  async #deleteCollection(
    exchange: Exchange,
    kind: KindInfo,
    path: ResourcePath,
    check: WriteCheck,
  ): Promise<void> {
    const how = presentationOf(exchange);
    const options = await deleteOptionsOf(exchange);
    const selection = selectionOf(kind, exchange.info.query);
    const { namespace } = path;
    await check(undefined);
    const list = await this.#store.list(kind, { namespace, limit: 0, ...selection });
    for (const { metadata } of list.items) {
      try {
        await this.#store.delete(kind, metadata.namespace ?? '', metadata.name ?? '', options);
      } catch (error) {
        // Somebody else was faster: gone is what was wanted.
        if (!(error instanceof StatusError) || error.reason !== 'NotFound') throw error;
      }
    }
    const metadata = { resourceVersion: String(list.revision) };
    await answer(exchange, 200, presentList(kind, list.items, metadata, how), how.format);
  }
}

function formatOf(exchange: Exchange) {
  return negotiate(exchange.request.headers.accept);
}

function presentationOf(exchange: Exchange): Presentation {
  return {
    format: formatOf(exchange),
    includeObject: includeObjectOf(exchange.info.query),
    nowMs: Date.now(),
  };
}

/** DeleteOptions of the body, or of the query where there is no body. */
export async function deleteOptionsOf(exchange: Exchange): Promise<DeleteOptions> {
  const { query } = exchange.info;
  const body = await readBody(exchange.request);
  let options: DeleteOptions = {};
  if (body.length > 0) {
    const parsed = await parseBody(exchange.request, body, 'DeleteOptions');
    if (typeof parsed !== 'object' || parsed === null)
      throw badRequest('the body of the request is not DeleteOptions');
    options = parsed as DeleteOptions;
  }
  const grace = query.get('gracePeriodSeconds');
  if (grace !== null) options.gracePeriodSeconds ??= Number(grace);
  options.propagationPolicy ??= query.get('propagationPolicy') ?? undefined;
  const { gracePeriodSeconds = 0 } = options;
  if (!Number.isInteger(gracePeriodSeconds)) {
    const type = typeof gracePeriodSeconds === 'string' ? 'string' : `number ${gracePeriodSeconds}`;
    throw badRequest(
      `json: cannot unmarshal ${type} into Go struct field DeleteOptions.gracePeriodSeconds of type int64`,
    );
  }
  const dryRun = [...(options.dryRun ?? []), ...query.getAll('dryRun')];
  return { ...options, dryRun: dryRunOf(dryRun, 'DeleteOptions') ? ['All'] : [] };
}
