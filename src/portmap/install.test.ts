import { afterAll, beforeEach, describe, expect, test } from 'bun:test';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { install, keepInstalled } from './install.ts';

const scratch = mkdtempSync(join(tmpdir(), 'hostport-install-'));
afterAll(() => rmSync(scratch, { recursive: true }));

const self = join(scratch, 'self');
const directory = join(scratch, 'bin');
const at = (name: string) => join(directory, name);
const installHere = () => install({ env: { CNI_BIN_DIR: directory }, self });

beforeEach(() => {
  writeFileSync(self, 'plugin', { mode: 0o755 });
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory);
});

test('it is put there once, executable, and nothing else is left', () => {
  expect(installHere()).toBe(`installed ${at('portmap')}`);
  expect(readFileSync(at('portmap'), 'utf8')).toBe('plugin');
  expect(statSync(at('portmap')).mode & 0o777).toBe(0o755);
  expect(installHere()).toBeUndefined();
  expect(readdirSync(directory)).toEqual(['portmap']);
});

test('what it replaces first is kept, whatever comes later', () => {
  writeFileSync(at('portmap'), 'reference');
  expect(installHere()).toBe(`installed ${at('portmap')}; what was there is ${at('portmap.replaced')}`);
  writeFileSync(self, 'newer!');
  expect(installHere()).toBe(`installed ${at('portmap')}`);
  expect(readFileSync(at('portmap'), 'utf8')).toBe('newer!');
  expect(readFileSync(at('portmap.replaced'), 'utf8')).toBe('reference');
});

test('a directory that is not there is named, and what to do', () => {
  expect(() => install({ env: { CNI_BIN_DIR: '/nowhere' }, self })).toThrow(
    /^cannot install \/nowhere\/portmap: .*; mount the node's directory of CNI plugins, and name it in CNI_BIN_DIR$/,
  );
  expect(() => install({ env: {}, self })).toThrow('cannot install /host/opt/cni/bin/portmap: ');
});

describe('kept', () => {
  /** Looks as often as there are changes, each made before the next look; returns what was said. */
  async function kept(...changes: (() => void)[]): Promise<string[]> {
    const said: string[] = [];
    const over = new Error('over');
    const io = {
      env: { CNI_BIN_DIR: directory },
      self,
      say: (line: string) => said.push(line),
      sleep: async () => {
        const change = changes.shift();
        if (change === undefined) throw over;
        change();
      },
    };
    await expect(keepInstalled(io)).rejects.toBe(over);
    return said;
  }

  test('it is put back when it is removed or replaced', async () => {
    const said = await kept(
      () => rmSync(at('portmap')),
      () => {},
      () => writeFileSync(at('portmap'), 'other'),
    );
    expect(said).toEqual([
      `installed ${at('portmap')}`,
      `installed ${at('portmap')}`,
      `installed ${at('portmap')}; what was there is ${at('portmap.replaced')}`,
    ]);
  });

  test('what fails is said and tried again', async () => {
    rmSync(directory, { recursive: true });
    const said = await kept(() => mkdirSync(directory));
    expect(said).toHaveLength(2);
    expect(said[0]).toStartWith('cannot install ');
    expect(existsSync(at('portmap'))).toBe(true);
  });
});
