import { lstatSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import type { CniConfFile } from '../../path/node-report.ts';
import { namesIn } from '../../sys/directories.ts';
import { messageOf } from '../../util/errors.ts';
import { readBounded } from './bounded-file.ts';
import { withoutSecrets } from './secrets.ts';

/** A configuration list has a few kilobytes; what is much longer is no configuration. */
const MAX_BYTES = 256 * 1024;
const MAX_FILES = 200;

/** The files of a configuration directory, also those that no runtime reads; none when there is no directory. */
export function readConfFiles(directory: string): CniConfFile[] {
  const names = namesIn(directory);
  if (names.length > MAX_FILES)
    throw new Error(`${directory}: has ${names.length} entries, more than ${MAX_FILES}`);
  return names.flatMap((name) => {
    const path = join(directory, name);
    const stat = lstatSync(path, { throwIfNoEntry: false });
    if (stat === undefined || stat.isDirectory()) return [];
    return [
      {
        name,
        modified: stat.mtime.toISOString(),
        changed: stat.ctime.toISOString(),
        ...(stat.isSymbolicLink() ? { target: readlinkSync(path) } : {}),
        content: readContent(path),
      },
    ];
  });
}

function readContent(path: string): CniConfFile['content'] {
  try {
    return { value: withoutSecrets(readBounded(path, MAX_BYTES)) };
  } catch (cause) {
    return { unknown: messageOf(cause) };
  }
}
