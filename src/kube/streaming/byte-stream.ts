import type { IncomingMessage } from 'node:http';
import type { Duplex, Readable } from 'node:stream';
import { BadHandshake, isHandshake, offeredProtocols } from './remote-command.ts';
import type { WebSocketConnection } from './websocket.ts';

/**
 * A stream of bytes from the server, a log, as messages of a WebSocket: `binary.k8s.io` (also when no protocol is offered) or,
 * for clients that can only take text, `base64.binary.k8s.io`. Source: wsstream.Reader of Kubernetes.
 */
const PROTOCOLS = ['binary.k8s.io', 'base64.binary.k8s.io'] as const;

/** The protocol to be used: '' when the client offers none, undefined when it is no WebSocket or offers only others. */
export function byteStreamProtocol(request: IncomingMessage): string | undefined {
  if (request.headers.upgrade?.toLowerCase() !== 'websocket') return undefined;
  const offered = offeredProtocols(request);
  if (offered.length === 0) return '';
  return PROTOCOLS.find((protocol) => offered.includes(protocol));
}

/**
 * Sends what `open` gives, until it ends or the client leaves. `request`, `socket` and `head` are those of an 'upgrade' event
 * whose {@link byteStreamProtocol} is not undefined.
 *
 * Rejects, with nothing written to `socket`, when the stream does not come about: {@link BadHandshake}, or what `open` rejects
 * with.
 */
export async function serveByteStreamWebSocket(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  open: () => Promise<Readable>,
): Promise<void> {
  const protocol = byteStreamProtocol(request);
  if (protocol === undefined || !isHandshake(request)) {
    throw new BadHandshake(`this is not a WebSocket handshake for ${PROTOCOLS.join(' or ')}`);
  }
  const websocket = await import('./websocket.ts');
  const source = await open();
  let client: WebSocketConnection;
  try {
    client = websocket.WebSocketConnection.accept(request, socket, head, protocol);
  } catch (error) {
    source.destroy();
    throw error;
  }
  const left = untilItLeaves(client).finally(() => source.destroy());
  const send = (bytes: Uint8Array) =>
    protocol === 'base64.binary.k8s.io'
      ? client.sendText(Buffer.from(bytes).toString('base64'))
      : client.send(bytes);
  try {
    // An empty message first, as the API server sends it: the client learns that the stream is open.
    await send(new Uint8Array(0));
    for await (const chunk of source) await send(chunk as Uint8Array);
    client.close();
  } catch {
    // The kubelet's connection broke, or the client's: there is no message of this protocol for either.
    client.destroy();
  }
  await left;
}

/** Clients say nothing in this protocol; what one sends is dropped. */
async function untilItLeaves(client: WebSocketConnection): Promise<void> {
  try {
    for await (const _message of client.messages());
  } catch {
    client.destroy();
  }
}
