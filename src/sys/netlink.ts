import { closeSync } from 'node:fs';
import { libc } from './libc.ts';
import { messageReader, type Wanted } from './netlink-messages.ts';

const AF_NETLINK = 16;
const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0x80000;
const NETLINK_ROUTE = 0;
const NETLINK_NETFILTER = 12;
const MSG_DONTWAIT = 0x40;

const HEADER_SIZE = 16;
const NLM_F_REQUEST = 0x1;
const NLM_F_DUMP = 0x300;
const NLMSG_ERROR = 2;

/** The kernel fills what the reader offers, up to this much (netlink_recvmsg). */
const BUFFER_SIZE = 32 * 1024;

/** A socket to the kernel's netfilter subsystem, in the network namespace of the thread that opened it. */
export interface NetfilterSocket {
  /**
   * Asks for a dump and returns the payload of every message of the answer, one character a byte. Undefined when the answer is
   * not a whole one: the kernel refused (no permission, no such subsystem), something changed meanwhile, or what came is
   * malformed. Whoever gets that knows nothing and asks in another way.
   *
   * `type` is the message's, `body` what follows the netlink header. What is not `wanted` may be left out.
   */
  dump(type: number, body: Uint8Array, wanted?: Wanted): string[] | undefined;
  close(): void;
}

/** A socket that messages go through in both directions. */
export interface NetlinkChannel {
  /**
   * Sends these messages and hands over the answers one by one until `take` says that this was the last. False when the kernel
   * did not take the messages or fell silent before. The kernel works while it is sent to: what it has to say is there at once.
   */
  exchange(messages: Uint8Array, take: (answer: NetlinkAnswer) => boolean): boolean;
  close(): void;
}

/** A netfilter socket that can also change things. */
export interface NetfilterChannel extends NetfilterSocket, NetlinkChannel {}

/** A message from the kernel. */
export interface NetlinkAnswer {
  /** Of the message that it answers. */
  sequence: number;
  /** For an acknowledgement 0, for an error its number (positive, errno(3)); undefined for a message with content. */
  error: number | undefined;
  /** What follows the netlink header, one character a byte. */
  payload: string;
}

const calls = libc('socket', 'send', 'recv');

/**
 * Opens a netlink socket to netfilter; undefined when the kernel has none. Nothing here waits: the kernel makes each part of
 * a dump while it is read. Source: netlink(7), linux/netlink.h.
 */
export function openNetfilter(): NetfilterChannel | undefined {
  return openNetlink(NETLINK_NETFILTER);
}

/** As {@link openNetfilter}, to what keeps links, addresses and routes. Source: rtnetlink(7). */
export function openRtnetlink(): NetfilterChannel | undefined {
  return openNetlink(NETLINK_ROUTE);
}

function openNetlink(subsystem: number): NetfilterChannel | undefined {
  const symbols = calls();
  const fd = symbols.socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, subsystem);
  if (fd < 0) return undefined;
  const buffer = Buffer.alloc(BUFFER_SIZE);
  /** Reads the rest of an answer, so that it does not answer the next question. The kernel goes no further than its end. */
  const drain = () => {
    while (symbols.recv(fd, buffer, buffer.length, MSG_DONTWAIT) > 0);
  };
  return {
    dump(type, body, wanted) {
      const request = netlinkMessage(type, NLM_F_REQUEST | NLM_F_DUMP, body);
      if (symbols.send(fd, request, request.length, 0) !== request.length) return undefined;
      const payloads: string[] = [];
      const read = messageReader(wanted);
      for (;;) {
        const size = symbols.recv(fd, buffer, buffer.length, MSG_DONTWAIT);
        const state = size <= 0 ? 'broken' : read(buffer, size, payloads);
        if (state === 'complete') return payloads;
        if (state === 'broken') {
          drain();
          return undefined;
        }
      }
    },
    exchange(messages, take) {
      if (symbols.send(fd, messages, messages.length, 0) !== messages.length) return false;
      for (;;) {
        const size = symbols.recv(fd, buffer, buffer.length, MSG_DONTWAIT);
        if (size < HEADER_SIZE) return false;
        for (let at = 0; at + HEADER_SIZE <= size; ) {
          const length = buffer.readUInt32LE(at);
          if (length < HEADER_SIZE || length > size - at) return false;
          const isError = buffer.readUInt16LE(at + 4) === NLMSG_ERROR;
          const last = take({
            sequence: buffer.readUInt32LE(at + 8),
            error: isError ? -buffer.readInt32LE(at + HEADER_SIZE) : undefined,
            payload: isError ? '' : buffer.toString('latin1', at + HEADER_SIZE, at + length),
          });
          if (last) return true;
          at += (length + 3) & ~3;
        }
      }
    },
    close: () => closeSync(fd),
  };
}

/** A message with its header (struct nlmsghdr: length, type, flags, sequence, port). */
export function netlinkMessage(type: number, flags: number, body: Uint8Array): Buffer {
  const message = Buffer.alloc(HEADER_SIZE + ((body.length + 3) & ~3));
  message.writeUInt32LE(message.length, 0);
  message.writeUInt16LE(type, 4);
  message.writeUInt16LE(flags, 6);
  message.set(body, HEADER_SIZE);
  return message;
}

/** An attribute of a message, struct nlattr or rtattr: length, type, and the value padded to words. */
export function attribute(type: number, value: Buffer): Buffer {
  const bytes = Buffer.alloc(4 + ((value.length + 3) & ~3));
  bytes.writeUInt16LE(4 + value.length, 0);
  bytes.writeUInt16LE(type, 2);
  bytes.set(value, 4);
  return bytes;
}
