import { closeSync, openSync, readSync } from 'node:fs';

/** Where the bytes of a file entry come from: memory, or a file read while the archive is written. */
export type TarContent = Uint8Array | { file: string; size: number };

/** One entry to write. Owner is root and the modification time is the epoch, so that equal input is equal output. */
export type TarEntry =
  | { type: 'directory'; path: string; mode: number }
  | { type: 'file'; path: string; mode: number; content: TarContent }
  | { type: 'symlink'; path: string; target: string }
  /** `target` is the path of a file entry written before this one. */
  | { type: 'hardlink'; path: string; target: string };

/** The header of an entry that was read. */
export interface TarHeader {
  path: string;
  type: 'directory' | 'file' | 'symlink' | 'hardlink' | 'other';
  mode: number;
  size: number;
  target: string;
}

/** An archive that does not follow the format, or ends early. */
export class TarError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'TarError';
  }
}

const BLOCK = 512;
/** The name, prefix and link fields of a ustar header (POSIX.1-1988): what is longer goes into a pax record. */
const NAME_LENGTH = 100;
const LINK_LENGTH = 100;
const MAX_OCTAL_SIZE = 8 ** 11 - 1;
const TYPE_FLAG = { file: '0', hardlink: '1', symlink: '2', directory: '5' } as const;
const READ_CHUNK = 1 << 20;

export function contentSize(content: TarContent): number {
  return content instanceof Uint8Array ? content.length : content.size;
}

/**
 * The bytes of a tar archive of `entries`, in their order: ustar headers, with a pax extended header (POSIX.1-2001)
 * before an entry whose name, link or size does not fit. A chunk is only valid until the next one is asked for.
 */
export function* writeTar(entries: Iterable<TarEntry>): Generator<Uint8Array> {
  for (const entry of entries) {
    const path = entry.type === 'directory' ? `${entry.path}/` : entry.path;
    const target = 'target' in entry ? entry.target : '';
    const size = entry.type === 'file' ? contentSize(entry.content) : 0;
    const records: string[] = [];
    if (Buffer.byteLength(path) > NAME_LENGTH) records.push(paxRecord('path', path));
    if (Buffer.byteLength(target) > LINK_LENGTH) records.push(paxRecord('linkpath', target));
    if (size > MAX_OCTAL_SIZE) records.push(paxRecord('size', String(size)));
    if (records.length > 0) {
      const body = Buffer.from(records.join(''));
      yield header({ path: 'pax', flag: 'x', mode: 0o644, size: body.length, target: '' });
      yield padded(body);
    }
    yield header({
      path,
      flag: TYPE_FLAG[entry.type],
      mode: 'mode' in entry ? entry.mode : 0o777,
      size: Math.min(size, MAX_OCTAL_SIZE),
      target,
    });
    if (entry.type !== 'file') continue;
    if (entry.content instanceof Uint8Array) yield padded(entry.content);
    else yield* fileBlocks(entry.content.file, entry.content.size);
  }
  yield new Uint8Array(2 * BLOCK);
}

function paxRecord(key: string, value: string): string {
  // The length counts itself, so it may take one digit more than the rest suggests.
  const rest = Buffer.byteLength(` ${key}=${value}\n`);
  let length = rest + String(rest).length;
  length = rest + String(length).length;
  return `${length} ${key}=${value}\n`;
}

function header(fields: {
  path: string;
  flag: string;
  mode: number;
  size: number;
  target: string;
}): Uint8Array {
  const block = Buffer.alloc(BLOCK);
  Buffer.from(fields.path).copy(block, 0, 0, NAME_LENGTH);
  const octal = (value: number, offset: number, length: number) =>
    block.write(value.toString(8).padStart(length - 1, '0'), offset, 'latin1');
  octal(fields.mode, 100, 8);
  octal(0, 108, 8);
  octal(0, 116, 8);
  octal(fields.size, 124, 12);
  octal(0, 136, 12);
  block.write(fields.flag, 156, 'latin1');
  Buffer.from(fields.target).copy(block, 157, 0, LINK_LENGTH);
  block.write('ustar\u000000', 257, 'latin1');
  octal(0, 329, 8);
  octal(0, 337, 8);
  block.write(`${checksum(block).toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
}

/** The sum of all header bytes, the checksum field itself taken as blanks. */
function checksum(block: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < BLOCK; i++) sum += i >= 148 && i < 156 ? 0x20 : block[i]!;
  return sum;
}

function padding(size: number): number {
  return (BLOCK - (size % BLOCK)) % BLOCK;
}

function padded(body: Uint8Array): Uint8Array {
  const missing = padding(body.length);
  return missing === 0 ? body : Buffer.concat([body, Buffer.alloc(missing)]);
}

function* fileBlocks(file: string, size: number): Generator<Uint8Array> {
  const buffer = new Uint8Array(READ_CHUNK);
  const fd = openSync(file, 'r');
  try {
    let done = 0;
    while (done < size) {
      const count = readSync(fd, buffer, 0, Math.min(READ_CHUNK, size - done), null);
      if (count === 0)
        throw new TarError(`${file}: became shorter while it was archived (${done} of ${size} bytes)`);
      done += count;
      yield buffer.subarray(0, count);
    }
  } finally {
    closeSync(fd);
  }
  if (padding(size) > 0) yield new Uint8Array(padding(size));
}

/** An entry while it is being read. What is left of its body when the next entry is asked for is skipped. */
export interface TarReadEntry {
  header: TarHeader;
  body(): AsyncGenerator<Uint8Array>;
}

/**
 * Reads a tar archive as it streams by: ustar, pax extended headers, and GNU's long names and binary sizes. Throws
 * {@link TarError} when a header's checksum is wrong or the archive ends inside an entry.
 */
export async function* readTar(source: AsyncIterable<Uint8Array>): AsyncGenerator<TarReadEntry> {
  const bytes = new ByteReader(source);
  let extended: Record<string, string> = {};
  for (;;) {
    const block = await bytes.upTo(BLOCK);
    // Archives end with two zero blocks; some writers leave them out, which every reader accepts.
    if (block.length === 0) return;
    if (block.length < BLOCK) throw new TarError(`archive ends inside a header at byte ${bytes.position}`);
    if (block.every((byte) => byte === 0)) return;
    const raw = parseHeader(block, bytes.position - BLOCK);
    if (raw.flag === 'x' || raw.flag === 'g' || raw.flag === 'L' || raw.flag === 'K') {
      if (raw.size > READ_CHUNK) throw new TarError(`extended header of ${raw.size} bytes is too large`);
      const body = await bytes.exactly(raw.size, 'an extended header');
      await bytes.exactly(padding(raw.size), 'padding');
      const text = Buffer.from(body).toString('utf8').replace(/\0+$/, '');
      if (raw.flag === 'L') extended.path = text;
      else if (raw.flag === 'K') extended.linkpath = text;
      else if (raw.flag === 'x') extended = { ...extended, ...parsePax(body) };
      continue;
    }
    const size = extended.size === undefined ? raw.size : Number(extended.size);
    if (!Number.isSafeInteger(size) || size < 0) throw new TarError(`${raw.path}: bad size ${extended.size}`);
    const path = (extended.path ?? raw.path).replace(/^\.\//, '').replace(/\/+$/, '');
    const type = TYPE_OF_FLAG[raw.flag] ?? 'other';
    let left = size;
    yield {
      header: { path, type, mode: raw.mode, size, target: extended.linkpath ?? raw.target },
      async *body() {
        while (left > 0) {
          const chunk = await bytes.some(left, path);
          left -= chunk.length;
          yield chunk;
        }
      },
    };
    while (left > 0) left -= (await bytes.some(left, path)).length;
    await bytes.exactly(padding(size), 'padding');
    extended = {};
  }
}

const TYPE_OF_FLAG: Record<string, TarHeader['type']> = {
  '0': 'file',
  '\0': 'file',
  '7': 'file',
  '1': 'hardlink',
  '2': 'symlink',
  '5': 'directory',
};

function parseHeader(block: Buffer, at: number) {
  const text = (offset: number, length: number) => {
    const field = block.subarray(offset, offset + length);
    const end = field.indexOf(0);
    return field.subarray(0, end < 0 ? length : end).toString('utf8');
  };
  const number = (offset: number, length: number): number => {
    if (block[offset]! & 0x80) {
      // GNU: a base-256 number, for what does not fit in octal digits.
      let value = block[offset]! & 0x7f;
      for (let i = 1; i < length; i++) value = value * 256 + block[offset + i]!;
      return value;
    }
    const digits = text(offset, length).trim();
    if (!/^[0-7]*$/.test(digits)) throw new TarError(`not a tar header at byte ${at}: field "${digits}"`);
    return digits === '' ? 0 : Number.parseInt(digits, 8);
  };
  if (number(148, 8) !== checksum(block)) {
    throw new TarError(`not a tar header at byte ${at}: its checksum is wrong`);
  }
  const prefix = text(257, 5) === 'ustar' && block[262] === 0 ? text(345, 155) : '';
  const name = text(0, NAME_LENGTH);
  return {
    path: prefix === '' ? name : `${prefix}/${name}`,
    mode: number(100, 8) & 0o7777,
    size: number(124, 12),
    flag: String.fromCharCode(block[156]!),
    target: text(157, LINK_LENGTH),
  };
}

function parsePax(body: Buffer): Record<string, string> {
  const records: Record<string, string> = {};
  for (let at = 0; at < body.length; ) {
    const blank = body.indexOf(0x20, at);
    const length = Number(body.subarray(at, blank).toString('latin1'));
    const record = body.subarray(blank + 1, at + length - 1).toString('utf8');
    const equals = record.indexOf('=');
    if (blank < 0 || !(length > 0) || at + length > body.length || equals < 1) {
      throw new TarError('malformed pax extended header');
    }
    records[record.slice(0, equals)] = record.slice(equals + 1);
    at += length;
  }
  return records;
}

/** Takes counted pieces out of a stream of chunks. */
class ByteReader {
  readonly #chunks: AsyncIterator<Uint8Array>;
  #current: Uint8Array = new Uint8Array(0);
  /** How many bytes have been taken so far. */
  position = 0;

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#chunks = source[Symbol.asyncIterator]();
  }

  /** At least one byte and at most `limit`; throws at the end of the stream. */
  async some(limit: number, inside: string): Promise<Uint8Array> {
    while (this.#current.length === 0) {
      const next = await this.#chunks.next();
      if (next.done) throw new TarError(`archive ends inside ${inside} at byte ${this.position}`);
      this.#current = next.value;
    }
    const piece = this.#current.subarray(0, limit);
    this.#current = this.#current.subarray(piece.length);
    this.position += piece.length;
    return piece;
  }

  /** `count` bytes, or fewer when the stream ends before. */
  async upTo(count: number): Promise<Buffer> {
    const pieces: Uint8Array[] = [];
    let missing = count;
    while (missing > 0) {
      if (this.#current.length === 0) {
        const next = await this.#chunks.next();
        if (next.done) break;
        this.#current = next.value;
        continue;
      }
      const piece = await this.some(missing, '');
      pieces.push(piece);
      missing -= piece.length;
    }
    return Buffer.concat(pieces);
  }

  async exactly(count: number, inside: string): Promise<Buffer> {
    const bytes = await this.upTo(count);
    if (bytes.length < count) throw new TarError(`archive ends inside ${inside} at byte ${this.position}`);
    return bytes;
  }
}
