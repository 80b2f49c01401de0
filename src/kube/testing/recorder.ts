import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createHttps } from 'node:https';
import {
  type AddressInfo,
  connect,
  createServer as createTcp,
  type Server as NetServer,
  type Socket,
} from 'node:net';
import { createServer as createTls, type TLSSocket } from 'node:tls';
import { gzipSync } from 'node:zlib';
import { createAuthority, issueCertificate } from '../pki.ts';

/** What arrived at the server. */
export interface Arrival {
  method: string;
  path: string;
  /** Names in small letters, in the order of arrival. */
  headers: [name: string, value: string][];
  /** The name that the client asked for; undefined when it asked for none. */
  sni: string | undefined;
  /** Common name of the client's certificate. */
  peer: string | undefined;
}

/** What a proxy was asked for. */
export interface ProxyArrival {
  kind: ProxyKind;
  /** `CONNECT host:port`, or the request line's URL. */
  asked: string;
  /** `user:password`; undefined when none was given. */
  user: string | undefined;
}

export type ProxyKind = 'http' | 'https' | 'socks5';

/** What the server answers: enough of a version for kubectl. */
export const ANSWER = { major: '1', minor: '33', gitVersion: 'v1.33.0' };

/**
 * A server with TLS on loopback that records what arrives and answers {@link ANSWER}, compressed where that is accepted, another without
 * TLS, and proxies of every kind, which bring any name and address to them. The server's certificate is for `api.example` and 127.0.0.1, the proxy's for localhost.
 */
export class Recorder implements AsyncDisposable {
  readonly arrivals: Arrival[] = [];
  readonly proxied: ProxyArrival[] = [];
  /** What the server answers next, when it is not 200. */
  answers: number[] = [];
  /** Takes the next request for a watch, and sends events as long as it likes. */
  readonly watchers: ((send: (event: object) => void) => void)[] = [];
  readonly caPem: string;
  readonly client: { certPem: string; keyPem: string };
  readonly #servers: NetServer[] = [];
  readonly #sockets = new Set<Socket>();
  readonly #ports = new Map<string, number>();

  static async start(): Promise<Recorder> {
    const authority = await createAuthority('test-ca');
    const [server, proxy, client] = await Promise.all([
      issueCertificate(authority, {
        commonName: 'server',
        dnsNames: ['api.example'],
        ipAddresses: ['127.0.0.1'],
        usage: 'server',
      }),
      issueCertificate(authority, { commonName: 'proxy', dnsNames: ['localhost'], usage: 'server' }),
      issueCertificate(authority, { commonName: 'me', usage: 'client' }),
    ]);
    const recorder = new Recorder(authority.certPem, client);
    const tls = { cert: server.certPem, key: server.keyPem, ca: authority.certPem };
    const answer = (request: IncomingMessage, response: ServerResponse) =>
      recorder.#answer(request, response);
    // The runtime's HTTPS server does not know the client's certificate.
    const inner = createServer(answer);
    const outer = { ...tls, requestCert: true, rejectUnauthorized: false };
    await recorder.#listen(
      'server',
      createTls(outer, (socket) => inner.emit('connection', socket)),
    );
    await recorder.#listen('plain', createServer(answer));
    await recorder.#listen('http', recorder.#httpProxy(createServer(), 'http'));
    const secured = createHttps({ cert: proxy.certPem, key: proxy.keyPem });
    await recorder.#listen('https', recorder.#httpProxy(secured, 'https'));
    await recorder.#listen(
      'socks5',
      createTcp((socket) => recorder.#socks(socket)),
    );
    return recorder;
  }

  private constructor(caPem: string, client: { certPem: string; keyPem: string }) {
    this.caPem = caPem;
    this.client = client;
  }

  /** Port of the server with TLS, of that without, or of a proxy. */
  port(of: 'server' | 'plain' | ProxyKind): number {
    return this.#ports.get(of)!;
  }

  /** Forgets what arrived, and returns it. */
  take(): { arrivals: Arrival[]; proxied: ProxyArrival[] } {
    return { arrivals: this.arrivals.splice(0), proxied: this.proxied.splice(0) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await Promise.all(this.#servers.map((server) => new Promise((resolve) => server.close(resolve))));
  }

  async #listen(name: string, server: NetServer): Promise<void> {
    server.on('connection', (socket: Socket) => this.#keep(socket));
    this.#servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    this.#ports.set(name, (server.address() as AddressInfo).port);
  }

  #keep(socket: Socket): Socket {
    this.#sockets.add(socket);
    socket.on('close', () => this.#sockets.delete(socket));
    // Clients that dislike a certificate hang up.
    socket.on('error', () => socket.destroy());
    return socket;
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const headers: [string, string][] = [];
    for (let i = 0; i < request.rawHeaders.length; i += 2) {
      headers.push([request.rawHeaders[i]!.toLowerCase(), request.rawHeaders[i + 1]!]);
    }
    const socket = request.socket as TLSSocket & { servername?: string | false };
    this.arrivals.push({
      method: request.method!,
      path: request.url!,
      headers,
      sni: socket.servername || undefined,
      peer: socket.getPeerCertificate?.()?.subject?.CN as string | undefined,
    });
    if (request.url!.includes('watch=true')) {
      response.writeHead(200, { 'content-type': 'application/json' });
      this.watchers.shift()?.((event) => response.write(`${JSON.stringify(event)}\n`));
      return;
    }
    const status = this.answers.shift() ?? 200;
    const isCompressed = /gzip/.test(String(request.headers['accept-encoding']));
    response.writeHead(status, {
      'content-type': 'application/json',
      connection: 'close',
      ...(isCompressed && { 'content-encoding': 'gzip' }),
    });
    const text = JSON.stringify(ANSWER);
    response.end(isCompressed ? gzipSync(text) : text);
  }

  #httpProxy(server: Server, kind: ProxyKind): Server {
    const record = (asked: string, request: IncomingMessage) => {
      const [, encoded] = (request.headers['proxy-authorization'] ?? '').split(' ');
      const user = encoded === undefined ? undefined : Buffer.from(encoded, 'base64').toString('utf8');
      this.proxied.push({ kind, asked, user });
    };
    server.on('connect', (request: IncomingMessage, socket: Socket) => {
      record(`CONNECT ${request.url}`, request);
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      this.#join(this.#keep(socket), 'server');
    });
    server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      record(request.url!, request);
      this.#answer(request, response);
    });
    return server;
  }

  #join(socket: Socket, to: 'server'): void {
    const onward = this.#keep(connect(this.port(to), '127.0.0.1'));
    onward.on('close', () => socket.destroy());
    socket.on('close', () => onward.destroy());
    socket.pipe(onward).pipe(socket);
  }

  /** SOCKS 5, with a user when the client offers one. Every message of a client comes in one piece over loopback. */
  #socks(socket: Socket): void {
    let user: string | undefined;
    const steps: ((bytes: Buffer) => void)[] = [
      (bytes) => {
        const wantsUser = bytes.subarray(2).includes(2);
        if (!wantsUser) steps.shift();
        socket.write(Buffer.from([5, wantsUser ? 2 : 0]));
      },
      (bytes) => {
        const name = bytes.subarray(2, 2 + bytes[1]!);
        user = `${name}:${bytes.subarray(3 + name.length)}`;
        socket.write(Buffer.from([1, 0]));
      },
      (bytes) => {
        const host = bytes[3] === 3 ? `${bytes.subarray(5, 5 + bytes[4]!)}` : bytes.subarray(4, -2).join('.');
        this.proxied.push({
          kind: 'socks5',
          asked: `CONNECT ${host}:${bytes.readUInt16BE(bytes.length - 2)}`,
          user,
        });
        socket.off('data', next);
        socket.write(Buffer.from([5, 0, 0, 1, 0, 0, 0, 0, 0, 0]));
        this.#join(socket, 'server');
      },
    ];
    const next = (bytes: Buffer) => steps.shift()!(bytes);
    socket.on('data', next);
  }
}
