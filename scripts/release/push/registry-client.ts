import { type Descriptor, MEDIA_TYPE } from '../../../src/lab/images/oci.ts';
import type { Credentials } from './docker-credentials.ts';

/** Bytes of an error of a registry that are shown. */
const SAID = 300;
/** Of a blob that is there, also in another store: the specification lets a registry redirect to one. */
const PRESENT = [200, 302, 307];

/** A registry that answered otherwise than the specification allows for what was asked, or refused it. */
class RegistryError extends Error {}

/** Uploads to one repository of a registry. Source: OCI distribution specification 1.1. */
export class RegistryClient {
  readonly #base: URL;
  readonly #repository: string;
  readonly #credentials: Credentials | undefined;
  #authorization: string | undefined;

  /** @param domain `ghcr.io`, `127.0.0.1:5000`: a loopback one is spoken to without TLS. @param repository `owner/name`. */
  constructor(domain: string, repository: string, credentials: Credentials | undefined) {
    const host = domain === 'docker.io' ? 'registry-1.docker.io' : domain;
    this.#base = new URL(`${isLoopback(host) ? 'http' : 'https'}://${host}/v2/${repository}/`);
    this.#repository = repository;
    this.#credentials = credentials;
  }

  /** Uploads a blob unless the registry has it; false when it had. */
  async blob({ digest, size }: Descriptor, content: Blob): Promise<boolean> {
    const head = await this.#ask('HEAD', new URL(`blobs/${digest}`, this.#base));
    if (PRESENT.includes(head.status)) return false;
    if (head.status !== 404) throw await refusal('look for a blob', head);
    const begun = await this.#ask('POST', new URL('blobs/uploads/', this.#base));
    const place = begun.headers.get('location');
    if (begun.status !== 202 || place === null) throw await refusal('begin an upload', begun);
    const target = new URL(place, this.#base);
    target.searchParams.set('digest', digest);
    const headers = { 'content-type': 'application/octet-stream', 'content-length': String(size) };
    const done = await this.#ask('PUT', target, { headers, body: content });
    if (done.status !== 201) throw await refusal(`upload ${digest}`, done);
    return true;
  }

  /** Uploads a manifest or an index under a tag, or under its digest. Returns whether the registry keeps what refers to it. */
  async manifest({ mediaType }: Descriptor, content: Uint8Array, name: string): Promise<boolean> {
    const answer = await this.#ask('PUT', new URL(`manifests/${name}`, this.#base), {
      headers: { 'content-type': mediaType },
      body: content,
    });
    if (answer.status !== 201) throw await refusal(`store the manifest ${name}`, answer);
    return answer.headers.has('oci-subject');
  }

  /** What a tag or digest names, as the registry has it; undefined when there is nothing. */
  async current(name: string): Promise<unknown> {
    const accept = `${MEDIA_TYPE.index}, ${MEDIA_TYPE.manifest}`;
    const answer = await this.#ask('GET', new URL(`manifests/${name}`, this.#base), { headers: { accept } });
    if (answer.status === 404) return undefined;
    if (answer.status !== 200) throw await refusal(`read the manifest ${name}`, answer);
    return answer.json();
  }

  /** Sends a request, and once more with a token when the registry says where there are some. */
  async #ask(
    method: string,
    url: URL,
    init: { headers?: Record<string, string>; body?: Blob | Uint8Array } = {},
  ): Promise<Response> {
    const send = () =>
      fetch(url, {
        ...init,
        method,
        headers: {
          ...init.headers,
          // An upload may be to another server, which has no business with these.
          ...(url.origin === this.#base.origin &&
            this.#authorization !== undefined && { authorization: this.#authorization }),
        },
        redirect: 'manual',
      } as RequestInit).catch((cause: unknown) => {
        throw new RegistryError(`${url.origin} does not answer`, { cause });
      });
    const first = await send();
    // Another server would choose where the registry's credentials go.
    if (first.status !== 401 || url.origin !== this.#base.origin) return first;
    const challenge = first.headers.get('www-authenticate') ?? '';
    this.#authorization = await this.#authorize(challenge);
    return send();
  }

  async #authorize(challenge: string): Promise<string> {
    const [scheme = ''] = challenge.split(' ', 1);
    const credentials = this.#credentials;
    if (scheme.toLowerCase() === 'basic' && credentials !== undefined && 'username' in credentials)
      return basic(credentials);
    const { realm, service } = parameters(challenge);
    if (scheme.toLowerCase() !== 'bearer' || realm === undefined)
      throw new RegistryError(
        `${this.#base.host} wants credentials, and docker's configuration has none for it; run "docker login ${this.#base.host}"`,
      );
    const where = tokenServer(realm, this.#base);
    const scope = `repository:${this.#repository}:pull,push`;
    const answer = await this.#tokenRequest(where, service, scope);
    if (answer.status !== 200) throw await refusal(`get a token from ${where.host}`, answer);
    const { token, access_token } = (await answer.json()) as { token?: string; access_token?: string };
    const given = token ?? access_token;
    if (given === undefined) throw new RegistryError(`${where.host} answered without a token`);
    return `Bearer ${given}`;
  }

  #tokenRequest(where: URL, service: string | undefined, scope: string): Promise<Response> {
    const asked = { ...(service !== undefined && { service }), scope };
    const credentials = this.#credentials;
    if (credentials !== undefined && 'identityToken' in credentials) {
      const body = new URLSearchParams({
        ...asked,
        grant_type: 'refresh_token',
        client_id: 'hostport',
        refresh_token: credentials.identityToken,
      });
      return fetch(where, { method: 'POST', body, redirect: 'manual' });
    }
    for (const [name, value] of Object.entries(asked)) where.searchParams.set(name, value);
    return fetch(where, {
      headers: credentials === undefined ? {} : { authorization: basic(credentials) },
      redirect: 'manual',
    });
  }
}

/** Where a registry wants credentials sent to. Throws for what is not reached by TLS, unless both are on this machine. */
export function tokenServer(realm: string, registry: URL): URL {
  const where = URL.parse(realm);
  if (where === null)
    throw new RegistryError(
      `${registry.host} wants credentials sent to ${JSON.stringify(realm)}, not a valid address`,
    );
  const isLocal = where.protocol === 'http:' && isLoopback(where.host) && isLoopback(registry.host);
  if (where.protocol !== 'https:' && !isLocal)
    throw new RegistryError(`${registry.host} wants credentials sent without TLS, to ${realm}`);
  return where;
}

function basic({ username, password }: { username: string; password: string }): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
}

/** The quoted parameters of a challenge. Source: RFC 9110, 11.6.1. */
function parameters(challenge: string): Partial<Record<'realm' | 'service', string>> {
  return Object.fromEntries(
    [...challenge.matchAll(/(\w+)="([^"]*)"/g)].map(([, name, value]) => [name!.toLowerCase(), value!]),
  );
}

/** Machines that nothing leaves for: also registries of tests. */
function isLoopback(host: string): boolean {
  return /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d+)?$/.test(host);
}

async function refusal(what: string, answer: Response): Promise<Error> {
  const said = (await answer.text()).replace(/[^\x20-\x7e]+/g, ' ').trim();
  return new RegistryError(
    `the registry does not ${what}: status ${answer.status}${said === '' ? '' : `: ${said.slice(0, SAID)}`}`,
  );
}
