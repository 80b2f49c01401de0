import { afterAll, beforeAll, expect, test } from 'bun:test';
import { spawn } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import net from 'node:net';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { selfSignedCertificate } from './certificate.ts';
import { serveEcho } from './server.ts';

const certificate = selfSignedCertificate('echo-server', ['localhost', '127.0.0.1'], new Date());
const lines: string[] = [];
let plain: ReturnType<typeof serveEcho>;
let tls: ReturnType<typeof serveEcho>;

beforeAll(() => {
  const options = {
    port: 0,
    headers: [['X-Real-Server', 'echo-server']] as [string, string][],
    environment: { HOME: '/' },
    log: (line: string) => lines.push(line),
  };
  plain = serveEcho(options);
  tls = serveEcho({ ...options, certificate });
});
afterAll(() => Promise.all([plain.stop(true), tls.stop(true)]));

const at = (path: string) => `http://127.0.0.1:${plain.port}${path}`;

test('any path answers with the page, the header and the address of the client', async () => {
  const socket = net.connect(plain.port!, '127.0.0.1');
  const answer = await new Promise<string>((resolve) => {
    let text = '';
    socket.on('data', (chunk) => {
      text += chunk;
    });
    socket.on('close', () => resolve(text));
    socket.write('GET /any/where?x=1 HTTP/1.1\r\nHost: echo\r\nx-lower: v\r\nConnection: close\r\n\r\n');
    socket.once('connect', () => lines.push(`from ${socket.localPort}`));
  });
  const from = lines.find((line) => line.startsWith('from '))!.slice(5);
  expect(answer).toStartWith('HTTP/1.1 200 OK\r\n');
  expect(answer).toMatch(/\r\nX-Real-Server: echo-server\r\n/i);
  expect(answer).toMatch(/\r\nContent-Type: text\/plain\r\n/i);
  expect(answer).toContain(`-> My hostname is: ${hostname()}\n`);
  expect(answer).toContain(`-> Requesting IP: 127.0.0.1:${from}\n`);
  expect(answer).toContain(
    '\n  HTTP/1.1 GET /any/where?x=1\n\n  Host: echo\n  Connection: close\n  X-Lower: v\n\n\n',
  );
  expect(lines).toContain(`127.0.0.1:${from} | GET /any/where?x=1`);
});

test('HEAD has the headers and no body', async () => {
  const response = await fetch(at('/'), { method: 'HEAD' });
  expect([response.status, response.headers.get('x-real-server'), await response.text()]).toEqual([
    200,
    'echo-server',
    '',
  ]);
});

test('what is posted comes back below the page', async () => {
  const sent = Buffer.alloc(3_000_000, 'echo');
  const response = await fetch(at('/'), { method: 'POST', body: sent });
  const body = Buffer.from(await response.arrayBuffer());
  expect(body.subarray(0, 10).toString()).toBe('Welcome to');
  expect(body.subarray(-sent.length).equals(sent)).toBe(true);
  expect(body.subarray(0, -sent.length).toString()).toEndWith('hub.docker.com/r/inanimate/echo-server\n');
});

test('many at once are all answered', async () => {
  const pages = await Promise.all(
    Array.from({ length: 200 }, async (_, i) => (await fetch(at(`/${i}`))).text()),
  );
  pages.forEach((page, i) => {
    expect(page).toContain(`HTTP/1.1 GET /${i}\n`);
  });
});

test('the port for TLS answers with a certificate for its names', async () => {
  const response = await fetch(`https://localhost:${tls.port}/`, {
    tls: { ca: certificate.certPem },
  } as RequestInit);
  expect(await response.text()).toStartWith('Welcome to echo-server!');
  const shown = await new Promise<X509Certificate>((resolve, reject) => {
    const socket = connectTls({ host: '127.0.0.1', port: tls.port, rejectUnauthorized: false }, () => {
      resolve(new X509Certificate(socket.getPeerCertificate().raw));
      socket.destroy();
    });
    socket.on('error', reject);
  });
  expect(shown.verify(shown.publicKey)).toBe(true);
  expect(shown.checkHost('localhost')).toBe('localhost');
  expect(shown.checkIP('127.0.0.1')).toBe('127.0.0.1');
  expect(shown.subject).toBe('CN=echo-server');
});

test('a certificate that lives past 2050 is still one', () => {
  const { certPem } = selfSignedCertificate(
    'echo-server',
    ['a'.repeat(200)],
    new Date('2045-01-01T00:00:00Z'),
  );
  const parsed = new X509Certificate(certPem);
  expect(new Date(parsed.validTo).getUTCFullYear()).toBe(2054);
  expect(parsed.verify(parsed.publicKey)).toBe(true);
});

test('a WebSocket on any path greets and then echoes, text and bytes', async () => {
  for (const path of ['/', '/ws', '/deep/path']) {
    const socket = new WebSocket(`ws://127.0.0.1:${plain.port}${path}`);
    socket.binaryType = 'arraybuffer';
    const received: unknown[] = [];
    const all = new Promise<void>((resolve, reject) => {
      socket.onmessage = ({ data }) => {
        received.push(typeof data === 'string' ? data : [...new Uint8Array(data as ArrayBuffer)]);
        if (received.length === 1) socket.send('hello');
        if (received.length === 2) socket.send(new Uint8Array([0, 255]));
        if (received.length === 3) resolve();
      };
      socket.onerror = () => reject(new Error(`WebSocket on ${path} failed`));
    });
    await all;
    socket.close();
    expect(received).toEqual([`Request served by ${hostname()}`, 'hello', [0, 255]]);
  }
});

test('/ws without an upgrade is a page that needs nothing else', async () => {
  const response = await fetch(at('/ws?x'));
  expect(response.headers.get('content-type')).toBe('text/html');
  const html = await response.text();
  expect(html).toContain('new WebSocket(');
  expect(html).not.toMatch(/(src|href)=/);
});

test('an invalid handshake is a bad request', async () => {
  const response = await fetch(at('/'), { headers: { connection: 'upgrade', upgrade: 'websocket' } });
  expect(response.status).toBe(400);
});

/** Two ports that were free a moment ago. */
async function freePorts(): Promise<[number, number]> {
  const servers = [net.createServer(), net.createServer()];
  await Promise.all(servers.map((server) => new Promise<void>((resolve) => server.listen(0, resolve))));
  const ports = servers.map((server) => (server.address() as net.AddressInfo).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return [ports[0]!, ports[1]!];
}

function daemon(environment: Record<string, string>) {
  const program = `
    import { main } from ${JSON.stringify(join(import.meta.dir, 'main.ts'))};
    try { process.exit(await main([])); } catch (error) { console.error(error.message); process.exit(1); }
  `;
  const child = spawn(process.execPath, ['-e', program], { env: environment });
  let output = '';
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk) => {
      output += chunk;
    });
  }
  return { child, ended, output: () => output };
}

test('the daemon listens on both ports, takes large headers and ends on SIGTERM with 0', async () => {
  const [port, sslPort] = await freePorts();
  const { child, ended, output } = daemon({ PORT: String(port), SSLPORT: String(sslPort) });
  const both = new Promise<void>((resolve) => {
    child.stdout.on('data', () => {
      if (output().includes(`Echo server listening on ssl port ${sslPort}.`)) resolve();
    });
  });
  await Promise.race([
    both,
    ended.then((code) => Promise.reject(new Error(`ended with ${code}: ${output()}`))),
  ]);
  const large = 'x'.repeat(500_000);
  const response = await fetch(`http://127.0.0.1:${port}/`, { headers: { 'x-large': large } });
  expect(await response.text()).toContain(`  X-Large: ${large}\n`);
  child.kill('SIGTERM');
  expect(await ended).toBe(0);
});

test('the daemon says what keeps it from starting', async () => {
  const { ended, output } = daemon({ ADD_HEADERS: 'X-Foo: bar' });
  expect(await ended).toBe(1);
  expect(output()).toContain('ADD_HEADERS=X-Foo: bar: is not JSON');
  const busy = daemon({ PORT: String(plain.port), SSLPORT: '1' });
  expect(await busy.ended).toBe(1);
  expect(busy.output()).toContain(`cannot listen on port ${plain.port}`);
});
