import { createReadStream } from 'node:fs';
import { ReadableStream as NodeStream } from 'node:stream/web';
import { createTarDecoder, createTarPacker, type TarPackController } from 'modern-tar';

/** Where the bytes of a file entry come from: memory, or a file read while the archive is written. */
export type TarContent = Uint8Array | { file: string; size: number };

/** Whose an entry is, by numbers, and when it was changed. */
export interface TarAbout {
  uid: number;
  gid: number;
  mtime: Date;
}

/** One entry to write. Without `about`, the owner is root and the modification time is the epoch, so that equal input is equal output. */
export type TarEntry = { path: string; about?: TarAbout } & (
  | { type: 'directory'; mode: number }
  | { type: 'file'; mode: number; content: TarContent }
  | { type: 'symlink'; target: string }
  /** `target` is the path of a file entry written before this one. */
  | { type: 'link'; target: string }
);

/** An entry while it is being read. What is left of its body when the next entry is asked for is skipped. */
export interface TarReadEntry {
  /** Without `./` before it and a slash behind it; whatever else the archive says, `..` included. */
  path: string;
  /** `file`, `directory`, `symlink`, `link` (a hard one), or a device's type. */
  type: string;
  mode: number;
  size: number;
  target: string;
  about: TarAbout;
  body: AsyncIterable<Uint8Array>;
}

const EPOCH = new Date(0);
const READ_CHUNK = 1 << 20;
/** Two zero blocks: the end of an archive. */
const END = new Uint8Array(1024);

/** The bytes of a tar archive of `entries`, in their order. Throws when a file becomes shorter meanwhile. */
export async function* writeTar(entries: Iterable<TarEntry>): AsyncGenerator<Uint8Array> {
  const { readable, controller } = createTarPacker();
  // An error on either side ends the other: of packing it is thrown by the loop below, of reading it stops the packing.
  void pack(controller, entries).catch((error: unknown) => controller.error(error));
  yield* readable;
}

async function pack(controller: TarPackController, entries: Iterable<TarEntry>): Promise<void> {
  for (const entry of entries) {
    const content = entry.type === 'file' ? entry.content : new Uint8Array();
    const writer = controller
      .add({
        name: entry.type === 'directory' ? `${entry.path}/` : entry.path,
        type: entry.type,
        mode: 'mode' in entry ? entry.mode : 0o777,
        size: content instanceof Uint8Array ? content.length : content.size,
        ...(entry.about ?? { mtime: EPOCH }),
        ...('target' in entry ? { linkname: entry.target } : {}),
      })
      .getWriter();
    if (!(content instanceof Uint8Array)) {
      for await (const chunk of bytesOf(content.file, content.size)) await writer.write(chunk);
    } else if (content.length > 0) await writer.write(content);
    await writer.close();
  }
  controller.finalize();
}

/** The first `size` bytes of a file. */
async function* bytesOf(file: string, size: number): AsyncGenerator<Uint8Array> {
  if (size === 0) return;
  let done = 0;
  for await (const chunk of createReadStream(file, { end: size - 1, highWaterMark: READ_CHUNK })) {
    done += (chunk as Uint8Array).length;
    yield chunk as Uint8Array;
  }
  if (done < size)
    throw new Error(`${file}: became shorter while it was archived (${done} of ${size} bytes)`);
}

/**
 * Reads a tar archive as it streams by: ustar, pax extended headers, and GNU's long names and binary sizes. Throws when a
 * header's checksum is wrong or the archive ends inside an entry.
 */
export async function* readTar(source: AsyncIterable<Uint8Array>): AsyncGenerator<TarReadEntry> {
  // Node's types and the web's of the same class do not know each other.
  const bytes = NodeStream.from(ended(source)) as unknown as ReadableStream<Uint8Array>;
  const entries = bytes.pipeThrough(createTarDecoder({ strict: true }))[Symbol.asyncIterator]();
  try {
    for (;;) {
      const next = await entries.next().catch((cause: unknown) => {
        // Errors of the source have a code: of the system, or of zlib.
        if (isCoded(cause)) throw cause;
        throw new Error(`it is not a tar archive, or it is damaged: ${(cause as Error).message}`, { cause });
      });
      if (next.done === true) return;
      const { header, body } = next.value;
      yield {
        path: header.name.replace(/^\.\//, '').replace(/\/+$/, ''),
        type: header.type ?? 'file',
        mode: (header.mode ?? 0) & 0o7777,
        size: header.size,
        target: header.linkname ?? '',
        about: { uid: header.uid ?? 0, gid: header.gid ?? 0, mtime: header.mtime ?? EPOCH },
        body,
      };
      await body.cancel();
    }
  } finally {
    // Also when no more of it is asked for: a file would stay open.
    await entries.return?.();
  }
}

function isCoded(cause: unknown): boolean {
  return (cause as NodeJS.ErrnoException | undefined)?.code !== undefined;
}

/**
 * Archives end with two zero blocks; some writers leave them out, which every other reader accepts. Here they follow every
 * archive: behind a complete one they are padding, and one that was cut inside an entry takes them for its bytes, so that no
 * end is found.
 */
async function* ended(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield* source;
  yield END;
}
