import { createHash } from 'node:crypto';

/** What src/sys/sha2.ts is in a package for Node. */
export function sha2Hex(algorithm: 'sha256' | 'sha512', text: string): string {
  return createHash(algorithm).update(text).digest('hex');
}
