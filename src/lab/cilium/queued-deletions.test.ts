import { expect, test } from 'bun:test';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deletionQueue } from './cni/deletion-queue.ts';
import { hostLink } from './cni/plugin.ts';
import { workOffDeletions } from './queued-deletions.ts';

test('every queued deletion is tried once, and none keeps the agent from serving', async () => {
  const root = mkdtempSync(join(tmpdir(), 'hostport-queue-'));
  try {
    const socket = join(root, 'cilium.sock');
    const { directory, lock } = deletionQueue(socket);
    mkdirSync(directory);
    const queue = (name: string, content: string) => writeFileSync(join(directory, name), content);
    queue('1.delete', 'cni-attachment-id:broken:eth0');
    queue('2.delete', 'of no endpoint');
    mkdirSync(join(directory, '3.delete'));
    queue('4.delete', 'cni-attachment-id:good:eth0');
    const deleted: string[] = [];
    const endpoints = {
      async delete(link: string) {
        if (link === hostLink('broken', 'eth0')) throw new Error('tc failed');
        deleted.push(link);
      },
    };
    const logged: string[] = [];
    const log = (line: string) => void logged.push(line.replaceAll(`${directory}/`, ''));
    const served = await workOffDeletions(
      socket,
      endpoints,
      log,
      new AbortController().signal,
      () => 'served',
    );
    expect(served).toBe('served');
    expect(deleted).toEqual([hostLink('good', 'eth0')]);
    expect(readdirSync(directory)).toEqual([lock.slice(directory.length + 1)]);
    expect(logged).toEqual([
      'Processing queued deletion requests: 4',
      '1.delete: tc failed; removed',
      '2.delete names no endpoint; removed',
      expect.stringMatching(/^3\.delete: EISDIR.*; removed$/),
    ]);
  } finally {
    rmSync(root, { recursive: true });
  }
});
