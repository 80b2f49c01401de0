import type { Duplex } from 'node:stream';

/** What a server answered that was asked to switch protocols and did not. */
export class UpgradeRefused extends Error {
  readonly statusCode: number;
  /** The beginning of the answer's body. */
  readonly body: string;
  /** The answer's header `Retry-After`. */
  readonly retryAfter: string | undefined;

  constructor(path: string, statusCode: number, body: string, retryAfter?: string) {
    super(`${path}: no upgrade, status ${statusCode}${body === '' ? '' : `: ${body.trim()}`}`);
    this.name = 'UpgradeRefused';
    this.statusCode = statusCode;
    this.body = body;
    this.retryAfter = retryAfter;
  }
}

const MAX_HEAD = 64 << 10;
const MAX_BODY = 64 << 10;

/**
 * Asks the server at the other end of `socket` for an upgrade, by `POST` unless `method` says otherwise. Headers are sent in their order; a
 * name may occur several times. Resolves with the answer's headers (by lower-case
 * name) and the first bytes of the new protocol. Rejects with {@link UpgradeRefused} when the server says no, and when the
 * connection ends or the signal is aborted before it has said anything.
 */
export async function requestUpgrade(
  socket: Duplex,
  path: string,
  headers: Record<string, string> | readonly (readonly [name: string, value: string])[],
  signal: AbortSignal,
  method: 'GET' | 'POST' = 'POST',
): Promise<{ headers: Record<string, string>; head: Buffer }> {
  if (/[\r\n ]/.test(path)) throw new Error(`upgrade: ${JSON.stringify(path)} cannot be a request's path`);
  const all = Array.isArray(headers) ? headers : Object.entries(headers);
  const lines = all.map(([name, value]) => `${name}: ${value.replace(/[\r\n]/g, ' ')}\r\n`);
  const length = method === 'POST' ? 'Content-Length: 0\r\n' : '';
  socket.write(`${method} ${path} HTTP/1.1\r\n${lines.join('')}${length}\r\n`, 'latin1');

  const onAbort = () => socket.destroy(signal.reason as Error);
  signal.addEventListener('abort', onAbort, { once: true });
  if (signal.aborted) onAbort();
  try {
    let received: Buffer = Buffer.alloc(0);
    let answer: Answer | undefined;
    for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
      received = Buffer.concat([received, chunk as Buffer]);
      answer ??= parseHead(received);
      if (answer?.statusCode === 101)
        return { headers: answer.headers, head: received.subarray(answer.length) };
      if (answer !== undefined && bodyIsThere(answer, received)) break;
      if (answer === undefined && received.length > MAX_HEAD)
        throw new Error(`${path}: the answer's head is too long`);
    }
    if (answer === undefined) throw new Error(`${path}: the connection ended before there was an answer`);
    throw new UpgradeRefused(
      path,
      answer.statusCode,
      received.subarray(answer.length, answer.length + MAX_BODY).toString(),
      answer.headers['retry-after'],
    );
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

interface Answer {
  statusCode: number;
  headers: Record<string, string>;
  /** Bytes up to the body. */
  length: number;
}

function parseHead(received: Buffer): Answer | undefined {
  const end = received.indexOf('\r\n\r\n');
  if (end < 0) return undefined;
  const [status, ...lines] = received.subarray(0, end).toString('latin1').split('\r\n');
  const code = /^HTTP\/1\.[01] (\d{3})/.exec(status ?? '')?.[1];
  if (code === undefined) throw new Error(`upgrade: not an HTTP answer: ${JSON.stringify(status)}`);
  const headers: Record<string, string> = {};
  for (const line of lines) {
    const colon = line.indexOf(':');
    headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim();
  }
  return { statusCode: Number(code), headers, length: end + 4 };
}

function bodyIsThere(answer: Answer, received: Buffer): boolean {
  const body = received.length - answer.length;
  const length = answer.headers['content-length'];
  return body >= (length === undefined ? MAX_BODY : Math.min(Number(length), MAX_BODY));
}
