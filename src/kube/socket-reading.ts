import type { Socket } from 'node:net';

/** How long the answer of a proxy may be before its tunnel is open. */
const MAX_BYTES = 65_536;

/**
 * Reads the first bytes of a socket, as many as `length` says once it knows from those that are there, and leaves the rest to the next
 * reader.
 */
export async function readUntil(
  socket: Socket,
  length: (bytes: Buffer) => number | undefined,
): Promise<Buffer> {
  let bytes = Buffer.alloc(0);
  for (;;) {
    const wanted = length(bytes);
    if (wanted !== undefined && bytes.length >= wanted) {
      if (bytes.length > wanted) socket.unshift(bytes.subarray(wanted));
      return bytes.subarray(0, wanted);
    }
    if (bytes.length > MAX_BYTES) throw new Error(`the proxy's answer is longer than ${MAX_BYTES} bytes`);
    const chunk = socket.read() as Buffer | null;
    if (chunk === null) await eventOf(socket, 'readable');
    else bytes = Buffer.concat([bytes, chunk]);
  }
}

/** Resolves with the event; rejects when the socket fails, ends or is closed before. */
export function eventOf(socket: Socket, name: 'connect' | 'secureConnect' | 'readable'): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = () => socket.off(name, done).off('error', failed).off('end', ended).off('close', ended);
    const done = () => {
      settle();
      resolve();
    };
    const failed = (cause: Error) => {
      settle();
      reject(cause);
    };
    const ended = () => failed(Object.assign(new Error('the connection was closed'), { code: 'ECONNRESET' }));
    socket.on(name, done).on('error', failed).on('end', ended).on('close', ended);
  });
}
