import { afterEach, expect, test } from 'bun:test';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Http2Server, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GrpcChannel, GrpcCode, GrpcError } from './grpc.ts';

type Serve = (stream: ServerHttp2Stream, request: Buffer, headers: Record<string, unknown>) => void;

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

function message(text: string): Buffer {
  const body = Buffer.from(text);
  const head = Buffer.alloc(5);
  head.writeUInt32BE(body.length, 1);
  return Buffer.concat([head, body]);
}

async function listen(socket: string, serve: Serve): Promise<() => Promise<void>> {
  const server: Http2Server = createServer();
  const sessions = new Set<ServerHttp2Session>();
  server.on('session', (session) => sessions.add(session));
  server.on('stream', (stream, headers) => {
    const chunks: Buffer[] = [];
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('error', () => {});
    stream.on('end', () => serve(stream, Buffer.concat(chunks).subarray(5), headers));
  });
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  return async () => {
    for (const session of sessions) session.destroy();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  };
}

function answer(stream: ServerHttp2Stream, texts: string[], status = 0, words = ''): void {
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': status, 'grpc-message': words }));
  for (const text of texts) stream.write(message(text));
  stream.end();
}

function socketPath(): string {
  const directory = mkdtempSync(join(tmpdir(), 'grpc-'));
  cleanups.push(() => rmSync(directory, { recursive: true }));
  return join(directory, 's');
}

async function channelTo(serve: Serve): Promise<GrpcChannel> {
  const socket = socketPath();
  const close = await listen(socket, serve);
  const channel = new GrpcChannel([`unix://${socket}`]);
  cleanups.push(close, () => channel.close());
  return channel;
}

async function failure(call: Promise<unknown>): Promise<GrpcError> {
  try {
    await call;
  } catch (error) {
    if (error instanceof GrpcError) return error;
    throw error;
  }
  throw new Error('the call succeeded');
}

test('a call has its answer, and its deadline reaches the server', async () => {
  const channel = await channelTo((stream, request, headers) =>
    answer(stream, [`${request} ${headers[':path']} ${headers[':authority']} ${headers['grpc-timeout']}`]),
  );
  const bytes = await channel.unary('a.B/C', Buffer.from('hello'), { timeoutMs: 1500 });
  expect(Buffer.from(bytes).toString()).toMatch(/^hello \/a\.B\/C localhost(:80)? 1500m$/);
});

test.each<[string, Serve, number, string]>([
  ['a status', (stream) => answer(stream, [], 5, 'no%20such thing'), 5, 'no such thing'],
  ['no message', (stream) => answer(stream, []), GrpcCode.UNKNOWN, 'an answer without a message'],
  ['no answer in time', () => {}, GrpcCode.DEADLINE_EXCEEDED, 'no answer within 50 ms'],
  ['a connection that is lost', (stream) => stream.session!.destroy(), GrpcCode.UNAVAILABLE, ''],
])('%s is an error with its code', async (_what, serve, code, details) => {
  const channel = await channelTo(serve);
  // On a busy machine, the other answers take a while.
  const timeoutMs = code === GrpcCode.DEADLINE_EXCEEDED ? 50 : 20_000;
  const error = await failure(channel.unary('a.B/C', Buffer.from(''), { timeoutMs }));
  expect(error.code).toBe(code);
  expect(error.details).toContain(details);
});

test('a call that is cancelled ends on the server too', async () => {
  const ended = Promise.withResolvers<number>();
  const asked = Promise.withResolvers<void>();
  const channel = await channelTo((stream) => {
    stream.on('close', () => ended.resolve(stream.rstCode ?? -1));
    asked.resolve();
  });
  const abort = new AbortController();
  const call = failure(channel.unary('a.B/C', Buffer.from('x'), { timeoutMs: 0, signal: abort.signal }));
  await asked.promise;
  abort.abort();
  expect((await call).code).toBe(GrpcCode.CANCELLED);
  expect(await ended.promise).toBe(8);
  const late = await failure(
    channel.unary('a.B/C', Buffer.from('x'), { timeoutMs: 0, signal: abort.signal }),
  );
  expect(late.code).toBe(GrpcCode.CANCELLED);
});

test('a server that was away is called again', async () => {
  const socket = socketPath();
  const channel = new GrpcChannel([`unix://${socket}`]);
  cleanups.push(() => channel.close());
  const call = () => channel.unary('a.B/C', Buffer.from('x'), { timeoutMs: 2000 });
  for (let round = 0; round < 2; round++) {
    expect((await failure(call())).code).toBe(GrpcCode.UNAVAILABLE);
    const close = await listen(socket, (stream) => answer(stream, ['here']));
    expect(Buffer.from(await call()).toString()).toBe('here');
    await close();
    rmSync(socket, { force: true });
  }
});

test('a stream delivers every message, and reports its end once', async () => {
  const long = 'x'.repeat(100_000);
  const channel = await channelTo((stream) => answer(stream, ['one', long, 'three']));
  const seen: string[] = [];
  const ends: unknown[] = [];
  await new Promise<void>((resolve) => {
    channel.stream('a.B/C', {
      halfClose: Buffer.from(''),
      onMessage: (bytes) => seen.push(Buffer.from(bytes).toString()),
      onEnd: (error) => {
        ends.push(error);
        resolve();
      },
    });
  });
  expect(seen).toEqual(['one', long, 'three']);
  expect(ends).toEqual([undefined]);
});
