/** What plugins use of fetch: requests to a server on a unix socket that answers with a text of known length. */
import { Bytes } from './buffer.ts';
import { port } from './port.ts';

/** Bytes of a response; those of a node's agent have some hundred. */
const MAX_BYTES = 1024 * 1024;
const HOST = 'http://localhost';

/** In the place of AbortSignal: a deadline and nothing else. */
export const Deadline = { timeout: (ms: number) => ({ ms }) };

interface Request {
  method: string;
  unix: string;
  body: string | undefined;
  signal: { ms: number };
}

/** As fetch, of a path of `http://localhost`. What goes wrong on the way is thrown with its `code`. */
export async function fetch(url: string, { method, unix, body = '', signal }: Request) {
  if (!url.startsWith(`${HOST}/`)) throw new TypeError(`cannot fetch ${url}: only ${HOST} is reached here`);
  const content = port.encode(body);
  const head = [
    `${method} ${url.slice(HOST.length)} HTTP/1.1`,
    'Host: localhost',
    'Connection: close',
    `Content-Length: ${content.length}`,
  ];
  const request = Bytes.concat([port.encode(`${head.join('\r\n')}\r\n\r\n`), content]);
  return new Answer(Bytes.from(port.exchange(unix, request, signal.ms, MAX_BYTES)));
}

class Answer {
  readonly status: number;
  readonly #body: string;

  constructor(bytes: Bytes) {
    const end = bytes.indexOf('\r\n\r\n');
    const head = bytes.toString('utf8', 0, Math.max(end, 0));
    const status = /^HTTP\/1\.[01] (\d{3})[ \r]/.exec(`${head}\r`)?.[1];
    const length = /\r\ncontent-length: *(\d+) *\r/i.exec(`${head}\r`)?.[1];
    // A server that is killed ends the connection in the middle of what it says.
    if (status === undefined || bytes.length - (end + 4) !== Number(length ?? 0)) {
      throw Object.assign(new Error('the answer is incomplete'), { code: 'ECONNRESET' });
    }
    this.status = Number(status);
    this.#body = bytes.toString('utf8', end + 4);
  }

  get ok(): boolean {
    return this.status >= 200 && this.status < 300;
  }

  async text(): Promise<string> {
    return this.#body;
  }
}
