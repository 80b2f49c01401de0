/** Values of ASN.1 in DER, as far as a certificate needs them. Source: X.690; RFC 5280, 4.1. */

const SEQUENCE = 0x30;
const SET = 0x31;

/** One value: tag, length, content. */
export function derValue(tag: number, content: Uint8Array): Buffer {
  const { length } = content;
  // DER wants the shortest form.
  if (length < 0x80) return Buffer.concat([Buffer.from([tag, length]), content]);
  const bytes = length < 0x100 ? [length] : [length >> 8, length & 0xff];
  if (length > 0xffff)
    throw new Error(`a DER value of ${length} bytes is longer than those of a certificate`);
  return Buffer.concat([Buffer.from([tag, 0x80 | bytes.length, ...bytes]), content]);
}

export function derSequence(...parts: Uint8Array[]): Buffer {
  return derValue(SEQUENCE, Buffer.concat(parts));
}

/** A SET of one value: more would have to be sorted. */
export function derSet(part: Uint8Array): Buffer {
  return derValue(SET, part);
}

/** A positive INTEGER of these bytes, whose first bit is 0. */
export function derInteger(bytes: Uint8Array): Buffer {
  return derValue(0x02, bytes);
}

export const DER_TRUE = derValue(0x01, Buffer.from([0xff]));

export function derUtf8(text: string): Buffer {
  return derValue(0x0c, Buffer.from(text, 'utf8'));
}

export function derOctets(bytes: Uint8Array): Buffer {
  return derValue(0x04, bytes);
}

/** A BIT STRING whose last byte has `unused` bits that do not count. */
export function derBits(bytes: Uint8Array, unused = 0): Buffer {
  return derValue(0x03, Buffer.concat([Buffer.from([unused]), bytes]));
}

/** An OBJECT IDENTIFIER, from `2.5.4.3`. */
export function derOid(text: string): Buffer {
  const [first, second, ...others] = text.split('.').map(Number) as [number, number, ...number[]];
  const bytes = [first * 40 + second, ...others].flatMap((arc) => {
    const groups = [arc & 0x7f];
    for (let rest = arc >>> 7; rest > 0; rest >>>= 7) groups.unshift(0x80 | (rest & 0x7f));
    return groups;
  });
  return derValue(0x06, Buffer.from(bytes));
}

/** GeneralizedTime from 2050 on, UTCTime before: RFC 5280, 4.1.2.5. Whole seconds. */
export function derTime(date: Date): Buffer {
  const digits = date
    .toISOString()
    .replace(/\.\d+Z$/, 'Z')
    .replace(/[-:T]/g, '');
  return date.getUTCFullYear() >= 2050
    ? derValue(0x18, Buffer.from(digits))
    : derValue(0x17, Buffer.from(digits.slice(2)));
}

/** The values that a constructed value contains, each with its tag and length. Throws when it is malformed. */
export function derParts(value: Uint8Array): Buffer[] {
  const whole = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  const { start, end } = extentOf(whole, 0);
  const parts: Buffer[] = [];
  for (let at = start; at < end; ) {
    const part = extentOf(whole, at);
    if (part.end > end) throw new Error('malformed DER: a part ends after its whole');
    parts.push(whole.subarray(at, part.end));
    at = part.end;
  }
  return parts;
}

/** Where the content of the value at `at` begins and ends. */
function extentOf(bytes: Buffer, at: number): { start: number; end: number } {
  const first = bytes[at + 1];
  if (first === undefined) throw new Error('malformed DER: it ends within a value');
  const size = first < 0x80 ? 0 : first & 0x7f;
  if (first === 0x80 || size > 4 || at + 2 + size > bytes.length) throw new Error('malformed DER: no length');
  const start = at + 2 + size;
  const end = start + (size === 0 ? first : bytes.readUIntBE(at + 2, size));
  if (end > bytes.length) throw new Error('malformed DER: it ends within a value');
  return { start, end };
}
