import { closeSync, constants, writeFileSync } from 'node:fs';
import { openRegularFile } from '../sys/regular-file.ts';

/** How many characters are written at a time, at least. */
const WRITTEN_AT_A_TIME = 1024 * 1024;

/** The pieces of a text, joined to ones that are worth a write each; the last may be shorter. */
export function* inBlocks(pieces: Iterable<string>): Generator<string> {
  let pending = '';
  for (const piece of pieces) {
    pending += piece;
    if (pending.length < WRITTEN_AT_A_TIME) continue;
    yield pending;
    pending = '';
  }
  if (pending !== '') yield pending;
}

/** Writes a text to a new file that only its owner can read, a piece at a time. Throws what the system reports. */
export function writePieces(path: string, pieces: Iterable<string>): void {
  const { O_WRONLY, O_CREAT, O_EXCL } = constants;
  const fd = openRegularFile(path, O_WRONLY | O_CREAT | O_EXCL, 0o600);
  try {
    for (const block of inBlocks(pieces)) writeFileSync(fd, block);
  } finally {
    closeSync(fd);
  }
}
