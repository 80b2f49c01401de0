import { once } from 'node:events';
import { setImmediate as turn } from 'node:timers/promises';
import { fileProblem } from '../sys/file-problem.ts';
import { UserError } from '../util/errors.ts';

/** How many characters are written at a time, at least. */
const WRITTEN_AT_A_TIME = 256 * 1024;

/** Prints a text that comes in pieces as fast as it is read, so that little of it is in memory. What cannot be written, {@link Output} reports. */
export async function printPieces(stream: NodeJS.WriteStream, pieces: Iterable<string>): Promise<void> {
  let pending = '';
  for (const piece of pieces) {
    pending += piece;
    if (pending.length < WRITTEN_AT_A_TIME) continue;
    if (!stream.write(pending)) await writable(stream);
    // Nobody reads it.
    if (stream.destroyed) return;
    pending = '';
  }
  stream.write(pending);
}

/** Resolves when a stream takes more, or never will. */
async function writable(stream: NodeJS.WriteStream): Promise<void> {
  const over = new AbortController();
  const ends = ['drain', 'error', 'close'].map((event) => once(stream, event, { signal: over.signal }));
  await Promise.race(ends).catch(() => {});
  over.abort();
  await Promise.allSettled(ends);
}

/** A stream that this program prints to, and whether what was printed arrived. */
export class Output {
  readonly #stream: NodeJS.WriteStream;
  #lost: NodeJS.ErrnoException | undefined;

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream;
    stream.on('error', (error) => {
      this.#lost ??= error;
    });
  }

  /**
   * Resolves unless something printed so far is lost. A reader that has gone (`| head`) has had what it wanted.
   * @throws UserError when the stream could not be written: a full disk.
   */
  async check(): Promise<void> {
    await new Promise<void>((resolve) => this.#stream.write('', () => resolve()));
    // A file's error is emitted only after the callback of the next write.
    await turn();
    if (this.#lost !== undefined && this.#lost.code !== 'EPIPE') {
      const what = fileProblem(this.#lost) ?? this.#lost.message;
      throw new UserError(`cannot write the output: ${what}; free space on its file system, then try again`);
    }
  }

  /** Resolves when all that was printed is with the kernel, or cannot get there. */
  async end(): Promise<void> {
    // Ending a file whose write failed never calls back.
    if (this.#lost !== undefined) return;
    const failed = new Promise<void>((resolve) => this.#stream.once('error', () => resolve()));
    await Promise.race([failed, new Promise<void>((resolve) => this.#stream.end(() => resolve()))]);
  }
}
