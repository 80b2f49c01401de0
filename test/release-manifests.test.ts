import { afterAll, describe, expect, test } from 'bun:test';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse, parseAllDocuments } from 'yaml';
import { defaultSettings } from '../scripts/agent-manifests.ts';
import { chartFiles } from '../scripts/chart.ts';
import { sums, tarGzip, textEntry } from '../scripts/release/archive.ts';
import { chartArchive, krewManifest, releasedManifests } from '../scripts/release/manifests.ts';
import { agentObjects } from '../src/agent/manifests.ts';
import type { DaemonSet } from '../src/kube/types.ts';
import { selfSignedCertificate } from '../src/lab/echo/certificate.ts';
import { output, realExec } from '../src/sys/exec.ts';

const ROOT = join(import.meta.dir, '..');
const scratch = mkdtempSync(join(tmpdir(), 'hostport-release-manifests-'));
afterAll(() => rmSync(scratch, { recursive: true }));

const facts = { version: '1.2.3-rc.1', registry: 'ghcr.io/owner' };
const digest = (digit: string) => `sha256:${digit.repeat(64)}`;
const images = [
  { name: 'hostport-agent', digest: digest('a'), sizes: { amd64: 1, arm64: 1 } },
  { name: 'hostport-cni', digest: digest('c'), sizes: { amd64: 1, arm64: 1 } },
];

describe('manifests of a release', () => {
  const released = releasedManifests(ROOT, facts, images);

  test('name each image by version and digest, and no other', () => {
    const named = [...released.values()].flatMap((text) =>
      [...text.matchAll(/^ *(?:- )?image: (.*)$/gm)].map(([, image]) => image!),
    );
    expect([...new Set(named)].sort()).toEqual([
      `ghcr.io/owner/hostport-agent:1.2.3-rc.1@${digest('a')}`,
      `ghcr.io/owner/hostport-cni:1.2.3-rc.1@${digest('c')}`,
    ]);
    for (const [name, text] of released) {
      expect([name, text.includes('latest')]).toEqual([name, false]);
      expect([name, text.includes('.invalid')]).toEqual([name, false]);
      expect([name, /version: 0\.1\.0/.test(text)]).toEqual([name, false]);
    }
  });

  test('are valid YAML with what kustomize and the plugin need', () => {
    for (const [name, text] of released)
      if (name.endsWith('.yaml'))
        for (const document of parseAllDocuments(text)) expect([name, document.errors]).toEqual([name, []]);
    for (const resource of parse(released.get('kustomization.yaml')!).resources)
      expect(released.has(resource)).toBe(true);
    const { spec } = (parse(released.get('plugin.yaml')!) as DaemonSet).spec!.template;
    expect(spec!.initContainers![0]!.command).toEqual(['/install']);
    expect(spec!.containers[0]!.securityContext).toEqual(spec!.initContainers![0]!.securityContext);
  });
});

describe('the chart', () => {
  test.each([...chartFiles()])('%s is what bun scripts/chart.ts writes', (path, text) => {
    expect(readFileSync(join(ROOT, path), 'utf8')).toBe(text);
  });

  test('its templates have no place of a value left, and values.yaml has what the agent has by default', () => {
    for (const [, text] of chartFiles()) expect(text).not.toMatch(/place-of|whole-|65001/);
    const values = parse(readFileSync(join(ROOT, 'deploy/chart/values.yaml'), 'utf8'));
    const settings = defaultSettings('observe');
    const daemonSet = agentObjects(settings).at(-1)!.object as DaemonSet;
    const pod = daemonSet.spec!.template.spec!;
    expect(values).toMatchObject({
      mode: 'observe',
      cni: { confDir: settings.confDir, binDir: settings.binDirs[0] },
      metrics: { port: settings.metricsPort },
      resources: pod.containers[0]!.resources,
      tolerations: pod.tolerations,
      nodeSelector: pod.nodeSelector,
    });
    expect(settings.image).toBe(`${values.image.repository}:${settings.version}`);
  });

  test('every value has a schema, and every schema a value', () => {
    const values = parse(readFileSync(join(ROOT, 'deploy/chart/values.yaml'), 'utf8'));
    const { properties } = JSON.parse(readFileSync(join(ROOT, 'deploy/chart/values.schema.json'), 'utf8'));
    expect(
      Object.keys(properties)
        .filter((name) => name !== 'global')
        .sort(),
    ).toEqual(Object.keys(values).sort());
  });

  test('of a release has its version, and the image by digest', async () => {
    const { name, bytes, metadata } = await chartArchive(ROOT, facts, images, new Map([['LICENSE', 'x']]));
    expect(name).toBe('hostport-1.2.3-rc.1.tgz');
    writeFileSync(join(scratch, name), bytes);
    await output(realExec, ['tar', '-xzf', name], { cwd: scratch });
    const read = (file: string) => parse(readFileSync(join(scratch, 'hostport', file), 'utf8'));
    expect(parse(metadata)).toMatchObject({ version: facts.version, appVersion: facts.version });
    expect(read('Chart.yaml')).toEqual(parse(metadata));
    expect(read('values.yaml').image).toEqual({
      repository: 'ghcr.io/owner/hostport-agent',
      tag: '',
      digest: digest('a'),
    });
    expect(readdirSync(join(scratch, 'hostport/templates'))).toContain('_helpers.tpl');
  });
});

test("krew's manifest has the archive of each platform with its checksum", () => {
  const sha256 = new Map([
    ['amd64', 'd'.repeat(64)],
    ['arm64', 'e'.repeat(64)],
  ]);
  const { spec } = parse(krewManifest(facts, 'https://example.com/releases', sha256));
  expect(spec.version).toBe('v1.2.3-rc.1');
  expect(spec.caveats).toContain('It needs glibc.');
  expect(spec.platforms.map(({ uri, sha256: sum }: Record<string, string>) => [uri, sum])).toEqual(
    [...sha256].map(([platform, sum]) => [
      `https://example.com/releases/v1.2.3-rc.1/hostport-1.2.3-rc.1-linux-${platform}.tar.gz`,
      sum,
    ]),
  );
});

describe('install.sh', () => {
  let count = 0;
  /** A release with these platforms, on a machine with these loaders, that says this of itself. */
  async function machine({
    platforms = ['amd64', 'arm64-musl'],
    loaders = ['/lib64/ld-linux-x86-64.so.2'],
    uname = 'Linux x86_64',
    fails = '',
  } = {}) {
    const directory = join(scratch, `install-${count++}`);
    const [release, bin, sysroot, prefix] = ['release', 'bin', 'sysroot', 'prefix'].map((name) =>
      join(directory, name),
    ) as [string, string, string, string];
    for (const each of [release, bin, sysroot]) mkdirSync(each, { recursive: true });
    const artefacts: { name: string; sha256: string }[] = [];
    for (const platform of platforms) {
      const top = `hostport-1.2.3-linux-${platform}`;
      const script = `#!/bin/sh\n${fails}\necho 1.2.3 of ${platform}\n`;
      const archive = await tarGzip([
        { ...textEntry(`${top}/bin/hostport`, script), mode: 0o755 } as ReturnType<typeof textEntry>,
        textEntry(`${top}/share/man/man1/hostport.1`, 'manual'),
        ...['bash', 'zsh', 'fish'].map((shell) =>
          textEntry(`${top}/share/completion/hostport.${shell}`, shell),
        ),
      ]);
      writeFileSync(join(release, `${top}.tar.gz`), archive);
      artefacts.push({
        name: `${top}.tar.gz`,
        sha256: createHash('sha256').update(archive).digest('hex'),
      });
    }
    writeFileSync(
      join(release, 'SHA256SUMS'),
      sums([{ name: 'hostport-cni-1.2.3-linux-amd64.tar.gz', sha256: '0'.repeat(64) }, ...artefacts]),
    );
    for (const loader of loaders) {
      mkdirSync(join(sysroot, loader, '..'), { recursive: true });
      writeFileSync(join(sysroot, loader), '');
    }
    const [system, arch] = uname.split(' ');
    writeFileSync(join(bin, 'uname'), `#!/bin/sh\n[ "$1" = -s ] && echo ${system} || echo ${arch}\n`);
    chmodSync(join(bin, 'uname'), 0o755);
    const env = { PATH: `${bin}:${process.env.PATH}`, SYSROOT: sysroot, PREFIX: prefix };
    const install = () => realExec.run(['sh', join(ROOT, 'deploy/install.sh'), release], { env });
    return { release, bin, prefix, env, install };
  }

  test('takes the archive of this machine, and installs it again over itself', async () => {
    const { prefix, install } = await machine();
    for (let i = 0; i < 2; i++)
      expect(await install()).toMatchObject({
        code: 0,
        stdout: `installed 1.2.3 of amd64 for amd64 in ${prefix}\n`,
        stderr: '',
      });
    expect(statSync(join(prefix, 'bin/hostport')).ino).toBe(
      statSync(join(prefix, 'bin/kubectl-hostport')).ino,
    );
    for (const file of ['man/man1/hostport.1', 'zsh/site-functions/_hostport'])
      expect(existsSync(join(prefix, 'share', file))).toBe(true);
    expect(readdirSync(join(prefix, 'bin')).sort()).toEqual(['hostport', 'kubectl-hostport']);
  });

  test('takes the one for musl where there is no glibc', async () => {
    const { install } = await machine({ loaders: ['/lib/ld-musl-aarch64.so.1'], uname: 'Linux aarch64' });
    expect((await install()).stdout).toContain('installed 1.2.3 of arm64-musl for arm64-musl in ');
  });

  test.each([
    ['another system', { uname: 'Darwin arm64' }, 'there is none for Darwin; run it on Linux'],
    ['another machine', { uname: 'Linux riscv64' }, 'there is none for riscv64; run it on x86_64 or aarch64'],
    [
      'no C library that it knows',
      { loaders: [] },
      'neither /lib64/ld-linux-x86-64.so.2 nor /lib/ld-musl-x86_64.so.1 is here; it needs glibc or musl',
    ],
    [
      'a platform that the release has not',
      { platforms: ['arm64'] },
      'this release has none for amd64; SHA256SUMS lists what it has',
    ],
  ])('%s is one line', async (_, options, problem) => {
    const { install, prefix } = await machine(options);
    expect(await install()).toMatchObject({
      code: 1,
      stderr: `error: cannot install hostport: ${problem}\n`,
    });
    expect(existsSync(prefix)).toBe(false);
  });

  test('a wrong checksum is one line, and nothing is installed', async () => {
    const { install, release, prefix } = await machine();
    writeFileSync(join(release, 'hostport-1.2.3-linux-amd64.tar.gz'), 'something else');
    const { code, stderr } = await install();
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /^error: cannot install hostport: the SHA-256 of hostport-1\.2\.3-linux-amd64\.tar\.gz is [0-9a-f]{64}, and SHA256SUMS has [0-9a-f]{64}; download both again\n$/,
    );
    expect(existsSync(prefix)).toBe(false);
  });

  test.each([
    [
      'glibc',
      { fails: 'echo "version GLIBC_2.17 not found" >&2; exit 1' },
      'amd64 does not run here: version GLIBC_2.17 not found; it needs glibc 2.17 or newer',
    ],
    [
      'musl',
      {
        fails: 'kill -SEGV $$',
        loaders: ['/lib/ld-musl-aarch64.so.1'],
        uname: 'Linux aarch64',
      },
      'arm64-musl does not run here; it needs libstdc++ of GCC 13 or newer (apk add libstdc++)',
    ],
  ])(
    'a program that does not run with the %s of the machine does not replace the one that is there',
    async (_, options, problem) => {
      const { install, prefix } = await machine(options);
      mkdirSync(join(prefix, 'bin'), { recursive: true });
      writeFileSync(join(prefix, 'bin/hostport'), 'the one before');
      const { code, stderr } = await install();
      expect([code, stderr.trimEnd().split('\n').at(-1)]).toEqual([
        1,
        `error: cannot install hostport: the program for ${problem}`,
      ]);
      expect(readFileSync(join(prefix, 'bin/hostport'), 'utf8')).toBe('the one before');
      expect(readdirSync(join(prefix, 'bin'))).toEqual(['hostport']);
    },
  );

  test.each([
    ['INT', 130],
    ['TERM', 143],
  ])('SIG%s ends it before anything is installed', async (signal, status) => {
    const { install, bin, prefix } = await machine();
    writeFileSync(join(bin, 'tar'), `#!/bin/sh\nkill -${signal} $PPID\n`, { mode: 0o755 });
    expect(await install()).toMatchObject({ code: status, stdout: '', stderr: '' });
    expect(existsSync(prefix)).toBe(false);
  });

  describe('from an address', () => {
    const { certPem, keyPem } = selfSignedCertificate('release', ['localhost'], new Date());
    const trusted = join(scratch, 'trusted.pem');
    writeFileSync(trusted, certPem);

    /** The files of a release behind TLS on loopback, while something is done with their address. */
    async function served(release: string, work: (address: string) => Promise<void>): Promise<void> {
      const server = Bun.serve({
        ...{ port: 0, hostname: '127.0.0.1', tls: { cert: certPem, key: keyPem } },
        async fetch(request) {
          const file = Bun.file(join(release, new URL(request.url).pathname.replace('/v1.2.3/', '')));
          return (await file.exists()) ? new Response(file) : new Response('none', { status: 404 });
        },
      });
      try {
        await work(`https://localhost:${server.port}/v1.2.3`);
      } finally {
        await server.stop(true);
      }
    }

    /** As the README has it: the script on standard input. */
    const piped = ({ env }: Awaited<ReturnType<typeof machine>>, address: string) =>
      realExec.run(['sh', '-s', '--', address], {
        env: { ...env, CURL_CA_BUNDLE: trusted },
        stdin: readFileSync(join(ROOT, 'deploy/install.sh'), 'utf8'),
      });

    test('takes the files from there', async () => {
      const here = await machine();
      await served(here.release, async (address) => {
        expect(await piped(here, address)).toMatchObject({
          code: 0,
          stdout: `installed 1.2.3 of amd64 for amd64 in ${here.prefix}\n`,
        });
      });
    });

    test('a file that is not there is named, and nothing is installed', async () => {
      const here = await machine();
      rmSync(join(here.release, 'hostport-1.2.3-linux-amd64.tar.gz'));
      await served(here.release, async (address) => {
        const { code, stderr } = await piped(here, address);
        expect([code, stderr.trimEnd().split('\n').at(-1)]).toEqual([
          1,
          `error: cannot install hostport: ${address}/hostport-1.2.3-linux-amd64.tar.gz cannot be downloaded; give the address of a release's files`,
        ]);
      });
      expect(existsSync(here.prefix)).toBe(false);
    });
  });

  test('without curl, an address is one line', async () => {
    const { bin, env } = await machine();
    const tools = ['sh', 'dirname'].map((name) => [Bun.which(name)!, join(bin, name)] as const);
    for (const [tool, link] of tools) symlinkSync(tool, link);
    const script = join(ROOT, 'deploy/install.sh');
    const said = await realExec.run([join(bin, 'sh'), script, 'https://localhost:1/release'], {
      env: { ...env, PATH: bin },
    });
    expect(said).toMatchObject({
      code: 1,
      stderr:
        'error: cannot install hostport: curl is not here; install it, or give the directory of a release\n',
    });
  });

  test('a directory without a release is named', async () => {
    const { install, release } = await machine();
    rmSync(join(release, 'SHA256SUMS'));
    expect((await install()).stderr).toBe(
      `error: cannot install hostport: there is no ${release}/SHA256SUMS; give the directory of a release\n`,
    );
  });
});
