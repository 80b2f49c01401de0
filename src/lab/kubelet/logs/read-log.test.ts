import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { appendFile, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseLogLine } from './cri-log.ts';
import { type LogOptions, readLog } from './read-log.ts';
import { tailMessage } from './tail-message.ts';

const at = (second: number) => `2026-01-01T00:00:0${second}.123456789Z`;
const line = (second: number, text: string, tag = 'F', stream = 'stdout') =>
  `${at(second)} ${stream} ${tag} ${text}\n`;

test.each([
  [
    '2026-01-01T00:00:00Z stdout F text with blanks',
    { stream: 'stdout', partial: false },
    'text with blanks',
  ],
  ['2026-01-01T00:00:00Z stderr P part', { stream: 'stderr', partial: true }, 'part'],
  ['2026-01-01T00:00:00Z stdout F ', { partial: false }, ''],
  ['2026-01-01T00:00:00Z stdout F', { partial: false }, ''],
  ['2026-01-01T00:00:00Z stdout F:more x', { partial: false }, 'x'],
])('%s', (text, expected, content) => {
  const parsed = parseLogLine(Buffer.from(text));
  expect(parsed).toMatchObject(expected as object);
  expect(Buffer.from(parsed!.text).toString()).toBe(content);
});

test.each([
  '',
  'x',
  'yesterday stdout F x',
  '2026-01-01T00:00:00Z stdin F x',
  '2026-01-01T00:00:00Z stdout Q x',
])('%p is not a log line', (text) => {
  expect(parseLogLine(Buffer.from(text))).toBeUndefined();
});

describe('readLog', () => {
  let directory: string;
  let path: string;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'kubelet-log-'));
    path = join(directory, '0.log');
    await writeFile(
      path,
      line(0, 'one') +
        line(1, 'two', 'F', 'stderr') +
        line(2, 'thr', 'P') +
        line(2, 'ee') +
        line(3, 'four') +
        `${at(4)} stdout F cut o`,
    );
  });
  afterAll(() => rm(directory, { recursive: true }));

  test.each([
    ['everything, partial lines joined, a cut line left out', {}, 'one\ntwo\nthree\nfour\n'],
    ['tail', { tailLines: 2 }, 'three\nfour\n'],
    ['tail of nothing', { tailLines: 0 }, ''],
    ['tail of more than there is', { tailLines: 9 }, 'one\ntwo\nthree\nfour\n'],
    ['since', { since: Date.parse(at(2)) }, 'three\nfour\n'],
    ['times, once a full line', { tailLines: 2, timestamps: true }, `${at(2)} three\n${at(3)} four\n`],
    ['limit', { limitBytes: 6 }, 'one\ntw'],
  ] as [string, LogOptions, string][])('%s', async (_name, options, expected) => {
    expect(await text(readLog(path, options))).toBe(expected);
  });

  test('the tail of a long log is found from its end', async () => {
    const long = join(directory, 'long.log');
    await writeFile(long, Array.from({ length: 20_000 }, (_, i) => line(0, `line ${i}`)).join(''));
    expect(await text(readLog(long, { tailLines: 3 }))).toBe('line 19997\nline 19998\nline 19999\n');
    expect((await text(readLog(long, { tailLines: 5_000 }))).split('\n').length).toBe(5_001);
  });

  test('follows what is written, over a rotation, until the container has ended', async () => {
    const followed = join(directory, 'followed.log');
    await writeFile(followed, line(0, 'first'));
    let running = true;
    const signal = new AbortController().signal;
    const reader = readLog(followed, { follow: { signal, running: async () => running } });
    const next = async () => Buffer.from((await reader.next()).value!).toString();
    expect(await next()).toBe('first\n');
    const second = next();
    await appendFile(followed, line(1, 'second'));
    expect(await second).toBe('second\n');
    const third = next();
    await rename(followed, `${followed}.1`);
    await writeFile(followed, line(2, 'third'));
    expect(await third).toBe('third\n');
    const last = reader.next();
    await appendFile(followed, line(3, 'last'));
    running = false;
    expect(Buffer.from((await last).value!).toString()).toBe('last\n');
    expect((await reader.next()).done).toBe(true);
  });

  test('an aborted reader ends', async () => {
    const stop = new AbortController();
    const reader = readLog(path, {
      tailLines: 0,
      follow: { signal: stop.signal, running: async () => true },
    });
    const next = reader.next();
    stop.abort();
    expect((await next).done).toBe(true);
  });

  test('last words', async () => {
    expect(await tailMessage(path, 1, 100)).toBe('four\n');
    expect(await tailMessage(path, 9, 7)).toBe('e\nfour\n');
    expect(await tailMessage(join(directory, 'none.log'), 1, 1)).toBe('');
  });
});

async function text(parts: AsyncIterable<Uint8Array>): Promise<string> {
  const all: Uint8Array[] = [];
  for await (const part of parts) all.push(part);
  return Buffer.concat(all).toString();
}
