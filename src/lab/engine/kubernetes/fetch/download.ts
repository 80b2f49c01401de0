import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { type FileHandle, open, rename, rm, stat } from 'node:fs/promises';
import { type Clock, realClock } from '../../../../sys/clock.ts';
import { ignoring } from '../../../../sys/errno.ts';
import { fileProblem } from '../../../../sys/file-problem.ts';
import { messageOf, UserError } from '../../../../util/errors.ts';
import { ask, type MirrorAccess, Silence } from './http.ts';

export interface DownloadContext {
  access: MirrorAccess;
  signal: AbortSignal;
  /** Called as bytes arrive; `total` is what the server says. */
  onProgress(bytes: number, total: number | undefined): void;
  /** Most bytes of a file. Default: 1 GiB; Kubernetes' largest program has a tenth of it. */
  maxBytes?: number;
  /** How long a server may be silent, in milliseconds. Default: a minute. */
  silenceMs?: number;
  clock?: Clock;
}

const MAX_BYTES = 1024 ** 3;
/** How often an answer may break off. */
const TRIES = 5;
const FIRST_PAUSE_MS = 500;

/** A file that is to be there, and what it is to be. */
export interface WantedFile {
  url: URL;
  /** Where it is when all of it is there; until then, `path` with `.part` after it has its beginning. */
  path: string;
  /** In hexadecimal digits, small letters. */
  sha512: string;
  /** Where the checksum is from, for errors. */
  checksumFrom: URL;
}

/**
 * Downloads a file unless it is there. What an earlier run has of it is not downloaded again (RFC 9110, 14.2); an answer that breaks off
 * is continued, some times. Whatever ends it, nothing but the whole file is ever at its path. Returns its size in bytes.
 * @throws UserError, or the signal's reason; what has been downloaded stays, unless it is not what was wanted.
 */
export async function download(file: WantedFile, context: DownloadContext): Promise<number> {
  const part = `${file.path}.part`;
  if ((await digestOf(file.path, context.signal)) === file.sha512) return (await stat(file.path)).size;
  const began = await sizeOf(part);
  await transferAll(file, part, context);
  let digest = await digestOf(part, context.signal);
  if (digest !== file.sha512 && began > 0) {
    // What was there may be the beginning of another file.
    await rm(part, { force: true });
    await transferAll(file, part, context);
    digest = await digestOf(part, context.signal);
  }
  if (digest !== file.sha512) {
    await rm(part, { force: true });
    throw new UserError(
      `cannot download ${file.url}: its SHA-512 is ${digest?.slice(0, 16)}…, and is to be ${file.sha512.slice(0, 16)}… (${file.checksumFrom}); it was removed, run this again`,
    );
  }
  await rename(part, file.path);
  return (await stat(file.path)).size;
}

/** An answer that ended before its end. */
class BrokenOff extends Error {}

async function transferAll(file: WantedFile, part: string, context: DownloadContext): Promise<void> {
  const { clock = realClock, signal } = context;
  for (let tried = 1; ; tried++) {
    try {
      return await transfer(file.url, part, context);
    } catch (cause) {
      signal.throwIfAborted();
      if (!(cause instanceof BrokenOff)) throw cause;
      if (tried === TRIES) {
        throw new UserError(
          `cannot download ${file.url}: ${cause.message}, the ${TRIES}th time; run this again to continue`,
        );
      }
      await clock.sleep(FIRST_PAUSE_MS * 2 ** (tried - 1), signal);
    }
  }
}

/** One request, from where the part ends to the end of the file. */
async function transfer(url: URL, part: string, context: DownloadContext): Promise<void> {
  const { access, signal, maxBytes = MAX_BYTES, silenceMs, onProgress } = context;
  const have = await sizeOf(part);
  const silence = new Silence(url, silenceMs, signal);
  try {
    const headers: Record<string, string> = have === 0 ? {} : { range: `bytes=${have}-` };
    const { response } = await ask(url, headers, access, silence.signal);
    // There is nothing after it: the checksum says whether it is the whole file.
    if (response.status === 416 && have > 0) return await response.body?.cancel();
    const { from, total } = await extentOf(response, url, have);
    let at = from;
    const most = Math.min(total ?? maxBytes, maxBytes);
    if ((total ?? 0) > maxBytes) refuseSize(url, `it has ${total} bytes`, maxBytes);
    const output = await openPart(part, from);
    try {
      for await (const bytes of piecesOf(
        response,
        () => `${at} of ${total ?? 'unknown'} bytes came`,
        silence,
      )) {
        if (at + bytes.length > most) refuseSize(url, 'more bytes came', most);
        await writeAll(output, bytes, part);
        at += bytes.length;
        onProgress(at, total);
      }
      await output.sync();
    } finally {
      await output.close();
    }
    if (total !== undefined && at < total) throw new BrokenOff(`only ${at} of ${total} bytes came`);
  } finally {
    silence.end();
  }
}

function refuseSize(url: URL, what: string, most: number): never {
  throw new UserError(`cannot download ${url}: ${what}; want at most ${most}`);
}

/** Which bytes of the file an answer has: from where on, and how many the whole file has, where it says so. */
async function extentOf(
  response: Response,
  url: URL,
  have: number,
): Promise<{ from: number; total?: number }> {
  const { status, headers } = response;
  const encoding = headers.get('content-encoding') ?? 'identity';
  const range = /^bytes (\d+)-\d+\/(\d+)$/.exec(headers.get('content-range') ?? '');
  const length = headers.get('content-length');
  const problem =
    status === 404
      ? 'it is not there'
      : status !== 200 && status !== 206
        ? `HTTP status ${status}`
        : encoding !== 'identity'
          ? `it is compressed (${encoding}), which was not asked for`
          : status === 206 && Number(range?.[1]) !== have
            ? `bytes from ${have} on were asked for, and the answer has ${headers.get('content-range') ?? 'no range'}`
            : undefined;
  if (problem !== undefined) {
    await response.body?.cancel();
    throw new UserError(`cannot download ${url}: ${problem}`);
  }
  if (status === 206) return { from: have, total: Number(range![2]) };
  return { from: 0, ...(length !== null && { total: Number(length) }) };
}

/** The pieces of a body; one that ends otherwise than by its end is {@link BrokenOff}. */
async function* piecesOf(
  response: Response,
  seen: () => string,
  silence: Silence,
): AsyncGenerator<Uint8Array> {
  try {
    for await (const bytes of (response.body ?? []) as AsyncIterable<Uint8Array>) {
      silence.broken();
      yield bytes;
    }
  } catch (cause) {
    // The runtime's own words are advice to a programmer.
    const why = cause instanceof UserError ? ` (${cause.message})` : '';
    throw new BrokenOff(`the connection ended after ${seen()}${why}`);
  }
}

async function openPart(path: string, from: number): Promise<FileHandle> {
  return open(path, from === 0 ? 'w' : 'a', 0o600).catch((cause) => cannotWrite(path, cause));
}

async function writeAll(file: FileHandle, bytes: Uint8Array, path: string): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, done).catch((cause) => cannotWrite(path, cause));
    done += bytesWritten;
  }
}

function cannotWrite(path: string, cause: unknown): never {
  const problem = fileProblem(cause) ?? messageOf(cause);
  throw new UserError(`cannot write ${path}: ${problem}; run this again to continue`);
}

async function sizeOf(path: string): Promise<number> {
  return (await stat(path).catch(ignoring('ENOENT')))?.size ?? 0;
}

/** SHA-512 of a file in hexadecimal digits; undefined when there is none. */
async function digestOf(path: string, signal: AbortSignal): Promise<string | undefined> {
  if ((await stat(path).catch(ignoring('ENOENT'))) === undefined) return undefined;
  const hash = createHash('sha512');
  for await (const bytes of createReadStream(path)) {
    signal.throwIfAborted();
    hash.update(bytes as Uint8Array);
  }
  return hash.digest('hex');
}
