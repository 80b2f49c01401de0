import { afterAll, beforeAll, beforeEach, expect, test } from 'bun:test';
import { connect } from 'node:net';
import { createAuthority, issueCertificate } from '../kube/pki.ts';
import type { Access } from './metrics-access.ts';
import { type MetricsServer, serveMetrics } from './metrics-server.ts';
import type { Condition } from './record.ts';

let server: MetricsServer;
let ca: string;
let access: () => Promise<Access>;
let ready: Condition;
let alive: Condition;
let errors: unknown[];
const headers: (string | null)[] = [];

beforeAll(async () => {
  const authority = await createAuthority('test');
  ca = authority.certPem;
  const certificate = await issueCertificate(authority, {
    commonName: 'node',
    ipAddresses: ['127.0.0.1'],
    usage: 'server',
  });
  server = serveMetrics({
    address: '127.0.0.1',
    port: 0,
    certificate,
    metrics: () => ({ type: 'text/plain; version=0.0.4', text: 'hostport_paths 1\n' }),
    ready: () => ready,
    alive: () => alive,
    access: (authorization) => {
      headers.push(authorization);
      return access();
    },
    onError: (error) => errors.push(error),
  });
});
afterAll(() => server.stop());
beforeEach(() => {
  access = async () => 'allowed';
  ready = { holds: true };
  alive = { holds: true };
  errors = [];
  headers.length = 0;
});

function ask(path: string, init: RequestInit = {}): Promise<Response> {
  return fetch(`https://127.0.0.1:${server.port}${path}`, { ...init, tls: { ca } } as RequestInit);
}

test('metrics are for those who may read them', async () => {
  const answer = await ask('/metrics', { headers: { authorization: 'Bearer x' } });
  expect([answer.status, await answer.text()]).toEqual([200, 'hostport_paths 1\n']);
  expect(answer.headers.get('content-type')).toBe('text/plain; version=0.0.4');
  expect(headers).toEqual(['Bearer x']);
});

test.each([
  ['nobody', 401],
  ['forbidden', 403],
  ['busy', 503],
] as const)('%s gets none of them: %d', async (who, status) => {
  access = async () => who;
  const answer = await ask('/metrics');
  expect(answer.status).toBe(status);
  expect(await answer.text()).not.toContain('hostport_');
});

test('an API that cannot be asked lets nobody in', async () => {
  access = () => Promise.reject(new Error('connection refused'));
  const answer = await ask('/metrics', { headers: { authorization: 'Bearer secret' } });
  expect(answer.status).toBe(503);
  expect(await answer.text()).not.toMatch(/hostport_|refused|secret/);
  expect(errors.map(String)).toEqual(['Error: connection refused']);
});

test('probes are for anybody, and say nothing of the node', async () => {
  access = async () => 'nobody';
  const answers = async () =>
    Promise.all(
      ['/healthz', '/readyz'].map(async (path) => {
        const answer = await ask(path);
        return [answer.status, await answer.text()];
      }),
    );
  expect(await answers()).toEqual([
    [200, 'ok\n'],
    [200, 'ok\n'],
  ]);
  ready = { holds: false, why: 'the runtime of node-7 is gone' };
  alive = { holds: false, why: 'stuck' };
  expect(await answers()).toEqual([
    [503, 'not ok\n'],
    [503, 'not ok\n'],
  ]);
  expect(headers).toEqual([]);
});

test.each([
  ['GET', '/', 404],
  ['GET', '/metrics/', 404],
  ['GET', '/constructor', 404],
  ['GET', '/debug/pprof', 404],
  ['POST', '/metrics', 405],
  ['DELETE', '/healthz', 405],
] as const)('%s %s: %d', async (method, path, status) => {
  expect((await ask(path, { method })).status).toBe(status);
});

test('nothing is said without TLS', async () => {
  const socket = connect({ host: '127.0.0.1', port: server.port });
  let said = '';
  socket.on('data', (data) => {
    said += data.toString('latin1');
  });
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  socket.on('error', () => {});
  socket.write('GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n');
  await closed;
  expect(said).not.toMatch(/HTTP|ok/);
});
