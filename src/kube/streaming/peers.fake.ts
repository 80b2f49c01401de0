import { once } from 'node:events';
import net, { type AddressInfo } from 'node:net';
import { Sender } from 'ws-of-npm';
import { encodeData, encodePing, SpdyDecoder, type SpdyFrame } from './spdy-frames.ts';

/** A WebSocket frame as a client sends it: masked. `first` is the first byte: FIN, reserved bits and opcode. */
export function maskedFrame(first: number, payload: Uint8Array): Buffer {
  const options = { fin: true, rsv1: false, opcode: first & 0x0f, mask: true, readOnly: true };
  const frame = Buffer.concat(Sender.frame(Buffer.from(payload), options));
  frame[0] = first;
  return frame;
}

/** A kubelet's end of one session: what it got by stream, and what it is to send. */
export interface FakeSession {
  socket: net.Socket;
  /** Stream number by type, in the order in which they were opened. */
  streams: Map<string, number>;
  received: Map<string, string>;
  finished: Set<string>;
  pongs: number[];
  reply(type: string): void;
  send(type: string, data: Uint8Array | string, fin?: boolean): boolean;
  ping(id: number): void;
  /** Calls `then` once, when `there` says that what was waited for has come: now, or with later data. */
  once(there: () => boolean, then: () => void): void;
}

/**
 * A kubelet on loopback that answers upgrade requests with `answer` (a whole HTTP head) and hands each session to
 * `onSession` once the streams that it expects are open. It differs from a real one in that it reads header blocks only as
 * far as to find the stream's type in them, uncompressed.
 */
export async function startFakeKubelet(
  answer: string,
  expectedStreams: number,
  onSession: (session: FakeSession) => void,
): Promise<{ port: number; requests: string[]; close(): void }> {
  const requests: string[] = [];
  const sockets = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    const session = newSession(socket);
    const decoder = new SpdyDecoder();
    let head = '';
    let upgraded = false;
    socket.on('data', (chunk: Buffer) => {
      let rest: Buffer = chunk;
      if (!upgraded) {
        head += chunk.toString('latin1');
        const end = head.indexOf('\r\n\r\n');
        if (end < 0) return;
        upgraded = true;
        requests.push(head.slice(0, end));
        rest = Buffer.from(head.slice(end + 4), 'latin1');
        socket.write(answer);
      }
      noteOpened(session, rest);
      for (const frame of decoder.push(rest)) note(session, frame);
      if (expectedStreams > 0 && session.streams.size === expectedStreams) {
        expectedStreams = 0;
        onSession(session);
      }
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    requests,
    close() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

function newSession(socket: net.Socket): FakeSession {
  const streams = new Map<string, number>();
  const numberOf = (type: string) => {
    const stream = streams.get(type);
    if (stream === undefined) throw new Error(`no stream ${type} was opened`);
    return stream;
  };
  return {
    socket,
    streams,
    received: new Map(),
    finished: new Set(),
    pongs: [],
    reply(type) {
      const frame = Buffer.from('800300020000000800000000' + '00000000', 'hex');
      frame.writeUInt32BE(numberOf(type), 8);
      socket.write(frame);
    },
    send: (type, data, fin = false) => socket.write(encodeData(numberOf(type), Buffer.from(data), fin)),
    ping: (id) => void socket.write(encodePing(id)),
    once(there, then) {
      const look = () => {
        if (!there()) return;
        socket.off('data', look);
        then();
      };
      socket.on('data', look);
      look();
    },
  };
}

/** Finds SYN_STREAM frames: they come before everything else, so chunks begin with them. */
function noteOpened(session: FakeSession, bytes: Buffer): void {
  let at = 0;
  while (bytes.length - at >= 12 && bytes.readUInt32BE(at) === 0x80030001) {
    const length = bytes.readUInt32BE(at + 4) & 0xffffff;
    const type = /streamtype\0\0\0.([a-z]+)/s.exec(
      bytes.subarray(at, at + 8 + length).toString('latin1'),
    )?.[1];
    session.streams.set(type!, bytes.readUInt32BE(at + 8));
    at += 8 + length;
  }
}

function note(session: FakeSession, frame: SpdyFrame): void {
  if (frame.type === 'ping') session.pongs.push(frame.id);
  if (frame.type !== 'data') return;
  const type = [...session.streams].find(([, stream]) => stream === frame.stream)?.[0] ?? 'unknown';
  session.received.set(type, (session.received.get(type) ?? '') + frame.data.toString('latin1'));
  if (frame.fin) session.finished.add(type);
}
