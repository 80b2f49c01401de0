/** The plugin executables read their configuration however a runtime hands it to them. */
import { afterAll, describe, expect, test } from 'bun:test';
import { closeSync, constants, existsSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const PLUGIN = join(import.meta.dir, '../dist/cni/loopback');
const missing = existsSync(PLUGIN) ? '' : ' (needs dist/cni: make build)';
const scratch = mkdtempSync(join(tmpdir(), 'hostport-plugin-input-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** Longer than what a pipe holds, with characters of several bytes, and a version that is refused by name. */
const CONFIG = JSON.stringify({ cniVersion: '9.9.9', name: 'x', type: 'loopback', note: 'é'.repeat(50_000) });

describe.skipIf(missing !== '')(`a plugin's standard input${missing}`, () => {
  test.each([
    ['a pipe that blocks', 0],
    ['a pipe that does not block', constants.O_NONBLOCK],
  ])('%s, written in pieces', async (_, flags) => {
    const path = join(scratch, `fifo-${flags}`);
    Bun.spawnSync(['mkfifo', path]);
    // Opened for reading and writing, so that opening does not wait for a peer.
    const both = openSync(path, constants.O_RDWR);
    const reader = openSync(path, constants.O_RDONLY | flags);
    const writer = openSync(path, constants.O_WRONLY);
    closeSync(both);
    const plugin = Bun.spawn([PLUGIN], {
      env: { CNI_COMMAND: 'ADD', CNI_CONTAINERID: 'c', CNI_IFNAME: 'lo', CNI_NETNS: '/n', CNI_PATH: '/x' },
      stdin: reader,
      stdout: 'pipe',
    });
    closeSync(reader);
    const bytes = Buffer.from(CONFIG);
    await Bun.write(Bun.file(writer), bytes.subarray(0, 5001));
    await Bun.write(Bun.file(writer), bytes.subarray(5001));
    closeSync(writer);
    const answer = JSON.parse(await new Response(plugin.stdout).text());
    expect(answer).toMatchObject({ code: 1, details: expect.stringContaining('9.9.9') });
  });

  test('an empty one is an error, not a crash', async () => {
    const plugin = Bun.spawn([PLUGIN], {
      env: { CNI_COMMAND: 'ADD', CNI_CONTAINERID: 'c', CNI_IFNAME: 'lo', CNI_NETNS: '/n', CNI_PATH: '/x' },
      stdin: 'ignore',
      stdout: 'pipe',
    });
    expect(JSON.parse(await new Response(plugin.stdout).text())).toMatchObject({ code: 6 });
  });
});

const CALL = { CNI_COMMAND: 'DEL', CNI_CONTAINERID: 'c', CNI_IFNAME: 'lo', CNI_PATH: '/x' };
const VALID = JSON.stringify({ cniVersion: '1.0.0', name: 'x', type: 'loopback' });

/** What a call of the executable prints on both streams; `files` are opened in the place of some. */
async function call(
  env: Record<string, string>,
  stdin: string,
  files: { stdin?: string; stdout?: string; stderr?: string } = {},
) {
  const open = (path: string | undefined, flags: number) =>
    path === undefined ? undefined : openSync(path, flags);
  const [from, to, aside] = [
    open(files.stdin, constants.O_RDONLY),
    open(files.stdout, constants.O_WRONLY),
    open(files.stderr, constants.O_WRONLY),
  ];
  const plugin = Bun.spawn([PLUGIN], {
    env,
    stdin: from ?? Buffer.from(stdin),
    stdout: to ?? 'pipe',
    stderr: aside ?? 'pipe',
  });
  for (const fd of [from, to, aside]) if (fd !== undefined) closeSync(fd);
  const text = (stream: number | ReadableStream<Uint8Array> | undefined) =>
    stream instanceof ReadableStream ? new Response(stream).text() : '';
  const [stdout, stderr, status] = await Promise.all([
    text(plugin.stdout),
    text(plugin.stderr),
    plugin.exited,
  ]);
  return { status, stdout, stderr };
}

describe.skipIf(missing !== '')(`a plugin whose streams do not serve${missing}`, () => {
  const full = 'cannot write to standard output: the disk is full';

  test.each<[string, Record<string, string>, string, object]>([
    ['VERSION', { CNI_COMMAND: 'VERSION' }, '', { code: 5, msg: full }],
    ['an error', { ...CALL, CNI_COMMAND: 'NONE' }, '', { code: 4, msg: 'unknown CNI_COMMAND: NONE' }],
    ['not JSON', CALL, 'no', { code: 6, msg: expect.stringContaining('network configuration: not JSON') }],
  ])('a full standard output: %s is one JSON document on standard error', async (_, env, stdin, expected) => {
    const answer = await call(env, stdin, { stdout: '/dev/full' });
    expect(answer.status).toBe(1);
    expect(answer.stderr).toEndWith('\n');
    expect(JSON.parse(answer.stderr)).toEqual(expected);
  });

  test('a directory as standard input is error 5', async () => {
    const answer = await call(CALL, '', { stdin: '/tmp' });
    expect({ ...answer, stdout: JSON.parse(answer.stdout) }).toEqual({
      status: 1,
      stdout: {
        code: 5,
        msg: 'cannot read the network configuration from standard input: it is a directory, not a file',
      },
      stderr: '',
    });
  });

  test('a name that is not text is error 6', async () => {
    const answer = await call(CALL, JSON.stringify({ cniVersion: '1.0.0', name: 5 }));
    expect(JSON.parse(answer.stdout)).toEqual({ code: 6, msg: 'network name must be a string, is 5' });
  });

  test('a warning that nobody can read does not fail the call', async () => {
    const config = JSON.stringify({ ...JSON.parse(VALID), unheard: 1 });
    const heard = await call({ ...CALL, CNI_IFNAME: 'none' }, config);
    expect(heard.stderr).toContain('"unheard"');
    const unheard = await call({ ...CALL, CNI_IFNAME: 'none' }, config, { stderr: '/dev/full' });
    expect(unheard).toEqual({ ...heard, stderr: '' });
  });
});
