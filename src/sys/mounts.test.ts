import { expect, test } from 'bun:test';
import { mountIdOf, parseMountinfo, readMounts } from './mounts.ts';

test('the columns of mountinfo, whatever optional fields there are', () => {
  const text = [
    '22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw',
    '90 22 254:0 /tmp/cni/000-a\\040b.conflist /etc/cni/net.d/000-a\\040b.conflist ro,relatime shared:1 master:2 - ext4 /dev/vda rw',
    '91 22 0:40 / /opt/cni rw,nosuid,noexec - squashfs /dev/loop0 ro,errors=continue',
    '',
  ].join('\n');
  const disk = { source: '/dev/vda', type: 'ext4', device: '254:0', fileSystemOptions: ['rw'] };
  expect([...parseMountinfo(text)]).toEqual([
    [22, { ...disk, point: '/', root: '/', readOnly: false, noExec: false }],
    [
      90,
      {
        ...disk,
        point: '/etc/cni/net.d/000-a b.conflist',
        root: '/tmp/cni/000-a b.conflist',
        readOnly: true,
        noExec: false,
      },
    ],
    [
      91,
      {
        point: '/opt/cni',
        root: '/',
        source: '/dev/loop0',
        type: 'squashfs',
        device: '0:40',
        fileSystemOptions: ['ro', 'errors=continue'],
        readOnly: true,
        noExec: true,
      },
    ],
  ]);
});

test('a path is found on its mount, and what is not there on none', () => {
  const mounts = readMounts();
  expect(mounts.get(mountIdOf('/proc/self')!)?.point).toBe('/proc');
  expect(mountIdOf('/proc/none-such')).toBeUndefined();
  expect(mountIdOf('/proc/version/below-a-file')).toBeUndefined();
});
