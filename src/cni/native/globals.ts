/** What plugins use of the globals of Bun and Node. */
import { isErrno } from '../../sys/errno.ts';
import { Bytes } from './buffer.ts';
import { Deadline, fetch } from './fetch.ts';
import { port } from './port.ts';

const CHUNK = 16_384;

class Hasher {
  readonly #bits: 256 | 512;
  #bytes: Uint8Array = new Bytes(0);

  constructor(algorithm: 'sha256' | 'sha512') {
    this.#bits = algorithm === 'sha256' ? 256 : 512;
  }

  update(text: string): this {
    this.#bytes = Bytes.concat([this.#bytes, port.encode(text)]);
    return this;
  }

  digest(): Bytes;
  digest(encoding: 'hex'): string;
  digest(encoding?: 'hex'): Bytes | string {
    const digest = Bytes.from(port.sha2(this.#bits, this.#bytes));
    return encoding === undefined ? digest : digest.toString(encoding);
  }
}

/** All of a standard input that was opened so that reading does not wait. */
async function stdinBytes(): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for (;;) {
    port.wait(0, false);
    const chunk = new Bytes(CHUNK);
    let size: number;
    try {
      size = port.read(0, chunk, 0, CHUNK);
    } catch (cause) {
      // Another process that reads there was faster.
      if (isErrno(cause, 'EAGAIN')) continue;
      throw cause;
    }
    if (size === 0) return Bytes.concat(chunks);
    chunks.push(chunk.subarray(0, size));
  }
}

/** Of this process: the script has ended before it began. */
function variables(): Record<string, string> {
  const pairs = port.env.map((text): [string, string] => {
    const at = text.indexOf('=', 1);
    return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)];
  });
  return Object.fromEntries(pairs);
}

let env: Record<string, string> | undefined;
/** What begins when the script has ended. It is kept: what nobody can call any more would be taken apart, function by function, while it runs. */
const begun: (() => void)[] = [];

Object.assign(globalThis, {
  AbortSignal: Deadline,
  Buffer: Bytes,
  Bun: {
    CryptoHasher: Hasher,
    sleep: async (ms: number) => port.sleep(ms),
    stdin: { bytes: stdinBytes },
  },
  process: {
    get env() {
      env ??= variables();
      return env;
    },
    get pid() {
      return port.pid;
    },
    get execPath() {
      return port.execPath;
    },
    exit: (status: number) => port.exit(status),
  },
  queueMicrotask: (work: () => void) => {
    begun.push(work);
    void Promise.resolve().then(work);
  },
  performance: { now: () => port.now() },
  fetch,
  // As everything here, it waits.
  setTimeout: (work: () => void, ms: number) => {
    port.sleep(ms);
    void Promise.resolve().then(work);
  },
  TextEncoder: class {
    encode(text: string): Uint8Array {
      return port.encode(text);
    }
  },
});
