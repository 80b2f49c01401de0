import { existsSync, realpathSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

/** A path with no symbolic link in it, as far as it exists. */
export function withoutLinks(path: string): string {
  if (existsSync(path) || path === '/') return realpathSync(path);
  return join(withoutLinks(dirname(path)), basename(path));
}
