import { createHash } from 'node:crypto';
import { readLinkedChunks } from '../../sys/regular-file.ts';
import { MAX_FILE_BYTES } from './backup.ts';

/** The SHA-256 of a content, in hexadecimal digits. */
export function sha256Of(content: string | Uint8Array): string {
  return createHash('sha256').update(content).digest('hex');
}

/** As {@link sha256Of}, of a regular file wherever links lead; it is not in memory as a whole. */
export function sha256OfFile(path: string): string {
  const hash = createHash('sha256');
  for (const chunk of readLinkedChunks(path, MAX_FILE_BYTES)) hash.update(chunk);
  return hash.digest('hex');
}
