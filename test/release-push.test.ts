import { afterAll, afterEach, beforeAll, describe, expect, test } from 'bun:test';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { tarGzip, textEntry } from '../scripts/release/archive.ts';
import { dockerCredentials } from '../scripts/release/push/docker-credentials.ts';
import { pushChart } from '../scripts/release/push/push-chart.ts';
import { pushImage } from '../scripts/release/push/push-image.ts';
import { RegistryClient, tokenServer } from '../scripts/release/push/registry-client.ts';
import { parseRegistry } from '../scripts/release/registry.ts';
import { type Descriptor, LayoutWriter } from '../src/lab/images/oci.ts';
import type { Exec } from '../src/sys/exec.ts';
import { type RegistryFake, type RegistryFakeOptions, startRegistry } from './release/registry.fake.ts';

const scratch = mkdtempSync(join(tmpdir(), 'hostport-push-test-'));
const layout = join(scratch, 'layout');
let index: Descriptor;
let bill: Descriptor;
let registry: RegistryFake | undefined;

beforeAll(async () => {
  const writer = new LayoutWriter(layout);
  const images: Descriptor[] = [];
  for (const architecture of ['amd64', 'arm64']) {
    const content = Buffer.from(architecture);
    const layer = await writer.zstdLayer([{ type: 'file', path: 'a', mode: 0o644, content }], 3);
    const created = '2026-01-01T00:00:00Z';
    images.push(await writer.platformImage({ layers: [layer], config: {}, architecture, created }));
  }
  index = writer.name(await writer.platformIndex(images, {}), 'registry.example/hostport-agent:1.2.3');
  bill = await writer.attach(index, 'application/vnd.cyclonedx+json', '{"bomFormat":"CycloneDX"}');
  await writer.finish();
});
afterEach(async () => {
  await registry?.stop();
  registry = undefined;
});
afterAll(() => rmSync(scratch, { recursive: true }));

function start(options?: RegistryFakeOptions): RegistryFake {
  registry = startRegistry(options);
  return registry;
}

const ACCOUNT = { username: 'ada', password: 'a:b' };
const REPOSITORY = 'owner/hostport-agent';
const push = (to: RegistryFake, credentials?: ConstructorParameters<typeof RegistryClient>[2]) =>
  pushImage(layout, new RegistryClient(to.domain, REPOSITORY, credentials), '1.2.3');

test.each<[string, RegistryFakeOptions]>([
  ['anybody', {}],
  ['a holder of a token', { account: ACCOUNT }],
  ['who has a password', { account: ACCOUNT, scheme: 'basic' }],
])('the image, both platforms and what is attached are pushed: %s', async (_, options) => {
  const to = start(options);
  const pushed = await push(to, options.account);
  expect(pushed).toMatchObject({ digest: index.digest, reference: 'registry.example/hostport-agent:1.2.3' });
  expect(pushed.sent).toBeGreaterThan(0);
  const tagged = to.manifests.get(`${REPOSITORY} 1.2.3`)!;
  expect(tagged.mediaType).toBe('application/vnd.oci.image.index.v1+json');
  expect(to.manifests.has(`${REPOSITORY} ${bill.digest}`)).toBe(true);
  // Two images and the bill, each with a layer and a configuration; and the tag is set last.
  expect(to.blobs.size).toBe(6);
  expect(to.asked.at(-1)).toBe(`PUT /v2/${REPOSITORY}/manifests/1.2.3`);
});

test.each<[string, RegistryFakeOptions]>([
  ['in the registry', {}],
  ['in another store', { redirects: 307 }],
  ['in another store, by an older status', { redirects: 302 }],
])('what is there already is not sent again: %s', async (_, options) => {
  const to = start(options);
  await push(to);
  to.asked.length = 0;
  expect((await push(to)).sent).toBe(0);
  expect(to.asked.filter((line) => line.startsWith('POST'))).toEqual([]);
});

test('a registry that does not know subjects gets a tag that lists what is attached, once', async () => {
  const to = start({ knowsSubjects: false });
  await push(to);
  await push(to);
  const list = to.manifests.get(`${REPOSITORY} ${index.digest.replace(':', '-')}`)!;
  const { manifests } = JSON.parse(Buffer.from(list.bytes).toString());
  expect(manifests).toEqual([
    {
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      digest: bill.digest,
      size: bill.size,
      artifactType: 'application/vnd.cyclonedx+json',
    },
  ]);
});

test('a chart is pushed as Helm pulls it', async () => {
  const to = start();
  const archive = join(scratch, 'hostport-1.2.3.tgz');
  const metadata = { name: 'hostport', version: '1.2.3', description: 'd' };
  writeFileSync(archive, await tarGzip([textEntry('hostport/Chart.yaml', JSON.stringify(metadata))]));
  const client = new RegistryClient(to.domain, 'owner/charts/hostport', undefined);
  const digest = await pushChart(archive, client);
  const { bytes } = to.manifests.get('owner/charts/hostport 1.2.3')!;
  expect(to.manifests.has(`owner/charts/hostport ${digest}`)).toBe(true);
  const { config, layers } = JSON.parse(Buffer.from(bytes).toString());
  expect(config.mediaType).toBe('application/vnd.cncf.helm.config.v1+json');
  const content = to.blobs.get(`owner/charts/hostport ${config.digest}`)!;
  expect(JSON.parse(Buffer.from(content).toString())).toEqual(metadata);
  expect(layers).toEqual([
    expect.objectContaining({ mediaType: 'application/vnd.cncf.helm.chart.content.v1.tar+gzip' }),
  ]);
});

describe('credentials are for the registry, and for whom it names', () => {
  test('a server that uploads go to gets none, and does not choose who does', async () => {
    const other = startRegistry({ account: ACCOUNT });
    try {
      const to = start({ account: ACCOUNT, uploadsTo: `http://${other.domain}` });
      await expect(push(to, ACCOUNT)).rejects.toThrow(/^the registry does not upload sha256:.*: status 401/);
      expect(other.asked).toEqual([`PUT /v2/${REPOSITORY}/blobs/uploads/0`]);
    } finally {
      await other.stop();
    }
  });

  test.each([
    ['https://auth.example/token', 'https://registry.example'],
    ['https://auth.example/token', 'http://127.0.0.1:5000'],
    ['http://127.0.0.1:5001/token', 'http://localhost:5000'],
  ])('%s for %s', (realm, registry) => expect(tokenServer(realm, new URL(registry)).href).toBe(realm));

  test.each([
    ['http://auth.example/token', 'https://registry.example'],
    ['http://auth.example/token', 'http://127.0.0.1:5000'],
    ['http://127.0.0.1:5001/token', 'https://registry.example'],
    ['ftp://127.0.0.1/token', 'http://127.0.0.1:5000'],
  ])('%s is refused for %s', (realm, registry) =>
    expect(() => tokenServer(realm, new URL(registry))).toThrow(
      `${new URL(registry).host} wants credentials sent without TLS, to ${realm}`,
    ),
  );

  test('what is not an address is refused', () =>
    expect(() => tokenServer('/token', new URL('https://registry.example'))).toThrow(
      'registry.example wants credentials sent to "/token", not a valid address',
    ));
});

describe('what is wrong is one line', () => {
  test('without credentials', async () => {
    const to = start({ account: ACCOUNT, scheme: 'basic' });
    await expect(push(to)).rejects.toThrow(
      `${to.domain} wants credentials, and docker's configuration has none for it; run "docker login ${to.domain}"`,
    );
  });

  test('with wrong ones', async () => {
    const to = start({ account: ACCOUNT });
    await expect(push(to, { ...ACCOUNT, password: 'x' })).rejects.toThrow(
      `the registry does not get a token from ${to.domain}: status 401: {"errors":[{"code":"UNAUTHORIZED"}]}`,
    );
  });

  test('where nobody answers', async () => {
    const to = start();
    await to.stop();
    await expect(push(to)).rejects.toThrow(`http://${to.domain} does not answer`);
  });
});

describe('the registry of the command line', () => {
  test.each([
    ['ghcr.io/owner', { domain: 'ghcr.io', below: 'owner/' }],
    ['registry.example:5000', { domain: 'registry.example:5000', below: '' }],
    ['localhost/a/b', { domain: 'localhost', below: 'a/b/' }],
  ])('%s', (text, expected) => expect(parseRegistry(text)).toEqual(expected));

  test.each([
    '',
    'owner',
    'owner/name',
    'https://ghcr.io/owner',
    'ghcr.io/Owner',
    'ghcr.io/a:b',
    'ghcr.io/a/',
  ])('%j is refused', (text) =>
    expect(() => parseRegistry(text)).toThrow(
      `cannot use the registry ${JSON.stringify(text)}: it names no registry; write it as ghcr.io/owner or `,
    ),
  );
});

describe('credentials of docker', () => {
  const helper: Exec = {
    async run(argv, options) {
      const known = argv[0] === 'docker-credential-vault' && options?.stdin === 'ghcr.io';
      const Username = argv[0] === 'docker-credential-vault' ? 'ada' : '<token>';
      return known
        ? { code: 0, stdout: JSON.stringify({ ServerURL: 'x', Username, Secret: 's' }), stderr: '' }
        : { code: 1, stdout: 'credentials not found in native keychain', stderr: '' };
    },
  };
  let count = 0;
  function credentials(config: unknown, domain: string) {
    const directory = join(scratch, `docker-${count++}`);
    mkdirSync(directory);
    const text = typeof config === 'string' ? config : JSON.stringify(config);
    writeFileSync(join(directory, 'config.json'), text);
    return dockerCredentials(domain, helper, { DOCKER_CONFIG: directory });
  }
  const auth = Buffer.from('ada:a:b').toString('base64');

  test.each<[string, unknown, string, unknown]>([
    ['in the file', { auths: { 'ghcr.io': { auth } } }, 'ghcr.io', ACCOUNT],
    ['by an address', { auths: { 'https://ghcr.io': { auth } } }, 'ghcr.io', ACCOUNT],
    ["of docker's own", { auths: { 'https://index.docker.io/v1/': { auth } } }, 'docker.io', ACCOUNT],
    ['a token', { auths: { 'ghcr.io': { identitytoken: 't' } } }, 'ghcr.io', { identityToken: 't' }],
    ['of a helper', { credsStore: 'vault' }, 'ghcr.io', { username: 'ada', password: 's' }],
    [
      'of a helper of the registry',
      { credHelpers: { 'ghcr.io': 'vault' } },
      'ghcr.io',
      { username: 'ada', password: 's' },
    ],
    ['not in the helper', { auths: { 'quay.io': {} }, credsStore: 'vault' }, 'quay.io', undefined],
    ['of another registry', { auths: { 'ghcr.io': { auth } } }, 'quay.io', undefined],
  ])('%s', async (_, config, domain, expected) => {
    expect(await credentials(config, domain)).toEqual(expected as never);
  });

  test('there are none without a file', async () => {
    expect(await dockerCredentials('ghcr.io', helper, { HOME: join(scratch, 'nowhere') })).toBeUndefined();
  });

  test.each<[string, unknown, string]>([
    ['no JSON', '{"auths": {"ghcr.io": {"auth": "c2VjcmV0', 'it is not JSON; run "docker login"'],
    ['another document', { auths: [1] }, 'it has not the fields that docker writes; run "docker login"'],
    [
      'half of it',
      { auths: { 'ghcr.io': { auth: 'YWRh' } } },
      '"auth" of ghcr.io is not a name with a password',
    ],
    ['a path as a helper', { credsStore: '../x' }, '"../x" is not a helper'],
  ])('%s is one line that shows nothing of it', async (_, config, problem) => {
    const failed = credentials(config, 'ghcr.io');
    await expect(failed).rejects.toThrow(problem);
    await expect(failed).rejects.not.toThrow('c2VjcmV0');
  });
});
