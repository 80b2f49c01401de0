import { type KindInfo, ownKind } from '../../kube/kinds.ts';
import { timestamp } from '../../kube/time.ts';
import { type Clock, realClock } from '../../sys/clock.ts';
import { ruleErrors } from '../kubernetes/custom/check-rules.ts';
import { applyDefaults } from '../kubernetes/defaults/index.ts';
import { validateCreate, validateUpdate } from '../kubernetes/validation/index.ts';
import { type ContinueToken, decodeContinue, encodeContinue } from './continue-token.ts';
import { beginDeletion, checkPreconditions, type DeleteOptions, isReadyToGo } from './deletion.ts';
import { type FieldWriter, trackFields, withoutTimes } from './field-tracking.ts';
import {
  type ApiObject,
  decodeStored,
  encodeStored,
  generatedName,
  keyOf,
  prefixOf,
  ROOT,
  sameJson,
  targetOf,
} from './objects.ts';
import {
  alreadyExists,
  badRequest,
  conflict,
  expired,
  invalid,
  modified,
  notFound,
  StatusError,
} from './status-error.ts';
import { CompactedError, type Storage } from './storage.ts';
import { prepareCreate, prepareUpdate } from './strategy.ts';

/** Decisions about a write that need more than the object: other objects, address pools. */
export interface Admission {
  /**
   * Before defaults are complete and the object is validated; may change it. Throws a StatusError to refuse. `check` is
   * the check of who creates it, and has its place among the others.
   */
  create(info: KindInfo, object: ApiObject, check?: WriteCheck): Promise<void>;
  /** Before what may change is looked at: adds to a changed object what a new one gets. */
  beforeUpdate(info: KindInfo, object: ApiObject): void;
  update(info: KindInfo, object: ApiObject, old: ApiObject): Promise<void>;
  delete(info: KindInfo, object: ApiObject): Promise<void>;
  /** Wraps the writing of a kind whose admission hands something out, so that two writers do not get the same. */
  exclusively<T>(info: KindInfo, write: () => Promise<T>): Promise<T>;
}

/**
 * A check of a write before it happens; throws to refuse it. `object` is what was sent, absent for a deletion; `old`
 * what is stored, absent for a new object.
 */
export type WriteCheck = (object: ApiObject | undefined, old?: ApiObject) => Promise<void>;

export interface ListResult {
  items: ApiObject[];
  revision: number;
  continue?: string;
  remaining?: number;
}

export interface ListQuery {
  namespace: string;
  /** 0: no limit. */
  limit: number;
  continue?: string;
  /** Read the collection as it was at this revision. */
  exactRevision?: number;
  matches: (object: ApiObject) => boolean;
  /** False when everything matches: only then is the number of the remaining known. */
  selective: boolean;
}

export interface WriteOptions {
  dryRun?: boolean;
  check?: WriteCheck;
  /** Who is noted as the manager of what changes; without one the object says itself who manages what. */
  writer?: FieldWriter;
}

/** Events are kept for this long, as Kubernetes' --event-ttl. */
const EVENT_TTL_SECONDS = 3600;
/** How often an unconditional write is tried against concurrent ones before the client gets a conflict. */
const MAX_ATTEMPTS = 10;

/** Objects of all kinds in storage, with the rules that hold for every kind. */
export class ResourceStore {
  readonly #storage: Storage;
  readonly #admission: Admission;
  readonly #clock: Clock;

  constructor(options: { storage: Storage; admission: Admission; clock?: Clock }) {
    this.#storage = options.storage;
    this.#admission = options.admission;
    this.#clock = options.clock ?? realClock;
  }

  async get(info: KindInfo, namespace: string, name: string): Promise<ApiObject> {
    const { item } = await this.#storage.get(keyOf(info, namespace, name));
    if (item === undefined) throw notFound(targetOf(info), name);
    return decodeStored(info, item.value, item.revision);
  }

  /** One page of a collection, all pages of which are of one revision. */
  async list(info: KindInfo, query: ListQuery): Promise<ListResult> {
    const prefix = prefixOf(info, info.namespaced ? query.namespace : '');
    let token: ContinueToken | undefined;
    if (query.continue !== undefined) token = decodeContinue(query.continue);
    let revision = token?.revision ?? query.exactRevision;
    let after = token === undefined ? undefined : prefixOf(info) + token.after;
    // A token is the client's text: it must not lead out of the namespace that was authorized.
    if (after !== undefined && !after.startsWith(prefix)) {
      throw badRequest('continue key is not valid: it is of another collection');
    }
    const items: ApiObject[] = [];
    for (;;) {
      // With a selector more has to be read than is asked for; a page at a time, so that memory stays bounded.
      const limit =
        query.limit === 0 ? undefined : Math.max(query.limit - items.length, query.selective ? 100 : 1);
      let page: Awaited<ReturnType<Storage['list']>>;
      try {
        page = await this.#storage.list(prefix, { limit, after, revision });
      } catch (error) {
        if (!(error instanceof CompactedError)) throw error;
        if (token === undefined) throw expired(`The resourceVersion for the provided list is too old.`);
        throw await this.#expiredToken(token);
      }
      revision = page.revision;
      for (const [at, stored] of page.items.entries()) {
        after = stored.key;
        const object = decodeStored(info, stored.value, stored.revision);
        if (!query.matches(object)) continue;
        items.push(object);
        if (query.limit > 0 && items.length === query.limit) {
          const remaining = page.items.length - at - 1 + page.remaining;
          if (remaining === 0) break;
          const next = encodeContinue({ revision, after: after.slice(prefixOf(info).length) });
          return { items, revision, continue: next, ...(query.selective ? {} : { remaining }) };
        }
      }
      if (page.remaining === 0) return { items, revision };
    }
  }

  /** Stores a new object and returns it. `object` must be of the kind's schema; it is changed. */
  async create(
    info: KindInfo,
    namespace: string,
    object: ApiObject,
    options: WriteOptions = {},
  ): Promise<ApiObject> {
    const { metadata } = object;
    metadata.namespace = info.namespaced ? namespace : undefined;
    const generate = !metadata.name && metadata.generateName ? metadata.generateName : undefined;
    if (generate !== undefined) metadata.name = generatedName(generate);
    if (metadata.resourceVersion !== undefined && metadata.resourceVersion !== '') {
      // Kubernetes' storage says so, too late for a better status.
      throw new StatusError(500, '', 'resourceVersion should not be set on objects to be created');
    }
    metadata.uid = crypto.randomUUID();
    metadata.creationTimestamp = timestamp(this.#clock.now());
    metadata.deletionTimestamp = undefined;
    metadata.deletionGracePeriodSeconds = undefined;
    metadata.selfLink = undefined;

    return await this.#admission.exclusively(info, async () => {
      applyDefaults(info, object);
      if (options.writer !== undefined) {
        trackFields(info, undefined, object, options.writer, this.#clock.now());
      }
      await this.#admission.create(info, object, options.check);
      // What admission has added (volumes, ports) has defaults of its own.
      applyDefaults(info, object);
      prepareCreate(info, object);
      const errors = validateCreate(info, object);
      errors.push(...(await ruleErrors(info, object, undefined, errors)));
      if (errors.length > 0) throw invalid(info, metadata.name ?? '', errors);
      const key = keyOf(info, namespace, metadata.name!);
      if (options.dryRun) {
        const { item } = await this.#storage.get(key);
        if (item !== undefined) throw alreadyExists(targetOf(info), metadata.name!);
        return object;
      }
      const ttl = ownKind(info) === 'Event' ? EVENT_TTL_SECONDS : undefined;
      const value = encodeStored(info, object);
      const result = await this.#storage.put(key, value, 0, ttl);
      if (!result.done) throw alreadyExists(targetOf(info), metadata.name!);
      return decodeStored(info, value, result.revision);
    });
  }

  /**
   * Changes an object to what `change` makes of it, `change` being called again with the newer object when another
   * writer was faster; unless what it returns carries the resourceVersion of the older one, which is a Conflict.
   * An object whose deletion has begun and that nothing keeps any more is removed.
   */
  async update(
    info: KindInfo,
    namespace: string,
    name: string,
    change: (current: ApiObject) => ApiObject | Promise<ApiObject>,
    options: WriteOptions & { subresource?: string } = {},
  ): Promise<ApiObject> {
    const subresource = options.subresource ?? '';
    const key = keyOf(info, namespace, name);
    let { item } = await this.#storage.get(key);
    for (let attempt = 1; ; attempt++) {
      if (item === undefined) throw notFound(targetOf(info), name);
      const stored = item;
      const old = decodeStored(info, stored.value, stored.revision);
      const object = await change(decodeStored(info, stored.value, stored.revision));
      applyDefaults(info, object);
      // Of the whole object, as it was sent: a subresource that would drop what may not be changed is no way around.
      await options.check?.(object, old);
      const { resourceVersion, uid } = object.metadata;
      if (uid !== undefined && uid !== '' && uid !== old.metadata.uid) {
        const why = `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${old.metadata.uid}`;
        throw conflict(targetOf(info), name, why);
      }
      const conditional = resourceVersion !== undefined && resourceVersion !== '';
      if (conditional && resourceVersion !== old.metadata.resourceVersion)
        throw modified(targetOf(info), name);
      if (options.writer !== undefined) {
        trackFields(info, old, object, options.writer, this.#clock.now());
      }
      const result = await this.#admission.exclusively(info, async () => {
        if (subresource === '') this.#admission.beforeUpdate(info, object);
        prepareUpdate(info, object, old, subresource);
        applyDefaults(info, object);
        if (subresource === '') await this.#admission.update(info, object, old);
        // A binding sets the one field that an update may not, and nothing else.
        const errors = subresource === 'binding' ? [] : validateUpdate(info, object, old);
        errors.push(...(await ruleErrors(info, object, old, errors)));
        if (errors.length > 0) throw invalid(info, name, errors);
        const value = encodeStored(info, object);
        const removes = isReadyToGo(info, object);
        const isSame = !removes && isSameText(value, stored.value);
        if (options.dryRun || isSame) {
          return { object: decodeStored(info, isSame ? stored.value : value, stored.revision) };
        }
        const ttl = ownKind(info) === 'Event' ? EVENT_TTL_SECONDS : undefined;
        const written = removes
          ? await this.#storage.delete(key, stored.revision)
          : await this.#storage.put(key, value, stored.revision, ttl);
        if (written.done) return { object: decodeStored(info, value, written.revision) };
        return { current: written.current };
      });
      if ('object' in result && result.object !== undefined) return result.object;
      if (attempt === MAX_ATTEMPTS) throw modified(targetOf(info), name);
      item = 'current' in result ? result.current : undefined;
    }
  }

  /**
   * As {@link update}; where there is no object, `change` makes one of nothing, which is created. Subresources belong to
   * what there is: for one, a missing object is NotFound.
   */
  async updateOrCreate(
    info: KindInfo,
    namespace: string,
    name: string,
    change: (current: ApiObject | undefined) => ApiObject,
    options: WriteOptions & { subresource: string },
  ): Promise<{ object: ApiObject; created: boolean }> {
    for (let attempt = 1; ; attempt++) {
      const { item } = await this.#storage.get(keyOf(info, namespace, name));
      try {
        if (item === undefined && options.subresource === '') {
          const object = await this.create(info, namespace, change(undefined), options);
          return { object, created: true };
        }
        return { object: await this.update(info, namespace, name, change, options), created: false };
      } catch (error) {
        // Somebody else created or deleted it in between: the other way is the right one.
        const raced =
          error instanceof StatusError &&
          error.reason === (item === undefined ? 'AlreadyExists' : 'NotFound') &&
          error.details?.name === name;
        if (!raced || options.subresource !== '' || attempt === MAX_ATTEMPTS) throw error;
      }
    }
  }

  /**
   * Deletes an object, or begins to. `gone` says which; `object` is the object as it was last. A first deletion of an
   * object that has grace or finalizers returns with `gone` false.
   */
  async delete(
    info: KindInfo,
    namespace: string,
    name: string,
    options: DeleteOptions,
    check?: WriteCheck,
  ): Promise<{ gone: boolean; object: ApiObject }> {
    const key = keyOf(info, namespace, name);
    let { item } = await this.#storage.get(key);
    for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
      if (item === undefined) throw notFound(targetOf(info), name);
      const object = decodeStored(info, item.value, item.revision);
      await check?.(undefined, object);
      checkPreconditions(info, object, options);
      await this.#admission.delete(info, object);
      const step = beginDeletion(info, object, options, this.#clock.now());
      if (step === 'nothing' || (options.dryRun?.length ?? 0) > 0) return { gone: step === 'remove', object };
      const value = encodeStored(info, object);
      const written =
        step === 'remove'
          ? await this.#storage.delete(key, item.revision)
          : await this.#storage.put(key, value, item.revision);
      if (written.done) {
        return { gone: step === 'remove', object: decodeStored(info, value, written.revision) };
      }
      item = written.current;
    }
    throw modified(targetOf(info), name);
  }

  async #expiredToken(token: ContinueToken): Promise<StatusError> {
    const { revision } = await this.#storage.get(ROOT);
    return expired(
      'The provided continue parameter is too old to display a consistent list result. You can start a new list ' +
        'without the continue parameter, or use the continue token in this response to retrieve the remainder of ' +
        'the results. Continuing with the provided token results in an inconsistent list - objects that were ' +
        'created, modified, or deleted between the time the first chunk was returned and now may show up in the list.',
      encodeContinue({ revision, after: token.after }),
    );
  }
}

/** Whether two stored texts are of the same object, whenever its fields were last changed. */
function isSameText(a: string, b: string): boolean {
  return a === b || sameJson(withoutTimes(JSON.parse(a)), withoutTimes(JSON.parse(b)));
}

/** A write that names another object than its URL does. */
export function checkIdentity(info: KindInfo, object: ApiObject, namespace: string, name: string): void {
  const { metadata } = object;
  if (name !== '' && metadata.name !== undefined && metadata.name !== '' && metadata.name !== name) {
    throw badRequest(
      `the name of the object (${metadata.name}) does not match the name on the URL (${name})`,
    );
  }
  if (info.namespaced && metadata.namespace && metadata.namespace !== namespace) {
    throw badRequest('the namespace of the provided object does not match the namespace sent on the request');
  }
}
