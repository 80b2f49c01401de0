import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { waitFor } from '../../sys/wait.ts';
import { type ChainingMode, type CniConfigOptions, keepCniConfig, writeCniConfig } from './cni-config.ts';

const OWN = '05-cilium.conflist';
/** The lists that real agents wrote: `fixtures/*.json` of test/doctor-real-cilium.test.ts have them. */
const REAL = join(import.meta.dir, '../../../test/fixtures/real-cilium');

let directory: string;
let log: string[];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'hostport-net.d-'));
  log = [];
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const put = (name: string, text = '{}') => writeFileSync(join(directory, name), text);
const names = () => readdirSync(directory).sort();
function options(exclusive: boolean, chainingMode: ChainingMode = 'none'): CniConfigOptions {
  // What the agent of an earlier test still writes is not of this one's.
  const lines = log;
  return { directory, exclusive, chainingMode, log: (line) => lines.push(line) };
}

test.each([
  ['none', 'c'],
  ['portmap', 'a'],
] as const)('chaining mode %s: the list is that of the real agent, for root alone', async (mode, fixture) => {
  await writeCniConfig(options(false, mode));
  const report = JSON.parse(readFileSync(join(REAL, `${fixture}.json`), 'utf8'));
  const files = report.cni.files.value as { name: string; content: { value: string } }[];
  const real = files.find(({ name }) => name === OWN)!;
  expect(readFileSync(join(directory, OWN), 'utf8')).toBe(real.content.value);
  expect(statSync(join(directory, OWN)).mode & 0o777).toBe(0o600);
});

test('a list that is as it should be is not written again', async () => {
  await writeCniConfig(options(false));
  const before = statSync(join(directory, OWN)).ino;
  await writeCniConfig(options(false));
  expect(statSync(join(directory, OWN)).ino).toBe(before);
  put(OWN);
  await writeCniConfig(options(false));
  expect(readFileSync(join(directory, OWN), 'utf8')).toContain('cilium-cni');
});

test.each([
  [false, ['000-mine.conflist', '05-cilium.conf.cilium_bak', '05-cilium.conflist', '99-x.json']],
  [
    true,
    [
      '000-mine.conflist.cilium_bak',
      '05-cilium.conf.cilium_bak',
      '05-cilium.conflist',
      '99-x.json.cilium_bak',
    ],
  ],
])('exclusive %p: what becomes of other configurations', async (exclusive, after) => {
  put('000-mine.conflist', 'new');
  put('000-mine.conflist.cilium_bak', 'old');
  put('05-cilium.conf');
  put('99-x.json');
  for (const name of ['readme.txt', '10-a.conflist.disabled']) put(name);
  mkdirSync(join(directory, '99-dir.conflist'));
  await writeCniConfig(options(exclusive));
  const left = ['10-a.conflist.disabled', '99-dir.conflist', 'readme.txt'];
  expect(names().filter((name) => name !== '000-mine.conflist.cilium_bak' || exclusive)).toEqual(
    [...after, ...left].sort(),
  );
  const aside = readFileSync(join(directory, '000-mine.conflist.cilium_bak'), 'utf8');
  expect(aside).toBe(exclusive ? 'new' : 'old');
});

describe('while the agent runs', () => {
  let stopping: AbortController;
  let running: Promise<void>;
  async function start(exclusive: boolean): Promise<void> {
    stopping = new AbortController();
    running = keepCniConfig(options(exclusive), stopping.signal);
    await waitFor('the list to be written', () => log.length > 0, { timeoutMs: 5000 });
  }
  afterEach(async () => {
    stopping.abort();
    await running;
  });
  const until = (name: string) =>
    waitFor(`${name} in ${names()}`, () => names().includes(name), { timeoutMs: 5000, intervalMs: 1 });

  test('exclusive: what appears is renamed, and the own list comes back', async () => {
    await start(true);
    for (const name of ['000-a.conflist', '1.conf', '2.json']) {
      put(name);
      await until(`${name}.cilium_bak`);
      renameSync(join(directory, `${name}.cilium_bak`), join(directory, name));
      await until(`${name}.cilium_bak`);
    }
    rmSync(join(directory, OWN));
    await until(OWN);
    put(OWN);
    const own = () => readFileSync(join(directory, OWN), 'utf8').includes('cilium-cni');
    await waitFor('the own list', own, { timeoutMs: 5000 });
  });

  test('not exclusive: nothing is watched', async () => {
    await start(false);
    const written = log.length;
    put('000-a.conflist');
    rmSync(join(directory, OWN));
    // A watch of the same directory that hears of both shows that there was time to act.
    const other = new AbortController();
    const witness = keepCniConfig({ ...options(true), log: () => {} }, other.signal);
    await until('000-a.conflist.cilium_bak');
    other.abort();
    await witness;
    expect(log.length).toBe(written);
  });
});
