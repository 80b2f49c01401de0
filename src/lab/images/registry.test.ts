import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { createAuthority, issueCertificate, type KeyedCertificate } from '../../kube/pki.ts';
import { type Descriptor, LayoutWriter } from './oci.ts';
import { parseRange, serveRegistry } from './registry.ts';

const content = 'x'.repeat(2000);
let directory: string;
let server: ReturnType<typeof serveRegistry>;
let ca: string;
let client: KeyedCertificate;
let stranger: KeyedCertificate;
let layer: Descriptor;
let image: Descriptor;

async function publish(...references: string[]) {
  const writer = new LayoutWriter(directory);
  layer = await writer.layer([{ type: 'file', path: 'a', mode: 0o644, content: Buffer.from(content) }]);
  for (const reference of references) image = await writer.image(reference, [layer], {});
  await writer.finish();
}

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'hostport-registry-'));
  await publish('docker.io/inanimate/echo-server:latest', 'registry.k8s.io/pause:3.9');
  const authority = await createAuthority('lab');
  const own = await issueCertificate(authority, {
    commonName: 'registry',
    ipAddresses: ['127.0.0.1'],
    usage: 'server',
  });
  client = await issueCertificate(authority, { commonName: 'node', usage: 'client' });
  stranger = await issueCertificate(await createAuthority('other'), { commonName: 'node', usage: 'client' });
  ca = authority.certPem;
  server = serveRegistry(
    { hostname: '127.0.0.1', port: 0, layout: directory, cert: own.certPem, key: own.keyPem, clientCa: ca },
    () => {},
  );
});
afterAll(async () => {
  await server.stop(true);
  rmSync(directory, { recursive: true });
});

function get(path: string, init: RequestInit = {}, who = client) {
  const tls = { ca, cert: who.certPem, key: who.keyPem };
  return fetch(`https://127.0.0.1:${server.port}${path}`, { ...init, tls } as RequestInit);
}

describe('requests', () => {
  const cases: { name: string; method?: string; path: () => string; status: number; code?: string }[] = [
    { name: 'the version check', path: () => '/v2/', status: 200 },
    { name: 'a manifest by tag', path: () => '/v2/inanimate/echo-server/manifests/latest', status: 200 },
    {
      name: 'a manifest of its registry',
      path: () => '/v2/pause/manifests/3.9?ns=registry.k8s.io',
      status: 200,
    },
    {
      name: 'a manifest of another registry',
      path: () => '/v2/pause/manifests/3.9?ns=docker.io',
      status: 404,
      code: 'NAME_UNKNOWN',
    },
    { name: 'a manifest by digest', path: () => `/v2/pause/manifests/${image.digest}`, status: 200 },
    { name: 'HEAD of a manifest', method: 'HEAD', path: () => '/v2/pause/manifests/3.9', status: 200 },
    {
      name: 'a tag that is not there',
      path: () => '/v2/pause/manifests/9',
      status: 404,
      code: 'MANIFEST_UNKNOWN',
    },
    {
      name: 'a digest that is not there',
      path: () => `/v2/pause/manifests/sha256:${'0'.repeat(64)}`,
      status: 404,
      code: 'MANIFEST_UNKNOWN',
    },
    {
      name: 'a repository that is not there',
      path: () => '/v2/library/nginx/manifests/latest?ns=docker.io',
      status: 404,
      code: 'NAME_UNKNOWN',
    },
    { name: 'a blob', path: () => `/v2/pause/blobs/${layer.digest}`, status: 200 },
    {
      name: 'a blob that is not there',
      path: () => `/v2/pause/blobs/sha256:${'0'.repeat(64)}`,
      status: 404,
      code: 'BLOB_UNKNOWN',
    },
    {
      name: 'a blob by a path',
      path: () => '/v2/pause/blobs/..%2f..%2findex.json',
      status: 404,
      code: 'BLOB_UNKNOWN',
    },
    { name: 'the tags', path: () => '/v2/pause/tags/list', status: 200 },
    { name: 'the catalogue', path: () => '/v2/_catalog', status: 200 },
    {
      name: 'a push',
      method: 'POST',
      path: () => '/v2/pause/blobs/uploads/',
      status: 405,
      code: 'UNSUPPORTED',
    },
    { name: 'something else', path: () => '/', status: 404, code: 'NAME_UNKNOWN' },
  ];
  for (const { name, method, path, status, code } of cases) {
    test(`${name}: ${status}`, async () => {
      const response = await get(path(), { method });
      expect(response.status).toBe(status);
      const body = await response.text();
      if (code !== undefined) expect(JSON.parse(body).errors[0].code).toBe(code);
      if (method === 'HEAD') expect(body).toBe('');
    });
  }
});

test('a manifest carries its digest, type and length, on HEAD as well', async () => {
  for (const method of ['GET', 'HEAD']) {
    const { headers } = await get('/v2/pause/manifests/3.9', { method });
    expect(headers.get('docker-content-digest')).toBe(image.digest);
    expect(headers.get('content-type')).toBe('application/vnd.oci.image.manifest.v1+json');
    expect(headers.get('content-length')).toBe(String(image.size));
  }
});

test('a blob can be asked for in parts', async () => {
  const path = `/v2/pause/blobs/${layer.digest}`;
  const whole = Buffer.from(await (await get(path)).arrayBuffer());
  expect(whole.length).toBe(layer.size);
  const part = await get(path, { headers: { range: 'bytes=600-' } });
  expect(part.status).toBe(206);
  expect(part.headers.get('content-range')).toBe(`bytes 600-${layer.size - 1}/${layer.size}`);
  expect(Buffer.from(await part.arrayBuffer()).equals(whole.subarray(600))).toBe(true);
  const beyond = await get(path, { headers: { range: `bytes=${layer.size}-` } });
  expect([beyond.status, beyond.headers.get('content-range')]).toEqual([416, `bytes */${layer.size}`]);
});

test('ranges', () => {
  const cases: [header: string | null, range: unknown][] = [
    [null, undefined],
    ['bytes=0-0', { start: 0, end: 0 }],
    ['bytes=5-', { start: 5, end: 9 }],
    ['bytes=5-100', { start: 5, end: 9 }],
    ['bytes=-3', { start: 7, end: 9 }],
    ['bytes=-30', { start: 0, end: 9 }],
    ['bytes=10-', 'unsatisfiable'],
    ['bytes=6-5', 'unsatisfiable'],
    ['bytes=-', undefined],
    ['bytes=1-2,4-5', undefined],
    ['lines=1-2', undefined],
  ];
  for (const [header, range] of cases)
    expect([header, parseRange(header, 10) as unknown]).toEqual([header, range]);
});

test('an image that is published later is served', async () => {
  expect((await get('/v2/late/manifests/1?ns=registry.k8s.io')).status).toBe(404);
  await publish(
    'registry.k8s.io/late:1',
    'docker.io/inanimate/echo-server:latest',
    'registry.k8s.io/pause:3.9',
  );
  expect((await get('/v2/late/manifests/1?ns=registry.k8s.io')).status).toBe(200);
});

test('without a client certificate of the CA nothing is answered', async () => {
  await expect(get('/v2/', {}, stranger)).rejects.toThrow();
  const answered = await new Promise<string>((resolve) => {
    const socket = connect({ host: '127.0.0.1', port: server.port, ca });
    let received = '';
    socket.on('data', (chunk: Buffer) => {
      received += chunk;
    });
    socket.on('error', () => resolve(received));
    socket.on('close', () => resolve(received));
    socket.write('GET /v2/ HTTP/1.1\r\nHost: registry\r\nConnection: close\r\n\r\n');
  });
  expect(answered).toBe('');
  const known = await get('/v2/');
  expect(known.status).toBe(200);
});
