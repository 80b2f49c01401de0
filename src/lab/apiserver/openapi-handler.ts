import { createHash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { KindInfo } from '../../kube/kinds.ts';
import { send } from './exchange.ts';
import { parseMediaRanges } from './negotiation.ts';
import { StatusError, unknownResource } from './status-error.ts';

const V2_PROTOBUF = 'application/com.github.proto-openapi.spec.v2@v1.0+protobuf';
/** The same type in a spelling that mime parsers accept: what is answered whichever was asked for, as Kubernetes does. */
const V2_PROTOBUF_VALID = 'application/com.github.proto-openapi.spec.v2.v1.0+protobuf';

interface Document {
  body: string | Uint8Array;
  tag: string;
}

/** Documents and their tags, built when first requested: most servers never get such a request. */
const documents = new WeakMap<readonly KindInfo[], Map<string, Document>>();

/** Answers `/openapi/v2`, `/openapi/v3` and `/openapi/v3/...`. */
export async function serveOpenApi(
  request: IncomingMessage,
  response: ServerResponse,
  path: string,
  kinds: readonly KindInfo[],
): Promise<void> {
  const ranges = parseMediaRanges(request.headers.accept ?? '*/*');
  const accepts = (...types: string[]) => ranges.some(({ type }) => types.includes(type));
  let type = 'application/json';
  if (path === '/openapi/v2') {
    const json = accepts('application/json', '*/*', 'application/*');
    const first = ranges.find(({ type: wanted }) =>
      [V2_PROTOBUF, V2_PROTOBUF_VALID, 'application/json'].includes(wanted),
    );
    if (first !== undefined) type = first.type === 'application/json' ? first.type : V2_PROTOBUF_VALID;
    else if (!json)
      throw new StatusError(406, 'NotAcceptable', `only application/json and ${V2_PROTOBUF} are served`);
  } else if (!accepts('application/json', '*/*', 'application/*')) {
    // Version 3 exists as protobuf as well; clients that prefer it name JSON too.
    throw new StatusError(406, 'NotAcceptable', 'only application/json is served');
  }
  const { body, tag } = await documentOf(path, type, kinds);
  response.setHeader('etag', tag);
  response.setHeader('vary', 'Accept');
  if (request.headers['if-none-match'] === tag) {
    response.statusCode = 304;
    response.end();
    return;
  }
  send(response, 200, type, body);
}

async function documentOf(path: string, type: string, kinds: readonly KindInfo[]): Promise<Document> {
  const key = `${path} ${type}`;
  const made = documents.get(kinds) ?? new Map<string, Document>();
  documents.set(kinds, made);
  const known = made.get(key);
  if (known !== undefined) return known;
  const openapi = await import('../kubernetes/schema/openapi.ts');
  let body: string | Uint8Array;
  if (path === '/openapi/v2') {
    body =
      type === 'application/json'
        ? JSON.stringify(openapi.openApiV2Json(kinds))
        : openapi.openApiV2Protobuf(kinds);
  } else if (path === '/openapi/v3') body = JSON.stringify(openapi.openApiV3Index(kinds));
  else {
    const document = path.startsWith('/openapi/v3/')
      ? openapi.openApiV3(path.slice('/openapi/v3/'.length), kinds)
      : undefined;
    if (document === undefined) throw unknownResource();
    body = JSON.stringify(document);
  }
  const tag = `"${createHash('sha256').update(body).digest('hex').slice(0, 32).toUpperCase()}"`;
  const document = { body, tag };
  made.set(key, document);
  return document;
}
