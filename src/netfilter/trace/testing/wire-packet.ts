import { type AddressValue, groupsOf, parseAddress } from '../../../util/address.ts';
import { protocolNumber } from '../../read/model.ts';
import type { Packet } from '../trace-types.ts';

/** The differentiated services code point of probes: nothing else that the kernel sends carries it, and no random rule asks for it. */
export const PROBE_DSCP = 42;

const HEADER = { ip: 20, ip6: 40 } as const;
const PAYLOAD = Buffer.from('probe');

/** An IP packet with the header of its transport and right checksums, as it would be on the wire. `broken`: with a wrong one. */
export function wirePacket(
  packet: Pick<Packet, 'family' | 'source' | 'destination' | 'destinationPort' | 'protocol'> & {
    sourcePort: number;
  },
  broken = false,
): Buffer {
  const protocol = protocolNumber(packet.protocol)!;
  const source = addressBytes(packet.source);
  const destination = addressBytes(packet.destination);
  const transport = transportOf(protocol, packet.sourcePort, packet.destinationPort);
  // Over a pseudo header (RFC 768, RFC 8200 8.1); ICMP for IPv4 has none, SCTP has a CRC.
  const pseudo = Buffer.concat([source, destination, Buffer.from([0, protocol, 0, transport.length])]);
  const { at, sum } = checksumOf(
    protocol,
    packet.family === 'ip' && protocol === 1 ? Buffer.alloc(0) : pseudo,
    transport,
  );
  sum.copy(transport, at);
  if (broken) transport[at]! ^= 0x55;
  const size = HEADER[packet.family] + transport.length;
  const header = Buffer.alloc(HEADER[packet.family]);
  if (packet.family === 'ip') {
    header[0] = 0x45;
    header[1] = PROBE_DSCP << 2;
    header.writeUInt16BE(size, 2);
    header[8] = 64;
    header[9] = protocol;
    source.copy(header, 12);
    destination.copy(header, 16);
    header.writeUInt16BE(internetSum(header), 10);
  } else {
    header.writeUInt32BE(((6 << 28) | (PROBE_DSCP << 22)) >>> 0, 0);
    header.writeUInt16BE(transport.length, 4);
    header[6] = protocol;
    header[7] = 64;
    source.copy(header, 8);
    destination.copy(header, 24);
  }
  return Buffer.concat([header, transport]);
}

function transportOf(protocol: number, sourcePort: number, destinationPort: number): Buffer {
  const ports = Buffer.alloc(4);
  ports.writeUInt16BE(sourcePort, 0);
  ports.writeUInt16BE(destinationPort, 2);
  switch (protocol) {
    case 6: {
      const header = Buffer.alloc(20);
      ports.copy(header);
      header[12] = 5 << 4;
      header[13] = 0x02; // SYN
      header.writeUInt16BE(1024, 14);
      return header;
    }
    case 17: {
      const length = Buffer.from([0, 8 + PAYLOAD.length, 0, 0]);
      return Buffer.concat([ports, length, PAYLOAD]);
    }
    case 132: {
      // Common header with no verification tag, and an INIT chunk of 20 bytes (RFC 9260).
      const header = Buffer.alloc(32);
      ports.copy(header);
      header.set([1, 0, 0, 20, 0, 0, 0, 1, 0, 0, 0x10, 0, 0, 1, 0, 1, 0, 0, 0, 1], 12);
      return header;
    }
    case 1:
    case 58: {
      const header = Buffer.alloc(8);
      header[0] = protocol === 1 ? 8 : 128; // echo request
      header.writeUInt16BE(sourcePort, 4);
      return Buffer.concat([header, PAYLOAD]);
    }
    default:
      return PAYLOAD;
  }
}

function checksumOf(protocol: number, pseudo: Buffer, transport: Buffer): { at: number; sum: Buffer } {
  if (protocol === 132) {
    const sum = Buffer.alloc(4);
    sum.writeUInt32LE(crc32c(transport));
    return { at: 8, sum };
  }
  const at = { 6: 16, 17: 6, 1: 2, 58: 2 }[protocol];
  if (at === undefined) return { at: 0, sum: Buffer.alloc(0) };
  const sum = Buffer.alloc(2);
  sum.writeUInt16BE(internetSum(Buffer.concat([pseudo, transport])));
  return { at, sum };
}

/** RFC 1071. */
function internetSum(bytes: Buffer): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) sum += (bytes[i]! << 8) | (bytes[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

/** CRC-32C, bit by bit (RFC 9260, appendix A). */
function crc32c(bytes: Buffer): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  }
  return ~crc >>> 0;
}

/** An address as it is in a header. */
export function addressBytes(text: string): Buffer {
  const value: AddressValue | undefined = parseAddress(text);
  if (value === undefined) throw new Error(`${text} is not an address`);
  if (typeof value === 'bigint')
    return Buffer.from(groupsOf(value).flatMap((group) => [group >> 8, group & 255]));
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
