import { readFileSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { parseEndpoint } from '../../util/endpoint.ts';
import { messageOf, UserError } from '../../util/errors.ts';
import { blobPath, type Descriptor, REF_NAME, readIndex } from './oci.ts';
import { formatReference, type ImageReference, parseReference } from './reference.ts';

const DEFAULT_DOMAIN = 'docker.io';

/** One image of the layout by its name. */
interface NamedImage {
  reference: ImageReference;
  manifest: Descriptor;
}

/** The images of a layout as they are now: the index is read again when its file has changed. */
class Layout {
  readonly directory: string;
  #images: NamedImage[] = [];
  #version = '';

  constructor(directory: string) {
    this.directory = directory;
  }

  async images(): Promise<NamedImage[]> {
    const { mtimeMs, ino, size } = await stat(join(this.directory, 'index.json'));
    const version = `${ino} ${mtimeMs} ${size}`;
    if (version !== this.#version) {
      const index = await readIndex(this.directory);
      this.#images = index.manifests.flatMap((manifest) => {
        const reference = parseReference(manifest.annotations?.[REF_NAME] ?? '');
        return reference === undefined ? [] : [{ reference, manifest }];
      });
      this.#version = version;
    }
    return this.#images;
  }
}

/** Error codes of the OCI distribution specification, "Error Codes", with their HTTP status. */
const STATUS = {
  BLOB_UNKNOWN: 404,
  MANIFEST_UNKNOWN: 404,
  NAME_UNKNOWN: 404,
  NAME_INVALID: 400,
  UNSUPPORTED: 405,
  UNKNOWN: 500,
} as const;

function failure(code: keyof typeof STATUS, message: string): Response {
  return Response.json({ errors: [{ code, message }] }, { status: STATUS[code] });
}

/**
 * Answers requests of the OCI distribution specification v1.1 ("pull" and "content discovery") from an image layout.
 * A request that comes by way of a mirror names the registry it is meant for in `?ns=` (as containerd does); without it,
 * `docker.io` is looked at first and then every other registry.
 */
export function registryHandler(directory: string): (request: Request) => Promise<Response> {
  const layout = new Layout(directory);
  return async (request) => {
    const response = await answer(layout, request);
    response.headers.set('docker-distribution-api-version', 'registry/2.0');
    return response;
  };
}

async function answer(layout: Layout, request: Request): Promise<Response> {
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    return failure('UNSUPPORTED', `${request.method}: this registry is read-only`);
  }
  const url = new URL(request.url);
  if (url.pathname === '/v2/' || url.pathname === '/v2') return Response.json({});
  const images = await layout.images();
  if (url.pathname === '/v2/_catalog') {
    return Response.json({
      repositories: [...new Set(images.map(({ reference }) => reference.path))].sort(),
    });
  }
  const match = /^\/v2\/(.+)\/(manifests|blobs|tags)\/([^/]+)$/.exec(url.pathname);
  if (match === null) return failure('NAME_UNKNOWN', `${url.pathname}: not part of this API`);
  const [, name, kind, version] = match as unknown as [string, string, string, string];
  const domain = url.searchParams.get('ns');
  const repository = inRepository(images, domain, name);
  if (repository.length === 0) {
    const full = `${domain ?? DEFAULT_DOMAIN}/${name}`;
    return failure('NAME_UNKNOWN', `repository ${full} is not in this registry`);
  }
  if (kind === 'tags') return tagList(name, version, repository);
  if (kind === 'manifests') return await manifest(layout, name, version, repository);
  return await blob(layout, request, version);
}

function inRepository(images: NamedImage[], domain: string | null, name: string): NamedImage[] {
  const named = images.filter(({ reference }) => reference.path === name);
  if (domain !== null) return named.filter(({ reference }) => reference.domain === domain);
  const first = named.find(({ reference }) => reference.domain === DEFAULT_DOMAIN) ?? named[0];
  return named.filter(({ reference }) => reference.domain === first?.reference.domain);
}

function tagList(name: string, version: string, repository: NamedImage[]): Response {
  if (version !== 'list') return failure('NAME_UNKNOWN', `tags/${version}: not part of this API`);
  const tags = repository.flatMap(({ reference }) => reference.tag ?? []);
  return Response.json({ name, tags: tags.sort() });
}

async function manifest(
  layout: Layout,
  name: string,
  version: string,
  repository: NamedImage[],
): Promise<Response> {
  const found = repository.find(({ reference, manifest }) =>
    version.includes(':') ? manifest.digest === version : reference.tag === version,
  );
  if (found === undefined) {
    const held = repository.map(({ reference }) => formatReference(reference)).join(', ');
    return failure('MANIFEST_UNKNOWN', `${name}: no manifest ${version}; there is ${held}`);
  }
  const { digest, mediaType } = found.manifest;
  return new Response(Bun.file(blobPath(layout.directory, digest)), {
    headers: { 'content-type': mediaType, 'docker-content-digest': digest, etag: `"${digest}"` },
  });
}

async function blob(layout: Layout, request: Request, digest: string): Promise<Response> {
  if (!/^sha256:[a-f0-9]{64}$/.test(digest)) return failure('BLOB_UNKNOWN', `${digest}: not a sha256 digest`);
  const file = Bun.file(blobPath(layout.directory, digest));
  if (!(await file.exists())) return failure('BLOB_UNKNOWN', `no blob ${digest}`);
  const headers = {
    'content-type': 'application/octet-stream',
    'docker-content-digest': digest,
    etag: `"${digest}"`,
    'accept-ranges': 'bytes',
  };
  const range = parseRange(request.headers.get('range'), file.size);
  if (range === undefined) return new Response(file, { headers });
  if (range === 'unsatisfiable') {
    return new Response(null, { status: 416, headers: { 'content-range': `bytes */${file.size}` } });
  }
  return new Response(file.slice(range.start, range.end + 1), {
    status: 206,
    headers: { ...headers, 'content-range': `bytes ${range.start}-${range.end}/${file.size}` },
  });
}

/**
 * The one byte range that a Range header asks for; `end` is inclusive. Undefined when there is none, or it is of a kind
 * that RFC 9110, 14.2 lets a server ignore (other units, several ranges).
 */
export function parseRange(
  header: string | null,
  size: number,
): { start: number; end: number } | 'unsatisfiable' | undefined {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header ?? '');
  if (match === null || (match[1] === '' && match[2] === '')) return undefined;
  const start = match[1] === '' ? Math.max(0, size - Number(match[2])) : Number(match[1]);
  const end = match[1] === '' || match[2] === '' ? size - 1 : Math.min(Number(match[2]), size - 1);
  return start > end || start >= size ? 'unsatisfiable' : { start, end };
}

/** What a registry needs to listen: PEM texts, and the layout that it serves. */
export interface RegistryOptions {
  hostname: string;
  port: number;
  layout: string;
  cert: string;
  key: string;
  /** Only holders of a certificate of this CA are answered. */
  clientCa: string;
}

/** Starts the registry; a connection without a client certificate of the CA is refused in the TLS handshake. */
export function serveRegistry(options: RegistryOptions, log: (line: string) => void): Bun.Server<undefined> {
  const handle = registryHandler(options.layout);
  return Bun.serve({
    hostname: options.hostname,
    port: options.port,
    tls: {
      cert: options.cert,
      key: options.key,
      ca: options.clientCa,
      requestCert: true,
      rejectUnauthorized: true,
    },
    async fetch(request) {
      const { pathname, search } = new URL(request.url);
      let response: Response;
      try {
        response = await handle(request);
      } catch (error) {
        log(`${request.method} ${pathname}${search}: ${messageOf(error)}`);
        return failure('UNKNOWN', messageOf(error));
      }
      log(`${request.method} ${pathname}${search} ${response.status}`);
      return response;
    },
  });
}

/** The registry daemon: serves an image layout until SIGTERM. */
export async function main(argv: string[]): Promise<number> {
  const { values } = parseArgs({
    args: argv,
    options: {
      listen: { type: 'string' },
      layout: { type: 'string' },
      'tls-cert-file': { type: 'string' },
      'tls-private-key-file': { type: 'string' },
      'client-ca-file': { type: 'string' },
    },
  });
  const required = (name: keyof typeof values): string => {
    const value = values[name];
    if (value === undefined) throw new UserError(`registry: --${name} is required`);
    return value;
  };
  const listen = parseEndpoint(required('listen'));
  if (listen === undefined) throw new UserError(`registry: --listen ${values.listen}: must be HOST:PORT`);
  const layout = required('layout');
  // Fail now, with a name, rather than at the first pull.
  await readIndex(layout);
  const log = (line: string) => console.error(`registry: ${line}`);
  const server = serveRegistry(
    {
      hostname: listen.address,
      port: listen.port,
      layout,
      cert: readFileSync(required('tls-cert-file'), 'utf8'),
      key: readFileSync(required('tls-private-key-file'), 'utf8'),
      clientCa: readFileSync(required('client-ca-file'), 'utf8'),
    },
    log,
  );
  log(`serving ${layout} on https://${server.hostname}:${server.port}`);
  await new Promise<void>((resolve) => {
    process.once('SIGTERM', () => resolve());
    process.once('SIGINT', () => resolve());
  });
  await server.stop(true);
  return 0;
}
