import { expect, test } from 'bun:test';
import { executableFormat } from './elf.ts';

/** The start of an ELF header: class (1: 32 bits, 2: 64), data (1: little-endian, 2: big), machine. */
function elf(bits: 1 | 2, data: 1 | 2, machine: number): Buffer {
  const head = Buffer.alloc(64);
  head.write('\x7fELF', 'latin1');
  head[4] = bits;
  head[5] = data;
  if (data === 1) head.writeUInt16LE(machine, 18);
  else head.writeUInt16BE(machine, 18);
  return head;
}

test.each([
  ['x86-64', elf(2, 1, 62), { kind: 'elf', machine: 62, bits: 64 }],
  ['ARM 64', elf(2, 1, 183), { kind: 'elf', machine: 183, bits: 64 }],
  ['ARM 32', elf(1, 1, 40), { kind: 'elf', machine: 40, bits: 32 }],
  ['s390x, big-endian', elf(2, 2, 22), { kind: 'elf', machine: 22, bits: 64 }],
  ['a shell script', Buffer.from('#!/bin/sh -e\nexit 1\n'), { kind: 'script', interpreter: '/bin/sh' }],
  [
    'blanks before',
    Buffer.from('#!  /usr/bin/env python3\n'),
    { kind: 'script', interpreter: '/usr/bin/env' },
  ],
  ['an empty file', Buffer.alloc(0), { kind: 'other' }],
  ['a header cut short', elf(2, 1, 62).subarray(0, 12), { kind: 'other' }],
  ['text', Buffer.from('not found\n'), { kind: 'other' }],
])('%s', (_, head, format) => {
  expect(executableFormat(head)).toEqual(format as never);
});
