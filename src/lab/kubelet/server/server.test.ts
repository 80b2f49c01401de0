import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as tlsConnect } from 'node:tls';
import { FakeRuntime } from '../../../cri/runtime.fake.ts';
import { createAuthority, issueCertificate, type KeyedCertificate } from '../../../kube/pki.ts';
import type { Pod } from '../../../kube/types.ts';
import type { ObservedContainer } from '../observe.ts';
import type { Served } from './served.ts';
import { serveKubelet } from './server.ts';

const POD: Pod = {
  metadata: { name: 'web', namespace: 'default', uid: 'u-1' },
  spec: { containers: [{ name: 'main' }, { name: 'later' }] },
};

describe('the kubelet server', () => {
  let directory: string;
  let ca: KeyedCertificate;
  let known: KeyedCertificate;
  let stranger: KeyedCertificate;
  let server: Awaited<ReturnType<typeof serveKubelet>>;
  let streaming: Server;
  const heard: string[] = [];

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'kubelet-server-'));
    ca = await createAuthority('kubernetes');
    known = await issueCertificate(ca, { commonName: 'kube-apiserver-kubelet-client', usage: 'client' });
    stranger = await issueCertificate(await createAuthority('other'), {
      commonName: 'mallory',
      usage: 'client',
    });
    const serving = await issueCertificate(ca, {
      commonName: 'node-1',
      dnsNames: ['localhost'],
      ipAddresses: ['127.0.0.1'],
      usage: 'server',
    });
    const file = (name: string) => join(directory, name);
    await writeFile(file('ca.crt'), ca.certPem);
    await writeFile(file('kubelet.crt'), serving.certPem);
    await writeFile(file('kubelet.key'), serving.keyPem, { mode: 0o600 });
    await mkdir(file('main'));
    await writeFile(
      file('main/0.log'),
      ['one', 'two', 'three']
        .map((text, i) => `2026-01-01T00:00:0${i}.000000001Z stdout F ${text}\n`)
        .join(''),
    );

    // What the runtime's streaming server does: agrees to the upgrade, then echoes until the client has closed its side.
    streaming = createServer({ allowHalfOpen: true }, (socket: Socket) => {
      let upgraded = false;
      socket.on('data', (data) => {
        if (upgraded) {
          socket.write(data);
          return;
        }
        heard.push(data.toString());
        upgraded = true;
        socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: SPDY/3.1\r\nConnection: Upgrade\r\n\r\n');
      });
      socket.on('end', () => socket.end('bye'));
    });
    await new Promise<void>((resolve) => streaming.listen(0, '127.0.0.1', resolve));
    const { port } = streaming.address() as { port: number };

    const runtime = new FakeRuntime();
    runtime.streamingServer = `http://127.0.0.1:${port}`;
    const run = (id: string): ObservedContainer => ({
      id,
      name: 'main',
      attempt: 0,
      sandboxId: 's',
      state: 'running',
      createdAt: 1,
      startedAt: 1,
      finishedAt: 0,
      exitCode: 0,
      reason: '',
      message: '',
      image: '',
      imageRef: '',
      hash: '',
      restartCount: 0,
      logPath: file('main/0.log'),
      graceSeconds: 30,
    });
    const kubelet: Served = {
      runtime,
      nodeName: 'node-1',
      pods: () => [POD],
      containerRuns: async (_pod, name) => (name === 'main' ? [run('c-1')] : []),
      sandboxId: async () => 's-1',
    };
    server = await serveKubelet(kubelet, {
      port: 0,
      host: '127.0.0.1',
      certFile: file('kubelet.crt'),
      keyFile: file('kubelet.key'),
      clientCaFile: file('ca.crt'),
      log: () => {},
    });
  });

  afterAll(async () => {
    server.close();
    streaming.close();
    await rm(directory, { recursive: true });
  });

  const get = (path: string, client?: KeyedCertificate) =>
    fetch(`https://127.0.0.1:${server.port}${path}`, {
      tls: { ca: ca.certPem, cert: client?.certPem, key: client?.keyPem },
    } as RequestInit);

  test.each([
    ['nobody', () => undefined],
    ['a certificate of another CA', () => stranger],
  ])('%s is not served', async (_name, client) => {
    const answer = await get('/pods', client()).then(
      (response) => response.status,
      (error: Error) => error.message,
    );
    expect(answer).not.toBe(200);
    const raw = await exchange('GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n', client());
    expect(raw).not.toContain('200 OK');
    const upgrade = await exchange(
      'POST /exec/default/web/main?command=id&output=1 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n',
      client(),
    );
    expect(upgrade).not.toContain('101');
  });

  test.each([
    ['/healthz', 200, 'ok'],
    ['/containerLogs/default/web/main', 200, 'one\ntwo\nthree\n'],
    ['/containerLogs/default/web/main?tailLines=1', 200, 'three\n'],
    ['/containerLogs/default/web/main?limitBytes=5', 200, 'one\nt'],
    ['/containerLogs/default/web/main?sinceTime=2026-01-01T00:00:01Z', 200, 'two\nthree\n'],
    [
      '/containerLogs/default/web/main?tailLines=1&timestamps=true',
      200,
      '2026-01-01T00:00:02.000000001Z three\n',
    ],
    ['/containerLogs/default/web/main?tailLines=x', 400, 'tailLines: not a count: x'],
    [
      '/containerLogs/default/web/main?previous=true',
      400,
      'previous terminated container "main" in pod "web" not found',
    ],
    [
      '/containerLogs/default/web/later',
      400,
      'container "later" in pod "web" is waiting to start: ContainerCreating',
    ],
    ['/containerLogs/default/web/none', 404, 'container "none" in pod "web" is not found'],
    ['/containerLogs/default/gone/main', 404, 'pod "default/gone" does not exist'],
    ['/exec/default/web/main?command=id', 400, 'exec: the request has no Upgrade header'],
    ['/elsewhere', 404, 'no such path: /elsewhere'],
  ])('GET %s is %d', async (path, status, body) => {
    const response = await get(path, known);
    expect([response.status, await response.text()]).toEqual([status, body]);
  });

  test('/metrics counts what runs', async () => {
    const response = await get('/metrics', known);
    expect(response.headers.get('content-type')).toStartWith('text/plain; version=0.0.4');
    const text = await response.text();
    expect(text).toContain('\nkubelet_node_name{node="node-1"} 1\n');
    expect(text).toContain('\nkubelet_running_pods 0\n');
    expect(text).toMatch(/\nprocess_resident_memory_bytes \d+\n/);
  });

  test('/pods lists the pods', async () => {
    expect(await (await get('/pods', known)).json()).toMatchObject({ kind: 'PodList', items: [POD] });
  });

  test.each([
    ['SPDY over POST', 'POST', 'SPDY/3.1'],
    ['WebSocket over GET', 'GET', 'websocket'],
  ])(
    '%s is passed on, bytes flow both ways, and each direction ends by itself',
    async (_name, method, protocol) => {
      heard.length = 0;
      const got = await exchange(
        `${method} /exec/default/web/main?command=sh&command=-c&input=1&output=1 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: ${protocol}\r\nSec-WebSocket-Key: a2V5\r\nX-Stream-Protocol-Version: v4.channel.k8s.io\r\nAuthorization: Bearer secret\r\n\r\n`,
        known,
      );
      expect(got).toStartWith('HTTP/1.1 101 Switching Protocols\r\n');
      // What the client sent before it closed its side comes back, and so does what is said only after that.
      expect(got).toEndWith('firstbye');
      expect(heard[0]).toStartWith(`${method} /exec/c-1/sh,-c/stdin,stdout HTTP/1.1\r\n`);
      expect(heard[0]).toContain('X-Stream-Protocol-Version: v4.channel.k8s.io\r\n');
      expect(heard[0]).toContain('Sec-WebSocket-Key: a2V5\r\n');
      expect(heard[0]).toContain(`Upgrade: ${protocol}\r\n`);
      expect(heard[0]).not.toContain('secret');
    },
  );

  test.each([
    ['/exec/default/web/later?command=id', 404, 'container not found ("later")'],
    ['/portForward/default/gone?port=80', 404, 'pod "default/gone" does not exist'],
  ])('an upgrade to %s is refused', async (path, status, message) => {
    const got = await exchange(
      `POST ${path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n`,
      known,
    );
    expect(got).toStartWith(`HTTP/1.1 ${status} `);
    expect(got).toEndWith(message);
  });

  /** Sends text over TLS, closes its side, and returns everything that came back (or the error). */
  function exchange(text: string, client: KeyedCertificate | undefined): Promise<string> {
    return new Promise((resolve) => {
      const socket = tlsConnect({
        host: '127.0.0.1',
        port: server.port,
        ca: ca.certPem,
        cert: client?.certPem,
        key: client?.keyPem,
        allowHalfOpen: true,
      } as Parameters<typeof tlsConnect>[0] & object);
      let got = '';
      socket.on('data', (data: Buffer) => {
        got += data.toString();
        if (got.endsWith('\r\n\r\n') && got.includes(' 101 ')) socket.write('first');
        if (got.includes('first')) socket.end();
      });
      socket.on('error', (error: Error) => resolve(`${got}${error.message}`));
      socket.on('close', () => resolve(got));
      socket.on('end', () => socket.end());
      socket.write(text);
    });
  }
});
