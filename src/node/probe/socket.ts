import { ptr, read } from 'bun:ffi';
import { getSystemErrorName } from 'node:util';
import { realClock } from '../../sys/clock.ts';
import { libc } from '../../sys/libc.ts';
import { FAMILY_NUMBER } from '../../util/family.ts';
import { type IpAddress, parseIp } from '../../util/ip.ts';
import type { Heard } from './heard.ts';

// bits/socket.h of Linux.
const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const SOCK_FLAGS = 0o4000 | 0o2000000;
const SOL_SOCKET = 1;
const SO_ERROR = 4;

// bits/poll.h
export const POLLIN = 1;
export const POLLOUT = 4;

// errno.h; the runtime has no name for it.
const EINPROGRESS = 115;
const UNREACHABLE: readonly string[] = ['ENETUNREACH', 'EHOSTUNREACH'];
const NO_SUCH_PROTOCOL: readonly string[] = ['EPROTONOSUPPORT', 'ESOCKTNOSUPPORT', 'EAFNOSUPPORT'];

/** Between two looks at a socket, in milliseconds. */
const LOOK_MS = 5;

const calls = libc(
  'socket',
  'bind',
  'connect',
  'send',
  'recv',
  'poll',
  'getsockopt',
  'getsockname',
  'close',
  '__errno_location',
);

/** The last error of a system call. */
function errno(): number {
  return read.i32(calls().__errno_location()!, 0);
}

/** The name of {@link errno}. */
function errorName(): string {
  return getSystemErrorName(-errno());
}

/** What went wrong: the name of an error (errno(3)). */
export interface SocketError {
  error: string;
}

/**
 * A socket of the system that is connected to one address. It is opened and has begun to connect before this returns, so in the network
 * namespace that the caller is in at that moment: those of Node and Bun are opened some time later, and know neither SCTP nor the local port
 * of a connection that nobody has answered. Source: socket(7), connect(2).
 */
export class ProbeSocket {
  readonly #fd: number;

  private constructor(fd: number) {
    this.#fd = fd;
  }

  /** Opens it, or says why not. `from`: its own port. */
  static open(
    kind: 'stream' | 'datagram',
    protocol: number,
    address: string,
    port: number,
    from?: number,
  ): ProbeSocket | Heard {
    const ip = parseIp(address);
    if (ip === undefined) return { outcome: 'unknown', detail: `${address}: not an address` };
    const type = (kind === 'stream' ? SOCK_STREAM : SOCK_DGRAM) | SOCK_FLAGS;
    const fd = calls().socket(FAMILY_NUMBER[ip.family], type, protocol);
    if (fd < 0) {
      const name = errorName();
      const why = NO_SUCH_PROTOCOL.includes(name) ? `this kernel has no protocol ${protocol}` : name;
      return { outcome: 'unknown', detail: why };
    }
    if (from !== undefined) {
      const own = socketAddress({ ...ip, bytes: ip.bytes.map(() => 0) }, from);
      if (calls().bind(fd, ptr(own), own.length) !== 0) {
        const name = errorName();
        calls().close(fd);
        const isTaken = name === 'EADDRINUSE';
        return {
          outcome: 'unknown',
          detail: `cannot send from port ${from}: ${name}`,
          ...(isTaken && { problem: 'source-port-taken' }),
        };
      }
    }
    const target = socketAddress(ip, port);
    if (calls().connect(fd, ptr(target), target.length) === 0) return new ProbeSocket(fd);
    if (errno() === EINPROGRESS) return new ProbeSocket(fd);
    const failed = heardOf(errorName());
    calls().close(fd);
    return failed;
  }

  /** Waits for any of these events of poll(2), or an error; false when there is none within `timeoutMs`. */
  async waits(events: number, timeoutMs: number): Promise<boolean> {
    const poll = Buffer.alloc(8);
    poll.writeInt32LE(this.#fd, 0);
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      poll.writeInt16LE(events, 4);
      poll.writeInt16LE(0, 6);
      if (calls().poll(ptr(poll), 1, 0) > 0) return true;
      if (performance.now() >= deadline) return false;
      await realClock.sleep(LOOK_MS);
    }
  }

  /** The error that the socket ended with; undefined when it has none. */
  error(): SocketError | undefined {
    const error = Buffer.alloc(4);
    const length = Buffer.alloc(4);
    length.writeUInt32LE(error.length);
    calls().getsockopt(this.#fd, SOL_SOCKET, SO_ERROR, ptr(error), ptr(length));
    const code = error.readInt32LE();
    return code === 0 ? undefined : { error: getSystemErrorName(-code) };
  }

  send(data: Buffer): SocketError | undefined {
    return calls().send(this.#fd, ptr(data), data.length, 0) < 0 ? { error: errorName() } : undefined;
  }

  /** How many bytes of a datagram came. */
  receive(): number | SocketError {
    const data = Buffer.alloc(2048);
    const size = calls().recv(this.#fd, ptr(data), data.length, 0);
    return size < 0 ? { error: errorName() } : size;
  }

  get localPort(): number {
    const address = Buffer.alloc(28);
    const length = Buffer.alloc(4);
    length.writeUInt32LE(address.length);
    calls().getsockname(this.#fd, ptr(address), ptr(length));
    return address.readUInt16BE(2);
  }

  close(): void {
    calls().close(this.#fd);
  }
}

/** What an error says about the way. Those that say nothing of it are a failure of the probe itself. */
export function heardOf(error: string): Heard {
  if (error === 'ECONNREFUSED' || error === 'ECONNRESET') return { outcome: 'refused', detail: error };
  if (UNREACHABLE.includes(error)) return { outcome: 'unreachable', detail: error };
  return { outcome: error === 'ETIMEDOUT' ? 'timeout' : 'unknown', detail: error };
}

/** struct sockaddr_in or sockaddr_in6. */
function socketAddress({ family, bytes }: IpAddress, port: number): Buffer {
  const isV4 = family === 'ipv4';
  const address = Buffer.alloc(isV4 ? 16 : 28);
  address.writeUInt16LE(FAMILY_NUMBER[family], 0);
  address.writeUInt16BE(port, 2);
  address.set(bytes, isV4 ? 4 : 8);
  return address;
}
