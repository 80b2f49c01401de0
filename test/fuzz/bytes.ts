import fc from 'fast-check';
import { calls } from '../../src/cri/messages.ts';
import * as etcd from '../../src/lab/etcd/messages.ts';
import { decodeProtobuf, ProtobufError } from '../../src/lab/kubernetes/schema/protobuf.ts';
import type { NftMap } from '../../src/netfilter/nft/nft.ts';
import {
  decodeChain,
  decodeDormant,
  decodeElements,
  decodeRule,
  decodeSet,
  decodeTable,
  encodeBatch,
} from '../../src/netfilter/nft/wire.ts';
import { decodeTrace } from '../../src/netfilter/trace/kernel-message.ts';
import { claimMaps, mapIn } from '../../src/portmap/nftables-layout.ts';
import { attribute, netlinkMessage } from '../../src/sys/netlink.ts';
import { messageReader } from '../../src/sys/netlink-messages.ts';
import type { Codec } from '../../src/util/protobuf.ts';
import { changedBytes, type FuzzTarget, refuses, target } from './fuzz.ts';

const TRACE = (10 << 8) | 17;

/** Attributes in attributes, of whatever type. */
const attributes = fc.letrec<{ list: Buffer; one: Buffer }>((tie) => ({
  list: fc.array(tie('one'), { maxLength: 6 }).map((all) => Buffer.concat(all)),
  one: fc
    .tuple(
      fc.nat(24),
      fc.oneof(
        { depthSize: 'small' },
        fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
        tie('list'),
      ),
    )
    .map(([type, value]) => attribute(type, value)),
})).list;

const MAP: NftMap = {
  name: mapIn(claimMaps[0]!, 0),
  key: ['inet_proto', 'inet_service'],
  value: ['ipv4_addr', 'inet_service'],
};
const elements = encodeBatch('hostport', new Map([[MAP.name, MAP]]), [
  { verb: 'add', map: MAP.name, key: 'tcp . 80', value: '10.0.0.1 . 8080', comment: 'a/b' },
  { verb: 'delete', map: MAP.name, key: 'udp . 53' },
]);

/** Fields of messages, some of them messages. */
const wire = fc.letrec<{ message: number[]; field: number[] }>((tie) => ({
  message: fc.array(tie('field'), { maxLength: 6 }).map((all) => all.flat()),
  field: fc
    .tuple(
      fc.integer({ min: 1, max: 30 }),
      fc.nat(7),
      fc.oneof({ depthSize: 'small' }, fc.array(fc.nat(255), { maxLength: 20 }), tie('message')),
    )
    .map(([number, type, content]) => [
      ((number << 3) | type) & 0x7f,
      ...(number > 15 ? [1] : []),
      ...(type === 2 ? [content.length & 0x7f] : []),
      ...content,
    ]),
})).message;

const responses: [string, Codec<never, unknown>][] = [
  ...Object.entries(calls).map(([name, { response }]) => [name, response] as [string, Codec<never, unknown>]),
];
const ofEtcd = Object.entries(etcd).filter(
  (entry) => typeof (entry[1] as { decode?: unknown }).decode === 'function',
) as [string, Codec<never, unknown>][];

/** Decodes by each codec: what it says of what it refuses is its own, and no mistake of the program. */
function decodeAll(codecs: readonly [string, Codec<never, unknown>][], bytes: Uint8Array): void {
  for (const [name, codec] of codecs) {
    try {
      codec.decode(bytes);
    } catch (error) {
      if (!(error instanceof Error) || !error.message.startsWith('protobuf: '))
        throw new Error(`${name}: ${error}`, { cause: error });
    }
  }
}

const K8S = Buffer.from('k8s\0');
const KINDS = [
  ['v1', 'Pod'],
  ['v1', 'Service'],
  ['v1', 'Node'],
  ['apps/v1', 'Deployment'],
  ['rbac.authorization.k8s.io/v1', 'ClusterRole'],
] as const;

/** A field of bytes, of at most 16 KiB. */
function field(number: number, content: Uint8Array): Buffer {
  const { length } = content;
  return Buffer.concat([Buffer.from([(number << 3) | 2, (length & 0x7f) | 0x80, length >> 7]), content]);
}

const anyMessage = fc.oneof(
  wire.map((bytes) => Uint8Array.from(bytes)),
  fc.uint8Array({ maxLength: 200 }),
);

/** Of what kernel, runtime and etcd send. */
export const byteTargets: readonly FuzzTarget[] = [
  target(
    'messages of netlink',
    1,
    fc.oneof(
      changedBytes([elements.bytes]),
      fc
        .tuple(fc.nat(20), fc.nat(0xffff), attributes)
        .map(([type, flags, body]) =>
          netlinkMessage(
            type === 17 ? TRACE : (10 << 8) | type,
            flags,
            Buffer.concat([Buffer.from([2, 0, 0, 0]), body]),
          ),
        ),
    ),
    (bytes) => {
      const buffer = Buffer.from(bytes);
      const payloads: string[] = [];
      messageReader()(buffer, buffer.length, payloads);
      for (const payload of [...payloads, buffer.toString('latin1')]) {
        decodeTable(payload);
        decodeSet(payload);
        decodeChain(payload);
        decodeRule(payload);
        decodeDormant(payload);
        decodeElements(payload, MAP);
      }
      decodeTrace(buffer, () => undefined);
    },
  ),
  target('messages of the runtime (CRI)', 0.5, anyMessage, (bytes) => decodeAll(responses, bytes)),
  target('messages of etcd', 1, anyMessage, (bytes) => decodeAll(ofEtcd, bytes)),
  target(
    'protobuf of API clients',
    0.2,
    fc.oneof(
      anyMessage.map((bytes) => Buffer.concat([K8S, bytes])),
      fc.tuple(fc.constantFrom(...KINDS), anyMessage).map(([[version, kind], raw]) => {
        const typeMeta = Buffer.concat([field(1, Buffer.from(version)), field(2, Buffer.from(kind))]);
        return Buffer.concat([K8S, field(1, typeMeta), field(2, raw)]);
      }),
    ),
    (bytes) => refuses(() => decodeProtobuf(bytes), ProtobufError),
  ),
];
