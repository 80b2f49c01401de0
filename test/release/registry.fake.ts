import { createHash } from 'node:crypto';

/** A registry that takes uploads, as strict as the OCI distribution specification 1.1 lets one be. */
export interface RegistryFake {
  domain: string;
  /** By repository and digest. */
  blobs: Map<string, Uint8Array>;
  /** By repository and tag or digest. */
  manifests: Map<string, { mediaType: string; bytes: Uint8Array }>;
  /** Methods and paths, as they were asked. */
  asked: string[];
  stop(): Promise<void>;
}

export interface RegistryFakeOptions {
  /** Who may push, by tokens from the registry itself; anybody unless given. */
  account?: { username: string; password: string };
  /** How credentials are shown. Default: a token, that is got with them. */
  scheme?: 'basic' | 'bearer';
  knowsSubjects?: boolean;
  /** Where uploads go: `http://127.0.0.1:1`. Itself unless given. */
  uploadsTo?: string;
  /** The status by which a blob that is there is found in another store. */
  redirects?: 302 | 307;
}

const digestOf = (bytes: Uint8Array) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
const TOKEN = 'token-of-the-fake';

/** Starts one on a port of loopback. */
export function startRegistry(options: RegistryFakeOptions = {}): RegistryFake {
  const { account, scheme = 'bearer', knowsSubjects = true, uploadsTo = '', redirects } = options;
  const blobs: RegistryFake['blobs'] = new Map();
  const manifests: RegistryFake['manifests'] = new Map();
  const uploads = new Map<string, string>();
  const asked: string[] = [];
  const basic =
    account && `Basic ${Buffer.from(`${account.username}:${account.password}`).toString('base64')}`;
  const refuse = (status: number, code: string) => Response.json({ errors: [{ code }] }, { status });

  const store = async (request: Request, url: URL, repository: string, name: string) => {
    const bytes = await request.bytes();
    const digest = digestOf(bytes);
    if (name.includes(':') && name !== digest) return refuse(400, 'DIGEST_INVALID');
    const {
      config,
      layers = [],
      manifests: inner = [],
      subject,
    } = JSON.parse(new TextDecoder().decode(bytes));
    const lacks =
      [config, ...layers].some((part) => part !== undefined && !blobs.has(`${repository} ${part.digest}`)) ||
      inner.some((part: { digest: string }) => !manifests.has(`${repository} ${part.digest}`));
    if (lacks) return refuse(400, 'MANIFEST_BLOB_UNKNOWN');
    const entry = { mediaType: request.headers.get('content-type') ?? '', bytes };
    for (const key of [name, digest]) manifests.set(`${repository} ${key}`, entry);
    const headers = {
      location: url.pathname,
      ...(knowsSubjects && subject && { 'oci-subject': subject.digest }),
    };
    return new Response(null, { status: 201, headers });
  };

  const server = Bun.serve({
    hostname: '127.0.0.1',
    port: 0,
    async fetch(request) {
      const url = new URL(request.url);
      asked.push(`${request.method} ${url.pathname}`);
      const authorization = request.headers.get('authorization');
      if (url.pathname === '/token')
        return authorization === basic ? Response.json({ token: TOKEN }) : refuse(401, 'UNAUTHORIZED');
      const wanted = account === undefined ? null : scheme === 'basic' ? basic : `Bearer ${TOKEN}`;
      if (wanted !== null && authorization !== wanted) {
        const challenge =
          scheme === 'basic'
            ? 'Basic realm="fake"'
            : `Bearer realm="${url.origin}/token",service="fake",scope="repository:x:pull"`;
        const answer = refuse(401, 'UNAUTHORIZED');
        answer.headers.set('www-authenticate', challenge);
        return answer;
      }
      const match = /^\/v2\/(.+)\/(blobs\/uploads|blobs|manifests)\/(.*)$/.exec(url.pathname);
      if (match === null) return refuse(404, 'NAME_UNKNOWN');
      const [, repository, kind, name] = match as unknown as [string, string, string, string];
      const key = `${repository} ${name}`;
      if (kind === 'blobs/uploads' && request.method === 'POST') {
        const id = String(uploads.size);
        uploads.set(id, repository);
        // Relative, as the specification allows.
        const location = `${uploadsTo}${url.pathname}${id}?state=x`;
        return new Response(null, { status: 202, headers: { location } });
      }
      if (kind === 'blobs/uploads' && request.method === 'PUT' && uploads.get(name) === repository) {
        const bytes = await request.bytes();
        if (url.searchParams.get('digest') !== digestOf(bytes) || url.searchParams.get('state') !== 'x')
          return refuse(400, 'DIGEST_INVALID');
        blobs.set(`${repository} ${digestOf(bytes)}`, bytes);
        return new Response(null, { status: 201 });
      }
      if (kind === 'blobs' && request.method === 'HEAD') {
        if (!blobs.has(key)) return new Response(null, { status: 404 });
        // Where nobody listens: a client that goes there does not get the answer.
        const headers = { ...(redirects && { location: 'http://127.0.0.1:1/store' }) };
        return new Response(null, { status: redirects ?? 200, headers });
      }
      if (kind === 'manifests' && request.method === 'PUT') return store(request, url, repository, name);
      if (kind === 'manifests' && request.method === 'GET') {
        const found = manifests.get(key);
        return found === undefined
          ? refuse(404, 'MANIFEST_UNKNOWN')
          : new Response(Buffer.from(found.bytes), { headers: { 'content-type': found.mediaType } });
      }
      return refuse(405, 'UNSUPPORTED');
    },
  });
  return {
    ...{ domain: `127.0.0.1:${server.port}`, blobs, manifests, asked },
    stop: () => server.stop(true),
  };
}
