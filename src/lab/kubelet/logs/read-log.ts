import { watch } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { parseLogLine } from './cri-log.ts';

export interface LogOptions {
  /** Only so many of the last lines. */
  tailLines?: number;
  /** Only lines not older than this; milliseconds since the epoch. */
  since?: number;
  /** Each line begins with its time. */
  timestamps?: boolean;
  /** Ends after so many bytes. */
  limitBytes?: number;
  /** Continues with what is written later, until {@link LogOptions.running} says that nothing will be. */
  follow?: {
    running(): Promise<boolean>;
    signal: AbortSignal;
  };
}

const CHUNK = 64 * 1024;
const NEWLINE = 0x0a;
/** A container that has ended does not write to its log, so nothing wakes a follower: it looks at least so often. */
const LOOK_MS = 1_000;

/**
 * What a container wrote, both streams in the order they were logged, from a log file in CRI's format. Partial lines are
 * joined. When the file is rotated away while it is followed, the one that takes its place is read on.
 */
export async function* readLog(path: string, options: LogOptions = {}): AsyncGenerator<Uint8Array> {
  let left = options.limitBytes ?? Number.POSITIVE_INFINITY;
  let file = await open(path, 'r');
  try {
    let position = options.tailLines === undefined ? 0 : await tailOffset(file, options.tailLines);
    let inode = (await file.stat()).ino;
    const emit = new LineFormatter(options);
    for (;;) {
      // Asked before reading: what an ended container has written is there by then.
      const running = options.follow !== undefined && (await options.follow.running());
      for await (const { text, next } of linesFrom(file, position)) {
        position = next;
        const out = emit.format(text);
        if (out.length === 0) continue;
        if (out.length >= left) {
          yield out.subarray(0, left);
          return;
        }
        left -= out.length;
        yield out;
      }
      if (options.follow === undefined || options.follow.signal.aborted) return;
      const present = await stat(path).catch(() => undefined);
      if (present !== undefined && present.ino !== inode) {
        await file.close();
        file = await open(path, 'r');
        inode = (await file.stat()).ino;
        position = 0;
        continue;
      }
      if (present !== undefined && present.size < position) position = 0;
      else if (!running) return;
      else await changeOf(path, (await file.stat()).size > position, options.follow.signal);
    }
  } finally {
    await file.close();
  }
}

class LineFormatter {
  readonly #options: LogOptions;
  readonly #open = { stdout: false, stderr: false };

  constructor(options: LogOptions) {
    this.#options = options;
  }

  format(line: Uint8Array): Uint8Array {
    const parsed = parseLogLine(line);
    if (parsed === undefined) return new Uint8Array();
    if (this.#options.since !== undefined && Date.parse(parsed.time) < this.#options.since)
      return new Uint8Array();
    const begins = !this.#open[parsed.stream];
    this.#open[parsed.stream] = parsed.partial;
    const parts: Uint8Array[] = [];
    if (this.#options.timestamps === true && begins) parts.push(Buffer.from(`${parsed.time} `));
    parts.push(parsed.text);
    if (!parsed.partial) parts.push(Uint8Array.of(NEWLINE));
    return Buffer.concat(parts);
  }
}

/** Complete lines from an offset on; a last line without its end is left for later. */
async function* linesFrom(
  file: FileHandle,
  from: number,
): AsyncGenerator<{ text: Uint8Array; next: number }> {
  let offset = from;
  let rest = Buffer.alloc(0);
  for (;;) {
    const { bytesRead, buffer } = await file.read(Buffer.alloc(CHUNK), 0, CHUNK, offset + rest.length);
    if (bytesRead === 0) return;
    let data = Buffer.concat([rest, buffer.subarray(0, bytesRead)]);
    for (let end = data.indexOf(NEWLINE); end >= 0; end = data.indexOf(NEWLINE)) {
      offset += end + 1;
      yield { text: data.subarray(0, end), next: offset };
      data = data.subarray(end + 1);
    }
    rest = data;
  }
}

/** Where the last `count` full lines begin. Partial lines count with the one that ends them. */
async function tailOffset(file: FileHandle, count: number): Promise<number> {
  const { size } = await file.stat();
  if (count <= 0) return size;
  // Lines are looked at from the end in growing steps, so that a long log is not read for its last lines.
  for (let back = CHUNK; ; back *= 4) {
    const from = Math.max(0, size - back);
    const starts: number[] = [];
    let begins = true;
    let first = true;
    let at = from;
    for await (const { text, next } of linesFrom(file, from)) {
      // A block that does not begin at the file's start begins somewhere within a line.
      const usable = from === 0 || !first;
      first = false;
      if (usable && begins) starts.push(at);
      if (usable) begins = parseLogLine(text)?.partial !== true;
      at = next;
    }
    if (from === 0 || starts.length > count) return starts.at(-count) ?? from;
  }
}

/** Resolves when the file may have changed, at the latest after {@link LOOK_MS}. */
async function changeOf(path: string, already: boolean, signal: AbortSignal): Promise<void> {
  if (already || signal.aborted) return;
  const changed = Promise.withResolvers<void>();
  const done = () => changed.resolve();
  // The directory, not the file: a rotation replaces the file.
  const watcher = watch(dirname(path), (_event, name) => {
    if (name === null || name === basename(path)) done();
  });
  watcher.on('error', done);
  const timer = setTimeout(done, LOOK_MS);
  signal.addEventListener('abort', done, { once: true });
  try {
    await changed.promise;
  } finally {
    clearTimeout(timer);
    watcher.close();
    signal.removeEventListener('abort', done);
  }
}
