import { expect, test } from 'bun:test';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { listeningSockets, parseSctpEndpoints, parseSocketTable, readListeners } from './listeners.ts';

const HEADER =
  '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n';
const line = (local: string, remote: string, state: string, inode = 42) =>
  `${HEADER}   0: ${local} ${remote} ${state} 00000000:00000000 00:00000000 00000000     0        0 ${inode} 1 0 0\n`;

test.each([
  [
    'tcp',
    line('00000000:0050', '00000000:0000', '0A'),
    [{ protocol: 'tcp', address: '0.0.0.0', port: 80, inode: '42' }],
  ],
  [
    'tcp',
    line('0100007F:1F90', '00000000:0000', '0A'),
    [{ protocol: 'tcp', address: '127.0.0.1', port: 8080, inode: '42' }],
  ],
  ['tcp', line('0100007F:1F90', '0100007F:C350', '01'), []],
  [
    'tcp',
    line('000080FE00000000FF005450B6AD1DFE:0016', '00000000000000000000000000000000:0000', '0A'),
    [{ protocol: 'tcp', address: 'fe80::5054:ff:fe1d:adb6', port: 22, inode: '42' }],
  ],
  [
    'udp',
    line('00000000:0035', '00000000:0000', '07'),
    [{ protocol: 'udp', address: '0.0.0.0', port: 53, inode: '42' }],
  ],
  ['udp', line('0100007F:C000', '0100007F:0035', '01'), []],
  ['tcp', HEADER, []],
] as const)('%s table %#', (protocol, text, sockets) => {
  expect(parseSocketTable(protocol, text)).toEqual(sockets as never);
});

const ENDPOINTS =
  ' ENDPT     SOCK   STY SST HBKT LPORT   UID INODE LADDRS\nffff8800 ffff8801 2   10  29   7777     0 999 10.0.0.1 10.0.0.2\n';

test('an SCTP endpoint listens on each of its addresses', () => {
  expect(parseSctpEndpoints(ENDPOINTS)).toEqual([
    { protocol: 'sctp', address: '10.0.0.1', port: 7777, inode: '999' },
    { protocol: 'sctp', address: '10.0.0.2', port: 7777, inode: '999' },
  ]);
});

test('the sockets of all protocols are listed, also where the kernel lacks IPv6 or SCTP', () => {
  const proc = mkdtempSync(join(tmpdir(), 'hostport-proc-'));
  try {
    mkdirSync(join(proc, 'net/sctp'), { recursive: true });
    writeFileSync(join(proc, 'net/tcp'), line('00000000:0050', '00000000:0000', '0A'));
    writeFileSync(join(proc, 'net/udp'), line('00000000:0035', '00000000:0000', '07'));
    const ports = () => listeningSockets(proc).map(({ protocol, port }) => `${protocol} ${port}`);
    expect(ports()).toEqual(['tcp 80', 'udp 53']);
    writeFileSync(
      join(proc, 'net/tcp6'),
      line('00000000000000000000000000000000:01BB', '00000000000000000000000000000000:0000', '0A'),
    );
    writeFileSync(join(proc, 'net/sctp/eps'), ENDPOINTS);
    expect(ports()).toEqual(['tcp 80', 'tcp 443', 'udp 53', 'sctp 7777', 'sctp 7777']);
  } finally {
    rmSync(proc, { recursive: true });
  }
});

test('a process of this namespace that listens is found, with its name', async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    const { port } = server.address() as { port: number };
    expect(readListeners().find((listener) => listener.port === port)).toMatchObject({
      protocol: 'tcp',
      address: '127.0.0.1',
      pid: process.pid,
      process: expect.stringMatching(/./),
    });
  } finally {
    server.close();
  }
});
