import { type KindInfo, kindByName } from '../../kube/kinds.ts';
import { formatLabelSelector } from '../../kube/selectors/format.ts';
import { timestamp } from '../../kube/time.ts';
import type { Endpoints, LabelSelector, Node, Pod, Service } from '../../kube/types.ts';
import type { JsonObject } from '../../util/json.ts';
import { type CustomKind, isCustom } from '../kubernetes/custom/custom-kind.ts';
import { setValueAt, valueAt } from '../kubernetes/custom/json-path.ts';
import type { ManagedObject, Writing } from '../kubernetes/fields/field-manager.ts';
import { jsonPatch, mergePatch, PatchError } from '../kubernetes/patch/index.ts';
import { notSupported, required } from '../kubernetes/validation/field-error.ts';
import { APPLY_TYPE, type Application, apply, parseConfiguration } from './applying.ts';
import type { DeleteOptions } from './deletion.ts';
import { answer, contentTypeOf, type Exchange, parseBody, readBody } from './exchange.ts';
import { invalidField } from './field-errors.ts';
import { writingOf } from './field-tracking.ts';
import {
  type KubeletAddress,
  type KubeletProxy,
  kubeletAddressOf,
  kubeletPath,
  sendEmptyLog,
} from './kubelet-proxy.ts';
import { type ApiObject, targetOf } from './objects.ts';
import { dryRunOf, fieldValidationOf } from './options-errors.ts';
import { forward, forwardTo, nodeTarget, parseProxyName, podTarget, serviceTarget } from './proxy.ts';
import type { ResourcePath } from './request-info.ts';
import type { ResourceStore, WriteCheck } from './resource-store.ts';
import type { ServiceAccountTokens } from './service-account-tokens.ts';
import {
  badRequest,
  conflict,
  internalError,
  invalid,
  methodNotAllowed,
  modified,
  notFound,
  StatusError,
} from './status-error.ts';
import { applyOptionsOf, managerOf } from './write-options.ts';

const podKind = kindByName('v1', 'Pod')!;
const nodeKind = kindByName('v1', 'Node')!;
const endpointsKind = kindByName('v1', 'Endpoints')!;
/** Limits of a token's life in seconds; Kubernetes refuses less than ten minutes and more than 2^32 seconds. */
const MIN_TOKEN_SECONDS = 600;
const DEFAULT_TOKEN_SECONDS = 3600;
const MAX_TOKEN_SECONDS = 2 ** 32;

export interface SubresourceDependencies {
  store: ResourceStore;
  tokens: ServiceAccountTokens | undefined;
  kubelets: KubeletProxy;
}

/** Answers requests for subresources that speak another kind than their parent. */
export class SubresourceHandler {
  readonly #store: ResourceStore;
  readonly #tokens: ServiceAccountTokens | undefined;
  readonly #kubelets: KubeletProxy;

  constructor(dependencies: SubresourceDependencies) {
    this.#store = dependencies.store;
    this.#tokens = dependencies.tokens;
    this.#kubelets = dependencies.kubelets;
  }

  async handle(exchange: Exchange, kind: KindInfo, path: ResourcePath, check: WriteCheck): Promise<void> {
    switch (path.subresource) {
      case 'scale':
        return await this.#scale(exchange, kind, path);
      case 'binding':
        return await this.bind(exchange, path.namespace, path.name, check);
      case 'eviction':
        return await this.#evict(exchange, path, check);
      case 'token':
        return await this.#token(exchange, kind, path, check);
      case 'log':
        return await this.#log(exchange, path);
      case 'proxy':
        return await this.#proxy(exchange, kind, path);
      case 'exec':
      case 'attach':
      case 'portforward':
        await this.streamTarget(path, exchange.info.query);
        throw badRequest('Upgrade request required');
      default:
        throw methodNotAllowed();
    }
  }

  /** Where the log of a pod is; undefined for a pod that has no node, whose log is empty. */
  async logTarget(
    path: ResourcePath,
    query: URLSearchParams,
  ): Promise<{ address: KubeletAddress; path: string } | undefined> {
    checkLogCounts(query);
    const pod = (await this.#store.get(podKind, path.namespace, path.name)) as unknown as Pod;
    const kubelet = kubeletPath(pod, 'log', query);
    if (!pod.spec?.nodeName) return undefined;
    return { address: await this.#kubeletOf(pod.spec.nodeName), path: kubelet };
  }

  /** Where an upgrade of a pod's `exec`, `attach` or `portforward` goes. */
  async streamTarget(
    path: ResourcePath,
    query: URLSearchParams,
  ): Promise<{ address: KubeletAddress; path: string }> {
    const pod = (await this.#store.get(podKind, path.namespace, path.name)) as unknown as Pod;
    const kubelet = kubeletPath(pod, path.subresource, query);
    const nodeName = pod.spec?.nodeName;
    if (!nodeName) throw badRequest(`pod ${path.name} does not have a host assigned`);
    return { address: await this.#kubeletOf(nodeName), path: kubelet };
  }

  /** `pods/NAME/binding`, and `bindings` with the name in the object: puts a pod on a node, once. */
  async bind(exchange: Exchange, namespace: string, name: string, check: WriteCheck): Promise<void> {
    const body = (await readObject(exchange)) as ApiObject & { target?: { kind?: string; name?: string } };
    body.metadata ??= {};
    await check(body);
    const podName = name || (body.metadata.name ?? '');
    if (body.metadata.name !== podName) throw badRequest('name in URL does not match name in Binding object');
    const nodeName = body.target?.name ?? '';
    const problems = [
      ...(['', 'Node'].includes(body.target?.kind ?? '')
        ? []
        : [notSupported('target.kind', body.target?.kind, ['Node', '<empty>'])]),
      ...(nodeName === '' ? [required('target.name')] : []),
    ];
    if (problems.length > 0) {
      // Not Invalid: the error is of no API kind, and the answer that of a server's own failure.
      const said = problems.map(({ field, message }) => `${field}: ${message}`);
      throw new StatusError(500, '', said.length === 1 ? said[0]! : `[${said.join(', ')}]`);
    }
    const dryRun = dryRunOf(exchange.info.query.getAll('dryRun'), 'CreateOptions');
    await this.#store.update(
      podKind,
      namespace,
      podName,
      (pod) => {
        if (body.metadata?.uid && body.metadata.uid !== pod.metadata.uid) {
          throw conflict(
            targetOf(podKind),
            podName,
            `Precondition failed: UID in precondition: ${body.metadata.uid}, UID in object meta: ${pod.metadata.uid}`,
          );
        }
        if (pod.metadata.deletionTimestamp !== undefined) {
          throw conflict(
            { group: '', plural: 'pods/binding' },
            podName,
            `pod ${podName} is being deleted, cannot be assigned to a host`,
          );
        }
        if (pod.spec.nodeName) {
          throw conflict(
            { group: '', plural: 'pods/binding' },
            podName,
            `pod ${podName} is already assigned to node ${JSON.stringify(pod.spec.nodeName)}`,
          );
        }
        pod.spec.nodeName = nodeName;
        pod.metadata.annotations = mergeMaps(pod.metadata.annotations, body.metadata?.annotations);
        const conditions: { type?: string }[] = pod.status?.conditions ?? [];
        const scheduled = {
          type: 'PodScheduled',
          status: 'True',
          lastProbeTime: null,
          lastTransitionTime: timestamp(Date.now()),
        };
        pod.status = {
          ...pod.status,
          conditions: [...conditions.filter(({ type }) => type !== 'PodScheduled'), scheduled],
        };
        return pod;
      },
      { subresource: 'binding', dryRun },
    );
    await answer(exchange, 201, success());
  }

  async #evict(exchange: Exchange, path: ResourcePath, check: WriteCheck): Promise<void> {
    const body = (await readObject(exchange)) as ApiObject & { deleteOptions?: DeleteOptions };
    body.metadata ??= {};
    if (body.metadata.name && body.metadata.name !== path.name)
      throw badRequest('name in URL does not match name in Eviction object');
    const options = body.deleteOptions ?? {};
    const dryRun = dryRunOf(
      [...(options.dryRun ?? []), ...exchange.info.query.getAll('dryRun')],
      'DeleteOptions',
    );
    await this.#store.delete(
      podKind,
      path.namespace,
      path.name,
      { ...options, dryRun: dryRun ? ['All'] : [] },
      (_object, pod) => check(body, pod),
    );
    await answer(exchange, 201, success());
  }

  async #scale(exchange: Exchange, kind: KindInfo, path: ResourcePath): Promise<void> {
    const { namespace, name } = path;
    const { verb, query } = exchange.info;
    if (verb === 'get') {
      const object = await this.#store.get(kind, namespace, name);
      const specPath = replicasPath(kind);
      if (kind.custom && valueAt(object as JsonObject, specPath) === undefined) {
        throw internalError(`the spec replicas field ${JSON.stringify(specPath)} does not exist`);
      }
      return await answer(exchange, 200, scaleOf(kind, object));
    }
    if (verb !== 'update' && verb !== 'patch') throw methodNotAllowed();
    const body = await readBody(exchange.request);
    const dryRun = dryRunOf(query.getAll('dryRun'), verb === 'update' ? 'UpdateOptions' : 'PatchOptions');
    if (verb === 'patch' && contentTypeOf(exchange.request) === APPLY_TYPE) {
      const options = applyOptionsOf(exchange);
      const config = await parseConfiguration(
        body,
        fieldValidationOf(query, 'PatchOptions'),
        exchange.warnings,
      );
      const change = (current: ApiObject) =>
        applyScale(kind, writingOf(kind, 'scale', Date.now()), current, { config, ...options });
      const applied = await this.#store.update(kind, namespace, name, change, { dryRun });
      return await answer(exchange, 200, scaleOf(kind, applied));
    }
    const writer = {
      manager: managerOf(exchange, verb === 'update' ? 'UpdateOptions' : 'PatchOptions'),
      subresource: 'scale',
    };
    const change =
      verb === 'update'
        ? await parseBody(exchange.request, body).then((parsed) => () => parsed)
        : scalePatch(contentTypeOf(exchange.request), body);
    const changed = await this.#store.update(
      kind,
      namespace,
      name,
      (current) => {
        const scale = change(scaleOf(kind, current)) as Scale;
        if (scale?.metadata?.name && scale.metadata.name !== name) {
          throw badRequest(
            `the name of the object (${scale.metadata.name}) does not match the name on the URL (${name})`,
          );
        }
        const asked = scale?.metadata?.resourceVersion;
        if (asked && asked !== current.metadata.resourceVersion) throw modified(targetOf(kind), name);
        setValueAt(current, replicasPath(kind), replicasOf(scale, name));
        return current;
      },
      { dryRun, writer },
    );
    await answer(exchange, 200, scaleOf(kind, changed));
  }

  async #token(exchange: Exchange, kind: KindInfo, path: ResourcePath, check: WriteCheck): Promise<void> {
    if (this.#tokens === undefined) {
      throw new StatusError(
        404,
        'NotFound',
        'this API server was started without --service-account-signing-key-file',
      );
    }
    const { namespace, name } = path;
    const body = (await readObject(exchange)) as ApiObject;
    body.metadata ??= {};
    await check(body);
    const spec = (body.spec ?? {}) as {
      audiences?: string[];
      expirationSeconds?: number;
      boundObjectRef?: { kind?: string; name?: string; uid?: string };
    };
    const seconds = spec.expirationSeconds ?? DEFAULT_TOKEN_SECONDS;
    if (!Number.isInteger(seconds) || seconds < MIN_TOKEN_SECONDS || seconds > MAX_TOKEN_SECONDS) {
      const why =
        seconds < MIN_TOKEN_SECONDS
          ? 'may not specify a duration less than 10 minutes'
          : 'may not specify a duration larger than 2^32 seconds';
      throw invalid({ group: 'authentication.k8s.io', kind: 'TokenRequest' }, '', [
        invalidField('spec.expirationSeconds', seconds, why),
      ]);
    }
    const account = await this.#store.get(kind, namespace, name);
    const pod = await this.#boundPod(spec.boundObjectRef, namespace, name);
    const subject = { namespace, serviceAccount: { name, uid: account.metadata.uid! }, pod };
    const { token, expires } = await this.#tokens.issue(subject, spec.audiences ?? [], seconds);
    await answer(exchange, 201, {
      kind: 'TokenRequest',
      apiVersion: 'authentication.k8s.io/v1',
      metadata: { name, namespace, creationTimestamp: timestamp(Date.now()) },
      spec: { ...spec, audiences: spec.audiences ?? [this.#tokens.issuer], expirationSeconds: seconds },
      status: { token, expirationTimestamp: timestamp(expires) },
    });
  }

  async #boundPod(
    bound: { kind?: string; name?: string; uid?: string } | undefined,
    namespace: string,
    account: string,
  ): Promise<{ name: string; uid: string } | undefined> {
    if (bound === undefined) return undefined;
    if (bound.kind !== 'Pod' || !bound.name)
      throw badRequest(`cannot bind token to object of type ${bound.kind}`);
    const pod = await this.#store.get(podKind, namespace, bound.name);
    if (bound.uid && bound.uid !== pod.metadata.uid) {
      const why = `the UID in the bound object reference (${bound.uid}) does not match the UID in record. The object might have been deleted and then recreated`;
      throw conflict({ group: '', plural: 'pods' }, bound.name, why);
    }
    if (pod.spec?.serviceAccountName !== account) {
      throw badRequest(
        `cannot bind token for serviceaccount ${JSON.stringify(account)} to pod running with different serviceaccount name.`,
      );
    }
    return { name: bound.name, uid: pod.metadata.uid! };
  }

  async #log(exchange: Exchange, path: ResourcePath): Promise<void> {
    if (exchange.info.verb !== 'get') throw methodNotAllowed();
    const target = await this.logTarget(path, exchange.info.query);
    if (target === undefined) return sendEmptyLog(exchange);
    await this.#kubelets.stream(exchange, target.address, target.path);
  }

  /** Passes a request on to what a pod, a Service or a node's kubelet serves. */
  async #proxy(exchange: Exchange, kind: KindInfo, path: ResourcePath): Promise<void> {
    const name = parseProxyName(path.name, kind.singular);
    if (kind.kind === 'Node') {
      const address = await this.#kubeletOf(name.name);
      if (name.port === '' || name.port === String(address.port)) {
        return await forward(exchange, this.#kubelets.opener(address), path.tail);
      }
      return await forwardTo(exchange, nodeTarget(address.host, name), path.tail);
    }
    const object = await this.#store.get(kind, path.namespace, name.name);
    if (kind.kind === 'Pod') {
      return await forwardTo(exchange, podTarget(object as unknown as Pod, name), path.tail);
    }
    const endpoints = await this.#store.get(endpointsKind, path.namespace, name.name).catch((error) => {
      if (error instanceof StatusError && error.reason === 'NotFound') return undefined;
      throw error;
    });
    const target = serviceTarget(object as unknown as Service, endpoints as Endpoints | undefined, name);
    await forwardTo(exchange, target, path.tail);
  }

  async #kubeletOf(nodeName: string): Promise<KubeletAddress> {
    try {
      return kubeletAddressOf((await this.#store.get(nodeKind, '', nodeName)) as unknown as Node);
    } catch (error) {
      if (error instanceof StatusError && error.reason === 'NotFound') {
        throw internalError(notFound(targetOf(nodeKind), nodeName).message);
      }
      throw error;
    }
  }
}

/** Counts in a log's parameters are decoded before anything else is looked at. */
function checkLogCounts(query: URLSearchParams): void {
  for (const name of ['tailLines', 'limitBytes', 'sinceSeconds']) {
    const text = query.get(name) ?? '';
    if (text === '' || /^[+-]?\d+$/.test(text)) continue;
    throw badRequest(`strconv.ParseInt: parsing ${JSON.stringify(text)}: invalid syntax`);
  }
}

async function readObject(exchange: Exchange): Promise<object> {
  const parsed = await parseBody(exchange.request, await readBody(exchange.request));
  if (typeof parsed !== 'object' || parsed === null)
    throw badRequest('the body of the request is not an object');
  return parsed;
}

function success(): object {
  return { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 };
}

function mergeMaps(a: Record<string, string> | undefined, b: Record<string, string> | undefined) {
  return a === undefined && b === undefined ? undefined : { ...a, ...b };
}

interface Scale {
  metadata?: { name?: string; resourceVersion?: string };
  spec?: { replicas?: unknown };
}

/** The replicas that a Scale asks for. Throws Invalid for what is no number of replicas. */
function replicasOf(scale: Scale | undefined, name: string): number {
  const replicas = scale?.spec?.replicas ?? 0;
  if (Number.isInteger(replicas) && (replicas as number) >= 0) return replicas as number;
  throw invalid({ group: 'autoscaling', kind: 'Scale' }, name, [
    invalidField('spec.replicas', replicas, 'must be greater than or equal to 0'),
  ]);
}

/** What applying a Scale makes of the object that is scaled: its replicas are owned through the subresource. */
function applyScale(
  kind: KindInfo,
  writing: Writing,
  current: ApiObject,
  application: Application,
): ApiObject {
  const scale = application.config as Scale & { kind?: unknown; apiVersion?: unknown };
  if (scale.kind !== 'Scale' || scale.apiVersion !== 'autoscaling/v1') {
    throw badRequest(`invalid object type: ${scale.apiVersion}, Kind=${scale.kind}`);
  }
  const config: ManagedObject = { apiVersion: writing.apiVersion, kind: writing.kind };
  if (scale.spec?.replicas !== undefined) {
    setValueAt(config, replicasPath(kind), replicasOf(scale, current.metadata.name ?? ''));
  }
  return apply(kind, writing, current, { ...application, config });
}

/** The `autoscaling/v1` Scale of a Deployment, ReplicaSet or ReplicationController. */
function scaleOf(kind: KindInfo, object: ApiObject): object {
  const { name, namespace, uid, resourceVersion, creationTimestamp } = object.metadata;
  return {
    kind: 'Scale',
    apiVersion: 'autoscaling/v1',
    metadata: { name, namespace, uid, resourceVersion, creationTimestamp },
    ...(isCustom(kind) ? customScale(kind, object) : ownScale(object)),
  };
}

function ownScale({ kind, spec, status }: ApiObject): object {
  // A ReplicationController's selector is a map of labels itself.
  const selector: LabelSelector =
    kind === 'ReplicationController' ? { matchLabels: spec?.selector } : (spec?.selector ?? {});
  return {
    spec: { replicas: spec?.replicas ?? 0 },
    status: { replicas: status?.replicas ?? 0, selector: formatLabelSelector(selector) ?? '' },
  };
}

/** What the definition of a custom kind says where the numbers are. */
function customScale({ scale }: CustomKind, object: ApiObject): object {
  const at = (path: string | undefined) => (path ? valueAt(object as JsonObject, path) : undefined);
  const selector = at(scale?.labelSelectorPath);
  return {
    spec: { replicas: at(scale?.specReplicasPath) ?? 0 },
    status: { replicas: at(scale?.statusReplicasPath) ?? 0, ...(selector === undefined ? {} : { selector }) },
  };
}

function replicasPath(kind: KindInfo): string {
  return (isCustom(kind) ? kind.scale?.specReplicasPath : undefined) ?? '.spec.replicas';
}

/** A Scale has no lists, so that a strategic patch of it is a merge patch. */
function scalePatch(contentType: string, body: Buffer): (scale: object) => unknown {
  let patch: unknown;
  try {
    patch = JSON.parse(body.toString('utf8'));
  } catch (cause) {
    throw badRequest(`error decoding patch: ${(cause as Error).message}`);
  }
  return (scale) => {
    try {
      return contentType === 'application/json-patch+json'
        ? jsonPatch(scale, patch, { replaceAdds: true })
        : mergePatch(scale, patch);
    } catch (error) {
      if (error instanceof PatchError)
        throw new StatusError(error.code, error.code === 400 ? 'BadRequest' : 'Invalid', error.message);
      throw error;
    }
  };
}
