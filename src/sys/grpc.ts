import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants } from 'node:http2';
import net from 'node:net';

/** gRPC status codes that callers tell apart. Source: grpc.io/docs/guides/status-codes. */
export const GrpcCode = {
  CANCELLED: 1,
  UNKNOWN: 2,
  DEADLINE_EXCEEDED: 4,
  OUT_OF_RANGE: 11,
  UNAVAILABLE: 14,
} as const;

/** A call that ended with a gRPC status other than OK, or could not be made at all (UNAVAILABLE). */
export class GrpcError extends Error {
  readonly code: number;
  /** The server's words, without the call's name. */
  readonly details: string;

  constructor(method: string, code: number, details: string, cause?: unknown) {
    super(`${method}: gRPC status ${code}: ${details}`, { cause });
    this.name = 'GrpcError';
    this.code = code;
    this.details = details;
  }
}

/** TLS material as PEM text. */
export interface GrpcTls {
  ca: string;
  cert: string;
  key: string;
}

/** One streaming call. */
export interface GrpcStream {
  send(message: Uint8Array): void;
  /** Cancels the call; `onEnd` is not called afterwards. */
  close(): void;
}

export interface UnaryOptions {
  /** Deadline in milliseconds, which is sent to the server; 0: none. */
  timeoutMs: number;
  /** Cancels the call, also on the server. */
  signal?: AbortSignal;
}

const UNIX = 'unix://';

/** Flow-control window: a list of a few megabytes should not wait for a window update every 64 KiB. */
const WINDOW_BYTES = 4 * 1024 * 1024;
/** How often a connection over TCP is proved alive; a stopped or vanished machine never closes it by itself. */
const PING_INTERVAL_MS = 10_000;
const PING_TIMEOUT_MS = 5_000;

/**
 * A gRPC client over node:http2, without compression, interceptors or load balancing: calls go to the first endpoint
 * that accepts a connection, and the next call after a broken connection makes a new one.
 *
 * In place of `@grpc/grpc-js`, which under Bun took three times as long to its first answer (120 ms against 40), twice
 * the memory, and refuses to verify a server that is addressed by IP.
 */
export class GrpcChannel {
  readonly #endpoints: readonly string[];
  readonly #tls: GrpcTls | undefined;
  #session: ClientHttp2Session | undefined;
  #next = 0;
  #closed = false;

  /** `endpoints` are `https://host:port`, `http://host:port` without TLS material, or `unix:///path` of a socket. */
  constructor(endpoints: readonly string[], tls?: GrpcTls) {
    if (endpoints.length === 0) throw new Error('gRPC: no endpoints');
    this.#endpoints = endpoints;
    this.#tls = tls;
  }

  /**
   * One request, one answer. Rejects with {@link GrpcError}: DEADLINE_EXCEEDED when it is late, CANCELLED by the signal,
   * UNAVAILABLE when there is no connection, and with whatever the server says.
   */
  unary(method: string, request: Uint8Array, { timeoutMs, signal }: UnaryOptions): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(new GrpcError(method, GrpcCode.CANCELLED, 'the call was cancelled'));
      let answer: Uint8Array | undefined;
      let timer: ReturnType<typeof setTimeout> | undefined;
      const settled = () => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', onAbort);
      };
      const giveUp = (code: number, details: string) => {
        settled();
        stream.close();
        reject(new GrpcError(method, code, details));
      };
      const onAbort = () => giveUp(GrpcCode.CANCELLED, 'the call was cancelled');
      const stream = this.stream(method, {
        onMessage: (message) => {
          answer = message;
        },
        onEnd: (error) => {
          settled();
          if (error !== undefined) reject(error);
          else if (answer === undefined)
            reject(new GrpcError(method, GrpcCode.UNKNOWN, 'an answer without a message'));
          else resolve(answer);
        },
        halfClose: request,
        timeoutMs,
      });
      signal?.addEventListener('abort', onAbort, { once: true });
      if (timeoutMs > 0) {
        const late = () => giveUp(GrpcCode.DEADLINE_EXCEEDED, `no answer within ${timeoutMs} ms`);
        timer = setTimeout(late, timeoutMs);
      }
    });
  }

  /**
   * Opens a streaming call. `onEnd` is called once, with the error unless the server ended the call with OK; it may be
   * called before this method's caller has the stream when no connection can be made, but never synchronously.
   */
  stream(
    method: string,
    handlers: {
      onMessage: (message: Uint8Array) => void;
      onEnd: (error: GrpcError | undefined) => void;
      /** The only message to send; the sending half is closed after it. */
      halfClose?: Uint8Array;
      /** Deadline in milliseconds, which is sent to the server; absent or 0: none. */
      timeoutMs?: number;
    },
  ): GrpcStream {
    let ended = false;
    const end = (error: GrpcError | undefined) => {
      if (ended) return;
      ended = true;
      handlers.onEnd(error);
    };
    let request: ClientHttp2Stream;
    try {
      request = this.#connected().request({
        ':method': 'POST',
        ':path': `/${method}`,
        'content-type': 'application/grpc',
        te: 'trailers',
        ...(handlers.timeoutMs ? { 'grpc-timeout': grpcTimeout(handlers.timeoutMs) } : {}),
      });
    } catch (cause) {
      queueMicrotask(() => end(new GrpcError(method, GrpcCode.UNAVAILABLE, String(cause), cause)));
      return { send: () => {}, close: () => {} };
    }
    let status: [number, string] | undefined;
    let httpStatus = 0;
    const readStatus = (headers: Record<string, unknown>) => {
      const code = headers['grpc-status'];
      if (code === undefined) return;
      status = [Number(code), decodeURIComponent(String(headers['grpc-message'] ?? ''))];
    };
    const frames = new FrameReader(handlers.onMessage);
    request.on('response', (headers) => {
      httpStatus = Number(headers[':status']);
      readStatus(headers);
    });
    request.on('trailers', readStatus);
    request.on('data', (chunk: Buffer) => {
      if (!ended) frames.push(chunk);
    });
    request.on('error', (cause) => {
      end(new GrpcError(method, GrpcCode.UNAVAILABLE, cause.message, cause));
    });
    request.on('close', () => {
      if (status === undefined) {
        const seen = httpStatus === 0 ? 'the connection was lost' : `HTTP ${httpStatus} and no gRPC status`;
        end(new GrpcError(method, GrpcCode.UNAVAILABLE, seen));
      } else if (status[0] === 0) end(undefined);
      else end(new GrpcError(method, status[0], status[1]));
    });
    const send = (message: Uint8Array) => request.write(frame(message));
    if (handlers.halfClose !== undefined) request.end(frame(handlers.halfClose));
    return {
      send,
      close: () => {
        ended = true;
        request.close(constants.NGHTTP2_CANCEL);
      },
    };
  }

  close(): void {
    this.#closed = true;
    this.#session?.destroy();
    this.#session = undefined;
  }

  #connected(): ClientHttp2Session {
    if (this.#closed) throw new Error('the channel is closed');
    if (this.#session !== undefined && !this.#session.closed && !this.#session.destroyed)
      return this.#session;
    const endpoint = this.#endpoints[this.#next % this.#endpoints.length]!;
    const isLocal = endpoint.startsWith(UNIX);
    // A socket's path is not a host name, and servers refuse an invalid :authority.
    const session = connect(isLocal ? 'http://localhost' : endpoint, {
      ...this.#tls,
      settings: { initialWindowSize: WINDOW_BYTES },
      ...(isLocal ? { createConnection: () => net.connect(endpoint.slice(UNIX.length)) } : {}),
    });
    session.once('connect', () => {
      session.setLocalWindowSize(WINDOW_BYTES);
      // The kernel closes a local socket with its server, and servers in Go end a connection that is pinged often.
      if (!isLocal) this.#keepAlive(session);
    });
    const gone = () => {
      if (this.#session !== session) return;
      this.#session = undefined;
      this.#next++;
    };
    // Streams of the session get the error themselves and report it; here it only means that the session is over.
    session.on('error', gone);
    session.on('goaway', gone);
    session.on('close', gone);
    this.#session = session;
    return session;
  }

  #keepAlive(session: ClientHttp2Session): void {
    let answered = true;
    const interval = setInterval(() => {
      if (session.destroyed) return clearInterval(interval);
      answered = false;
      session.ping(() => {
        answered = true;
      });
      setTimeout(() => {
        if (!answered && !session.destroyed) session.destroy(new Error('no answer to a ping'));
      }, PING_TIMEOUT_MS).unref();
    }, PING_INTERVAL_MS);
    interval.unref();
    session.once('close', () => clearInterval(interval));
  }
}

/** At most eight digits and a unit (gRPC over HTTP/2, "Timeout"). */
function grpcTimeout(ms: number): string {
  return ms < 1e8 ? `${Math.ceil(ms)}m` : `${Math.ceil(ms / 1000)}S`;
}

/** gRPC's length-prefixed message: a zero (not compressed) and four bytes of length. */
function frame(message: Uint8Array): Uint8Array {
  const framed = Buffer.allocUnsafe(5 + message.length);
  framed[0] = 0;
  framed.writeUInt32BE(message.length, 1);
  framed.set(message, 5);
  return framed;
}

/** Cuts a byte stream into length-prefixed messages. */
class FrameReader {
  readonly #onMessage: (message: Uint8Array) => void;
  #chunks: Buffer[] = [];
  #size = 0;
  #needed = 5;

  constructor(onMessage: (message: Uint8Array) => void) {
    this.#onMessage = onMessage;
  }

  push(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#size += chunk.length;
    if (this.#size < this.#needed) return;
    let all = this.#chunks.length === 1 ? chunk : Buffer.concat(this.#chunks);
    for (;;) {
      if (all.length < 5) {
        this.#needed = 5;
        break;
      }
      this.#needed = 5 + all.readUInt32BE(1);
      if (all.length < this.#needed) break;
      const message = all.subarray(5, this.#needed);
      all = all.subarray(this.#needed);
      this.#onMessage(message);
    }
    this.#chunks = all.length === 0 ? [] : [all];
    this.#size = all.length;
  }
}
