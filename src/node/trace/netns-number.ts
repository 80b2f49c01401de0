import { statSync } from 'node:fs';

/** The number of the thread's network namespace, which names what is recorded in it. */
export function netnsNumber(): string {
  return String(statSync('/proc/thread-self/ns/net').ino);
}
