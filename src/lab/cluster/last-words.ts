import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import type { NodePaths } from './paths.ts';

/** Bytes at the end of a log that are looked at, and characters of a line that are shown. */
const TAIL = 16 * 1024;
const SHOWN = 400;

/** An error as programs log it: `Error: …`, klog's E and F, a panic. */
const ERROR = /^(?:Error: |[EF]\d{4} |panic: )/;

/**
 * The last error in the log of a daemon of a node, or its last line; undefined when it has logged nothing. A daemon that ends at its start says
 * there why.
 */
export function lastWords(paths: NodePaths, daemon: string): string | undefined {
  const lines = tailOf(join(paths.rootfs, 'var/log', `${daemon}.log`))
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
  return (lines.findLast((line) => ERROR.test(line)) ?? lines.at(-1))?.slice(0, SHOWN);
}

function tailOf(path: string): string {
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw cause;
  }
  try {
    const { size } = fstatSync(file);
    const tail = Buffer.alloc(Math.min(size, TAIL));
    const read = readSync(file, tail, 0, tail.length, size - tail.length);
    return tail.toString('utf8', 0, read);
  } finally {
    closeSync(file);
  }
}
