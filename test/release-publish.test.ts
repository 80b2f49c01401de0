import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { createHash } from 'node:crypto';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { artefactsIn, sums, tarGzip, textEntry } from '../scripts/release/archive.ts';
import { assetSums } from '../scripts/release/assets.ts';
import { dockerLogin } from '../scripts/release/docker-login.ts';
import { checkPublishable, publishingCommands } from '../scripts/release/publish.ts';
import { type Published, publishedOf } from '../scripts/release/published.ts';
import { dockerCredentials } from '../scripts/release/push/docker-credentials.ts';
import { checkSigned, signingCommands } from '../scripts/release/sign.ts';
import { readRelease, type WrittenRelease } from '../scripts/release/written.ts';
import { type Exec, realExec } from '../src/sys/exec.ts';

const scratch = mkdtempSync(join(tmpdir(), 'hostport-publish-'));
afterAll(() => rmSync(scratch, { recursive: true }));

const release = join(scratch, 'release');
const at = (name: string) => join(release, name);
const AGENT = `sha256:${'a'.repeat(64)}`;
const DOWNLOADS = 'https://example.com/releases/download';
const packageOf = (id: string) => {
  const [, name, version] = /^(.+)@(.+)$/.exec(id)!;
  return tarGzip([textEntry('package/package.json', JSON.stringify({ name, version }))]);
};

/** Writes a release, as `make release` would with these parameters. */
async function writeRelease(directory: string, parameters: Record<string, string>): Promise<void> {
  const write = (name: string, content: string | Uint8Array) => {
    mkdirSync(join(directory, name, '..'), { recursive: true });
    writeFileSync(join(directory, name), content);
  };
  const predicate = { buildDefinition: { externalParameters: parameters } };
  const files: Record<string, string | Uint8Array> = {
    'hostport-1.2.3-linux-amd64.tar.gz': '',
    'hostport-1.2.3.intoto.json': JSON.stringify({ predicate }),
    'install.sh': 'script',
    'man/hostport.1': '',
    'manifests/plugin.yaml': 'plugin',
    'images/hostport-agent-1.2.3.oci.tar': '',
    'images/digests.txt': `${AGENT}  hostport-agent\n`,
    'npm/hostport-1.2.3.tgz': await packageOf('hostport@1.2.3'),
    'npm/hostport-cni-1.2.3.tgz': await packageOf('@hostport/cni@1.2.3'),
    'npm/hostport-linux-x64-1.2.3.tgz': await packageOf('@hostport/linux-x64@1.2.3'),
    'npm/hostport-linux-arm64-musl-1.2.3.tgz': await packageOf('@hostport/linux-arm64-musl@1.2.3'),
  };
  for (const [name, content] of Object.entries(files)) write(name, content);
  write('assets/SHA256SUMS', assetSums(await artefactsIn(directory)));
  write('SHA256SUMS', sums(await artefactsIn(directory)));
}

const WHOLE = { version: '1.2.3', registry: 'ghcr.io/owner', downloads: DOWNLOADS };
let written: WrittenRelease;
beforeAll(async () => {
  await writeRelease(release, WHOLE);
  written = await readRelease('1.2.3', release);
});

test('the checksums and each image by its digest are signed', () => {
  expect(signingCommands(release, 'ghcr.io/owner')).toEqual([
    ...['SHA256SUMS', 'assets/SHA256SUMS'].map((name) => [
      ...['cosign', 'sign-blob', '--yes', '--bundle', at(`${name}.sigstore.json`), at(name)],
    ]),
    ['cosign', 'sign', '--yes', '--recursive', `ghcr.io/owner/hostport-agent@${AGENT}`],
  ]);
});

test('an image without a digest is not signed', () => {
  const broken = join(scratch, 'broken');
  mkdirSync(join(broken, 'images'), { recursive: true });
  writeFileSync(join(broken, 'images/digests.txt'), `${AGENT}  hostport-agent\n`);
  writeFileSync(join(broken, 'images/hostport-cni-1.2.3.oci.tar'), '');
  expect(() => signingCommands(broken, 'ghcr.io/owner')).toThrow('images/digests.txt has no hostport-cni');
});

describe('a written release', () => {
  test('has its files, and where they are for', () => {
    expect(written).toMatchObject({ registry: 'ghcr.io/owner', downloads: DOWNLOADS });
    expect(written.files).toHaveLength(12);
  });

  test.each<[string, string, (directory: string) => void]>([
    ['is not there', 'it is not in DIR', (directory) => rmSync(directory, { recursive: true })],
    [
      'has a file that changed',
      'install.sh is not the one of SHA256SUMS in DIR',
      (directory) => writeFileSync(join(directory, 'install.sh'), 'another'),
    ],
    ['lacks a file', 'install.sh is missing in DIR', (directory) => rmSync(join(directory, 'install.sh'))],
    [
      'has one more',
      'images/hostport-x-1.oci.tar in DIR is not in SHA256SUMS',
      (directory) => writeFileSync(join(directory, 'images/hostport-x-1.oci.tar'), ''),
    ],
  ])('that %s is not used', async (name, problem, change) => {
    const directory = join(scratch, name.replaceAll(' ', '-'));
    await writeRelease(directory, WHOLE);
    change(directory);
    await expect(readRelease('1.2.3', directory)).rejects.toThrow(
      `cannot use the release 1.2.3: ${problem.replace('DIR', directory)}; run "make release" first`,
    );
  });

  test('of another version is not used', async () => {
    await expect(readRelease('1.2.4', release)).rejects.toThrow(`${release} has another version`);
    const directory = join(scratch, 'renamed');
    await writeRelease(directory, { ...WHOLE, version: '1.2.2' });
    await expect(readRelease('1.2.3', directory)).rejects.toThrow('hostport-1.2.3.intoto.json is of 1.2.2');
  });

  test('that is signed is still the same', async () => {
    const directory = join(scratch, 'signed');
    await writeRelease(directory, WHOLE);
    const signed = await readRelease('1.2.3', directory);
    expect(() => checkSigned(signed)).toThrow(
      'cannot publish 1.2.3: it is not signed; run "make sign" first',
    );
    writeFileSync(join(directory, 'assets/SHA256SUMS.sigstore.json'), '{}');
    expect(await readRelease('1.2.3', directory)).toEqual(signed);
    expect(() => checkSigned(signed)).not.toThrow();
  });
});

test('the published checksums verify what was downloaded into one directory', async () => {
  const downloaded = join(scratch, 'downloaded');
  mkdirSync(downloaded);
  for (const name of ['assets/SHA256SUMS', 'manifests/plugin.yaml', 'install.sh'])
    copyFileSync(at(name), join(downloaded, basename(name)));
  const check = () =>
    realExec.run(['sha256sum', '--check', '--ignore-missing', 'SHA256SUMS'], { cwd: downloaded });
  expect(await check()).toMatchObject({ code: 0, stdout: 'install.sh: OK\nplugin.yaml: OK\n' });
  writeFileSync(join(downloaded, 'plugin.yaml'), 'another');
  expect(await check()).toMatchObject({ code: 1, stdout: expect.stringContaining('plugin.yaml: FAILED') });
});

test('two files of one base name cannot be published', () => {
  const files = ['chart/a.tgz', 'krew/a.tgz'].map((name) => ({ name, sha256: 'a'.repeat(64) }));
  expect(() => assetSums(files)).toThrow('chart/a.tgz and krew/a.tgz would both be published as a.tgz');
});

describe('publishing', () => {
  const nothing: Published = { packages: new Set(), release: 'absent' };
  const upload = [
    ...['gh', 'release', 'upload', 'v1.2.3', '--clobber'],
    ...[
      'hostport-1.2.3-linux-amd64.tar.gz',
      'hostport-1.2.3.intoto.json',
      'images/digests.txt',
      'images/hostport-agent-1.2.3.oci.tar',
      'install.sh',
      'manifests/plugin.yaml',
      'assets/SHA256SUMS',
      'assets/SHA256SUMS.sigstore.json',
    ].map(at),
  ];
  const finish = ['gh', 'release', 'edit', 'v1.2.3', '--draft=false'];

  test('a draft comes first, then packages of platforms and what needs them, and the draft is published last', () => {
    const [create, uploaded, ...rest] = publishingCommands(written, nothing);
    expect(create).toEqual([
      ...['gh', 'release', 'create', 'v1.2.3', '--draft', '--verify-tag', '--title', '1.2.3'],
      '--generate-notes',
    ]);
    expect(uploaded).toEqual(upload);
    expect(rest.slice(0, -1).map((argv) => argv.at(-1))).toEqual(
      [
        'npm/hostport-linux-arm64-musl-1.2.3.tgz',
        'npm/hostport-linux-x64-1.2.3.tgz',
        'npm/hostport-1.2.3.tgz',
        'npm/hostport-cni-1.2.3.tgz',
      ].map(at),
    );
    expect(rest.at(-1)).toEqual(finish);
  });

  test('what an earlier run has published is left out', () => {
    const packages = new Set(written.files.map(({ name }) => name).filter((name) => name.startsWith('npm/')));
    expect(publishingCommands(written, { packages, release: 'draft' })).toEqual([upload, finish]);
    expect(publishingCommands(written, { packages, release: 'published' })).toEqual([]);
    packages.delete('npm/hostport-1.2.3.tgz');
    const [only, ...others] = publishingCommands(written, { packages, release: 'published' });
    expect([only!.at(-1), others]).toEqual([at('npm/hostport-1.2.3.tgz'), []]);
  });

  test('a pre-release is no "latest"', () => {
    const commands = publishingCommands({ ...written, version: '1.2.3-rc.1' }, nothing);
    expect(commands[0]).toContain('--prerelease');
    for (const argv of commands.filter(([program]) => program === 'npm')) expect(argv).toContain('next');
  });

  test.each(['0.1.0-g0123456789ab', '0.1.0-g0123456789ab.changed', '1.0.0-changed'])(
    '%s has no tag',
    (version) => {
      expect(() => checkPublishable({ ...written, version })).toThrow(
        `cannot publish ${version}: its commit has no tag; tag it vX.Y.Z, then release it`,
      );
    },
  );

  test.each(['registry', 'downloads'])('without a %s its files name hostport.invalid', (name) => {
    expect(() => checkPublishable(written)).not.toThrow();
    expect(() => checkPublishable({ ...written, [name]: undefined })).toThrow(
      `cannot publish 1.2.3: its files name hostport.invalid, for want of ${name.toUpperCase()}; run "make release" with it`,
    );
  });
});

describe('what is published already', () => {
  const integrity = (name: string) =>
    `sha512-${createHash('sha512')
      .update(readFileSync(at(name)))
      .digest('base64')}`;
  const MISSING = { code: 1, stdout: '{"error": {"code": "E404", "summary": "Not Found"}}', stderr: '' };
  /** npm with these packages, and gh with these releases. */
  const outside = (packages: Record<string, string>, releases = '', npm = MISSING): Exec => ({
    async run([program, , id = '']) {
      if (program === 'gh') return { code: 0, stdout: releases, stderr: '' };
      const found = packages[id];
      return found === undefined ? npm : { code: 0, stdout: JSON.stringify(found), stderr: '' };
    },
  });

  test('is nothing at first', async () => {
    const found = await publishedOf(outside({}), written);
    expect(found).toEqual({ packages: new Set(), release: 'absent' });
  });

  test('are packages with the same bytes', async () => {
    const name = 'npm/hostport-cni-1.2.3.tgz';
    const found = await publishedOf(outside({ '@hostport/cni@1.2.3': integrity(name) }), written);
    expect(found.packages).toEqual(new Set([name]));
  });

  test('a package with other bytes is an error', () =>
    expect(publishedOf(outside({ 'hostport@1.2.3': 'sha512-x' }), written)).rejects.toThrow(
      "cannot publish hostport@1.2.3: npm's registry has it with the integrity sha512-x, and npm/hostport-1.2.3.tgz has sha512-",
    ));

  test('a registry that does not answer is an error, not an absent package', () => {
    const npm = { code: 1, stdout: '{"error": {"code": "ECONNREFUSED"}}', stderr: 'npm error\n' };
    return expect(publishedOf(outside({}, '', npm), written)).rejects.toThrow(
      /^cannot publish \S+@1\.2\.3: npm does not say whether it is there: npm error; check "npm ping"$/,
    );
  });

  test.each([
    ['v1.2.2\tfalse\n', 'absent'],
    ['v1.2.30\tfalse\nv1.2.3\ttrue\n', 'draft'],
    ['v1.2.3\tfalse\n', 'published'],
  ] as const)('of the releases %j it is %s', async (releases, release) =>
    expect((await publishedOf(outside({}, releases), written)).release).toBe(release),
  );

  test('two drafts are for a person', () =>
    expect(publishedOf(outside({}, 'v1.2.3\ttrue\nv1.2.3\ttrue\n'), written)).rejects.toThrow(
      'cannot publish v1.2.3: it has 2 releases; delete the drafts',
    ));
});

describe('logging in', () => {
  const env = { DOCKER_CONFIG: join(scratch, 'docker') };
  const file = join(env.DOCKER_CONFIG, 'config.json');
  const ada = { username: 'ada', password: 'p' };

  test('what docker has stays, and only the owner reads it', async () => {
    mkdirSync(env.DOCKER_CONFIG);
    writeFileSync(file, '{"credsStore": "vault", "auths": {"quay.io": {"auth": "eDp5"}}}');
    expect(await dockerLogin('ghcr.io', ada, env)).toBe(file);
    await dockerLogin('docker.io', ada, env);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const { credsStore, auths } = JSON.parse(readFileSync(file, 'utf8'));
    expect([credsStore, Object.keys(auths)]).toEqual([
      'vault',
      ['quay.io', 'ghcr.io', 'https://index.docker.io/v1/'],
    ]);
    expect(await dockerCredentials('ghcr.io', realExec, env)).toEqual(ada);
    expect(await dockerCredentials('docker.io', realExec, env)).toEqual(ada);
  });

  test('what is not JSON stays as it is', async () => {
    writeFileSync(file, '{"auths": ');
    await expect(dockerLogin('ghcr.io', ada, env)).rejects.toThrow(
      `cannot add credentials to ${file}: it is not JSON; correct or remove it`,
    );
    expect(readFileSync(file, 'utf8')).toBe('{"auths": ');
  });
});
