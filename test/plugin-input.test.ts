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
