import { afterAll, describe, expect, test } from 'bun:test';
import { linkSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { artefactsIn, fileEntry, sums, tarGzip, textEntry } from '../scripts/release/archive.ts';
import { lockPath, readLock } from '../scripts/release/images/debian-lock.ts';
import { notice } from '../scripts/release/notice.ts';
import { platformPackageOf, programPackage } from '../scripts/release/npm/packages.ts';
import { platformPackage } from '../scripts/release/npm/platform-package.ts';
import { parseRepository } from '../scripts/release/npm/repository.ts';
import { bundledPackages, lockedPackage } from '../scripts/release/npm-packages.ts';
import type { PluginEngine } from '../scripts/release/plugin-engine.ts';
import { pluginsIn } from '../scripts/release/plugins.ts';
import { provenance } from '../scripts/release/provenance.ts';
import { checkIntegrity, RUNTIMES } from '../scripts/release/runtimes.ts';
import { hexOf, sbom } from '../scripts/release/sbom.ts';
import { architecture } from '../src/lab/images/oci.ts';
import { output, realExec } from '../src/sys/exec.ts';

const ROOT = join(import.meta.dir, '..');
const engine: PluginEngine = {
  engine: { version: '0.17.0', licence: 'licence of the engine' },
  compiler: { version: '0.17.1', sha256: ['e'.repeat(64)], muslLicence: 'licence of musl' },
};
const facts = { version: '1.2.3', commit: 'c'.repeat(40), date: '2026-02-03T04:05:06Z' };
const scratch = mkdtempSync(join(tmpdir(), 'hostport-release-parts-'));
afterAll(() => rmSync(scratch, { recursive: true }));

describe('packages', () => {
  const names = bundledPackages(ROOT).map(({ name }) => name);

  test('every dependency of the program is among them, and no other than what schemas come from', () => {
    const { dependencies } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
    const own = Object.keys(dependencies).map((name) => (name === 'ws-of-npm' ? 'ws' : name));
    expect(own.filter((name) => !names.includes(name))).toEqual([]);
    expect(names).toContain('@kubernetes/client-node');
    expect(names).not.toContain('typescript');
  });

  test('the notice has the licence of each, and of the runtime', () => {
    const text = notice(ROOT, '1.4.5', engine);
    expect(text).toContain('licence of the engine');
    expect(text).toContain('licence of musl');
    for (const { name, version, license } of bundledPackages(ROOT))
      expect(text).toContain(`\n${name} ${version}: ${license}\n`);
    expect(text).toContain('Bun statically links JavaScriptCore');
    expect(text).toContain('Copyright 2008 Google Inc.');
    expect(text).toContain('Copyright (c) 2011 TJ Holowaychuk');
  });
});

describe('the bill of materials', () => {
  const text = sbom(ROOT, facts, engine);
  const document = JSON.parse(text);

  test('has every package with its hash, and is the same each time', () => {
    expect(sbom(ROOT, facts, engine)).toBe(text);
    expect(document).toMatchObject({
      bomFormat: 'CycloneDX',
      specVersion: '1.6',
      metadata: { timestamp: facts.date },
    });
    expect(document.serialNumber).toMatch(
      /^urn:uuid:[\da-f]{8}-[\da-f]{4}-8[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/,
    );
    const refs = document.components.map((component: { purl: string }) => component.purl);
    expect(new Set(refs).size).toBe(refs.length);
    for (const { name, version } of bundledPackages(ROOT))
      expect(refs).toContain(`pkg:npm/${name.replace('@', '%40')}@${version}`);
    for (const { hashes, purl } of document.components)
      if (purl.startsWith('pkg:npm/')) expect(hashes[0].content).toMatch(/^[\da-f]{128}$/);
    expect(refs).toContain('pkg:github/quickjs-ng/quickjs@v0.17.0');
  });

  test('another version has another serial number', () => {
    expect(JSON.parse(sbom(ROOT, { ...facts, version: '1.2.4' }, engine)).serialNumber).not.toBe(
      document.serialNumber,
    );
  });
});

test('the provenance names the commit, what was given, the runtimes and every file', () => {
  const artefacts = [{ name: 'a', sha256: 'd'.repeat(64) }];
  const given = { downloads: 'https://example.com/releases' };
  const { subject, predicate } = JSON.parse(
    provenance(ROOT, facts, artefacts, { plugins: engine, debian: readLock(lockPath(ROOT)), given }),
  );
  const { externalParameters } = predicate.buildDefinition;
  expect(externalParameters).toEqual({ target: 'release', version: facts.version, ...given });
  expect(subject).toEqual([{ name: 'a', digest: { sha256: 'd'.repeat(64) } }]);
  const from = predicate.buildDefinition.resolvedDependencies;
  expect(from[0]).toEqual({ name: 'source', digest: { gitCommit: facts.commit } });
  for (const { npm } of RUNTIMES) {
    const { version, integrity } = lockedPackage(ROOT, npm);
    expect(from).toContainEqual({
      uri: `pkg:npm/${npm.replace('@', '%40')}@${version}`,
      digest: { sha512: hexOf(integrity) },
    });
  }
});

test('what is not what the lock file means is refused', () => {
  const { integrity } = lockedPackage(ROOT, RUNTIMES[0]!.npm);
  expect(() => checkIntegrity('x@1', Buffer.from('other'), integrity)).toThrow(
    /cannot use x@1: its integrity is sha512-\S+, and package-lock.json has sha512-/,
  );
  expect(() => lockedPackage(ROOT, 'no-such-package')).toThrow('package-lock.json has no no-such-package');
});

describe('plugins', () => {
  const files = (name: string, ...paths: string[]) => {
    const directory = join(scratch, name);
    for (const path of paths) {
      mkdirSync(join(directory, path, '..'), { recursive: true });
      writeFileSync(join(directory, path), path);
    }
    return directory;
  };
  const found = (directory: string) =>
    Object.fromEntries([...pluginsIn(directory)].map(([arch, each]) => [arch, Object.fromEntries(each)]));

  test("in the directory itself they are this machine's, without the lab's", () => {
    const directory = files('flat', 'portmap', 'loopback', 'cilium-cni', '.build-x/portmap');
    expect(found(directory)).toEqual({
      [architecture()]: { loopback: join(directory, 'loopback'), portmap: join(directory, 'portmap') },
    });
  });

  test('in directories of an architecture they are its', () => {
    const directory = files('apart', 'amd64/portmap', 'arm64/portmap', 'portmap', 'loopback');
    expect(found(directory)).toEqual({
      amd64: { portmap: join(directory, 'amd64/portmap') },
      arm64: { portmap: join(directory, 'arm64/portmap') },
    });
  });

  test('without any there is no release', () => {
    expect(() => pluginsIn(files('none', 'cilium-cni'))).toThrow('it has none; run "make build"');
    expect(() => pluginsIn(join(scratch, 'gone'))).toThrow('it has none');
  });
});

test('archives do not depend on the time and the place, and tar reads them', async () => {
  const archives: Uint8Array[] = [];
  for (const name of ['here', 'there']) {
    const file = join(scratch, name);
    writeFileSync(file, 'program');
    linkSync(file, `${file}.link`);
    const entries = [
      fileEntry('top/hostport', file, 0o755),
      { type: 'link' as const, path: 'top/kubectl-hostport', target: 'top/hostport' },
      textEntry('top/NOTICE', 'text'),
    ];
    archives.push(await tarGzip(entries));
  }
  expect(Buffer.compare(archives[0]!, archives[1]!)).toBe(0);
  const archive = join(scratch, 'x.tar.gz');
  writeFileSync(archive, archives[0]!);
  const listed = await output(realExec, ['tar', '--utc', '-tvzf', archive]);
  expect(listed).toMatch(/^-rwxr-xr-x .* 1970-01-01 00:00 top\/hostport$/m);
  expect(listed).toContain('top/kubectl-hostport link to top/hostport');
});

test('checksums are read by sha256sum', async () => {
  const directory = join(scratch, 'sums');
  mkdirSync(join(directory, 'man'), { recursive: true });
  writeFileSync(join(directory, 'man/a b.1'), 'x');
  writeFileSync(join(directory, 'z'), 'y');
  writeFileSync(join(scratch, 'SUMS'), sums(await artefactsIn(directory)));
  const said = await output(realExec, ['sha256sum', '--check', '--strict', '../SUMS'], { cwd: directory });
  expect(said).toBe('man/a b.1: OK\nz: OK\n');
});

describe('the package of a machine', () => {
  const GLIBC = '/lib64/ld-linux-x86-64.so.2';
  const machine = (platform: string, arch: string, ...has: string[]) => ({
    ...{ platform, arch },
    exists: (path: string) => has.includes(path),
  });

  test.each([
    [machine('linux', 'x64', GLIBC), '@hostport/linux-x64'],
    [machine('linux', 'x64', '/lib/ld-musl-x86_64.so.1'), '@hostport/linux-x64-musl'],
    // Debian with its package of musl beside its own library.
    [machine('linux', 'x64', GLIBC, '/lib/ld-musl-x86_64.so.1'), '@hostport/linux-x64'],
    [machine('linux', 'arm64', '/lib/ld-linux-aarch64.so.1'), '@hostport/linux-arm64'],
    [machine('linux', 'arm64', '/lib/ld-musl-aarch64.so.1'), '@hostport/linux-arm64-musl'],
  ])('%p has %s', (of, name) => expect(platformPackage(of)).toBe(name));

  test.each([
    [machine('darwin', 'arm64'), 'there is none for darwin on arm64; run it on Linux, on x64 or arm64'],
    [machine('win32', 'x64'), 'there is none for win32 on x64; run it on Linux, on x64 or arm64'],
    [machine('linux', 'riscv64'), 'there is none for linux on riscv64; run it on Linux, on x64 or arm64'],
    [
      machine('linux', 'x64'),
      `neither ${GLIBC} nor /lib/ld-musl-x86_64.so.1 is here; it needs glibc or musl`,
    ],
  ])('%p has none', (of, why) => expect(() => platformPackage(of)).toThrow(`cannot run hostport: ${why}`));
});

describe('the repository of packages', () => {
  test('is that of a page', () =>
    expect(parseRepository('https://github.com/Owner/name')).toEqual({
      type: 'git',
      url: 'git+https://github.com/Owner/name.git',
    }));

  test.each([
    'github.com/owner/name',
    'http://github.com/owner/name',
    'https://github.com',
    'https://github.com/owner/name/',
    'https://github.com/owner/name.git',
    'https://user@localhost/owner/name',
    'https://github.com/owner/name?a=b',
  ])('%s is refused', (text) =>
    expect(() => parseRepository(text)).toThrow(
      `cannot use the repository "${text}": not the address of one; write it as https://github.com/owner/name`,
    ),
  );

  test('is in every package of a release', async () => {
    const out = join(scratch, 'packages');
    const repository = parseRepository('https://github.com/owner/name');
    const inputs = { exec: realExec, root: ROOT, facts, scratch, out, papers: new Map(), repository };
    const program = join(scratch, 'program');
    writeFileSync(program, '');
    await programPackage(inputs);
    await platformPackageOf(inputs, { arch: 'x64', libc: 'musl' }, program);
    for (const name of ['hostport', 'hostport-linux-x64-musl']) {
      const archive = join(out, `${name}-${facts.version}.tgz`);
      const manifest = await output(realExec, ['tar', '-xzOf', archive, 'package/package.json']);
      expect(JSON.parse(manifest)).toMatchObject({ repository });
    }
  });
});
