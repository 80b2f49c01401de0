import { dlopen, ptr } from 'bun:ffi';
import { afterAll, describe, expect, test } from 'bun:test';
import {
  closeSync,
  constants,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { output, realExec } from './exec.ts';
import { openLinkedFile, openRegularFile, readRegularFile } from './regular-file.ts';

const scratch = mkdtempSync(join(tmpdir(), 'hostport-regular-'));
const listeners: { stop(): void }[] = [];
afterAll(() => {
  for (const listener of listeners) listener.stop();
  rmSync(scratch, { recursive: true });
});
const at = (name: string) => join(scratch, name);

test('a regular file is read whole, up to the limit', () => {
  writeFileSync(at('file'), 'ünïcode');
  expect(readRegularFile(at('file'), 9)).toBe('ünïcode');
  expect(() => readRegularFile(at('file'), 8)).toThrow(`${at('file')}: longer than 8 bytes`);
  writeFileSync(at('empty'), '');
  expect(readRegularFile(at('empty'), 0)).toBe('');
  expect(() => readRegularFile(at('none'), 1)).toThrow('ENOENT');
});

describe('anything but a regular file is named in the error, without waiting', () => {
  test.each<[string, (path: string) => unknown]>([
    ['a FIFO', (path) => output(realExec, ['mkfifo', path])],
    ['a directory', (path) => mkdirSync(path)],
    ['a symbolic link', (path) => symlinkSync(at('file'), path)],
    ['a symbolic link', (path) => symlinkSync(at('nowhere'), path)],
    ['a socket', (path) => listeners.push(Bun.listen({ unix: path, socket: { data() {} } }))],
    ['a device', (path) => output(realExec, ['mknod', path, 'c', '1', '3'])],
  ])('%s', async (kind, make) => {
    const path = at(crypto.randomUUID());
    await make(path);
    const error = `cannot open ${path}: it is ${kind}, not a regular file; remove it`;
    for (const flags of [constants.O_RDONLY, constants.O_WRONLY, constants.O_RDWR | constants.O_CREAT]) {
      expect(() => openRegularFile(path, flags, 0o600)).toThrow(error);
    }
    expect(() => readRegularFile(path, 100)).toThrow(error);
    expect(() => openRegularFile(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL)).toThrow(
      error,
    );
  });
});

test('a device is not opened to find out that it is one', () => {
  const libc = dlopen('libc.so.6', { ioctl: { args: ['int', 'u64', 'ptr'], returns: 'int' } });
  const main = openSync('/dev/ptmx', constants.O_RDWR | constants.O_NOCTTY | constants.O_NONBLOCK);
  try {
    const number = new Int32Array(1);
    const ioctl = (request: number) => expect(libc.symbols.ioctl(main, request, ptr(number))).toBe(0);
    ioctl(TIOCSPTLCK);
    ioctl(TIOCGPTN);
    const terminal = `/dev/pts/${number[0]}`;
    const read = () => readSync(main, new Uint8Array(1));
    symlinkSync(terminal, at('terminal'));
    expect(() => openRegularFile(terminal, constants.O_RDWR)).toThrow('it is a device');
    expect(() => openRegularFile(terminal, constants.O_RDWR | constants.O_CREAT)).toThrow('it is a device');
    expect(() => openLinkedFile(at('terminal'), constants.O_RDONLY)).toThrow('not a regular file');
    // Until its other end has been opened nothing is there to read; from then on it has hung up.
    expect(read).toThrow('EAGAIN');
    closeSync(openSync(terminal, constants.O_RDWR | constants.O_NOCTTY));
    expect(read).toThrow('EIO');
  } finally {
    closeSync(main);
    libc.close();
  }
});

test('where there is no /proc, files are opened and anything else is refused as well', async () => {
  const root = at('root');
  mkdirSync(root);
  writeFileSync(join(root, 'file'), '');
  await output(realExec, ['mkfifo', join(root, 'fifo')]);
  const program = [process.execPath, join(import.meta.dir, 'testing/without-proc.ts'), root];
  const inTheWay = 'cannot open /fifo: it is a FIFO, not a regular file; remove it';
  const none = "ENOENT: no such file or directory, open '/none'";
  expect(JSON.parse(await output(realExec, program))).toEqual([
    ...['opened', 'opened', 'opened'],
    ...['/fifo: not a regular file', inTheWay, inTheWay],
    ...[none, none, 'opened'],
  ]);
});

/** ioctl_tty(2): sets the lock of a terminal, gets its number. */
const TIOCSPTLCK = 0x40045431;
const TIOCGPTN = 0x80045430;

test('flags have their effect, and errors name the path', () => {
  const { O_APPEND, O_CREAT, O_EXCL, O_RDWR, O_TRUNC, O_WRONLY } = constants;
  const write = (flags: number, text: string) => {
    const fd = openRegularFile(at('flags'), flags, 0o640);
    writeSync(fd, text);
    closeSync(fd);
  };
  write(O_WRONLY | O_CREAT | O_EXCL, 'one');
  expect(statSync(at('flags')).mode & 0o777).toBe(0o640);
  write(O_WRONLY | O_CREAT | O_APPEND, ' two');
  expect(readFileSync(at('flags'), 'utf8')).toBe('one two');
  write(O_RDWR | O_CREAT | O_TRUNC, '3');
  expect(readFileSync(at('flags'), 'utf8')).toBe('3');
  expect(() => openRegularFile(at('flags'), O_WRONLY | O_CREAT | O_EXCL)).toThrow(
    `EEXIST: file already exists, open '${at('flags')}'`,
  );
  // What runs cannot be written to.
  copyFileSync('/bin/sleep', at('program'));
  const child = Bun.spawn([at('program'), '60']);
  try {
    for (const open of [openRegularFile, openLinkedFile]) {
      const failure = () => open(at('program'), O_RDWR);
      expect(failure).toThrow(expect.objectContaining({ code: 'ETXTBSY', path: at('program') }));
      expect(failure).toThrow(`open '${at('program')}'`);
    }
  } finally {
    child.kill();
  }
});
