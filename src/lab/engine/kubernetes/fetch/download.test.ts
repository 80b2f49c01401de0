import { afterAll, afterEach, describe, expect, test } from 'bun:test';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { leapingNow } from '../../../../sys/clock.fake.ts';
import type { Clock } from '../../../../sys/clock.ts';
import { UserError } from '../../../../util/errors.ts';
import { type DownloadContext, download } from './download.ts';
import { FakeMirror, rawServer } from './mirror.fake.ts';

const root = mkdtempSync(join(tmpdir(), 'hostport-download-'));
const mirror = new FakeMirror();
afterAll(async () => {
  await mirror.stop();
  rmSync(root, { recursive: true });
});
afterEach(() => {
  mirror.answering = () => undefined;
  mirror.seen.length = 0;
});

const CONTENT = randomBytes(300_000);
const digest = (bytes: Buffer) => createHash('sha512').update(bytes).digest('hex');
mirror.publish('/kubelet', CONTENT);

/** Time passes at once. */
const pauses: number[] = [];
const clock: Clock = {
  now: leapingNow(),
  monotonic: () => 0,
  async sleep(ms) {
    pauses.push(ms);
  },
};

let made = 0;
/** A place for a file, with `part` of it there already. */
function place(part?: Buffer) {
  const path = join(root, String(made++));
  if (part !== undefined) writeFileSync(`${path}.part`, part);
  return path;
}

function get(
  path: string,
  url = `${mirror.url}kubelet`,
  more: Partial<DownloadContext> = {},
  sha512 = digest(CONTENT),
) {
  const context: DownloadContext = {
    access: { env: {}, userAgent: 'test' },
    signal: new AbortController().signal,
    onProgress: () => {},
    clock,
    ...more,
  };
  return download({ url: new URL(url), path, sha512, checksumFrom: new URL(`${url}.sha512`) }, context);
}

const head = (lines: string[]) => Buffer.from(`HTTP/1.1 ${lines.join('\r\n')}\r\n\r\n`);
const whole = (length = CONTENT.length) => head(['200 OK', `Content-Length: ${length}`]);

test('a file is there as a whole, with progress, and is not asked for again', async () => {
  const path = place();
  const seen: number[] = [];
  expect(await get(path, undefined, { onProgress: (at) => seen.push(at) })).toBe(CONTENT.length);
  expect(readFileSync(path).equals(CONTENT)).toBe(true);
  expect(seen.at(-1)).toBe(CONTENT.length);
  expect(existsSync(`${path}.part`)).toBe(false);
  expect(await get(path)).toBe(CONTENT.length);
  expect(mirror.rangesOf('kubelet')).toEqual([null]);
});

test.each([1, 299_999])(
  'of a file of which %d bytes are there only the rest is asked for',
  async (length) => {
    const path = place(CONTENT.subarray(0, length));
    await get(path);
    expect(readFileSync(path).equals(CONTENT)).toBe(true);
    expect(mirror.rangesOf('kubelet')).toEqual([`bytes=${length}-`]);
  },
);

test('a file that had all of its bytes already is taken', async () => {
  const path = place(CONTENT);
  await get(path);
  expect(readFileSync(path).equals(CONTENT)).toBe(true);
  expect(mirror.rangesOf('kubelet')).toEqual(['bytes=300000-']);
});

test.each([
  ['of another file', Buffer.alloc(1000)],
  ['longer than the file', Buffer.alloc(400_000)],
])('a beginning that is %s is thrown away, and all is asked for', async (_, part) => {
  const path = place(part);
  await get(path);
  expect(readFileSync(path).equals(CONTENT)).toBe(true);
  expect(mirror.rangesOf('kubelet')).toEqual([`bytes=${part.length}-`, null]);
});

test('a mirror without ranges begins again', async () => {
  mirror.answering = () => new Response(new Uint8Array(CONTENT));
  const path = place(CONTENT.subarray(0, 1000));
  await get(path);
  expect(readFileSync(path).equals(CONTENT)).toBe(true);
});

test('an answer that breaks off is continued where it was, after a pause', async () => {
  const { promise: until, resolve: close } = Promise.withResolvers<void>();
  const server = await rawServer([
    { bytes: Buffer.concat([whole(), CONTENT.subarray(0, 100_000)]), until },
    Buffer.concat([
      head(['206 Partial Content', 'Content-Length: 200000', 'Content-Range: bytes 100000-299999/300000']),
      CONTENT.subarray(100_000),
    ]),
  ]);
  pauses.length = 0;
  const path = place();
  const onProgress = (at: number) => {
    if (at === 100_000) close();
  };
  await get(path, server.url, { onProgress }).finally(server.stop);
  expect(readFileSync(path).equals(CONTENT)).toBe(true);
  expect(server.requests.map((text) => /^range: (.*)$/im.exec(text)?.[1]?.trim())).toEqual([
    undefined,
    'bytes=100000-',
  ]);
  expect(pauses).toEqual([500]);
});

describe('what is refused', () => {
  const REFUSED: {
    name: string;
    answers: (Buffer | undefined)[];
    says: RegExp;
    part?: Buffer;
    more?: Partial<DownloadContext>;
    /** Bytes of it that stay for the next run; -1: as many as came in time, but no more than may. */
    left: number;
  }[] = [
    {
      name: 'other bytes of the same length',
      answers: [Buffer.concat([whole(), Buffer.alloc(300_000)])],
      says: /: its SHA-512 is [0-9a-f]{16}…, and is to be [0-9a-f]{16}… \(http.*\.sha512\); it was removed/,
      left: 0,
    },
    {
      name: 'a length that is too large, again and again',
      answers: Array.from({ length: 5 }, () => Buffer.concat([whole(300_001), CONTENT])),
      says: /\d+ of 300001 bytes came, the 5th time; run this again to continue$/,
      left: -1,
    },
    {
      name: 'a length that is too small',
      answers: [Buffer.concat([whole(1000), CONTENT])],
      says: /its SHA-512 is/,
      left: 0,
    },
    {
      name: 'a length beyond the limit',
      answers: [Buffer.concat([whole(10 ** 12), CONTENT])],
      says: /: it has 1000000000000 bytes; want at most 1073741824$/,
      left: 0,
    },
    {
      name: 'more bytes than the limit, of a length that is not said',
      answers: [Buffer.concat([head(['200 OK', 'Connection: close']), CONTENT])],
      more: { maxBytes: 200_000 },
      says: /: more bytes came; want at most 200000$/,
      left: -1,
    },
    {
      name: 'bytes that were not asked for',
      answers: [
        Buffer.concat([
          head(['206 Partial Content', 'Content-Length: 1', 'Content-Range: bytes 0-0/300000']),
          Buffer.from('x'),
        ]),
      ],
      part: CONTENT.subarray(0, 10),
      says: /: bytes from 10 on were asked for, and the answer has bytes 0-0\/300000$/,
      left: 10,
    },
    {
      name: 'a missing file',
      answers: [head(['404 Not Found', 'Content-Length: 0'])],
      says: /: it is not there$/,
      left: 0,
    },
    {
      name: 'an error of the server',
      answers: [head(['503 Service Unavailable', 'Content-Length: 0'])],
      part: CONTENT.subarray(0, 10),
      says: /: HTTP status 503$/,
      left: 10,
    },
    {
      name: 'a compressed answer',
      answers: [
        Buffer.concat([head(['200 OK', 'Content-Encoding: gzip', 'Connection: close']), gzipSync(CONTENT)]),
      ],
      says: /: it is compressed \(gzip\), which was not asked for$/,
      left: 0,
    },
    {
      name: 'a server that says nothing',
      answers: [undefined],
      more: { silenceMs: 50 },
      says: /has been silent for 0\.05 s/,
      left: 0,
    },
    {
      name: 'redirects without end',
      answers: Array.from({ length: 9 }, () => head(['302 Found', 'Location: /again', 'Content-Length: 0'])),
      says: /it redirects more than 5 times/,
      left: 0,
    },
    {
      name: 'a redirect to something else',
      answers: [head(['302 Found', 'Location: file:///etc/passwd', 'Content-Length: 0'])],
      says: /it redirects to file:\/\/, which is not followed/,
      left: 0,
    },
  ];
  for (const { name, answers, says, part, more, left } of REFUSED) {
    test(name, async () => {
      const server = await rawServer([...answers]);
      const path = place(part);
      const error = await get(path, server.url, more)
        .catch((cause: unknown) => cause)
        .finally(server.stop);
      expect(error).toBeInstanceOf(Error);
      expect((error as Error).message).toMatch(says);
      expect((error as Error).message).toContain(server.url);
      expect(existsSync(path)).toBe(false);
      const part2 = existsSync(`${path}.part`) ? readFileSync(`${path}.part`).length : 0;
      if (left >= 0) expect(part2).toBe(left);
      else expect(part2).toBeLessThanOrEqual(more?.maxBytes ?? CONTENT.length);
    });
  }

  test('a server that nobody runs', async () => {
    const server = await rawServer([]);
    server.stop();
    await expect(get(place(), server.url)).rejects.toThrow(`cannot GET ${server.url}: connection refused`);
  });
});

test('a redirect is followed, and the rest asked for there', async () => {
  const server = await rawServer([
    head(['302 Found', `Location: ${mirror.url}kubelet`, 'Content-Length: 0']),
  ]);
  const path = place(CONTENT.subarray(0, 5));
  await get(path, `${server.url}old`).finally(server.stop);
  expect(readFileSync(path).equals(CONTENT)).toBe(true);
  expect(mirror.rangesOf('kubelet')).toEqual(['bytes=5-']);
});

test('an interruption leaves what has come, and is its own error', async () => {
  const controller = new AbortController();
  const interruption = new UserError('interrupted', { exitCode: 130 });
  const path = place();
  mirror.answering = () => {
    async function* slowly() {
      yield new Uint8Array(CONTENT.subarray(0, 1000));
      await new Promise(() => {});
    }
    return new Response(slowly() as unknown as BodyInit, {
      headers: { 'content-type': 'application/octet-stream' },
    });
  };
  const error = await get(path, undefined, {
    signal: controller.signal,
    onProgress: () => controller.abort(interruption),
  }).catch((cause: unknown) => cause);
  expect(error).toBe(interruption);
  const name = path.slice(root.length + 1);
  expect(readdirSync(root).filter((entry) => entry.startsWith(`${name}.`) || entry === name)).toEqual([
    `${name}.part`,
  ]);
  expect(readFileSync(`${path}.part`).length).toBe(1000);
});
