import { closeSync, constants, openSync } from 'node:fs';
import { attribute, netlinkMessage, openRtnetlink } from '../sys/netlink.ts';

// linux/rtnetlink.h, linux/if_link.h, linux/net_namespace.h
const RTM_GETLINK = 18;
const RTM_NEWNSID = 88;
const RTM_GETNSID = 90;
const NLM_F_REQUEST = 0x1;
const NLM_F_ACK = 0x4;
const IFINFO_SIZE = 16;
const RTGEN_SIZE = 4;
const IFLA_IFNAME = 3;
const IFLA_LINK = 5;
const IFLA_MASTER = 10;
const IFLA_LINKINFO = 18;
const IFLA_INFO_KIND = 1;
const IFLA_LINK_NETNSID = 37;
const IFLA_TARGET_NETNSID = 46;
const NETNSA_NSID = 1;
const NETNSA_FD = 3;
const NLA_TYPE_MASK = 0x3fff;
/** NETNSA_NSID_NOT_ASSIGNED. */
const NOT_ASSIGNED = -1;

/** A network device as far as we look. */
export interface NetDevice {
  index: number;
  name: string;
  /** `veth`, `bridge`, …; undefined for hardware and `lo`. */
  kind: string | undefined;
  /** The device that it is one end of a pair with, or that it sits on; an index of the namespace that `peerNamespace` says. */
  peer: number | undefined;
  /** Our namespace's number for the one that `peer` is in; undefined when that is the device's own. */
  peerNamespace: number | undefined;
  /** The device that it is a port of: what comes in is that one's. */
  master: number | undefined;
}

/** Looks at network devices by netlink: no process, no other namespace entered. */
export interface NetDevices {
  byName(name: string): NetDevice | undefined;
  byIndex(index: number): NetDevice | undefined;
  /**
   * The device of ours at the other end of an interface of another network namespace; undefined when there is none: an interface of
   * another kind (a macvlan's index is that of what it sits on), or whose other end is in a third namespace.
   */
  otherEnd(netns: string, ifName: string): NetDevice | undefined;
  close(): void;
}

/** Of the thread's network namespace. */
export function openNetDevices(): NetDevices {
  const channel = openRtnetlink();
  if (channel === undefined)
    throw new Error('cannot read network devices: the kernel has no netlink socket for them');

  /** The payload of the one answer; undefined when it is an error, or none. */
  const ask = (type: number, body: Buffer, flags = 0): Buffer | undefined => {
    let payload: Buffer | undefined;
    channel.exchange(netlinkMessage(type, NLM_F_REQUEST | flags, body), (answer) => {
      if (answer.error === undefined) payload = Buffer.from(answer.payload, 'latin1');
      return true;
    });
    return payload;
  };
  const look = (index: number, ...attributes: Buffer[]): Buffer | undefined => {
    const header = Buffer.alloc(IFINFO_SIZE);
    header.writeInt32LE(index, 4);
    return ask(RTM_GETLINK, Buffer.concat([header, ...attributes]));
  };
  const byName = (name: string) => deviceIn(look(0, nameAttribute(name)));
  const byIndex = (index: number) => deviceIn(look(index));

  const numberOf = (fd: number): number | undefined => {
    const answer = ask(
      RTM_GETNSID,
      Buffer.concat([Buffer.alloc(RTGEN_SIZE), numberAttribute(NETNSA_FD, fd)]),
    );
    const number = answer && attributesIn(answer, RTGEN_SIZE).get(NETNSA_NSID)?.readInt32LE();
    return number === NOT_ASSIGNED ? undefined : number;
  };
  /** Our number for a namespace. It has none before a link into it was looked up. */
  const numbered = (fd: number): number | undefined => {
    const known = numberOf(fd);
    if (known !== undefined) return known;
    const attributes = [numberAttribute(NETNSA_FD, fd), numberAttribute(NETNSA_NSID, NOT_ASSIGNED)];
    ask(RTM_NEWNSID, Buffer.concat([Buffer.alloc(RTGEN_SIZE), ...attributes]), NLM_F_ACK);
    return numberOf(fd);
  };

  return {
    byName,
    byIndex,
    otherEnd(netns, ifName) {
      const fd = openSync(netns, constants.O_RDONLY | constants.O_NONBLOCK);
      try {
        const namespace = numbered(fd);
        if (namespace === undefined) return undefined;
        const answer = look(0, nameAttribute(ifName), numberAttribute(IFLA_TARGET_NETNSID, namespace));
        // A kernel that does not know the attribute looks in our own namespace.
        if (answer === undefined || !attributesIn(answer, IFINFO_SIZE).has(IFLA_TARGET_NETNSID))
          return undefined;
        const inside = deviceIn(answer);
        const outside = inside?.peer === undefined ? undefined : byIndex(inside.peer);
        // An index is valid in its own namespace only: the other end is the link that points back into that namespace.
        const isOtherEnd =
          PAIRS.has(outside?.kind ?? '') &&
          outside!.peer === inside!.index &&
          outside!.peerNamespace === namespace;
        return isOtherEnd ? outside : undefined;
      } finally {
        closeSync(fd);
      }
    },
    close: () => channel.close(),
  };
}

/** Kinds of devices that come in pairs. */
const PAIRS: ReadonlySet<string> = new Set(['veth', 'netkit']);

function deviceIn(message: Buffer | undefined): NetDevice | undefined {
  if (message === undefined) return undefined;
  const attributes = attributesIn(message, IFINFO_SIZE);
  const name = attributes.get(IFLA_IFNAME);
  if (name === undefined) return undefined;
  const info = attributes.get(IFLA_LINKINFO);
  const kind = info && attributesIn(info, 0).get(IFLA_INFO_KIND);
  return {
    index: message.readInt32LE(4),
    name: textOf(name),
    kind: kind && textOf(kind),
    peer: attributes.get(IFLA_LINK)?.readInt32LE(),
    peerNamespace: attributes.get(IFLA_LINK_NETNSID)?.readInt32LE(),
    master: attributes.get(IFLA_MASTER)?.readInt32LE(),
  };
}

/** The attributes of a message (struct rtattr: length, type) after `start` bytes, by their type. */
function attributesIn(message: Buffer, start: number): Map<number, Buffer> {
  const found = new Map<number, Buffer>();
  for (let at = start; at + 4 <= message.length; ) {
    const length = message.readUInt16LE(at);
    if (length < 4 || at + length > message.length) break;
    found.set(message.readUInt16LE(at + 2) & NLA_TYPE_MASK, message.subarray(at + 4, at + length));
    at += (length + 3) & ~3;
  }
  return found;
}

function nameAttribute(name: string): Buffer {
  return attribute(IFLA_IFNAME, Buffer.from(`${name}\0`));
}

function numberAttribute(type: number, value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  return attribute(type, bytes);
}

/** Text that ends with a NUL. */
function textOf(bytes: Buffer): string {
  return bytes.toString('utf8').replace(/\0+$/, '');
}
