import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { createServer, type Server } from 'node:https';
import { createServer as createPlainServer } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect } from 'node:tls';
import { createAuthority, issueCertificate } from '../../kube/pki.ts';
import type { Pod } from '../../kube/types.ts';
import { waitFor } from '../../sys/wait.ts';
import { containerOf, kubeletAddressOf, kubeletPath } from './kubelet-proxy.ts';
import { FakeStorage } from './storage.fake.ts';
import { TestServer } from './test-server.fake.ts';

const twoContainers: Pod = {
  metadata: { name: 'p', namespace: 'n' },
  spec: { containers: [{ name: 'a' }, { name: 'b' }], initContainers: [{ name: 'i' }] },
};
const oneContainer: Pod = { metadata: { name: 'p', namespace: 'n' }, spec: { containers: [{ name: 'a' }] } };

describe('kubelet paths', () => {
  test.each([
    {
      sub: 'log',
      query: 'follow=true&tailLines=5&pretty=1',
      path: '/containerLogs/n/p/a?follow=true&tailLines=5',
    },
    { sub: 'log', query: 'container=a&previous=true', path: '/containerLogs/n/p/a?previous=true' },
    {
      sub: 'exec',
      query: 'command=ls&command=-l+x&stdin=true&stdout=true&tty=true',
      path: '/exec/n/p/a?input=1&output=1&tty=1&command=ls&command=-l+x',
    },
    { sub: 'attach', query: 'stdout=1&stderr=1', path: '/attach/n/p/a?output=1&error=1' },
    { sub: 'portforward', query: 'ports=80', path: '/portForward/n/p?ports=80' },
  ])('$sub?$query', ({ sub, query, path }) => {
    expect(kubeletPath(oneContainer, sub, new URLSearchParams(query))).toBe(path);
  });

  test.each([
    {
      asked: null,
      error:
        'a container name must be specified for pod p, choose one of: [a b] or one of the init containers: [i]',
    },
    { asked: 'x', error: 'container x is not valid for pod p' },
  ])('container $asked of two', ({ asked, error }) => {
    expect(() => containerOf(twoContainers, asked)).toThrow(error);
  });

  test('an init container can be named', () => {
    expect(containerOf(twoContainers, 'i')).toBe('i');
  });

  test('a node without an address', () => {
    expect(() => kubeletAddressOf({ status: { addresses: [] } })).toThrow('no preferred addresses found');
  });
});

describe('through the API server to a kubelet', () => {
  let kubelet: Server;
  let api: TestServer;
  const heard: string[] = [];
  let headers: IncomingHttpHeaders = {};
  /** Called when an endless answer has ended. */
  let ended = () => {};
  const base = '/api/v1/namespaces/default/pods';

  beforeAll(async () => {
    api = await TestServer.start(new FakeStorage(), async (config, ca) => {
      const names = { ipAddresses: ['127.0.0.1'], commonName: 'worker' };
      const serving = await issueCertificate(ca, { ...names, usage: 'server' });
      const client = await issueCertificate(ca, {
        commonName: 'kube-apiserver-kubelet-client',
        usage: 'client',
      });
      const tls = { cert: serving.certPem, key: serving.keyPem, ca: ca.certPem };
      kubelet = createServer({ ...tls, requestCert: true, rejectUnauthorized: true }, (request, response) => {
        heard.push(`${request.method} ${request.url}`);
        headers = request.headers;
        if (request.url?.includes('endless')) {
          response.write('one\n');
          response.on('close', () => ended());
        } else if (request.url?.includes('previous')) {
          response.statusCode = 400;
          response.end('previous terminated container "main" in pod "p" not found');
        } else {
          response.write('one\n');
          response.end('two\n');
        }
      });
      // What a runtime's streaming server does: agrees, greets, echoes, and says farewell when it has heard the end.
      kubelet.on('upgrade', (request: IncomingMessage, socket: Duplex) => {
        heard.push(`${request.method} ${request.url} ${request.headers.upgrade}`);
        if (request.url?.includes('command=refuse')) {
          socket.end('HTTP/1.1 404 Not Found\r\nContent-Length: 12\r\n\r\nno container');
          return;
        }
        socket.write(
          'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\nhello ',
        );
        socket.on('data', (data) => {
          if (String(data).endsWith('!')) socket.end(data);
          else socket.write(data);
        });
      });
      await new Promise<void>((resolve) => kubelet.listen(0, '127.0.0.1', resolve));
      return { ...config, kubeletCredentials: { cert: client.certPem, key: client.keyPem, ca: ca.certPem } };
    });
    const { port } = kubelet.address() as { port: number };
    await api.must('POST', '/api/v1/namespaces/default/serviceaccounts', { metadata: { name: 'default' } });
    const kubelets = { worker: port, closed: 1 };
    for (const [name, Port] of Object.entries(kubelets)) {
      await api.must('POST', '/api/v1/nodes', {
        metadata: { name },
        status: {
          addresses: [{ type: 'InternalIP', address: '127.0.0.1' }],
          daemonEndpoints: { kubeletEndpoint: { Port } },
        },
      });
    }
    const containers = [{ name: 'main', image: 'echo' }];
    await api.must('POST', base, { metadata: { name: 'p' }, spec: { nodeName: 'worker', containers } });
    await api.must('POST', base, { metadata: { name: 'unbound' }, spec: { containers } });
    await api.must('POST', base, { metadata: { name: 'lost' }, spec: { nodeName: 'gone', containers } });
  });
  afterAll(async () => {
    await api.stop();
    kubelet.close();
  });

  test.each([
    { name: 'a log', path: `${base}/p/log?tailLines=2`, status: 200, text: 'one\ntwo\n' },
    { name: 'the log of a pod without a node', path: `${base}/unbound/log`, status: 204, text: '' },
    {
      name: 'a log that the kubelet refuses',
      path: `${base}/p/log?previous=true`,
      status: 400,
      text: 'previous terminated container',
    },
    {
      name: 'a log of a node that is gone',
      path: `${base}/lost/log`,
      status: 500,
      text: 'nodes \\"gone\\" not found',
    },
    {
      name: 'a log of a container that is not there',
      path: `${base}/p/log?container=x`,
      status: 400,
      text: 'container x is not valid for pod p',
    },
  ])('$name', async ({ path, status, text }) => {
    const answer = await api.ask('GET', path);
    expect(answer.status).toBe(status);
    expect(answer.text).toContain(text);
  });

  test.each([
    { path: '/metrics?x=1', heard: 'GET /metrics?x=1', status: 200, text: 'one\ntwo\n' },
    { path: '/a%2Fb/c', heard: 'GET /a%2Fb/c', status: 200, text: 'one\ntwo\n' },
    { path: '/', heard: 'GET /', status: 200, text: 'one\ntwo\n' },
    { path: '/previous', heard: 'GET /previous', status: 400, text: 'previous terminated container' },
  ])('nodes/proxy$path', async ({ path, heard: request, status, text }) => {
    const { port } = kubelet.address() as { port: number };
    for (const name of ['worker', `worker:${port}`]) {
      heard.length = 0;
      const answer = await api.ask('GET', `/api/v1/nodes/${name}/proxy${path}`);
      expect(answer.status).toBe(status);
      expect(answer.text).toContain(text);
      expect(heard).toEqual([request]);
    }
  });

  test('what says who asks is not passed on by a proxy', async () => {
    const asked = await fetch(`${api.url}/api/v1/nodes/worker/proxy/metrics`, {
      headers: {
        authorization: 'Bearer admin',
        'impersonate-user': 'x',
        'impersonate-group': 'system:masters',
        'x-own': 'kept',
      },
      tls: { ca: api.ca.certPem },
    } as RequestInit);
    expect(await asked.text()).toBe('one\ntwo\n');
    expect(headers['x-own']).toBe('kept');
    expect(Object.keys(headers).filter((name) => /^(authorization|impersonate-)/.test(name))).toEqual([]);
  });

  test('a client that leaves ends what it asked a kubelet through a proxy', async () => {
    const left = Promise.withResolvers<void>();
    ended = () => left.resolve();
    const leaving = new AbortController();
    const answer = await fetch(`${api.url}/api/v1/nodes/worker/proxy/endless`, {
      headers: { authorization: 'Bearer admin' },
      signal: leaving.signal,
      tls: { ca: api.ca.certPem },
    } as RequestInit);
    expect(answer.status).toBe(200);
    leaving.abort();
    await left.promise;
    await waitFor(
      'the request to be counted as ended',
      // The one that is under way is the one that asks.
      async () =>
        (await api.ask('GET', '/metrics')).text.includes(`inflight_requests{request_kind="readOnly"} 1\n`),
      { timeoutMs: 5000 },
    );
  });

  test('a proxy needs its own right, and an address', async () => {
    const refused = await api.ask('GET', '/api/v1/nodes/worker/proxy/metrics', undefined, { user: 'bob' });
    expect(refused.body.message).toContain('cannot get resource "nodes/proxy"');
    expect((await api.ask('GET', `${base}/p/proxy/`)).body.message).toBe('address not allowed');
    expect((await api.ask('GET', `${base}/p/log/more`)).status).toBe(404);
    expect((await api.ask('GET', '/api/v1/nodes/worker:1/proxy/metrics')).body.message).toBe(
      'address not allowed',
    );
    const closed = await api.ask('GET', '/api/v1/nodes/closed/proxy/metrics');
    expect(closed.body).toMatchObject({ code: 503, reason: 'ServiceUnavailable' });
    expect(closed.body.message).toStartWith('error trying to reach service: ');
  });

  test('nobody learns from it what listens at the address that a node gives itself', async () => {
    const plain = createPlainServer((socket) => socket.end('SSH-2.0-x\r\n'));
    const silent = createPlainServer(() => {});
    const other = await issueCertificate(await createAuthority('other'), {
      ...{ ipAddresses: ['127.0.0.1'], commonName: 'worker', usage: 'server' },
    });
    const foreign = createServer({ cert: other.certPem, key: other.keyPem }, (_, response) => response.end());
    const servers = [plain, foreign];
    const ports = await Promise.all(
      [...servers, silent].map(async (server) => {
        await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
        return (server.address() as { port: number }).port;
      }),
    );
    // Nobody listens there any more.
    await new Promise((resolve) => silent.close(resolve));
    try {
      const answers = new Set<string>();
      for (const [i, Port] of ports.entries()) {
        const name = `scan-${i}`;
        await api.must('POST', '/api/v1/nodes', {
          metadata: { name },
          status: {
            addresses: [{ type: 'InternalIP', address: '127.0.0.1' }],
            daemonEndpoints: { kubeletEndpoint: { Port } },
          },
        });
        const pod = {
          metadata: { name },
          spec: { nodeName: name, containers: [{ name: 'main', image: 'echo' }] },
        };
        await api.must('POST', base, pod);
        const answered = [
          (await api.ask('GET', `${base}/${name}/log`)).text,
          (await api.ask('GET', `/api/v1/nodes/${name}/proxy/metrics`)).text,
          (await upgrade(`${base}/${name}/exec?command=ls`)).replace(/content-length: \d+/i, ''),
        ];
        answers.add(answered.join('\n').replaceAll(name, 'NAME').replaceAll(String(Port), 'PORT'));
      }
      expect([...answers]).toEqual([expect.stringContaining('no kubelet of this cluster answers there')]);
    } finally {
      for (const server of servers) server.close();
    }
  });

  /** Asks for an upgrade, says `word!` once it is granted, and returns everything that came back. */
  function upgrade(
    path: string,
    options: { token?: string; protocol?: string; head?: string; subprotocol?: string } = {},
  ): Promise<string> {
    const { token = 'admin', protocol = 'SPDY/3.1', head = '', subprotocol } = options;
    const handshake =
      protocol !== 'websocket'
        ? ''
        : 'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n' +
          (subprotocol === undefined ? '' : `Sec-WebSocket-Protocol: ${subprotocol}\r\n`);
    const { hostname, port } = new URL(api.url);
    return new Promise((resolve, reject) => {
      let text = '';
      const socket = connect({ host: hostname, port: Number(port), ca: api.ca.certPem }, () => {
        socket.write(
          `${handshake === '' ? 'POST' : 'GET'} ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\nConnection: Upgrade\r\nUpgrade: ${protocol}\r\n${handshake}\r\n${head}`,
        );
      });
      let said = head !== '';
      socket.on('data', (data: Buffer) => {
        text += data;
        if (!said && text.includes('hello')) {
          said = true;
          socket.write('word!');
        }
      });
      socket.on('error', reject);
      socket.on('close', () => resolve(text));
    });
  }

  test('exec is passed on, then bytes both ways to the last', async () => {
    const text = await upgrade(`${base}/p/exec?command=ls&stdout=true`);
    expect(text).toStartWith('HTTP/1.1 101 Switching Protocols\r\n');
    expect(text).toContain('Upgrade: SPDY/3.1');
    expect(text).toEndWith('\r\n\r\nhello word!');
    expect(heard).toContain('POST /exec/default/p/main?output=1&command=ls SPDY/3.1');
  });

  test.each(['channel.k8s.io', 'base64.channel.k8s.io', undefined])(
    'exec over a WebSocket of %p is the runtime’s to speak',
    async (subprotocol) => {
      const text = await upgrade(`${base}/p/exec?command=ls`, { protocol: 'websocket', subprotocol });
      expect(text).toEndWith('\r\n\r\nhello word!');
      expect(heard).toContain('GET /exec/default/p/main?command=ls websocket');
    },
  );

  test.each([
    { path: 'p', log: 'one\ntwo\n' },
    { path: 'unbound', log: '' },
  ])('the log of $path over a WebSocket', async ({ path, log }) => {
    const url = `${api.url.replace('https:', 'wss:')}${base}/${path}/log`;
    const socket = new WebSocket(url, {
      headers: { authorization: 'Bearer admin' },
      protocols: ['binary.k8s.io'],
      tls: { ca: api.ca.certPem },
    } as never);
    socket.binaryType = 'arraybuffer';
    const messages: Buffer[] = [];
    socket.addEventListener('message', ({ data }) => messages.push(Buffer.from(data as ArrayBuffer)));
    const { code } = await new Promise<CloseEvent>((resolve) => socket.addEventListener('close', resolve));
    expect(code).toBe(1000);
    expect(Buffer.concat(messages).toString()).toBe(log);
  });

  test.each([
    {
      name: 'nobody',
      path: `${base}/p/exec?command=ls`,
      options: { token: 'wrong' },
      status: 401,
      text: 'Unauthorized',
    },
    {
      name: 'one who may not',
      path: `${base}/p/exec?command=ls`,
      options: { token: 'bob' },
      status: 403,
      text: 'User \\"bob\\" cannot create resource \\"pods/exec\\"',
    },
    {
      name: 'a pod without a node',
      path: `${base}/unbound/exec?command=ls`,
      options: {},
      status: 400,
      text: 'pod unbound does not have a host assigned',
    },
    {
      name: 'a pod that is not there',
      path: `${base}/no/exec?command=ls`,
      options: {},
      status: 404,
      text: 'pods \\"no\\" not found',
    },
    {
      name: 'what the kubelet refuses',
      path: `${base}/p/exec?command=refuse`,
      options: {},
      status: 404,
      text: 'no container',
    },
    {
      name: 'something that is not a stream',
      path: `${base}/p/log`,
      options: {},
      status: 400,
      text: 'only exec, attach, portforward and log',
    },
    {
      name: 'a WebSocket of an unknown kind',
      path: `${base}/p/exec?command=ls`,
      options: { protocol: 'websocket', subprotocol: 'SPDY/3.1+portforward.k8s.io' },
      status: 400,
      text: 'no WebSocket subprotocol',
    },
    {
      name: 'a log as a WebSocket of an unknown kind',
      path: `${base}/p/log`,
      options: { protocol: 'websocket', subprotocol: 'text.k8s.io' },
      status: 400,
      text: 'only exec, attach, portforward and log',
    },
    {
      name: 'a log for one who may not',
      path: `${base}/p/log`,
      options: { protocol: 'websocket', token: 'bob' },
      status: 403,
      text: 'User \\"bob\\" cannot get resource \\"pods/log\\"',
    },
    {
      name: 'a log that the kubelet refuses',
      path: `${base}/p/log?previous=true`,
      options: { protocol: 'websocket' },
      status: 400,
      text: 'previous terminated container',
    },
  ])('an upgrade for $name: $status', async ({ path, options, status, text }) => {
    const answer = await upgrade(path, options);
    expect(answer).toStartWith(`HTTP/1.1 ${status} `);
    expect(answer).toContain(text);
  });
});
