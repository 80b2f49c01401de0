import { afterEach, beforeEach, expect, test } from 'bun:test';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseMountinfo } from '../../sys/mounts.ts';
import { readNodeMountsOf } from './mounts.ts';

let root: string;
beforeEach(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), 'hostport-mounts-')));
  mkdirSync(join(root, 'etc/net.d'), { recursive: true });
  writeFileSync(join(root, 'etc/net.d/05.conflist'), '');
  symlinkSync(join(root, 'etc'), join(root, 'link'));
});
afterEach(() => rmSync(root, { recursive: true }));

test('the mounts are those of the node: the uppermost below a path, and those inside it', () => {
  const lines = [
    '1 0 8:1 / / rw - ext4 /dev/root rw',
    `2 1 8:2 /data ${root}/etc ro - ext4 /dev/data rw`,
    `3 1 8:3 /new ${root}/etc rw - ext4 /dev/new rw`,
    `4 3 8:4 /05 ${root}/etc/net.d/05.conflist ro - ext4 /dev/file rw`,
    `5 1 8:5 / ${root}/etc/net.d-other rw - ext4 /dev/other rw`,
  ];
  const mounts = [...parseMountinfo(lines.join('\n')).values()];
  expect(readNodeMountsOf([join(root, 'link/net.d'), join(root, 'none')], mounts)).toEqual([
    {
      path: join(root, 'link/net.d'),
      point: `${root}/etc`,
      origin: '/new/net.d',
      source: '/dev/new',
      readOnly: false,
    },
    {
      path: join(root, 'link/net.d/05.conflist'),
      point: `${root}/etc/net.d/05.conflist`,
      origin: '/05',
      source: '/dev/file',
      readOnly: true,
    },
    { path: join(root, 'none'), point: '/', origin: root, source: '/dev/root', readOnly: false },
  ]);
});
