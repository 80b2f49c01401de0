/** A full disk: an error that names what could not be written, and nothing of it stays. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { saveBundle } from '../src/collect/bundle.ts';
import { Backups, directoryOfRun } from '../src/node/apply/backup.ts';
import { installPluginAction } from '../src/node/apply/files.ts';
import { Journal } from '../src/node/apply/journal.ts';
import { smallWorld } from '../src/path/testing/small-world.ts';
import { AttachmentFiles } from '../src/portmap/attachments.ts';
import { install } from '../src/portmap/install.ts';
import { output, realExec } from '../src/sys/exec.ts';
import { writeFileAtomic } from '../src/sys/files.ts';

const isRoot = process.getuid?.() === 0;
/** Bytes of the disk, which is empty at the beginning of each test. */
const SIZE = 64 * 1024;
/** More than that. */
const LARGE = Buffer.alloc(2 * SIZE, 'x');
const AT = new Date('2026-01-01T00:00:00Z');

describe.skipIf(!isRoot)('a full disk', () => {
  const scratch = mkdtempSync(join(tmpdir(), 'hostport-full-'));
  const disk = join(scratch, 'disk');
  const large = join(scratch, 'portmap');
  const at = (name: string) => join(disk, name);
  /** Everything on it, at any depth, but for directories. */
  const files = () =>
    readdirSync(disk, { recursive: true, withFileTypes: true })
      .filter((entry) => !entry.isDirectory())
      .map(({ name }) => name);

  beforeAll(async () => {
    mkdirSync(disk);
    writeFileSync(large, LARGE, { mode: 0o755 });
    await output(realExec, ['mount', '-t', 'tmpfs', '-o', `size=${SIZE}`, 'none', disk]);
  });
  afterAll(async () => {
    await output(realExec, ['umount', disk]);
    rmSync(scratch, { recursive: true });
  });
  const empty = () => {
    for (const name of readdirSync(disk)) rmSync(at(name), { recursive: true });
  };

  test('under a bundle, as a directory and as an archive', async () => {
    // What does not get smaller by compression.
    const message = Buffer.from(crypto.getRandomValues(new Uint8Array(32_768)))
      .toString('base64')
      .repeat(4);
    const events = Array.from({ length: 8 }, (_, i) => ({
      metadata: { name: `e${i}`, namespace: 'default' },
      involvedObject: { kind: 'Pod', name: 'p', namespace: 'default' },
      reason: 'FailedCreatePodSandBox',
      message: `${i}${message}`.slice(i),
    }));
    for (const name of ['saved', 'saved.tar.gz']) {
      const saved = saveBundle(smallWorld([], { events }), at(name));
      await expect(saved).rejects.toThrow(`cannot write the bundle ${at(name)}: the disk is full`);
      expect(readdirSync(disk)).toEqual([]);
    }
  });

  test('under a record of portmap', () => {
    empty();
    const attachments = new AttachmentFiles(at('portmap'), scratch);
    const ports = Array.from({ length: 5000 }, (_, i) => ({
      protocol: 'tcp' as const,
      hostPort: i + 1,
      hostIP: '192.0.2.1',
    }));
    const conditions = { language: 'iptables' as const, words: [] };
    const record = {
      ...{ networkName: 'n', containerId: 'c', ifName: 'eth0', netns: '/x', ports, devices: [] },
      conditions: { ipv4: conditions, ipv6: conditions },
    };
    expect(() => attachments.record('CNI-DN-a', record)).toThrow(
      `cannot write to ${at('portmap')}: the disk is full`,
    );
    expect(files()).toEqual([]);
    writeFileSync(at('full'), Buffer.alloc(SIZE - 8192));
    expect(attachments.record('CNI-DN-a', { ...record, ports: ports.slice(0, 1) })).toBe(true);
  });

  test('under a plugin that installs itself', () => {
    empty();
    expect(() => install({ env: { CNI_BIN_DIR: disk }, self: large })).toThrow(
      `cannot install ${at('portmap')}: the disk is full`,
    );
    expect(files()).toEqual([]);
  });

  test('under a plugin that heal installs, and under the copy of one that it replaces', async () => {
    empty();
    const context = (root: string) => ({
      exec: realExec,
      ownPlugins: scratch,
      backups: new Backups(AT, root),
    });
    const action = (directory: string) =>
      ({ do: 'install-plugin', name: 'portmap', directory }) as Parameters<typeof installPluginAction>[0];
    await expect(installPluginAction(action(disk), context(join(scratch, 'backup')))).rejects.toThrow(
      `cannot write ${at('portmap')}: the disk is full`,
    );
    expect(files()).toEqual([]);
    const directory = join(scratch, 'bin');
    mkdirSync(directory);
    writeFileSync(join(directory, 'portmap'), Buffer.alloc(2 * SIZE, 'y'), { mode: 0o755 });
    await expect(installPluginAction(action(directory), context(disk))).rejects.toThrow(
      /^cannot keep a copy in .*\/portmap: the disk is full/,
    );
    expect(files()).toEqual([]);
    expect(readdirSync(directory)).toEqual(['portmap']);
  });

  test('under the journal of a heal, which can be continued', async () => {
    empty();
    const journal = new Journal(AT.toISOString(), new Backups(AT, join(scratch, 'copies')), disk);
    const path = join(scratch, 'changed');
    writeFileSync(path, '');
    const action = { do: 'set-mode', path, mode: '0600' } as const;
    const work = async () => {
      chmodSync(path, 0o600);
      return { changed: true, detail: 'x'.repeat(SIZE) };
    };
    await expect(journal.around(action, work)).rejects.toThrow(
      /^cannot write .*journal.jsonl: the disk is full/,
    );
    const again = async () => ({ changed: true, detail: 'short' });
    expect(await journal.around(action, again)).toMatchObject({ detail: 'short' });
    const text = await Bun.file(join(directoryOfRun(disk, AT), 'journal.jsonl')).text();
    const lines = text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { detail?: string });
    expect(lines.at(-1)!.detail).toBe('short');
  });

  test('under a file that is replaced: what was there stays', async () => {
    empty();
    writeFileSync(at('file'), 'before');
    await expect(writeFileAtomic(at('file'), LARGE)).rejects.toThrow(
      `cannot write ${at('file')}: the disk is full`,
    );
    expect(files()).toEqual(['file']);
    expect(await Bun.file(at('file')).text()).toBe('before');
    expect(existsSync(at('none'))).toBe(false);
  });
});
