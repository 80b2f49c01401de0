import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { NodeAction } from '../../path/model/action.ts';
import { output, realExec } from '../../sys/exec.ts';
import { LEFT_OUT } from '../report/secrets.ts';
import { Backups } from './backup.ts';
import type { ApplyContext } from './context.ts';
import { performActions } from './perform.ts';
import { setSysctlAction } from './sysctl.ts';

let root: string;
let context: ApplyContext;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'hostport-apply-'));
  mkdirSync(join(root, 'own'));
  writeFileSync(join(root, 'own/portmap'), 'the plugin');
  context = {
    exec: realExec,
    backups: new Backups(new Date('2026-01-02T03:04:05Z'), join(root, 'backup')),
    ownPlugins: join(root, 'own'),
  };
});
afterEach(() => rmSync(root, { recursive: true }));

const at = (path: string) => join(root, path);
const MIB = 1024 * 1024;
/** A content that is read and written in several pieces, the last of which is short. */
const ofPieces = (seed: number) => Buffer.alloc(3 * MIB + 5, `piece ${seed} of ${MIB + 1} `);
const write = (path: string, content: string, mode = 0o644) => {
  mkdirSync(join(at(path), '..'), { recursive: true });
  writeFileSync(at(path), content, { mode });
};
const modeOf = (path: string) => (statSync(at(path)).mode & 0o777).toString(8);

async function perform(...actions: NodeAction[]) {
  return Array.fromAsync(performActions(actions, context));
}

/** Does an action twice: it is done, then nothing is left to do. */
async function twice(action: NodeAction) {
  const [first] = await perform(action);
  const [second] = await perform(action);
  expect(second!.outcome).toBe('unchanged');
  return first!;
}

describe('write-file', () => {
  test('makes a new file', async () => {
    const first = await twice({ do: 'write-file', path: at('net.d/a.conf'), content: '{}' });
    expect(first).toMatchObject({ outcome: 'done' });
    expect(first.backup).toBeUndefined();
    expect(readFileSync(at('net.d/a.conf'), 'utf8')).toBe('{}');
  });

  test('replaces one, keeps its mode and a copy, and leaves nothing else behind', async () => {
    write('net.d/a.conf', 'old', 0o600);
    const { backup } = await twice({ do: 'write-file', path: at('net.d/a.conf'), content: 'new' });
    expect(backup).toStartWith(at('backup/2026-01-02T03-04-05.000Z/'));
    expect(readFileSync(backup!, 'utf8')).toBe('old');
    expect(statSync(backup!).mode & 0o777).toBe(0o600);
    expect(modeOf('net.d/a.conf')).toBe('600');
    expect(readdirSync(at('net.d'))).toEqual(['a.conf']);
  });

  test('sets a mode that is asked for, also when the content is right', async () => {
    write('a', 'x', 0o600);
    await twice({ do: 'write-file', path: at('a'), content: 'x', mode: '0644' });
    expect(modeOf('a')).toBe('644');
  });

  test('refuses a content that has lost its secrets', async () => {
    write('a', '{"token":"t"}');
    const [result] = await perform({ do: 'write-file', path: at('a'), content: `{"token":"${LEFT_OUT}"}` });
    expect(result).toMatchObject({ outcome: 'failed', detail: expect.stringContaining('secrets') });
    expect(readFileSync(at('a'), 'utf8')).toBe('{"token":"t"}');
  });
});

describe('rename-file', () => {
  test('moves, and keeps what was there', async () => {
    write('a.bak', 'new');
    write('a', 'old');
    const { backup } = await twice({ do: 'rename-file', from: at('a.bak'), to: at('a') });
    expect(readFileSync(at('a'), 'utf8')).toBe('new');
    expect(readFileSync(backup!, 'utf8')).toBe('old');
  });

  test('fails when neither is there', async () => {
    const [result] = await perform({ do: 'rename-file', from: at('x'), to: at('y') });
    expect(result).toMatchObject({ outcome: 'failed', detail: expect.stringContaining('no such file') });
  });
});

test('set-mode', async () => {
  write('p', 'x', 0o644);
  await twice({ do: 'set-mode', path: at('p'), mode: '0755' });
  expect(modeOf('p')).toBe('755');
});

test('rewrite-file writes in place: the same file, newer', async () => {
  write('a', 'content');
  const { ino } = statSync(at('a'));
  const [result] = await perform({ do: 'rewrite-file', path: at('a') });
  expect(result).toMatchObject({ outcome: 'done' });
  expect(statSync(at('a')).ino).toBe(ino);
  expect(readFileSync(at('a'), 'utf8')).toBe('content');
});

test('rewrite-file of many pieces, and not of a directory', async () => {
  writeFileSync(at('a'), ofPieces(1));
  const [done, refused] = await perform(
    { do: 'rewrite-file', path: at('a') },
    { do: 'rewrite-file', path: at('own') },
  );
  expect(done).toMatchObject({ outcome: 'done', backup: expect.any(String) });
  expect(readFileSync(at('a')).equals(ofPieces(1))).toBe(true);
  expect(refused).toMatchObject({ outcome: 'failed', detail: expect.stringContaining('not a regular file') });
});

test('what is large takes little memory', async () => {
  const size = 160 * MIB;
  for (const path of ['own/portmap', 'file']) {
    writeFileSync(at(path), '');
    truncateSync(at(path), size);
  }
  const install = { do: 'install-plugin', name: 'portmap', directory: at('bin') };
  const actions = [install, { do: 'rewrite-file', path: at('file') }, install];
  const program = [process.execPath, join(import.meta.dir, 'testing/peak-memory.ts')];
  const argv = [...program, at('own'), at('backup'), JSON.stringify(actions)];
  const said = await output(realExec, argv, { timeoutMs: 60_000 });
  const { outcomes, grown } = JSON.parse(said) as { outcomes: string[]; grown: number };
  expect(outcomes).toEqual(['done', 'done', 'unchanged']);
  expect(grown).toBeLessThan(size / 2);
}, 60_000);

test('rewrite-file of what is not there fails, and leaves nothing beside', async () => {
  mkdirSync(at('net.d'));
  const [result] = await perform({ do: 'rewrite-file', path: at('net.d/gone.conflist') });
  expect(result).toMatchObject({ outcome: 'failed', detail: expect.stringContaining('no such file') });
  expect(readdirSync(at('net.d'))).toEqual([]);
});

describe('install-plugin', () => {
  const install = (name: string): NodeAction => ({ do: 'install-plugin', name, directory: at('bin') });

  test('into a directory that is not there yet', async () => {
    await twice(install('portmap'));
    expect(readFileSync(at('bin/portmap'), 'utf8')).toBe('the plugin');
    expect(modeOf('bin/portmap')).toBe('755');
    expect(readdirSync(at('bin'))).toEqual(['portmap']);
  });

  test('over one that was cut short, of which a copy is kept', async () => {
    write('bin/portmap', 'the pl', 0o755);
    const { backup } = await twice(install('portmap'));
    expect(readFileSync(backup!, 'utf8')).toBe('the pl');
    expect(readFileSync(at('bin/portmap'), 'utf8')).toBe('the plugin');
  });

  test('of many pieces, over one as large', async () => {
    const plugin = ofPieces(1);
    writeFileSync(at('own/portmap'), plugin);
    mkdirSync(at('bin'));
    writeFileSync(at('bin/portmap'), ofPieces(2), { mode: 0o755 });
    const { backup } = await twice(install('portmap'));
    expect(readFileSync(backup!).equals(ofPieces(2))).toBe(true);
    expect(readFileSync(at('bin/portmap')).equals(plugin)).toBe(true);
  });

  test('that does not belong to the program is refused', async () => {
    expect((await perform(install('bridge')))[0]).toMatchObject({ outcome: 'failed' });
    expect(existsSync(at('bin'))).toBe(false);
  });
});

describe('set-sysctl', () => {
  const set = (name: string) => setSysctlAction({ do: 'set-sysctl', name, value: '1' }, at('sys'));

  test('sets what differs', async () => {
    write('sys/net/ipv4/conf/eth0.5/rp_filter', '2\n');
    expect(await set('net.ipv4.conf.eth0/5.rp_filter')).toMatchObject({ changed: true });
    expect(await set('net.ipv4.conf.eth0/5.rp_filter')).toMatchObject({ changed: false });
  });

  test('a value that the kernel does not take fails with what was asked for and what is there', async () => {
    // Not even root can write to /proc/version.
    mkdirSync(at('sys/net'), { recursive: true });
    symlinkSync('/proc/version', at('sys/net/fixed'));
    const kept = readFileSync('/proc/version', 'utf8').trim();
    await expect(set('net.fixed')).rejects.toThrow(`cannot set net.fixed to 1: it is still ${kept}`);
    // The kernel shows it with eight digits.
    symlinkSync('/proc/self/coredump_filter', at('sys/net/lost'));
    await expect(set('net.lost')).rejects.toThrow('cannot set net.lost to 1: the kernel made it 00000001');
  });

  test.each(['kernel.core_pattern', 'net.//.//.kernel.panic', 'net..ipv4', '/etc/passwd', 'net.ipv4.'])(
    '%s is refused',
    async (name) => {
      write('sys/kernel/panic', '0');
      await expect(set(name)).rejects.toThrow('not a setting of the network');
    },
  );
});

test('after a failure nothing more is done', async () => {
  const results = await perform(
    { do: 'write-file', path: at('a'), content: '1' },
    { do: 'set-mode', path: at('none'), mode: '0755' },
    { do: 'write-file', path: at('b'), content: '2' },
  );
  expect(results.map(({ outcome }) => outcome)).toEqual(['done', 'failed', 'skipped']);
  expect(existsSync(at('b'))).toBe(false);
});

test('two copies of one file in one run are both kept', async () => {
  write('a', '1');
  const results = await perform(
    { do: 'write-file', path: at('a'), content: '2' },
    { do: 'write-file', path: at('a'), content: '3' },
  );
  expect(results.map(({ backup }) => readFileSync(backup!, 'utf8'))).toEqual(['1', '2']);
});
