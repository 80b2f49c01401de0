/** Opens `/file`, `/fifo` and `/none` in a directory that it has made its root, where there is no /proc: `without-proc.ts DIRECTORY`. Prints what each gave. */
import { dlopen } from 'bun:ffi';
import { closeSync, constants, existsSync } from 'node:fs';
import { messageOf } from '../../util/errors.ts';
import { openLinkedFile, openRegularFile } from '../regular-file.ts';

const libc = dlopen('libc.so.6', { chroot: { args: ['cstring'], returns: 'int' } });
const directory = Buffer.from(`${process.argv[2]}\0`);
if (libc.symbols.chroot(directory) !== 0 || existsSync('/proc')) throw new Error('cannot leave /proc');

const { O_CREAT, O_RDWR } = constants;
const said = ['/file', '/fifo', '/none'].flatMap((path) =>
  [
    () => openLinkedFile(path, O_RDWR),
    () => openRegularFile(path, O_RDWR),
    () => openRegularFile(path, O_RDWR | O_CREAT),
  ].map((open) => {
    try {
      closeSync(open());
      return 'opened';
    } catch (cause) {
      return messageOf(cause);
    }
  }),
);
console.log(JSON.stringify(said));
