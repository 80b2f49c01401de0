/** What the loader needs to start an ELF file or to load it into a process. */
export interface Dynamic {
  /** Of a program: the loader's path. */
  interpreter?: string;
  /** Names of the shared libraries that it is linked with. */
  needed: string[];
}

const MAGIC = 0x464c457f;
const CLASS_64 = 2;
const LITTLE_ENDIAN = 1;
const PT_LOAD = 1;
const PT_DYNAMIC = 2;
const PT_INTERP = 3;
const DT_NULL = 0n;
const DT_NEEDED = 1n;
const DT_STRTAB = 5n;

interface Segment {
  type: number;
  offset: number;
  address: number;
  size: number;
}

/**
 * Reads an ELF file of a 64-bit little-endian machine; undefined for what is not one. One that is linked statically needs nothing.
 * Source: the ELF-64 object file format, elf(5).
 */
export function dynamicOf(bytes: Buffer): Dynamic | undefined {
  if (bytes.length < 64 || bytes.readUInt32LE(0) !== MAGIC) return undefined;
  if (bytes[4] !== CLASS_64 || bytes[5] !== LITTLE_ENDIAN) return undefined;
  const segments = segmentsOf(bytes);
  const interpreter = segments.find(({ type }) => type === PT_INTERP);
  const dynamic = segments.find(({ type }) => type === PT_DYNAMIC);
  return {
    ...(interpreter && { interpreter: textAt(bytes, interpreter.offset) }),
    needed: dynamic === undefined ? [] : neededBy(bytes, segments, dynamic),
  };
}

function segmentsOf(bytes: Buffer): Segment[] {
  const start = Number(bytes.readBigUInt64LE(32));
  const size = bytes.readUInt16LE(54);
  return Array.from({ length: bytes.readUInt16LE(56) }, (_, i) => {
    const at = start + i * size;
    return {
      type: bytes.readUInt32LE(at),
      offset: Number(bytes.readBigUInt64LE(at + 8)),
      address: Number(bytes.readBigUInt64LE(at + 16)),
      size: Number(bytes.readBigUInt64LE(at + 32)),
    };
  });
}

function neededBy(bytes: Buffer, segments: readonly Segment[], dynamic: Segment): string[] {
  const entries: [tag: bigint, value: number][] = [];
  for (let at = dynamic.offset; at < dynamic.offset + dynamic.size; at += 16) {
    const tag = bytes.readBigInt64LE(at);
    if (tag === DT_NULL) break;
    entries.push([tag, Number(bytes.readBigUInt64LE(at + 8))]);
  }
  const table = entries.find(([tag]) => tag === DT_STRTAB)?.[1];
  if (table === undefined) return [];
  const strings = offsetOf(segments, table);
  return entries.filter(([tag]) => tag === DT_NEEDED).map(([, value]) => textAt(bytes, strings + value));
}

/** Where the file has what is at an address in memory. */
function offsetOf(segments: readonly Segment[], address: number): number {
  const segment = segments.find(
    (each) => each.type === PT_LOAD && address >= each.address && address < each.address + each.size,
  );
  if (segment === undefined) throw new Error(`not a whole ELF file: nothing is at address ${address}`);
  return address - segment.address + segment.offset;
}

function textAt(bytes: Buffer, offset: number): string {
  return bytes.toString('latin1', offset, bytes.indexOf(0, offset));
}
