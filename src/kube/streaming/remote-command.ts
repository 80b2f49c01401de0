import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { messageOf } from '../../util/errors.ts';
import { SpdyClient } from './spdy-client.ts';
import type { SpdyFrame } from './spdy-frames.ts';
import { requestUpgrade } from './upgrade.ts';
import type { WebSocketConnection } from './websocket.ts';

/**
 * kubectl's exec and attach over WebSocket (`v5.channel.k8s.io`; `v4` is the same without half-close) on one side, SPDY's
 * remote command protocol (`v4.channel.k8s.io`), which is what kubelets and container runtimes speak, on the other: the
 * API server's stream translation of KEP-4006.
 */

/** What is understood of `Sec-WebSocket-Protocol`, best first. */
const PROTOCOLS = ['v5.channel.k8s.io', 'v4.channel.k8s.io'] as const;
const SPDY_PROTOCOL = 'v4.channel.k8s.io';

/** First byte of every WebSocket message. */
const CHANNEL = { stdin: 0, stdout: 1, stderr: 2, error: 3, resize: 4, close: 255 } as const;
type ChannelName = Exclude<keyof typeof CHANNEL, 'close'>;

/** How long dialling the kubelet and its setting up of the streams may take: what a kubelet gives a client. */
const UPSTREAM_TIMEOUT_MS = 30_000;

/** A request that asks for a WebSocket of this kind and has it wrong. */
export class BadHandshake extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'BadHandshake';
  }
}

/**
 * The protocol to be used for a WebSocket upgrade request; undefined when it is none, or offers nothing that is understood
 * here. Such a request is to be refused: kubectl then takes SPDY (so with `SPDY/3.1+portforward.k8s.io`).
 */
export function remoteCommandProtocol(request: IncomingMessage): string | undefined {
  if (request.headers.upgrade?.toLowerCase() !== 'websocket') return undefined;
  const offered = offeredProtocols(request);
  return PROTOCOLS.find((protocol) => offered.includes(protocol));
}

/** The subprotocols that a WebSocket client offers, best first. */
export function offeredProtocols(request: IncomingMessage): string[] {
  const names = (request.headers['sec-websocket-protocol'] ?? '').split(',').map((name) => name.trim());
  return names.filter((name) => name !== '');
}

/** Whether a request is a WebSocket handshake (RFC 6455, 4.2.1). */
export function isHandshake(request: IncomingMessage): boolean {
  const { upgrade, 'sec-websocket-key': key, 'sec-websocket-version': version } = request.headers;
  const valid = request.method === 'GET' && upgrade?.toLowerCase() === 'websocket' && version === '13';
  return valid && key !== undefined && /^[+/0-9A-Za-z]{22}==$/.test(key);
}

/** Where the SPDY side is asked for: the path with its query, and headers beside those of the upgrade. */
export interface UpstreamRequest {
  path: string;
  headers: Record<string, string>;
}

/**
 * Serves one exec or attach session: `request`, `socket` and `head` are those of an 'upgrade' event whose
 * {@link remoteCommandProtocol} is not undefined; `dialUpstream` connects to the kubelet. The streams are those that the
 * request's query asks for (`stdin`, `stdout`, `stderr`, `tty`).
 *
 * Rejects, with nothing written to `socket`, when the session does not come about: {@link BadHandshake} for a bad request,
 * `UpgradeRefused` when the kubelet says no, what `dialUpstream` rejects with. Resolves when the session is over, however
 * it ended: by then the client has been informed. The kubelet has `timeoutMs` for its answer, and again for the streams.
 */
export async function serveRemoteCommandWebSocket(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  dialUpstream: () => Promise<Duplex>,
  upstreamRequest: UpstreamRequest,
  timeoutMs = UPSTREAM_TIMEOUT_MS,
): Promise<void> {
  const protocol = remoteCommandProtocol(request);
  if (protocol === undefined || !isHandshake(request)) {
    throw new BadHandshake('this is not a WebSocket handshake for v5.channel.k8s.io or v4.channel.k8s.io');
  }
  const wanted = channelsOf(new URLSearchParams(request.url?.split('?')[1] ?? ''));
  // A client that leaves while the kubelet is being asked must not end the process with an unheard error.
  const onEarlyError = () => socket.destroy();
  socket.on('error', onEarlyError);

  // Loaded on first use: few sessions are in a cluster's life, and the library takes a while.
  const websocket = await import('./websocket.ts');
  const upstream = await dialUpstream();
  try {
    const answer = await requestUpgrade(
      upstream,
      upstreamRequest.path,
      {
        Host: 'kubelet',
        ...upstreamRequest.headers,
        Connection: 'Upgrade',
        Upgrade: 'SPDY/3.1',
        'X-Stream-Protocol-Version': SPDY_PROTOCOL,
      },
      AbortSignal.timeout(timeoutMs),
    );
    const spoken = answer.headers['x-stream-protocol-version'];
    if (spoken !== SPDY_PROTOCOL) {
      throw new Error(
        `${upstreamRequest.path}: the kubelet speaks ${spoken ?? 'no version'}, not ${SPDY_PROTOCOL}`,
      );
    }
    // Errors of the socket end the loop that reads it; a later one would have no listener and end the process.
    upstream.on('error', () => upstream.destroy());
    const client = websocket.WebSocketConnection.accept(request, socket, head, protocol);
    await relay(client, new SpdyClient(upstream, answer.head), wanted, timeoutMs);
  } finally {
    socket.off('error', onEarlyError);
    upstream.destroy();
  }
}

/** The streams of a session, by the options of the API (PodExecOptions, PodAttachOptions). */
export function channelsOf(query: URLSearchParams): ChannelName[] {
  const asked = (name: string) => query.get(name) === 'true' || query.get(name) === '1';
  const tty = asked('tty');
  const channels: ChannelName[] = ['error'];
  if (asked('stdin')) channels.push('stdin');
  if (asked('stdout')) channels.push('stdout');
  // A terminal has one output; runtimes set up no stream for the other.
  if (asked('stderr') && !tty) channels.push('stderr');
  if (tty) channels.push('resize');
  return channels;
}

async function relay(
  client: WebSocketConnection,
  spdy: SpdyClient,
  wanted: ChannelName[],
  timeoutMs: number,
): Promise<void> {
  const streams = new Map(wanted.map((name) => [name, spdy.open({ streamtype: name })] as const));
  const fromClient = takeFromClient(client, spdy, streams).finally(() => spdy.destroy());
  const status = await giveToClient(client, spdy, streams, timeoutMs);
  // Input that still waits will never be taken.
  spdy.destroy();
  try {
    // The last message says how it ended; a client that is gone does not hear it.
    await client.send(Buffer.from([CHANNEL.error]), status);
    client.close();
  } catch {
    client.destroy();
  }
  // Reading continues until the client has closed: bytes left unread would turn the end of the connection into a reset,
  // which can overtake what the client has not read yet.
  await fromClient;
}

/** Passes output on until the server has finished; the content of the error stream, which is a Status, is returned. */
async function giveToClient(
  client: WebSocketConnection,
  spdy: SpdyClient,
  streams: ReadonlyMap<ChannelName, number>,
  timeoutMs: number,
): Promise<Buffer> {
  const channels = new Map<number, ChannelName>([...streams].map(([name, stream]) => [stream, name]));
  const open = new Set(['error', 'stdout', 'stderr'].map((name) => streams.get(name as ChannelName)));
  open.delete(undefined);
  const unanswered = new Set(streams.values());
  const timer = setTimeout(
    () => spdy.destroy(new Error(`the container's streams were not set up within ${timeoutMs} ms`)),
    timeoutMs,
  );
  const errors: Buffer[] = [];
  let ended = 'the connection to the container ended before it said how';
  try {
    const first = streams.has('stdout')
      ? CHANNEL.stdout
      : streams.has('stderr')
        ? CHANNEL.stderr
        : CHANNEL.error;
    // An empty message informs the client that the session is open, as the API server does.
    await client.send(Buffer.from([first]));
    for await (const frame of spdy.frames()) {
      if (frame.type === 'reply' && unanswered.delete(frame.stream) && unanswered.size === 0)
        clearTimeout(timer);
      if (frame.type === 'data') {
        const name = channels.get(frame.stream);
        if (name === 'error') errors.push(Buffer.from(frame.data));
        else if (name === 'stdout' || name === 'stderr') {
          if (frame.data.length > 0) await client.send(Buffer.from([CHANNEL[name]]), frame.data);
        }
      }
      if (isEnd(frame)) open.delete(frame.stream);
      if (frame.type === 'reset' && channels.get(frame.stream) === 'error' && errors.length === 0) {
        ended = `the container's error stream was reset (status ${frame.status})`;
      }
      if (open.size === 0) break;
    }
  } catch (error) {
    ended = messageOf(error);
  } finally {
    clearTimeout(timer);
  }
  return errors.length > 0 ? Buffer.concat(errors) : internalError(ended);
}

function isEnd(frame: SpdyFrame): frame is SpdyFrame & { stream: number } {
  return frame.type === 'reset' || ((frame.type === 'data' || frame.type === 'reply') && frame.fin);
}

/** Passes input on until the client closes; what comes after the session is read and dropped. */
async function takeFromClient(
  client: WebSocketConnection,
  spdy: SpdyClient,
  streams: ReadonlyMap<ChannelName, number>,
): Promise<void> {
  const inputs = new Map<number, number>();
  for (const name of ['stdin', 'resize'] as const) {
    const stream = streams.get(name);
    if (stream !== undefined) inputs.set(CHANNEL[name], stream);
  }
  try {
    for await (const message of client.messages()) {
      const [channel, half] = message;
      try {
        if (channel === CHANNEL.close && half !== undefined) {
          const stream = inputs.get(half);
          inputs.delete(half);
          if (stream !== undefined) await spdy.finish(stream);
        } else if (channel !== undefined && message.length > 1) {
          const stream = inputs.get(channel);
          if (stream !== undefined) await spdy.send(stream, message.subarray(1));
        }
      } catch {
        // The container takes no more input: it has ended, or is gone. The other direction says which.
        inputs.clear();
      }
    }
  } catch {
    // The client broke the protocol (and was informed) or its connection broke: either way there is nobody left to serve.
    client.destroy();
  }
}

/** The Status that ends a session which did not end by the container's own word. */
function internalError(message: string): Buffer {
  return Buffer.from(
    JSON.stringify({
      metadata: {},
      status: 'Failure',
      message: `Internal error occurred: ${message}`,
      reason: 'InternalError',
      details: { causes: [{ message }] },
      code: 500,
    }),
  );
}
