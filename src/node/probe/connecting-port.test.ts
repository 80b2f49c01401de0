import { afterEach, expect, test } from 'bun:test';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectingPort } from './connecting-port.ts';

let proc: string | undefined;
afterEach(() => {
  if (proc !== undefined) rmSync(proc, { recursive: true });
});

const HEAD =
  '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode';
const line = (local: string, remote: string, state: string, inode: number) =>
  `   0: ${local} ${remote} ${state} 00000001:00000000 01:00000064 00000000     0        0 ${inode} 2 0 100 0 0 10 -1`;

function procWith(lines: string[], inodes: number[]): string {
  proc = mkdtempSync(join(tmpdir(), 'connecting-port-'));
  mkdirSync(join(proc, 'fd'));
  mkdirSync(join(proc, 'net'));
  inodes.forEach((inode, fd) => {
    symlinkSync(`socket:[${inode}]`, join(proc!, 'fd', String(fd)));
  });
  writeFileSync(join(proc, 'net/tcp'), [HEAD, ...lines, ''].join('\n'));
  return proc;
}

// 172.17.0.3:80 from 172.17.0.2:40000.
const ASKED = line('020011AC:9C40', '030011AC:0050', '02', 7);

test.each<[string, string[], number[], number | undefined]>([
  ['of what is asked for', [ASKED], [7], 40_000],
  ['not of another process', [ASKED], [8], undefined],
  ['not of what is up', [line('020011AC:9C40', '030011AC:0050', '01', 7)], [7], undefined],
  ['not of another address', [line('020011AC:9C40', '040011AC:0050', '02', 7)], [7], undefined],
  ['not of another port', [line('020011AC:9C40', '030011AC:0051', '02', 7)], [7], undefined],
  ['of two, nobody knows which', [ASKED, line('020011AC:9C41', '030011AC:0050', '02', 8)], [7, 8], undefined],
])('the local port %s', (_, lines, inodes, port) => {
  expect(connectingPort('172.17.0.3', 80, procWith(lines, inodes))).toBe(port as never);
});
