import type { IncomingMessage, ServerResponse } from 'node:http';
import type { User } from './identity.ts';
import { type Format, JSON_FORMAT, parseMediaRanges } from './negotiation.ts';
import type { RequestInfo } from './request-info.ts';
import { badRequest, StatusError } from './status-error.ts';

/** Kubernetes' own limit of a request body. */
const MAX_BODY_BYTES = 3 * 1024 * 1024;

/** One request under way: who asks for what, and where the answer goes. */
export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly info: RequestInfo;
  readonly user: User;
  /** Aborted when the client goes away or the server stops. */
  readonly signal: AbortSignal;
  /** Become Warning headers of the answer. */
  readonly warnings: string[];
}

/** How deep a body may be nested. Definitions of custom resources have some dozens of levels. */
const MAX_DEPTH = 1000;

/** As much of a body that is too long is read as a client may send before it listens, in bytes. */
const MAX_UNWANTED_BYTES = 64 * 1024 * 1024;

/** The whole body. Throws 413 for one that is longer than the limit, 400 for one that is nested so deeply that walking it is a risk. */
export function readBody(request: IncomingMessage): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    request.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size <= MAX_BODY_BYTES) chunks.push(chunk);
      else if (size > MAX_UNWANTED_BYTES) request.destroy();
      else chunks.length = 0;
    });
    request.on('error', reject);
    // It has gone, or was sent away.
    request.on('close', () => reject(tooLarge()));
    request.on('end', () => {
      if (size > MAX_BODY_BYTES) return reject(tooLarge());
      const body = Buffer.concat(chunks);
      if (isTooDeep(body, contentTypeOf(request)))
        return reject(badRequest(`the body of the request is nested deeper than ${MAX_DEPTH} levels`));
      resolve(body);
    });
  });
}

function tooLarge(): StatusError {
  return new StatusError(
    413,
    'RequestEntityTooLarge',
    `Request entity too large: limit is ${MAX_BODY_BYTES}`,
  );
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
/** Lists and objects begin and end with these, in JSON as in the compact form of YAML. */
const [OPEN_LIST, OPEN_OBJECT, CLOSE_LIST, CLOSE_OBJECT] = [0x5b, 0x7b, 0x5d, 0x7d];

/** Found without parsing, which costs seconds for a megabyte of brackets. */
function isTooDeep(body: Buffer, type: string): boolean {
  if (type === 'application/vnd.kubernetes.protobuf') return false;
  // YAML has quotes of its own kind; a text with so many brackets that are not closed is not what anybody writes.
  const hasStrings = !/yaml/.test(type);
  let depth = 0;
  let inString = false;
  for (let at = 0; at < body.length; at++) {
    const byte = body[at]!;
    if (inString) {
      if (byte === BACKSLASH) at++;
      else if (byte === QUOTE) inString = false;
    } else if (byte === QUOTE) inString = hasStrings;
    else if (byte === OPEN_LIST || byte === OPEN_OBJECT) {
      if (++depth > MAX_DEPTH) return true;
    } else if (byte === CLOSE_LIST || byte === CLOSE_OBJECT) depth--;
  }
  return false;
}

/** The media type of a request's body, without parameters. */
export function contentTypeOf(request: IncomingMessage): string {
  return parseMediaRanges(request.headers['content-type'] ?? 'application/json')[0]?.type ?? '';
}

/** Why a text is no JSON: cut off, which is the most frequent reason, in Go's words, any other in those of the parser here. */
export function jsonProblem(body: Buffer, cause: unknown): string {
  const { message } = cause as Error;
  return body.length === 0 || /EOF|end of|Unterminated/i.test(message)
    ? 'unexpected end of JSON input'
    : message;
}

const SUMMARY_BYTES = 30;

/** The beginning of a body as errors show it: JSON as it is, anything else in hexadecimal. */
function summary(body: Buffer): string {
  if (body.length === 0) return '<empty>';
  const cut = body.length > SUMMARY_BYTES;
  const shown =
    body[0] === 0x7b ? body.toString('utf8', 0, SUMMARY_BYTES) : body.toString('hex').slice(0, SUMMARY_BYTES);
  return cut || (body[0] !== 0x7b && body.length * 2 > SUMMARY_BYTES) ? `${shown} ...` : shown;
}

/** The answer to a body of which one cannot see what it is; `kind` is what it should have been. */
export function unrecognized(kind: string, body: Buffer, problem: string): StatusError {
  return badRequest(
    `the object provided is unrecognized (must be of type ${kind}): ${problem} (${summary(body)})`,
  );
}

/**
 * Parses a JSON, YAML or protobuf body. Throws 415 for any other type and 400 for text that is not what it is said to be.
 * `kind` is what it should be. `keepNulls`: for a custom kind, whose schema may allow null.
 */
export async function parseBody(
  request: IncomingMessage,
  body: Buffer,
  kind = '',
  keepNulls = false,
): Promise<unknown> {
  const clean = keepNulls ? (value: unknown) => value : withoutNulls;
  const type = contentTypeOf(request);
  if (type === 'application/vnd.kubernetes.protobuf') {
    // Loaded with its tables when the first such body comes.
    const { decodeProtobuf } = await import('../kubernetes/schema/protobuf.ts');
    try {
      return decodeProtobuf(body);
    } catch (cause) {
      throw badRequest(`unable to decode the protobuf body: ${(cause as Error).message}`);
    }
  }
  const text = body.toString('utf8');
  if (type === 'application/yaml' || type === 'application/x-yaml') {
    const { parse } = await import('yaml');
    try {
      return clean(parse(text));
    } catch (cause) {
      throw unrecognized(kind, body, `yaml: ${(cause as Error).message.split('\n')[0]}`);
    }
  }
  // Without a type, and with the one that curl gives: JSON, as Kubernetes takes it.
  if (!['application/json', 'application/x-www-form-urlencoded', ''].includes(type)) {
    throw new StatusError(
      415,
      'UnsupportedMediaType',
      `the body of the request was in an unknown format - accepted media types include: application/json, application/yaml, application/vnd.kubernetes.protobuf`,
    );
  }
  try {
    return clean(JSON.parse(text));
  } catch (cause) {
    throw unrecognized(
      kind,
      body,
      `couldn't get version/kind; json parse error: ${jsonProblem(body, cause)}`,
    );
  }
}

/** Null is how Go's encoder writes what is not set: fields that are null are fields that are not there. */
function withoutNulls(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  for (const [key, item] of Object.entries(value)) {
    if (item === null && !Array.isArray(value)) delete (value as Record<string, unknown>)[key];
    else withoutNulls(item);
  }
  return value;
}

/** Answers with an object. */
export async function answer(
  exchange: Exchange,
  code: number,
  object: unknown,
  format: Format = JSON_FORMAT,
): Promise<void> {
  if (format.encoding === 'yaml') {
    const { stringify } = await import('yaml');
    send(exchange.response, code, 'application/yaml', stringify(object), exchange.warnings);
  } else send(exchange.response, code, 'application/json', `${JSON.stringify(object)}\n`, exchange.warnings);
}

export function send(
  response: ServerResponse,
  code: number,
  contentType: string,
  body: string | Uint8Array,
  warnings: readonly string[] = [],
): void {
  response.statusCode = code;
  response.setHeader('content-type', contentType);
  response.setHeader('cache-control', 'no-cache, private');
  response.setHeader('content-length', Buffer.byteLength(body));
  if (warnings.length > 0) response.setHeader('warning', warnings.map(warningText));
  response.end(body);
}

/** RFC 7234's form; 299 is "miscellaneous persistent warning". */
function warningText(text: string): string {
  return `299 - ${JSON.stringify(text.replace(/[\r\n]+/g, ' '))}`;
}
