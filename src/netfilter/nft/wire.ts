import { attribute } from '../../sys/netlink.ts';
import type { InstalledChain, NftChange, NftElement, NftMap, NftType } from './nft.ts';

/**
 * nf_tables over netlink, the part that we speak: elements of maps in a batch, and a look at tables, chains, sets and rules.
 * What is read has one character a byte, as netlink.ts gives it. Sources: linux/netfilter/nf_tables.h, nfnetlink.h; the
 * registers' layout of concatenations (every part padded to four bytes) is nft's, netlink_gen_concat_data.
 */

const SUBSYSTEM = 10;
const BATCH_BEGIN = 0x10;
const BATCH_END = 0x11;
const INET = 1;

/** Message types that we ask for. */
export const getTable = (SUBSYSTEM << 8) | 1;
export const getChains = (SUBSYSTEM << 8) | 4;
export const getRules = (SUBSYSTEM << 8) | 7;
export const getSets = (SUBSYSTEM << 8) | 10;
export const getElements = (SUBSYSTEM << 8) | 13;
const DELETE_TABLE = (SUBSYSTEM << 8) | 2;
const DELETE_CHAIN = (SUBSYSTEM << 8) | 5;
const DELETE_RULE = (SUBSYSTEM << 8) | 8;
const NEW_ELEMENT = (SUBSYSTEM << 8) | 12;
const DELETE_ELEMENT = (SUBSYSTEM << 8) | 14;

const REQUEST = 0x1;
const ACK = 0x4;
const EXCLUSIVE = 0x200;
const CREATE = 0x400;

const NESTED = 0x8000;
const protocols: Record<string, number> = { tcp: 6, udp: 17, sctp: 132 };
const protocolNames: Record<number, string> = { 6: 'tcp', 17: 'udp', 132: 'sctp' };
const verdicts: Record<string, number> = { continue: -1, jump: -3, goto: -4, return: -5 };
/** linux/netfilter.h, NFPROTO_*. */
const families: Record<number, string> = {
  1: 'inet',
  2: 'ip',
  3: 'arp',
  5: 'netdev',
  7: 'bridge',
  10: 'ip6',
};
const sizes: Record<NftType, number> = { inet_proto: 4, inet_service: 4, ipv4_addr: 4, ipv6_addr: 16 };

/** A change that needs no rule: what {@link encodeBatch} can say. */
export type ElementChange = Extract<NftChange, { map: string }>;

/** Elements in one message: its length, 64 KiB, is enough for them with the longest comments. */
const MAX_ELEMENTS = 100;

/** A batch, and what is in each of its messages. Message `i + 1` has sequence number `i + 1`; the last one asks for an answer. */
export interface ElementBatch {
  bytes: Buffer;
  messages: ElementChange[][];
}

/** The changes as one batch. What does the same to one map after one another is one message: the kernel takes its elements one by one. */
export function encodeBatch(
  table: string,
  maps: ReadonlyMap<string, NftMap>,
  changes: readonly ElementChange[],
): ElementBatch {
  const groups: ElementChange[][] = [];
  for (const change of changes) {
    const last = groups.at(-1);
    const [first] = last ?? [];
    const fits = first?.verb === change.verb && first.map === change.map && last!.length < MAX_ELEMENTS;
    if (fits) last!.push(change);
    else groups.push([change]);
  }
  const messages = groups.map((group, i) => {
    const { verb, map: name } = group[0]!;
    const map = maps.get(name);
    if (map === undefined) throw new Error(`no map ${name} in table ${table}`);
    const flags =
      REQUEST |
      (i === groups.length - 1 ? ACK : 0) |
      (verb === 'delete' ? 0 : CREATE) |
      (verb === 'create' ? EXCLUSIVE : 0);
    const elements = group.map((change) =>
      change.verb === 'delete' ? { map: change.map, key: change.key } : change,
    );
    const body = elementsBody(table, map, elements);
    return message(verb === 'delete' ? DELETE_ELEMENT : NEW_ELEMENT, flags, i + 1, body);
  });
  return { bytes: batch(messages), messages: groups };
}

/**
 * One batch that deletes these rules, by their handles, and then a chain with all that is in it. Its last message has the sequence
 * number `rules.length + 2`.
 */
export function encodeChainRemoval(
  table: string,
  family: number,
  chain: string,
  rules: readonly { chain: string; handle: bigint }[],
): Buffer {
  const inTable = [generic(family), text(1, table)];
  const deletions = rules.map((rule, i) => {
    const handle = Buffer.alloc(8);
    handle.writeBigUInt64BE(rule.handle);
    const body = Buffer.concat([...inTable, text(2, rule.chain), attribute(3, handle)]);
    return message(DELETE_RULE, REQUEST, i + 1, body);
  });
  return batch([
    ...deletions,
    message(DELETE_RULE, REQUEST, rules.length + 1, Buffer.concat([...inTable, text(2, chain)])),
    message(DELETE_CHAIN, REQUEST | ACK, rules.length + 2, Buffer.concat([...inTable, text(3, chain)])),
  ]);
}

/** One batch that deletes the table with all that is in it. Its only message has the sequence number 1. */
export function encodeTableRemoval(table: string): Buffer {
  return batch([message(DELETE_TABLE, REQUEST | ACK, 1, bodyOf(table))]);
}

/** Messages that count together or not at all. */
function batch(messages: readonly Buffer[]): Buffer {
  const edge = Buffer.from([0, 0, 0, SUBSYSTEM]);
  return Buffer.concat([
    message(BATCH_BEGIN, REQUEST, 0, edge),
    ...messages,
    message(BATCH_END, REQUEST, messages.length + 1, edge),
  ]);
}

/**
 * Requests for elements by their keys, with sequence numbers from 1. Each has one answer: the element, or an error. Requests about one map
 * differ in number and key only, which are at the same places in each.
 */
export function encodeLooks(
  table: string,
  mapOf: (name: string) => NftMap,
  keys: readonly { map: string; key: string }[],
): Buffer {
  const requests = new Map<string, { map: NftMap; bytes: Buffer }>();
  const all: Buffer[] = [];
  for (const [i, { map: name, key }] of keys.entries()) {
    let request = requests.get(name);
    if (request === undefined) {
      const map = mapOf(name);
      const bytes = message(getElements, REQUEST, 0, elementsBody(table, map, [{ map: name, key }]));
      request = { map, bytes };
      requests.set(name, request);
    }
    const { map, bytes } = request;
    const copy = Buffer.from(bytes);
    const size = map.key.reduce((sum, type) => sum + sizes[type], 0);
    copy.writeUInt32LE(i + 1, 8);
    // The key ends the message.
    copy.fill(0, copy.length - size);
    encodeParts(copy, copy.length - size, map.key, key);
    all.push(copy);
  }
  return Buffer.concat(all);
}

/** The request for the table itself. */
export function encodeTableLook(table: string, sequence: number, family = INET): Buffer {
  return message(getTable, REQUEST | ACK, sequence, bodyOf(table, undefined, family));
}

/** The request for one chain of a table of some family. */
export function encodeChainLook(table: string, chain: string, family: number, sequence: number): Buffer {
  const body = Buffer.concat([generic(family), text(1, table), text(3, chain)]);
  return message(getChains, REQUEST | ACK, sequence, body);
}

/** What follows the header in a request about a table, or a set or chain in it. */
export function bodyOf(table: string, inside?: string, family = INET): Buffer {
  const parts = [generic(family), text(1, table)];
  if (inside !== undefined) parts.push(text(2, inside));
  return Buffer.concat(parts);
}

/** Writes attributes one after another into one buffer: a buffer for each would take longer than all that is in it. */
class AttributeWriter {
  #buffer: Buffer;
  #at = 0;

  constructor(size: number) {
    this.#buffer = Buffer.alloc(size);
  }

  /** Where the next `size` bytes go; they are zero. */
  take(size: number): { buffer: Buffer; at: number } {
    const at = this.#at;
    this.#at += (size + 3) & ~3;
    if (this.#at > this.#buffer.length) {
      const larger = Buffer.alloc(2 * this.#at);
      this.#buffer.copy(larger, 0, 0, at);
      this.#buffer = larger;
    }
    return { buffer: this.#buffer, at };
  }

  /** An attribute with what `inside` writes. */
  nest(type: number, inside: () => void): void {
    const { at } = this.take(4);
    inside();
    this.#buffer.writeUInt16LE(this.#at - at, at);
    this.#buffer.writeUInt16LE(type, at + 2);
  }

  /** An attribute of `size` bytes, which `fill` writes. */
  leaf(type: number, size: number, fill: (buffer: Buffer, at: number) => void): void {
    const { buffer, at } = this.take(4 + size);
    buffer.writeUInt16LE(4 + size, at);
    buffer.writeUInt16LE(type, at + 2);
    fill(buffer, at + 4);
  }

  finish(): Buffer {
    return this.#buffer.subarray(0, this.#at);
  }
}

/** Bytes that an element takes with a comment as long as most. */
const ELEMENT_SIZE = 192;

function elementsBody(table: string, map: NftMap, elements: readonly NftElement[]): Buffer {
  const head = bodyOf(table, map.name);
  const writer = new AttributeWriter(head.length + ELEMENT_SIZE * elements.length);
  const { buffer, at } = writer.take(head.length);
  head.copy(buffer, at);
  writer.nest(3 | NESTED, () => {
    for (const element of elements) writer.nest(1 | NESTED, () => writeElement(writer, map, element));
  });
  return writer.finish();
}

function writeElement(writer: AttributeWriter, map: NftMap, { key, value, comment }: NftElement): void {
  writer.nest(1 | NESTED, () => writeParts(writer, map.key, key));
  if (value !== undefined) {
    writer.nest(2 | NESTED, () => {
      if (map.value === 'verdict') writer.nest(2 | NESTED, () => writeVerdict(writer, value));
      else writeParts(writer, map.value!, value);
    });
  }
  if (comment !== undefined) {
    const size = comment.length + 1;
    // NFTNL_UDATA_SET_ELEM_COMMENT, its length, the text.
    writer.leaf(6, 2 + size, (buffer, at) => {
      buffer[at + 1] = size;
      buffer.write(comment, at + 2, 'latin1');
    });
  }
}

/** A key or value as one attribute. */
function writeParts(writer: AttributeWriter, types: readonly NftType[], value: string): void {
  const size = types.reduce((sum, type) => sum + sizes[type], 0);
  writer.leaf(1, size, (buffer, at) => encodeParts(buffer, at, types, value));
}

function encodeParts(buffer: Buffer, from: number, types: readonly NftType[], value: string): void {
  const parts = value.split(' . ');
  if (parts.length !== types.length) throw new Error(`${value}: not of type ${types.join(' . ')}`);
  let at = from;
  for (const [i, type] of types.entries()) {
    encodePart(buffer, at, type, parts[i]!);
    at += sizes[type];
  }
}

function encodePart(buffer: Buffer, at: number, type: NftType, part: string): void {
  switch (type) {
    case 'inet_proto':
      buffer[at] = protocols[part] ?? Number(part);
      break;
    case 'inet_service':
      buffer.writeUInt16BE(Number(part), at);
      break;
    case 'ipv4_addr':
      for (const [i, octet] of part.split('.').entries()) buffer[at + i] = Number(octet);
      break;
    case 'ipv6_addr':
      for (const [i, group] of part.split(':').entries())
        buffer.writeUInt16BE(Number.parseInt(group, 16), at + 2 * i);
      break;
  }
}

function writeVerdict(writer: AttributeWriter, value: string): void {
  const [verb = '', chain] = value.split(' ');
  writer.leaf(1, 4, (buffer, at) => buffer.writeInt32BE(verdicts[verb]!, at));
  if (chain !== undefined) {
    writer.leaf(2, chain.length + 1, (buffer, at) => buffer.write(chain, at, 'latin1'));
  }
}

/**
 * The elements in one message of an answer. With `mark` only those in which these bytes occur: the rest is not even taken
 * apart, as there may be ten thousand of them.
 */
export function decodeElements(payload: string, map: NftMap, mark?: string): NftElement[] {
  if (mark !== undefined && !payload.includes(mark)) return [];
  const elements: NftElement[] = [];
  const list = attributes(payload, 4).get(3);
  if (list === undefined) return elements;
  for (let at = 0; at + 4 <= list.length; ) {
    const size = short(list, at);
    if (size < 4) break;
    const next = at + ((size + 3) & ~3);
    if (mark === undefined || within(list, mark, at, at + size)) {
      elements.push(decodeElement(list.slice(at + 4, at + size), map));
    }
    at = next;
  }
  return elements;
}

function within(text: string, mark: string, from: number, to: number): boolean {
  const at = text.indexOf(mark, from);
  return at >= 0 && at + mark.length <= to;
}

function decodeElement(bytes: string, map: NftMap): NftElement {
  const fields = attributes(bytes, 0);
  const element: NftElement = {
    map: map.name,
    key: decodeParts(map.key, attributes(fields.get(1) ?? '', 0).get(1) ?? ''),
  };
  const data = fields.get(2);
  if (data !== undefined && map.value !== undefined) {
    const inside = attributes(data, 0);
    element.value =
      map.value === 'verdict'
        ? decodeVerdict(inside.get(2) ?? '')
        : decodeParts(map.value, inside.get(1) ?? '');
  }
  const comment = decodeComment(fields.get(6));
  if (comment !== undefined) element.comment = comment;
  return element;
}

function decodeParts(types: readonly NftType[], bytes: string): string {
  let at = 0;
  const parts: string[] = [];
  for (const type of types) {
    parts.push(decodePart(type, bytes, at));
    at += sizes[type];
  }
  return parts.join(' . ');
}

function decodePart(type: NftType, bytes: string, at: number): string {
  const octet = (i: number) => bytes.charCodeAt(at + i);
  switch (type) {
    case 'inet_proto':
      return protocolNames[octet(0)] ?? String(octet(0));
    case 'inet_service':
      return String(octet(0) * 256 + octet(1));
    case 'ipv4_addr':
      return `${octet(0)}.${octet(1)}.${octet(2)}.${octet(3)}`;
    case 'ipv6_addr':
      return Array.from({ length: 8 }, (_, i) => (octet(2 * i) * 256 + octet(2 * i + 1)).toString(16)).join(
        ':',
      );
  }
}

function decodeVerdict(bytes: string): string {
  const fields = attributes(bytes, 0);
  const code = long(fields.get(1) ?? '\0\0\0\0') | 0;
  const verb = Object.keys(verdicts).find((known) => verdicts[known] === code) ?? `verdict ${code}`;
  const chain = fields.get(2);
  return chain === undefined ? verb : `${verb} ${cString(chain)}`;
}

/** The comment in the user data of a rule or an element: records of type, length, value; type 0 is the comment. */
function decodeComment(bytes: string | undefined): string | undefined {
  if (bytes === undefined) return undefined;
  for (let at = 0; at + 2 <= bytes.length; at += 2 + bytes.charCodeAt(at + 1)) {
    if (bytes.charCodeAt(at) === 0) return cString(bytes.slice(at + 2, at + 2 + bytes.charCodeAt(at + 1)));
  }
  return undefined;
}

/** Whether the table of this answer is switched off (flag dormant). */
export function decodeDormant(payload: string): boolean {
  const flags = attributes(payload, 4).get(2);
  return flags !== undefined && (long(flags) & 1) !== 0;
}

/** Family, in nft's words, and name of the table in a message. */
export function decodeTable(payload: string): { family: string; name: string } {
  const family = payload.charCodeAt(0);
  return {
    family: families[family] ?? String(family),
    name: cString(attributes(payload, 4).get(1) ?? ''),
  };
}

/** Table and name of the set in a message. */
export function decodeSet(payload: string): { table: string; name: string } {
  const fields = attributes(payload, 4);
  return { table: cString(fields.get(1) ?? ''), name: cString(fields.get(2) ?? '') };
}

/** Table, name, type and hook of the chain in a message. */
export function decodeChain(payload: string): {
  table: string;
  name: string;
  type: string;
  hook: InstalledChain['hook'];
} {
  const fields = attributes(payload, 4);
  const hook = fields.get(4);
  const inside = hook === undefined ? undefined : attributes(hook, 0);
  return {
    table: cString(fields.get(1) ?? ''),
    name: cString(fields.get(3) ?? ''),
    type: cString(fields.get(7) ?? ''),
    hook:
      inside === undefined
        ? undefined
        : { number: long(inside.get(1) ?? ''), priority: long(inside.get(2) ?? '') | 0 },
  };
}

/** Table, chain, handle and comment of the rule in a message. */
export function decodeRule(payload: string): {
  table: string;
  chain: string;
  handle: bigint;
  comment: string | undefined;
} {
  const fields = attributes(payload, 4);
  const handle = fields.get(3) ?? '';
  return {
    table: cString(fields.get(1) ?? ''),
    chain: cString(fields.get(2) ?? ''),
    handle: (BigInt(long(handle) >>> 0) << 32n) | BigInt(long(handle.slice(4)) >>> 0),
    comment: decodeComment(fields.get(7)),
  };
}

/** struct nlattr after struct nlattr, by type; flags in the type are left out. */
function attributes(bytes: string, from: number): Map<number, string> {
  const found = new Map<number, string>();
  for (let at = from; at + 4 <= bytes.length; ) {
    const size = short(bytes, at);
    if (size < 4) break;
    found.set(short(bytes, at + 2) & 0x3fff, bytes.slice(at + 4, at + size));
    at += (size + 3) & ~3;
  }
  return found;
}

/** 16 bits in the machine's order (every machine that Bun runs on is little-endian). */
function short(bytes: string, at: number): number {
  return bytes.charCodeAt(at) | (bytes.charCodeAt(at + 1) << 8);
}

/** 32 bits in network order. */
function long(bytes: string): number {
  return (
    (bytes.charCodeAt(0) << 24) |
    (bytes.charCodeAt(1) << 16) |
    (bytes.charCodeAt(2) << 8) |
    bytes.charCodeAt(3)
  );
}

function cString(bytes: string): string {
  const end = bytes.indexOf('\0');
  return end < 0 ? bytes : bytes.slice(0, end);
}

function generic(family: number): Buffer {
  return Buffer.from([family, 0, 0, 0]);
}

function text(type: number, value: string): Buffer {
  return attribute(type, Buffer.from(`${value}\0`, 'latin1'));
}

/** struct nlmsghdr and what follows it. */
function message(type: number, flags: number, sequence: number, body: Buffer): Buffer {
  const header = Buffer.alloc(16);
  header.writeUInt32LE(16 + body.length, 0);
  header.writeUInt16LE(type, 4);
  header.writeUInt16LE(flags, 6);
  header.writeUInt32LE(sequence, 8);
  return Buffer.concat([header, body]);
}
