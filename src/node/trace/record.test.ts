import { afterEach, beforeEach, expect, test } from 'bun:test';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TracedFlow } from '../../path/model/flow-trace.ts';
import type { Exec } from '../../sys/exec.ts';
import { FakeDrops } from './drops.fake.ts';
import { netnsNumber } from './netns-number.ts';
import { startRecording } from './record.ts';

const flow: TracedFlow = {
  ...{ protocol: 'TCP', family: 'ipv4', address: '192.0.2.1', port: 8080, sourcePort: 61_000 },
};
/** Of a node that has no tools at all. */
const exec = { run: () => Promise.reject(new Error('nothing is run')) } as unknown as Exec;

let locks: string;
beforeEach(() => {
  locks = mkdtempSync(join(tmpdir(), 'hostport-record-'));
});
afterEach(() => rmSync(locks, { recursive: true }));

const start = () => startRecording(flow, { exec, which: () => undefined, drops: new FakeDrops(), locks });

test('one recording at a time is under way, by a lock that only its owner can open', async () => {
  const recording = await start();
  const [file] = readdirSync(locks);
  expect(statSync(join(locks, file!)).mode & 0o777).toBe(0o600);
  await expect(start()).rejects.toThrow('another trace is under way');
  await recording.stop();
  await (await start()).stop();
  expect(readdirSync(locks)).toEqual([]);
});

test('a lock that cannot be taken for another reason says why', async () => {
  mkdirSync(join(locks, `trace-${netnsNumber()}.lock`));
  await expect(start()).rejects.toThrow('a directory, not a regular file');
});
