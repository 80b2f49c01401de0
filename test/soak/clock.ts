import { closeSync, mkdirSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { compileNative } from '../compile-native.ts';

/** Where a process that has the clock sees its directory. */
export const CLOCK_DIRECTORY = '/soak';
/** What it is preloaded by: ld.so(8). */
export const CLOCK_LIBRARY = `${CLOCK_DIRECTORY}/clock.so`;

/**
 * The time of day of processes that have it preloaded (test/soak/clock.c): it jumps when the test says so. No clock of the machine is changed. Programs in
 * Go do not ask the C library, and are not concerned.
 */
export class JumpingClock {
  /** To be mounted at {@link CLOCK_DIRECTORY}. */
  readonly directory: string;
  /** To be mounted as /etc/ld.so.preload, where all processes are to have it. */
  readonly preload: string;
  readonly #fd: number;

  private constructor(directory: string) {
    this.directory = directory;
    this.preload = join(directory, 'ld.so.preload');
    writeFileSync(this.preload, `${CLOCK_LIBRARY}\n`);
    this.#fd = openSync(join(directory, 'offset'), 'w', 0o644);
    this.set(0);
  }

  /** Makes one in a directory that is not there yet; who sees it at another place than {@link CLOCK_DIRECTORY} says where. */
  static async make(directory: string, seenAt = CLOCK_DIRECTORY): Promise<JumpingClock> {
    mkdirSync(directory);
    const flags = ['-shared', '-fPIC', `-DOFFSET_FILE="${seenAt}/offset"`];
    await compileNative(['test/soak/clock.c'], join(directory, 'clock.so'), flags);
    return new JumpingClock(directory);
  }

  /** Sets it to so many seconds after the machine's. */
  set(seconds: number): void {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64LE(BigInt(seconds));
    writeSync(this.#fd, bytes, 0, bytes.length, 0);
  }

  close(): void {
    closeSync(this.#fd);
  }
}
