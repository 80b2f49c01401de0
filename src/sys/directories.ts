import { readdirSync } from 'node:fs';
import { unlessMissing } from './errno.ts';

/** Names of what is in a directory, sorted; none when there is no such directory. Any other error is thrown. */
export function namesIn(directory: string): string[] {
  return unlessMissing(() => readdirSync(directory).sort()) ?? [];
}
