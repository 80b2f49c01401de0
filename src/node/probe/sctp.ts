import { dlopen, ptr, read } from 'bun:ffi';
import { realClock } from '../../sys/clock.ts';
import { FAMILY_NUMBER } from '../../util/family.ts';
import { type IpAddress, parseIp } from '../../util/ip.ts';
import type { Heard, Probe } from './heard.ts';

// bits/socket.h, netinet/in.h, bits/poll.h of Linux.
const SOCK_STREAM_NONBLOCK = 1 | 0o4000 | 0o2000000;
const IPPROTO_SCTP = 132;
const POLLOUT = 4;
const SOL_SOCKET = 1;
const SO_ERROR = 4;

// errno.h
const EINPROGRESS = 115;
const ECONNREFUSED = 111;
const UNREACHABLE: readonly number[] = [101, 113];
const NO_SUCH_PROTOCOL: readonly number[] = [93, 94, 97];

/** Between two looks at whether the association is up, in milliseconds. */
const LOOK_MS = 5;

/**
 * Opens an SCTP association and closes it. Neither Node's nor Bun's sockets know the protocol, so this calls the system's
 * themselves; a kernel without SCTP leaves the answer unknown. Source: sctp(7), connect(2).
 */
export const probeSctp: Probe = (address, port, timeoutMs) =>
  probeStream(IPPROTO_SCTP, address, port, timeoutMs);

/** {@link probeSctp} for any protocol that has streams: the calls are the same, and TCP is in every kernel. */
export async function probeStream(
  protocol: number,
  address: string,
  port: number,
  timeoutMs: number,
): Promise<Heard> {
  const ip = parseIp(address);
  if (ip === undefined) return { outcome: 'unknown', detail: `${address}: not an address` };
  const libc = openLibc();
  const { symbols } = libc;
  try {
    const fd = symbols.socket(FAMILY_NUMBER[ip.family], SOCK_STREAM_NONBLOCK, protocol);
    if (fd < 0) {
      const code = errno(symbols);
      const why = NO_SUCH_PROTOCOL.includes(code)
        ? `this kernel has no protocol ${protocol}`
        : `socket: errno ${code}`;
      return { outcome: 'unknown', detail: why };
    }
    try {
      return await connect(symbols, fd, socketAddress(ip, port), timeoutMs);
    } finally {
      symbols.close(fd);
    }
  } finally {
    libc.close();
  }
}

async function connect(libc: Libc, fd: number, target: Buffer, timeoutMs: number): Promise<Heard> {
  if (libc.connect(fd, ptr(target), target.length) !== 0) {
    const code = errno(libc);
    if (code !== EINPROGRESS) return heardOf(code);
  }
  const failed = await settled(libc, fd, timeoutMs);
  const sourcePort = localPort(libc, fd);
  if (failed === undefined) {
    return { outcome: 'timeout', detail: `no answer within ${timeoutMs} ms`, sourcePort };
  }
  return { ...(failed === 0 ? { outcome: 'answered', detail: 'connected' } : heardOf(failed)), sourcePort };
}

function heardOf(code: number): Heard {
  if (code === ECONNREFUSED) return { outcome: 'refused', detail: 'ECONNREFUSED' };
  if (UNREACHABLE.includes(code)) return { outcome: 'unreachable', detail: `errno ${code}` };
  return { outcome: 'unknown', detail: `connect: errno ${code}` };
}

function openLibc() {
  return dlopen('libc.so.6', {
    socket: { args: ['i32', 'i32', 'i32'], returns: 'i32' },
    connect: { args: ['i32', 'ptr', 'u32'], returns: 'i32' },
    poll: { args: ['ptr', 'u64', 'i32'], returns: 'i32' },
    getsockopt: { args: ['i32', 'i32', 'i32', 'ptr', 'ptr'], returns: 'i32' },
    getsockname: { args: ['i32', 'ptr', 'ptr'], returns: 'i32' },
    close: { args: ['i32'], returns: 'i32' },
    __errno_location: { args: [], returns: 'ptr' },
  });
}

type Libc = ReturnType<typeof openLibc>['symbols'];

function errno(libc: Libc): number {
  return read.i32(libc.__errno_location()!, 0);
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

/** The error that connecting ended with, 0 for none; undefined when it did not end. */
async function settled(libc: Libc, fd: number, timeoutMs: number): Promise<number | undefined> {
  const poll = Buffer.alloc(8);
  poll.writeInt32LE(fd, 0);
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    poll.writeInt16LE(POLLOUT, 4);
    poll.writeInt16LE(0, 6);
    if (libc.poll(ptr(poll), 1, 0) > 0) {
      const error = Buffer.alloc(4);
      const length = Buffer.alloc(4);
      length.writeUInt32LE(4);
      libc.getsockopt(fd, SOL_SOCKET, SO_ERROR, ptr(error), ptr(length));
      return error.readInt32LE();
    }
    if (performance.now() >= deadline) return undefined;
    await realClock.sleep(LOOK_MS);
  }
}

function localPort(libc: Libc, fd: number): number {
  const address = Buffer.alloc(28);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(address.length);
  libc.getsockname(fd, ptr(address), ptr(length));
  return address.readUInt16BE(2);
}
