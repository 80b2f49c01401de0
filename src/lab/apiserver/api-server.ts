import type { IncomingMessage, ServerResponse } from 'node:http';
import { type Duplex, Readable } from 'node:stream';
import { type KindInfo, ownKind, subresourceOf } from '../../kube/kinds.ts';
import { byteStreamProtocol, serveByteStreamWebSocket } from '../../kube/streaming/byte-stream.ts';
import {
  BadHandshake,
  offeredProtocols,
  remoteCommandProtocol,
  serveRemoteCommandWebSocket,
} from '../../kube/streaming/remote-command.ts';
import { UpgradeRefused } from '../../kube/streaming/upgrade.ts';
import { messageOf } from '../../util/errors.ts';
import { METRICS_TYPE, renderMetrics } from '../../util/prometheus.ts';
import { isCustom } from '../kubernetes/custom/custom-kind.ts';
import { processMetrics } from '../process-metrics.ts';
import type { Authenticator } from './authenticator.ts';
import { type Authorizer, refusalOf } from './authorizer.ts';
import type { ServedKinds } from './custom-kinds.ts';
import * as discovery from './discovery.ts';
import type { EscalationCheck } from './escalation-check.ts';
import { answer, type Exchange, send } from './exchange.ts';
import { type HealthCheck, healthOf, isPublicHealthPath } from './health.ts';
import type { Attributes, User } from './identity.ts';
import { impersonationOf } from './impersonation.ts';
import { type KubeletProxy, kubeletRefusal, refuseUpgrade } from './kubelet-proxy.ts';
import { negotiate, parseMediaRanges } from './negotiation.ts';
import type { NodeRestriction } from './node-restriction.ts';
import { serveOpenApi } from './openapi-handler.ts';
import { parseRequest, type RequestInfo, type ResourcePath } from './request-info.ts';
import { RequestMetrics } from './request-metrics.ts';
import type { ResourceHandler } from './resource-handler.ts';
import type { WriteCheck } from './resource-store.ts';
import type { ReviewHandler } from './reviews.ts';
import type { ServiceAccountTokens } from './service-account-tokens.ts';
import {
  badRequest,
  internalError,
  methodNotAllowed,
  StatusError,
  serviceUnavailable,
  unauthorized,
  unknownResource,
} from './status-error.ts';
import { CompactedError, StorageUnavailableError } from './storage.ts';
import type { SubresourceHandler } from './subresource-handler.ts';
import { VERSION } from './version.ts';

/** Subresources with the parent's own kind. */
const OWN_KIND = new Set(['', 'status', 'finalize']);
/** How long a request waits for a server that has just been started. */
const START_WAIT_MS = 5000;
const STREAMING = new Set(['exec', 'attach', 'portforward']);
const ENDPOINTS_DEPRECATED = 'v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice';
const NO_UPGRADE = 'only exec, attach, portforward and log of a pod can be upgraded';

export interface ApiServerDependencies {
  authenticator: Authenticator;
  authorizer: Authorizer;
  nodeRestriction: NodeRestriction;
  escalation: EscalationCheck;
  resources: ResourceHandler;
  subresources: SubresourceHandler;
  reviews: ReviewHandler;
  kinds: ServedKinds;
  kubelets: KubeletProxy;
  tokens: ServiceAccountTokens | undefined;
  /** `address:port` for clients that ask where the server is. */
  serverAddress: string;
  health: readonly HealthCheck[];
  /** False until everything needed for decisions has been read. */
  isReady: () => boolean;
  /** Resolves when {@link isReady} first becomes true. */
  ready: Promise<void>;
  log: (line: string) => void;
}

/** The way of a request: who, what, whether, and then to the part that answers. */
export class ApiServer {
  readonly #its: ApiServerDependencies;
  readonly #stopping = new AbortController();
  readonly #metrics = new RequestMetrics();

  constructor(dependencies: ApiServerDependencies) {
    this.#its = dependencies;
  }

  /** Ends every watch and stream under way. */
  stop(): void {
    this.#stopping.abort(new Error('the API server is shutting down'));
  }

  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const gone = new AbortController();
    const onStop = () => gone.abort(this.#stopping.signal.reason);
    this.#stopping.signal.addEventListener('abort', onStop, { once: true });
    response.on('close', () => {
      this.#stopping.signal.removeEventListener('abort', onStop);
      gone.abort(new Error('the client is gone'));
    });
    const warnings: string[] = [];
    const info = parseRequest(request.method ?? 'GET', request.url ?? '/');
    const ended = this.#metrics.begin(info);
    try {
      if (info === undefined) throw badRequest('the URL is not valid');
      await this.#respond({ request, response, info, warnings, signal: gone.signal });
    } catch (error) {
      if (gone.signal.aborted && !this.#stopping.signal.aborted) return;
      const status = this.#statusOf(error, request);
      if (response.headersSent) response.destroy();
      else {
        if (status.code === 503) response.setHeader('retry-after', '1');
        send(response, status.code, 'application/json', `${JSON.stringify(status.toStatus())}\n`, warnings);
      }
    } finally {
      ended(response.statusCode);
    }
  }

  /** An upgrade: only streams of a pod are. */
  async upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    // Until both ends are joined nothing else listens for errors, and a client that disconnects must not end the server.
    socket.on('error', () => socket.destroy());
    try {
      const info = parseRequest(request.method ?? 'GET', request.url ?? '/');
      const user = await this.#userOf(request);
      const path = info?.resource;
      if (info === undefined || path?.plural !== 'pods') throw badRequest(NO_UPGRADE);
      if (path.subresource === 'log') {
        if (byteStreamProtocol(request) === undefined) throw badRequest(NO_UPGRADE);
        this.#authorize(info, user);
        const target = await this.#its.subresources.logTarget(path, info.query);
        const open = async () =>
          target === undefined ? Readable.from([]) : this.#its.kubelets.read(target.address, target.path);
        return await serveByteStreamWebSocket(request, socket, head, open);
      }
      if (!STREAMING.has(path.subresource)) throw badRequest(NO_UPGRADE);
      // Every stream changes something: the verb is create, also for a WebSocket, which begins with a GET.
      this.#authorize({ ...info, verb: 'create' }, user);
      const { address, path: kubeletPath } = await this.#its.subresources.streamTarget(path, info.query);
      if (remoteCommandProtocol(request) !== undefined && path.subresource !== 'portforward') {
        // kubectl since 1.31 speaks WebSocket; kubelets speak SPDY.
        const dial = () => this.#its.kubelets.dial(address);
        return await serveRemoteCommandWebSocket(request, socket, head, dial, {
          path: kubeletPath,
          headers: {},
        });
      }
      if (offeredProtocols(request).some((protocol) => protocol.startsWith('SPDY/'))) {
        // SPDY inside a WebSocket. Clients take this for what it is and ask again for SPDY itself.
        throw badRequest('no WebSocket subprotocol that was asked for is served');
      }
      // Runtimes speak SPDY and the first WebSocket protocols, `channel.k8s.io` and its kin, themselves.
      await this.#its.kubelets.upgrade(request, socket, head, address, kubeletPath);
    } catch (error) {
      refuseUpgrade(socket, this.#statusOf(error, request));
    }
  }

  async #respond(asked: Omit<Exchange, 'user'>): Promise<void> {
    const { request, response, info } = asked;
    // Before roles are known, too: a server that waits for them is to say so.
    if (isPublicHealthPath(info.path)) return await this.#health(info, response);
    const user = await this.#userOf(request);
    const attributes = this.#authorize(info, user);
    const exchange: Exchange = { ...asked, user };
    if (info.resource === undefined) return await this.#nonResource(exchange);
    await this.#resource(exchange, info.resource, attributes);
  }

  /** Until roles have been read a client would be refused what it may do: it waits a little, then asks again. */
  async #started(): Promise<void> {
    if (this.#its.isReady()) return;
    const late = Promise.withResolvers<never>();
    const refuse = () => late.reject(serviceUnavailable('the API server is starting or stopping'));
    const timer = setTimeout(refuse, this.#stopping.signal.aborted ? 0 : START_WAIT_MS);
    try {
      await Promise.race([this.#its.ready, late.promise]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Who asks, or who that asks to be taken for (kubectl's --as), where that is allowed. */
  async #userOf(request: IncomingMessage): Promise<User> {
    const user = await this.#its.authenticator.authenticate(request);
    if (user === undefined) throw unauthorized();
    await this.#started();
    const wanted = impersonationOf(request.rawHeaders);
    if (wanted === undefined) return user;
    for (const need of wanted.needs) {
      const attributes = { user, ...need };
      const { allowed, reason } = this.#its.authorizer.authorize(attributes);
      if (!allowed) throw refusalOf(attributes, reason);
    }
    return wanted.user;
  }

  #authorize(info: RequestInfo, user: User): Attributes {
    const attributes = attributesOf(info, user);
    const { allowed, reason } = this.#its.authorizer.authorize(
      attributes,
      info.query.get('fieldSelector') ?? '',
    );
    if (!allowed) throw refusalOf(attributes, reason);
    return attributes;
  }

  async #resource(exchange: Exchange, path: ResourcePath, attributes: Attributes): Promise<void> {
    const { kinds } = this.#its;
    const kind = kinds.byPlural(path.group, path.version, path.plural);
    if (kind === undefined) throw unknownResource();
    if (isCustom(kind) && kind.warning !== undefined) exchange.warnings.push(kind.warning);
    const { subresource } = path;
    if (subresource !== '') {
      const sub = subresourceOf(kind, subresource);
      if (sub === undefined || path.name === '') throw unknownResource();
      if (path.tail.length > 1 && subresource !== 'proxy') throw unknownResource();
      if (!sub.verbs.includes(exchange.info.verb)) throw methodNotAllowed();
    } else this.#checkVerb(kind, path, exchange.info.verb);
    if (kind.namespaced && path.namespace === '' && !['list', 'watch'].includes(exchange.info.verb)) {
      throw path.name === '' ? methodNotAllowed() : unknownResource();
    }
    if (ownKind(kind) === 'Endpoints') exchange.warnings.push(ENDPOINTS_DEPRECATED);
    const check: WriteCheck = async (object, old) => {
      if (object !== undefined && old === undefined && kinds.isEnding(kind)) {
        const why = 'create not allowed while custom resource definition is terminating';
        throw new StatusError(405, 'MethodNotAllowed', why, {});
      }
      const creates = exchange.info.verb === 'patch' && object !== undefined && old === undefined;
      // An apply of what is not there creates it, which is a right of its own.
      const needs = creates
        ? this.#authorize({ ...exchange.info, verb: 'create' }, exchange.user)
        : attributes;
      await this.#its.nodeRestriction.check(needs, object, old);
      if (object !== undefined) await this.#its.escalation.check(attributes, kind, object, old);
    };
    if (kind.role === 'posted') {
      if (kind.kind === 'Binding')
        return await this.#its.subresources.bind(exchange, path.namespace, '', check);
      return await this.#its.reviews.handle(exchange, kind.kind);
    }
    if (OWN_KIND.has(subresource)) return await this.#its.resources.handle(exchange, kind, path, check);
    await this.#its.subresources.handle(exchange, kind, path, check);
  }

  #checkVerb(kind: KindInfo, path: ResourcePath, verb: string): void {
    if (!kind.verbs.includes(verb)) throw methodNotAllowed();
    const onCollection = ['list', 'create', 'deletecollection'].includes(verb);
    if (onCollection !== (path.name === '') && verb !== 'watch') throw methodNotAllowed();
  }

  async #nonResource(exchange: Exchange): Promise<void> {
    const { request, response, info } = exchange;
    const path = info.path.length > 1 && info.path.endsWith('/') ? info.path.slice(0, -1) : info.path;
    if (info.verb !== 'get' && info.verb !== 'head') throw methodNotAllowed();
    const kinds = this.#its.kinds.all();
    if (path === '/api' || path === '/apis') {
      const version = aggregatedVersion(request.headers.accept);
      if (version === undefined) {
        const plain =
          path === '/api' ? discovery.coreVersions(this.#its.serverAddress) : discovery.groupList(kinds);
        return await answer(exchange, 200, plain, negotiate(request.headers.accept, false));
      }
      const type = `application/json;g=apidiscovery.k8s.io;v=${version};as=APIGroupDiscoveryList`;
      response.setHeader('vary', 'Accept');
      return send(response, 200, type, JSON.stringify(discovery.aggregated(kinds, path === '/api', version)));
    }
    const parts = path.split('/').slice(1);
    if (path === '/version') return await answer(exchange, 200, VERSION);
    if (path === '/metrics') {
      return send(
        response,
        200,
        METRICS_TYPE,
        renderMetrics([...this.#metrics.metrics, ...processMetrics()]),
      );
    }
    if (['healthz', 'livez', 'readyz'].includes(parts[0]!)) return await this.#health(info, response);
    if (parts[0] === 'openapi') return await serveOpenApi(request, response, path, kinds);
    let found: object | undefined;
    if (parts[0] === 'api' && parts.length === 2) found = discovery.resourceList(kinds, '', parts[1]!);
    else if (parts[0] === 'apis' && parts.length === 2) found = discovery.group(kinds, parts[1]!);
    else if (parts[0] === 'apis' && parts.length === 3)
      found = discovery.resourceList(kinds, parts[1]!, parts[2]!);
    else if (path === '/')
      found = {
        paths: [
          ...['/api', '/apis', '/healthz', '/livez', '/metrics'],
          ...['/openapi/v2', '/openapi/v3', '/readyz', '/version'],
        ],
      };
    else if (this.#its.tokens !== undefined) found = tokenDiscovery(path, this.#its.tokens);
    if (found !== undefined)
      return await answer(exchange, 200, found, negotiate(request.headers.accept, false));
    if (parts[0] === 'apis' && discovery.group(kinds, parts[1] ?? '') !== undefined) throw unknownResource();
    if (parts[0] === 'api') throw unknownResource();
    send(response, 404, 'text/plain; charset=utf-8', '404 page not found\n');
  }

  async #health({ path, query }: RequestInfo, response: ServerResponse): Promise<void> {
    const found = await healthOf(this.#its.health, path, query, this.#its.log);
    const { code, text } = found ?? { code: 404, text: '404 page not found\n' };
    response.setHeader('x-content-type-options', 'nosniff');
    send(response, code, 'text/plain; charset=utf-8', text);
  }

  #statusOf(error: unknown, request: IncomingMessage): StatusError {
    if (error instanceof StatusError) return error;
    if (error instanceof StorageUnavailableError) {
      this.#its.log(`${request.method} ${request.url}: ${messageOf(error)}`);
      return serviceUnavailable(`etcdserver: request timed out (${error.message})`);
    }
    if (error instanceof BadHandshake) return badRequest(error.message);
    if (error instanceof UpgradeRefused) return kubeletRefusal(error.statusCode, error.body);
    if (error instanceof CompactedError) return new StatusError(410, 'Expired', error.message);
    this.#its.log(
      `${request.method} ${request.url}: ${error instanceof Error ? error.stack : String(error)}`,
    );
    return internalError(messageOf(error));
  }
}

/** What a request is about, for the authorizer. A list or watch of one object by its name is about that object. */
function attributesOf(info: RequestInfo, user: User): Attributes {
  const { resource, verb, path } = info;
  if (resource === undefined) {
    return { user, verb, path, group: '', plural: '', subresource: '', namespace: '', name: '' };
  }
  const { group, plural, subresource, namespace } = resource;
  let { name } = resource;
  if (name === '' && ['list', 'watch', 'deletecollection'].includes(verb)) {
    name = /(?:^|,)metadata\.name==?([^,=!]+)(?:,|$)/.exec(info.query.get('fieldSelector') ?? '')?.[1] ?? '';
  }
  return { user, verb, group, plural, subresource, namespace, name };
}

/** The version of aggregated discovery that a client prefers to the plain documents; undefined when it wants those. */
function aggregatedVersion(accept: string | undefined): 'v2' | 'v2beta1' | undefined {
  for (const { type, parameters } of parseMediaRanges(accept ?? '')) {
    if (type !== 'application/json' && type !== '*/*') continue;
    const { g, v, as } = parameters;
    if (as === undefined) return undefined;
    if (g === 'apidiscovery.k8s.io' && as === 'APIGroupDiscoveryList' && (v === 'v2' || v === 'v2beta1'))
      return v;
  }
  return undefined;
}

/** What verifiers of service-account tokens read. */
function tokenDiscovery(path: string, tokens: ServiceAccountTokens): object | undefined {
  if (path === '/openid/v1/jwks') return tokens.jwks();
  if (path !== '/.well-known/openid-configuration') return undefined;
  return {
    issuer: tokens.issuer,
    jwks_uri: `${tokens.issuer}/openid/v1/jwks`,
    response_types_supported: ['id_token'],
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: ['ES256', 'RS256'],
  };
}
