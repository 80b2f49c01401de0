/** The plugin executables and the programs that they run, as these end in ways that a caller could take for success. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { output, realExec } from '../src/sys/exec.ts';

const PLUGIN = join(import.meta.dir, '../dist/cni/loopback');
const NAMESPACE = `hpt-tools-${process.pid}`;
const isRoot = process.getuid?.() === 0;
const scratch = mkdtempSync(join(tmpdir(), 'hostport-plugin-tools-'));
afterAll(() => rmSync(scratch, { recursive: true }));

describe.skipIf(!isRoot)(`a program that the plugin runs${isRoot ? '' : ' (needs root)'}`, () => {
  beforeAll(() => output(realExec, ['ip', 'netns', 'add', NAMESPACE]));
  afterAll(() => output(realExec, ['ip', 'netns', 'del', NAMESPACE]));

  /** Calls ADD, which runs `ip`, with another program of that name. */
  async function addWith(ip: string, before: readonly string[] = []) {
    writeFileSync(join(scratch, 'ip'), `#!/bin/sh\n${ip}\n`, { mode: 0o755 });
    const { code, stdout } = await realExec.run([...before, PLUGIN], {
      env: {
        ...{ CNI_COMMAND: 'ADD', CNI_CONTAINERID: 'c', CNI_IFNAME: 'lo', CNI_PATH: '/x' },
        ...{ CNI_NETNS: `/run/netns/${NAMESPACE}`, PATH: `${scratch}:/usr/bin:/bin` },
      },
      stdin: JSON.stringify({ cniVersion: '1.0.0', name: 'x', type: 'loopback' }),
    });
    return { code, document: JSON.parse(stdout) as { msg?: string } };
  }

  test.each([
    ['fails', 'exit 3', [], 'exit status 3'],
    [
      'fails, for a caller that ignores the ends of its children',
      'exit 3',
      ['env', '--ignore-signal=CHLD'],
      'exit status 3',
    ],
    ['is killed', 'kill -KILL $$', [], 'killed by another process'],
    ['ends by another signal', 'kill -TERM $$', [], 'exit status 143'],
  ])('%s: the call fails, and says how it ended', async (_, ip, before, end) => {
    const { code, document } = await addWith(ip, before);
    expect({ code, msg: document.msg }).toEqual({ code: 1, msg: expect.stringContaining(end) });
  });
});

test('a plugin whose file is replaced as a call begins answers that call', async () => {
  copyFileSync(PLUGIN, join(scratch, 'loopback'));
  const script = 'exec 9<"$0"; rm "$0"; exec /proc/self/fd/9';
  const { code, stdout } = await realExec.run(['sh', '-c', script, join(scratch, 'loopback')], {
    env: { CNI_COMMAND: 'VERSION', PATH: '/usr/bin:/bin' },
    stdin: '{"cniVersion":"1.0.0"}',
  });
  expect({ code, ...JSON.parse(stdout) }).toMatchObject({ code: 0, cniVersion: '1.1.0' });
});
