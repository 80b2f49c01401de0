/** What is read of Cilium's agent, from a server that answers as it does. */
import { afterEach, expect, test } from 'bun:test';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readCilium } from './cilium.ts';

const stops: (() => void)[] = [];
afterEach(() => {
  for (const stop of stops.splice(0)) stop();
});

/** The socket of an agent with these answers by path. */
function agent(answers: Record<string, unknown>): string {
  return answering((request) => {
    const answer = answers[new URL(request.url).pathname];
    return answer === undefined ? new Response('no', { status: 404 }) : Response.json(answer);
  });
}

/** The socket of a server. */
function answering(fetch: (request: Request) => Response | Promise<Response>): string {
  const directory = mkdtempSync(join(tmpdir(), 'hostport-cilium-'));
  const socket = join(directory, 'cilium.sock');
  const server = Bun.serve({ unix: socket, fetch });
  stops.push(() => {
    void server.stop(true);
    rmSync(directory, { recursive: true });
  });
  return socket;
}

const health = (enabled: boolean | undefined) => ({
  cilium: { state: 'Ok', msg: '1.20.2 (v1.20.2-abc)' },
  'kube-proxy-replacement': {
    mode: 'True',
    features: { hostPort: enabled === undefined ? {} : { enabled } },
  },
});
const service = (type: string, port: number) => ({
  spec: {
    id: 5,
    'frontend-address': { ip: '172.17.0.3', port, protocol: 'TCP' },
    'backend-addresses': [{ ip: '10.244.1.7', port: 8080, protocol: 'TCP', state: 'active' }],
    flags: { type, name: 'default/echo:host-port:80:uid', namespace: 'default' },
  },
});

test('nothing where there is no agent', async () => {
  expect(await readCilium('/nowhere/cilium.sock')).toBeUndefined();
});

test('the hostPorts that it maps, and no other service', async () => {
  const socket = agent({
    '/v1/healthz': health(true),
    '/v1/service': [service('HostPort', 80), service('NodePort', 30000), { status: {} }],
  });
  expect(await readCilium(socket)).toEqual({
    value: {
      version: '1.20.2',
      hostPorts: true,
      mappings: [
        {
          address: '172.17.0.3',
          port: 80,
          protocol: 'TCP',
          backends: [{ address: '10.244.1.7', port: 8080 }],
        },
      ],
    },
  });
});

test.each([[false], [undefined]])('that it maps none, with hostPort enabled %p', async (enabled) => {
  // Not even asked for its services.
  const socket = agent({ '/v1/healthz': health(enabled) });
  expect(await readCilium(socket)).toEqual({ value: { version: '1.20.2', hostPorts: false, mappings: [] } });
});

test.each<[string, Record<string, unknown>, string]>([
  ['does not serve it', {}, 'GET /v1/healthz: status 404'],
  ['answers something else', { '/v1/healthz': [] }, 'expected object'],
  ['answers only half', { '/v1/healthz': health(true) }, 'GET /v1/service: status 404'],
])('that it is unknown when it %s', async (_, answers, why) => {
  const read = await readCilium(agent(answers));
  expect(read).toHaveProperty('unknown');
  expect((read as { unknown: string }).unknown).toContain(why);
});

test('that it is unknown when it redirects, and nothing is asked elsewhere', async () => {
  const asked: string[] = [];
  const elsewhere = Bun.serve({
    hostname: '127.0.0.1',
    port: 0,
    fetch(request) {
      asked.push(request.url);
      return Response.json(health(false));
    },
  });
  stops.push(() => void elsewhere.stop(true));
  const socket = answering(() => Response.redirect(elsewhere.url.href, 302));
  expect(await readCilium(socket)).toEqual({ unknown: `${socket}: GET /v1/healthz: status 302` });
  expect(asked).toEqual([]);
});

test('that it is unknown when it does not answer in time, and the connection is closed', async () => {
  const closed = Promise.withResolvers<void>();
  const socket = answering(({ signal }) => {
    signal.addEventListener('abort', () => closed.resolve());
    return new Promise<Response>(() => {});
  });
  expect(await readCilium(socket, 20)).toHaveProperty('unknown');
  await closed.promise;
});
