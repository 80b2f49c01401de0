import { readdirSync } from 'node:fs';

/** Names of what is in a directory, sorted; none when there is no such directory. Any other error is thrown. */
export function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory).sort();
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw cause;
  }
}
