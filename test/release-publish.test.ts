import { afterAll, describe, expect, test } from 'bun:test';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { dockerLogin } from '../scripts/release/docker-login.ts';
import { publishingCommands } from '../scripts/release/publish.ts';
import { dockerCredentials } from '../scripts/release/push/docker-credentials.ts';
import { signingCommands } from '../scripts/release/sign.ts';
import { realExec } from '../src/sys/exec.ts';

const scratch = mkdtempSync(join(tmpdir(), 'hostport-publish-'));
afterAll(() => rmSync(scratch, { recursive: true }));

const release = join(scratch, 'release');
const at = (name: string) => join(release, name);
const AGENT = `sha256:${'a'.repeat(64)}`;
for (const [name, text] of Object.entries({
  SHA256SUMS: '',
  'hostport-1.2.3-linux-amd64.tar.gz': '',
  'install.sh': '',
  'man/hostport.1': '',
  'manifests/plugin.yaml': '',
  'images/hostport-agent-1.2.3.oci.tar': '',
  'images/digests.txt': `${AGENT}  hostport-agent\n`,
  'npm/hostport-1.2.3.tgz': '',
  'npm/hostport-cni-1.2.3.tgz': '',
  'npm/hostport-linux-x64-1.2.3.tgz': '',
  'npm/hostport-linux-arm64-musl-1.2.3.tgz': '',
})) {
  mkdirSync(join(at(name), '..'), { recursive: true });
  writeFileSync(at(name), text);
}

test('the checksums and each image by its digest are signed', () => {
  expect(signingCommands(release, 'ghcr.io/owner')).toEqual([
    ['cosign', 'sign-blob', '--yes', '--bundle', at('SHA256SUMS.sigstore.json'), at('SHA256SUMS')],
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

describe('publishing', () => {
  const published = (version: string) => publishingCommands({ version, directory: release });

  test('packages of platforms come first, then what needs them, then the files', () => {
    const commands = published('1.2.3');
    expect(commands.slice(0, -1).map((argv) => argv.at(-1))).toEqual(
      [
        'npm/hostport-linux-arm64-musl-1.2.3.tgz',
        'npm/hostport-linux-x64-1.2.3.tgz',
        'npm/hostport-1.2.3.tgz',
        'npm/hostport-cni-1.2.3.tgz',
      ].map(at),
    );
    expect(commands.at(-1)).toEqual([
      ...['gh', 'release', 'create', 'v1.2.3', '--verify-tag', '--title', '1.2.3', '--generate-notes'],
      ...[
        'SHA256SUMS',
        'hostport-1.2.3-linux-amd64.tar.gz',
        'images/digests.txt',
        'images/hostport-agent-1.2.3.oci.tar',
        'install.sh',
        'manifests/plugin.yaml',
      ].map(at),
    ]);
  });

  test('a pre-release is no "latest"', () => {
    const commands = published('1.2.3-rc.1');
    expect(commands[0]).toContain('next');
    expect(commands.at(-1)).toContain('--prerelease');
  });

  test.each(['0.1.0-g0123456789ab', '0.1.0-g0123456789ab.changed', '1.0.0-changed'])(
    '%s has no tag',
    (version) => {
      expect(() => published(version)).toThrow(
        `cannot publish ${version}: its commit has no tag; tag it vX.Y.Z, then release it`,
      );
    },
  );
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
