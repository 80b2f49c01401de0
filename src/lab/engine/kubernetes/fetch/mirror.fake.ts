import { createHash } from 'node:crypto';
import { createServer, type Socket } from 'node:net';
import type { KeyedCertificate } from '../../../../kube/pki.ts';
import { PROGRAMS } from '../release.ts';

/** One request that a fake mirror got. */
export interface SeenRequest {
  path: string;
  range: string | null;
}

/** How a fake mirror answers; what is undefined is answered as a mirror does. */
type Answering = (request: Request, file: Buffer | undefined) => Response | undefined;

/** A mirror of one release on loopback, with ranges. */
export class FakeMirror {
  readonly files = new Map<string, Buffer>();
  readonly seen: SeenRequest[] = [];
  /** Called first with every request. */
  answering: Answering = () => undefined;
  readonly #server: ReturnType<typeof Bun.serve>;

  constructor(tls?: KeyedCertificate) {
    this.#server = Bun.serve({
      hostname: '127.0.0.1',
      port: 0,
      ...(tls && { tls: { cert: tls.certPem, key: tls.keyPem } }),
      fetch: (request) => this.#answer(request),
    });
  }

  get url(): string {
    return this.#server.url.href;
  }

  get port(): number {
    return this.#server.port!;
  }

  /** Publishes a file with its checksum. */
  publish(path: string, content: Buffer): void {
    this.files.set(path, content);
    this.files.set(`${path}.sha512`, Buffer.from(`${createHash('sha512').update(content).digest('hex')}\n`));
  }

  /** Publishes all programs of a release, each with other bytes. */
  publishRelease(version: string, content: (name: string) => Buffer): void {
    for (const name of PROGRAMS) this.publish(`/${version}/bin/linux/amd64/${name}`, content(name));
  }

  /** Ranges of the requests for a program, in order. */
  rangesOf(name: string): (string | null)[] {
    return this.seen.filter(({ path }) => path.endsWith(`/${name}`)).map(({ range }) => range);
  }

  stop(): Promise<void> {
    return this.#server.stop(true);
  }

  #answer(request: Request): Response {
    const path = new URL(request.url).pathname;
    const range = request.headers.get('range');
    this.seen.push({ path, range });
    const file = this.files.get(path);
    const special = this.answering(request, file);
    if (special !== undefined) return special;
    if (file === undefined) return new Response('no', { status: 404 });
    const from = /^bytes=(\d+)-$/.exec(range ?? '')?.[1];
    if (from === undefined) return new Response(new Uint8Array(file));
    if (Number(from) >= file.length) return new Response(null, { status: 416 });
    return new Response(new Uint8Array(file.subarray(Number(from))), {
      status: 206,
      headers: { 'content-range': `bytes ${from}-${file.length - 1}/${file.length}` },
    });
  }
}

/** Bytes, after which the connection is closed, at once or later; undefined: nothing, and it stays open. */
export type RawAnswer = Buffer | { bytes: Buffer; until: Promise<void> } | undefined;

/**
 * A server on loopback that answers each connection with the next of these, which no HTTP library would send. */
export async function rawServer(
  answers: RawAnswer[],
): Promise<{ url: string; requests: string[]; stop(): void }> {
  const requests: string[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.once('data', (data) => {
      requests.push(data.toString('latin1'));
      const answer = answers.shift();
      if (answer === undefined) return;
      if (Buffer.isBuffer(answer)) socket.end(answer);
      else {
        socket.write(answer.bytes);
        void answer.until.then(() => socket.end());
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('it listens nowhere');
  return {
    url: `http://127.0.0.1:${address.port}/`,
    requests,
    stop() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}
