import { expect, test } from 'bun:test';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { readSysctls, sysctlPath } from './sysctls.ts';

test.each([
  ['net.ipv4.ip_forward', 'net/ipv4/ip_forward'],
  ['net.ipv4.conf.eth0/100.rp_filter', 'net/ipv4/conf/eth0.100/rp_filter'],
])('%s is /proc/sys/%s', (name, path) => expect(sysctlPath(name)).toBe(path));

test('every device has its settings, under the name that sysctl gives it', () => {
  const root = mkdtempSync(join(tmpdir(), 'hostport-sysctl-'));
  try {
    const files = {
      'net/ipv4/ip_forward': '1\n',
      'net/ipv4/ip_local_port_range': '32768\t60999\n',
      'net/ipv4/conf/all/rp_filter': '2\n',
      'net/ipv4/conf/eth0.100/route_localnet': '0\n',
      'net/ipv4/conf/eth0.100/log_martians': '0\n',
    };
    for (const [path, content] of Object.entries(files)) {
      mkdirSync(dirname(join(root, path)), { recursive: true });
      writeFileSync(join(root, path), content);
    }
    expect(readSysctls(root)).toEqual({
      'net.ipv4.ip_forward': '1',
      'net.ipv4.ip_local_port_range': '32768 60999',
      'net.ipv4.conf.all.rp_filter': '2',
      'net.ipv4.conf.eth0/100.route_localnet': '0',
    });
  } finally {
    rmSync(root, { recursive: true });
  }
});
