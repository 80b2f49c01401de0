/** What the native executable's C side offers: native/port.c. Paths and names are without NUL; failed calls throw as Node's do, with `code`. */
export interface Port {
  /** `NAME=value`, one a variable. */
  readonly env: readonly string[];
  readonly pid: number;
  /** Of the executable, links followed. */
  readonly execPath: string;
  /** Of open(2), by name: they differ by architecture. */
  readonly flags: Readonly<Record<OpenFlag, number>>;
  /** Close on exec is always set. */
  open(path: string, flags: number, mode: number): number;
  close(fd: number): void;
  /** How many bytes were read to `offset`; 0 at the end. */
  read(fd: number, into: Uint8Array, offset: number, length: number): number;
  /** How many bytes of what begins at `offset` were written. */
  write(fd: number, from: Uint8Array, offset: number): number;
  /** Waits until there is something to read, or room to write. */
  wait(fd: number, isWrite: boolean): void;
  stat(path: string, follow: boolean): Facts;
  fstat(fd: number): Facts;
  /** The magic number of the file system. */
  statfs(path: string): number;
  readdir(path: string): string[];
  mkdir(path: string, mode: number): void;
  unlink(path: string): void;
  rmdir(path: string): void;
  rename(from: string, to: string): void;
  realpath(path: string): string;
  /** Whether there is a regular file that this process may execute. */
  isProgram(path: string): boolean;
  /** Milliseconds since some moment, as they pass. */
  now(): number;
  /** Milliseconds. */
  sleep(ms: number): void;
  exit(status: number): never;
  /** As UTF-8. */
  encode(text: string): Uint8Array;
  /** From UTF-8. */
  decode(bytes: Uint8Array, offset: number, length: number): string;
  /** The low byte of each character. */
  encodeLatin1(text: string): Uint8Array;
  /** One character a byte. */
  decodeLatin1(bytes: Uint8Array, offset: number, length: number): string;
  /** Where the bytes first occur in the first `length` ones; -1 when they do not. */
  find(bytes: Uint8Array, sought: Uint8Array, length: number): number;
  /** FNV-1a of 32 bits, of the characters. */
  fnv1a(text: string): number;
  sha2(bits: 256 | 512, bytes: Uint8Array): Uint8Array;
  setns(fd: number, kind: number): number;
  flock(fd: number, operation: number): number;
  socket(domain: number, type: number, protocol: number): number;
  send(fd: number, bytes: Uint8Array, length: number, flags: number): number;
  recv(fd: number, bytes: Uint8Array, length: number, flags: number): number;
  /**
   * Appends the payloads of the netlink messages in the first `size` bytes. With `mark`, only those with these bytes; with `ports` (a bit
   * a port, 8192 bytes), no rules that only jump for other ports to another chain than `chain`: native/netlink.h.
   */
  messages(
    bytes: Uint8Array,
    size: number,
    payloads: string[],
    mark: Uint8Array | undefined,
    ports: Uint8Array | undefined,
    chain: string,
  ): 'more' | 'complete' | 'broken';
  /** Connects to a unix socket, sends the bytes, and returns what comes back until the other end closes. */
  exchange(path: string, bytes: Uint8Array, timeoutMs: number, maxBytes: number): Uint8Array;
  /** Runs a program to its end. `inherit` is a descriptor that it gets as its 3, or -1. */
  run(
    file: string,
    argv: readonly string[],
    env: readonly string[],
    stdin: string | undefined,
    inherit: number,
    timeoutMs: number,
    maxBytes: number,
  ): Ran;
  /** Begins to run a program whose standard input begins with `stdin`, 4 KiB at most; its number for {@link Port.end}. At most three run at a time. */
  start(
    file: string,
    argv: readonly string[],
    env: readonly string[],
    stdin: string,
    inherit: number,
  ): number;
  /** Gives a program the rest of its standard input and waits for its end, `timeoutMs` milliseconds from now at most. */
  end(program: number, stdin: string, timeoutMs: number, maxBytes: number): Ran;
}

export type OpenFlag =
  | 'O_RDONLY'
  | 'O_WRONLY'
  | 'O_RDWR'
  | 'O_APPEND'
  | 'O_CREAT'
  | 'O_EXCL'
  | 'O_TRUNC'
  | 'O_NOFOLLOW'
  | 'O_NONBLOCK'
  | 'O_NOCTTY';

/** Of stat(2). */
export interface Facts {
  dev: number;
  ino: number;
  mode: number;
  size: number;
}

/** How a program ended. */
export interface Ran {
  /** Exit status; 128 + signal when a signal ended it. */
  code: number;
  /** The signal that ended it, or 0. */
  signal: number;
  stdout: string;
  stderr: string;
  /** Why it was killed, if it was. */
  stopped: 'deadline' | 'printed' | undefined;
}

export const port = (globalThis as unknown as { port: Port }).port;
