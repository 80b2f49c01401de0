/** `make release`, twice, of the last commit, and what is in it. Takes minutes: `make test-release` runs it. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { createHash } from 'node:crypto';
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
import { output, realExec } from '../../src/sys/exec.ts';

const ROOT = join(import.meta.dir, '../..');
const BUILD_MS = 20 * 60_000;
const scratch = mkdtempSync(join(tmpdir(), 'hostport-release-'));
/** The directory of each build's release. */
const built: string[] = [];

const run = (argv: string[], cwd = scratch) => output(realExec, argv, { cwd, timeoutMs: BUILD_MS });

beforeAll(async () => {
  const source = join(scratch, 'source');
  // What is committed meanwhile is in neither.
  await run(['git', 'clone', '--quiet', '--bare', ROOT, source]);
  for (const name of ['one', 'another/deeper']) built.push(await build(source, join(scratch, name)));
}, 2 * BUILD_MS);
afterAll(() => rmSync(scratch, { recursive: true }));

/** Releases the commit of a repository from a directory of its own; returns where the files are. */
async function build(source: string, directory: string): Promise<string> {
  await run(['git', 'clone', '--quiet', source, directory]);
  // Not again from the network: packages are not what differs.
  await run(['cp', '-a', join(ROOT, 'node_modules'), join(directory, 'node_modules')]);
  if (existsSync(join(ROOT, 'dist/runtimes'))) {
    mkdirSync(join(directory, 'dist'));
    await run(['cp', '-a', join(ROOT, 'dist/runtimes'), join(directory, 'dist/runtimes')]);
  }
  mkdirSync(join(directory, '.stamps'));
  writeFileSync(join(directory, '.stamps/setup'), '');
  await run(['make', '-s', 'release'], directory);
  const [version = ''] = readdirSync(join(directory, 'dist/release'));
  return join(directory, 'dist/release', version);
}

const namesIn = (directory: string) =>
  readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .filter((name) => statSync(join(directory, name)).isFile())
    .sort();

const digest = (path: string) => createHash('sha256').update(readFileSync(path)).digest('hex');

test('two builds in two directories are equal, file by file', () => {
  const [one, other] = built as [string, string];
  const names = namesIn(one);
  expect(names.length).toBeGreaterThan(50);
  expect(namesIn(other)).toEqual(names);
  const different = names.filter((name) => digest(join(one, name)) !== digest(join(other, name)));
  expect(different).toEqual([]);
});

test('the checksums are those of every other file', async () => {
  const [one] = built as [string];
  await run(['sha256sum', '--check', '--strict', '--quiet', 'SHA256SUMS'], one);
  const lines = readFileSync(join(one, 'SHA256SUMS'), 'utf8').trimEnd().split('\n');
  const listed = lines.map((line) => line.slice(66));
  expect(listed).toEqual(namesIn(one).filter((name) => name !== 'SHA256SUMS'));
});

/** Unpacks the program for a platform; returns its path. */
async function unpacked(platform: string): Promise<string> {
  const [one] = built as [string];
  const name = namesIn(one).find(
    (file) => file.startsWith('hostport-0') && file.endsWith(`-linux-${platform}.tar.gz`),
  );
  expect(name).toBeDefined();
  await run(['tar', '-xzf', join(one, name!)]);
  return join(scratch, name!.replace(/\.tar\.gz$/, ''), 'bin/hostport');
}

const native = process.arch === 'x64' ? 'amd64' : process.arch;

describe('from the files alone', () => {
  test('the program says what it is, and judges a bundle', async () => {
    const program = await unpacked(native);
    const document = JSON.parse(await run([program, 'version', '-o', 'json']));
    expect(document).toMatchObject({ platform: `linux/${native}`, libc: 'glibc' });
    expect(document.commit).toBe((await run(['git', 'rev-parse', 'HEAD'], join(scratch, 'source'))).trim());
    const bundle = join(ROOT, 'test/fixtures/bundles/begin');
    const said = await realExec.run([program, 'doctor', '--from', bundle], { cwd: scratch });
    expect(said.stdout).toContain('plugin-missing');
    expect(said.code).toBe(1);
  });
});
