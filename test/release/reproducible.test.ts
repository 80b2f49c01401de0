/** `make release`, twice, of the last commit, and what is in it. Takes minutes: `make test-release` runs it. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { blobPath, type ImageIndex, type ImageManifest, readIndex } from '../../src/lab/images/oci.ts';
import { output, realExec } from '../../src/sys/exec.ts';
import { eventually } from '../e2e/eventually.ts';
import { Lab, labMissing } from '../e2e/lab.ts';
import { PROMPT, typedInto } from '../typed-into.ts';
import { addLibstdcxx, debian, musl, type OtherMachine } from './machines.ts';

const ROOT = join(import.meta.dir, '../..');
const BUILD_MS = 20 * 60_000;
const scratch = mkdtempSync(join(tmpdir(), 'hostport-release-'));
/** The directory of each build's release. */
const built: string[] = [];

const run = (argv: string[], cwd = scratch) => output(realExec, argv, { cwd, timeoutMs: BUILD_MS });

beforeAll(async () => {
  const source = join(scratch, 'source');
  // What is committed meanwhile is in neither.
  await run(['git', 'clone', '--quiet', '--bare', ROOT, source]);
  for (const name of ['one', 'another/deeper']) built.push(await build(source, join(scratch, name)));
}, 2 * BUILD_MS);
afterAll(() => rmSync(scratch, { recursive: true }));

/** Releases the commit of a repository from a directory of its own; returns where the files are. */
async function build(source: string, directory: string): Promise<string> {
  await run(['git', 'clone', '--quiet', source, directory]);
  // Not again from the network: packages are not what differs.
  await run(['cp', '-a', join(ROOT, 'node_modules'), join(directory, 'node_modules')]);
  if (existsSync(join(ROOT, 'dist/runtimes'))) {
    mkdirSync(join(directory, 'dist'));
    await run(['cp', '-a', join(ROOT, 'dist/runtimes'), join(directory, 'dist/runtimes')]);
  }
  mkdirSync(join(directory, '.stamps'));
  writeFileSync(join(directory, '.stamps/setup'), '');
  await run(['make', '-s', 'release'], directory);
  const [version = ''] = readdirSync(join(directory, 'dist/release'));
  return join(directory, 'dist/release', version);
}

const namesIn = (directory: string) =>
  readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .filter((name) => statSync(join(directory, name)).isFile())
    .sort();

const digest = (path: string) => createHash('sha256').update(readFileSync(path)).digest('hex');

test('two builds in two directories are equal, file by file', () => {
  const [one, other] = built as [string, string];
  const names = namesIn(one);
  expect(names.length).toBeGreaterThan(50);
  expect(namesIn(other)).toEqual(names);
  const different = names.filter((name) => digest(join(one, name)) !== digest(join(other, name)));
  expect(different).toEqual([]);
});

test('the checksums are those of every other file', async () => {
  const [one] = built as [string];
  await run(['sha256sum', '--check', '--strict', '--quiet', 'SHA256SUMS'], one);
  const lines = readFileSync(join(one, 'SHA256SUMS'), 'utf8').trimEnd().split('\n');
  const listed = lines.map((line) => line.slice(66));
  expect(listed).toEqual(namesIn(one).filter((name) => name !== 'SHA256SUMS'));
});

test('the published checksums are those of files with a base name of their own', async () => {
  const [one] = built as [string];
  const flat = join(scratch, 'flat');
  mkdirSync(flat);
  const lines = readFileSync(join(one, 'assets/SHA256SUMS'), 'utf8').trimEnd().split('\n');
  for (const name of lines.map((line) => line.slice(66)))
    copyFileSync(
      join(one, namesIn(one).find((path) => basename(path) === name && !path.startsWith('npm/'))!),
      join(flat, name),
    );
  await run(['sha256sum', '--check', '--strict', '--quiet', join(one, 'assets/SHA256SUMS')], flat);
});

/** Unpacks the program for a platform; returns its path. */
async function unpacked(platform: string): Promise<string> {
  const [one] = built as [string];
  const name = namesIn(one).find(
    (file) => file.startsWith('hostport-0') && file.endsWith(`-linux-${platform}.tar.gz`),
  );
  expect(name).toBeDefined();
  await run(['tar', '-xzf', join(one, name!)]);
  return join(scratch, name!.replace(/\.tar\.gz$/, ''), 'bin/hostport');
}

const native = process.arch === 'x64' ? 'amd64' : process.arch;

test('the program says what it is', async () => {
  const program = await unpacked(native);
  const document = JSON.parse(await run([program, 'version', '-o', 'json']));
  expect(document).toMatchObject({ platform: `linux/${native}`, libc: 'glibc' });
  expect(document.commit).toBe((await run(['git', 'rev-parse', 'HEAD'], join(scratch, 'source'))).trim());
});

test('install.sh installs it, with its manual and its completion', async () => {
  const [one] = built as [string];
  const prefix = join(scratch, 'prefix');
  await run(['env', `PREFIX=${prefix}`, 'sh', join(one, 'install.sh')]);
  const program = join(prefix, 'bin/hostport');
  const version = one.replace(/.*\//, '');
  expect(JSON.parse(await run([program, 'version', '-o', 'json'])).version).toBe(version);
  // Known as kubectl's plugin by the name of its file.
  expect(await run([join(prefix, 'bin/kubectl-hostport'), '--help'])).toStartWith('Usage: kubectl hostport ');
  expect(await run([program, 'completion', 'bash'])).toBe(
    readFileSync(join(prefix, 'share/bash-completion/completions/hostport'), 'utf8'),
  );
  expect(existsSync(join(prefix, 'share/man/man1/hostport-doctor.1'))).toBe(true);
});

const BUNDLE = join(ROOT, 'test/fixtures/bundles/begin');

/** Runs a program on another machine; what it says and how it ends. */
const runOn = (machine: OtherMachine, ...argv: string[]) =>
  realExec.run(machine.in(argv), { env: machine.env, timeoutMs: BUILD_MS });

describe('on a Debian without the source, from the files alone', () => {
  let machine: OtherMachine;
  beforeAll(async () => {
    machine = debian(join(scratch, 'debian'), built[0]!);
    cpSync(BUNDLE, join(machine.root, 'tmp/bundle'), { recursive: true });
    expect(await runOn(machine, 'sh', '/release/install.sh')).toMatchObject({ code: 0, stderr: '' });
  });

  test('there is no source', async () => {
    expect((await runOn(machine, 'ls', ROOT)).stderr).toContain('No such file or directory');
  });

  test('the program runs, and judges a bundle', async () => {
    const { version } = JSON.parse((await runOn(machine, 'hostport', 'version', '-o', 'json')).stdout);
    expect(built[0]).toEndWith(`/${version}`);
    const { code, stdout } = await runOn(machine, 'hostport', 'doctor', '--from', '/tmp/bundle');
    expect([code, stdout]).toEqual([1, expect.stringContaining('✗ plugin-missing')]);
  });

  test('the manual is found, and shown', async () => {
    for (const [page, has] of [
      ['hostport', 'HOSTPORT(1)'],
      ['hostport-doctor', '--kubeconfig'],
    ] as const) {
      const { code, stdout, stderr } = await runOn(machine, 'env', 'MANPAGER=cat', 'man', page);
      expect([code, stderr, stdout]).toEqual([0, '', expect.stringContaining(has)]);
    }
  });

  const LINES: [line: string, want: RegExp][] = [
    ['hostport node-r', /node-report/],
    ['hostport break plugin-miss', /plugin-missing/],
  ];
  /** A file that a user of the shell has, and how the shell is started. Completion is where install.sh has put it. */
  const SHELLS = {
    bash: [
      '.bashrc',
      `. /usr/local/share/bash-completion/completions/hostport\nbind 'set enable-bracketed-paste off'\nPS1='${PROMPT}'\n`,
      ['bash', '--noprofile', '-i'],
    ],
    zsh: [
      '.zshrc',
      `unset zle_bracketed_paste\nautoload -Uz compinit\ncompinit -u\nPS1='${PROMPT}'\nunsetopt prompt_sp\n`,
      ['zsh', '-i'],
    ],
  } as const;

  test.each(['bash', 'zsh'] as const)('%s completes its commands', async (shell) => {
    const [file, text, argv] = SHELLS[shell];
    writeFileSync(join(machine.root, 'root', file), text);
    for (const [line, want] of LINES)
      expect(await typedInto({ argv: machine.in(argv), cwd: scratch, env: machine.env }, line, want)).toMatch(
        want,
      );
  });

  test('fish completes its commands', async () => {
    for (const [line, want] of LINES)
      expect((await runOn(machine, 'fish', '-c', 'complete -C $argv[1]', line)).stdout).toMatch(want);
  });
});

describe('on a machine with musl', () => {
  let machine: OtherMachine;
  const installed = () => existsSync(join(machine.root, 'usr/local/bin/hostport'));
  beforeAll(async () => {
    machine = await musl(join(scratch, 'alpine'), built[0]!, scratch);
    cpSync(BUNDLE, join(machine.root, 'tmp/bundle'), { recursive: true });
  }, BUILD_MS);

  test('the program for glibc is not found, as the documentation says', async () => {
    await unpacked(native);
    const name = basename(built[0]!);
    cpSync(
      join(scratch, `hostport-${name}-linux-${native}/bin/hostport`),
      join(machine.root, 'tmp/for-glibc'),
    );
    const { code, stderr } = await runOn(machine, 'sh', '-c', '/tmp/for-glibc version');
    expect([code, stderr]).toEqual([127, expect.stringContaining('/tmp/for-glibc: not found')]);
  });

  test('without a C++ library, install.sh says in one line what to add, and installs nothing', async () => {
    const { code, stderr } = await runOn(machine, 'sh', '/release/install.sh');
    expect([code, stderr]).toEqual([
      1,
      expect.stringMatching(
        /^error: cannot install hostport: the program for \S+-musl does not run here: Error loading shared library libstdc\+\+\.so\.6: [^\n]*; it needs libstdc\+\+ of GCC 13 or newer \(apk add libstdc\+\+\)\n$/,
      ),
    ]);
    expect(installed()).toBe(false);
  });

  test(
    'with one, install.sh installs the program for musl, which runs, judges a bundle and looks at the machine',
    async () => {
      await addLibstdcxx(machine, scratch);
      const { code, stdout } = await runOn(machine, 'sh', '/release/install.sh');
      expect([code, stdout]).toEqual([
        0,
        `installed ${basename(built[0]!)} for ${native}-musl in /usr/local\n`,
      ]);
      const said = JSON.parse((await runOn(machine, 'hostport', 'version', '-o', 'json')).stdout);
      expect(said).toMatchObject({ libc: 'musl', platform: `linux/${native}` });
      const doctor = await runOn(machine, 'hostport', 'doctor', '--from', '/tmp/bundle');
      expect([doctor.code, doctor.stdout]).toEqual([1, expect.stringContaining('✗ plugin-missing')]);
      // What it calls of the C library by itself, which has another name there: netlink, and sockets.
      const report = JSON.parse((await runOn(machine, 'hostport', 'node-report', '--node', 'a')).stdout);
      expect(report.netfilter.nft).toEqual({ value: '{"nftables":[]}' });
      const order = { vantage: 'node', node: 'a', podUid: 'u', protocol: 'UDP', hostPort: 9 };
      const target = { address: '127.0.0.1', port: 9 };
      const job = { place: { only: 'own-addresses' }, orders: [{ ...order, target }] };
      const probed = await output(realExec, machine.in(['hostport', 'node-probe']), {
        env: machine.env,
        stdin: JSON.stringify(job),
      });
      expect(JSON.parse(probed)).toMatchObject([{ outcome: 'refused', detail: 'ICMP port unreachable' }]);
    },
    BUILD_MS,
  );
});

/** The layout of an image's archive, unpacked. */
async function layoutOf(name: string): Promise<string> {
  const [one] = built as [string];
  const archive = namesIn(one).find((file) => file.startsWith(`images/${name}-`));
  const layout = join(scratch, 'layouts', name);
  mkdirSync(layout, { recursive: true });
  await run(['tar', '-xf', join(one, archive!), '-C', layout]);
  return layout;
}

const read = <T>(layout: string, blob: string) =>
  JSON.parse(readFileSync(blobPath(layout, blob), 'utf8')) as T;

interface PlatformImage {
  architecture: string;
  manifest: ImageManifest;
  config: { architecture: string; config: Record<string, unknown>; rootfs: { diff_ids: string[] } };
}

async function imageIn(layout: string) {
  const { manifests } = await readIndex(layout);
  const [image, ...attached] = manifests;
  const platforms = read<ImageIndex>(layout, image!.digest).manifests.map((entry): PlatformImage => {
    const manifest = read<ImageManifest>(layout, entry.digest);
    return {
      architecture: entry.platform!.architecture,
      manifest,
      config: read(layout, manifest.config.digest),
    };
  });
  return { image: image!, attached, platforms };
}

/** Unpacks the layers of a platform's image as a root directory, each checked against the digest of its archive. */
async function rootOf(layout: string, { manifest, config }: PlatformImage, directory: string) {
  mkdirSync(directory, { recursive: true });
  for (const [i, layer] of manifest.layers.entries()) {
    expect(layer.mediaType).toBe('application/vnd.oci.image.layer.v1.tar+zstd');
    const archive = Bun.zstdDecompressSync(readFileSync(blobPath(layout, layer.digest)));
    const found = createHash('sha256').update(archive).digest('hex');
    expect(`sha256:${found}`).toBe(config.rootfs.diff_ids[i]!);
    writeFileSync(join(directory, '.layer.tar'), archive);
    await run(['tar', '-xf', '.layer.tar'], directory);
    rmSync(join(directory, '.layer.tar'));
  }
  return directory;
}

const IMAGES: [name: string, most: number, layers: number][] = [
  ['hostport-agent', 65e6, 2],
  ['hostport-cni', 2e6, 1],
];

describe.each(IMAGES)('image %s', (name, most, layers) => {
  test('is for both architectures, small, labelled, and has its bill of materials', async () => {
    const layout = await layoutOf(name);
    const { image, attached, platforms } = await imageIn(layout);
    const version = built[0]!.replace(/.*\//, '');
    expect(image.annotations?.['io.containerd.image.name']).toBe(`hostport.invalid/${name}:${version}`);
    expect(platforms.map(({ architecture }) => architecture)).toEqual(['amd64', 'arm64']);
    for (const { architecture, manifest, config } of platforms) {
      expect(config.architecture).toBe(architecture);
      expect(manifest.layers).toHaveLength(layers);
      expect(manifest.layers.reduce((sum, { size }) => sum + size, 0)).toBeLessThan(most);
      expect(config.config.Labels).toMatchObject({
        'org.opencontainers.image.title': name,
        'org.opencontainers.image.version': version,
        'org.opencontainers.image.licenses': 'Apache-2.0',
      });
    }
    const [bill] = attached;
    const { artifactType, subject, layers: documents } = read<ImageManifest>(layout, bill!.digest);
    expect([artifactType, subject?.digest]).toEqual(['application/vnd.cyclonedx+json', image.digest]);
    const { components } = read<{ components: { name: string }[] }>(layout, documents[0]!.digest);
    expect(components.map((component) => component.name)).toContain('quickjs-ng');
    const digests = readFileSync(join(built[0]!, 'images/digests.txt'), 'utf8');
    expect(digests).toContain(`${image.digest}  ${name}\n`);
  });
});

/** A command with a directory as its root, and /proc there, in a mount namespace of its own. */
function inRoot(root: string, argv: readonly string[], user = '0:0'): string[] {
  const script = `mount --rbind /proc "$1/proc" && exec chroot --userspec=${user} "$@"`;
  return ['unshare', '--mount', 'sh', '-c', script, 'sh', root, ...argv];
}

/** What is run of each image's root, and what it prints. */
const TOOLS: [argv: string[], prints: RegExp][] = [
  [['/usr/sbin/iptables', '--version'], /^iptables v1\.8\.\d+ \(nf_tables\)$/],
  [['/usr/sbin/ip6tables-nft-save', '--version'], /^ip6tables-nft-save v1\.8\.\d+ \(nf_tables\)$/],
  [['/usr/sbin/iptables-legacy', '--version'], /^iptables v1\.8\.\d+ \(legacy\)$/],
  [
    ['/usr/sbin/iptables', '-m', 'conntrack', '-j', 'DNAT', '--help'],
    /DNAT target options:[\s\S]*conntrack match options:/,
  ],
  [['/usr/sbin/nft', '--version'], /^nftables v1\./],
  [['/usr/sbin/conntrack', '--version'], /^conntrack v1\./],
  [['/usr/bin/ip', '-V'], /^ip utility, iproute2-/],
  [['/usr/local/bin/hostport', 'version'], /^hostport \d|^\d/],
  [['/usr/local/lib/hostport/cni/portmap'], /^CNI|portmap/],
];

test("the agent's image has no shell, and every tool in it runs", async () => {
  const layout = await layoutOf('hostport-agent');
  const { platforms } = await imageIn(layout);
  const image = platforms.find(({ architecture }) => architecture === native)!;
  const root = await rootOf(layout, image, join(scratch, 'roots/agent'));
  for (const shell of ['bin/sh', 'bin/bash', 'bin/busybox'])
    expect(existsSync(join(root, shell))).toBe(false);
  for (const [argv, prints] of TOOLS) {
    const { stdout, stderr } = await realExec.run(inRoot(root, argv));
    expect([argv, (stdout + stderr).trim()]).toEqual([argv, expect.stringMatching(prints)]);
  }
});

test("the agent's image, started as it is, is nobody, and judges a bundle", async () => {
  const layout = await layoutOf('hostport-agent');
  const { platforms } = await imageIn(layout);
  const image = platforms.find(({ architecture }) => architecture === native)!;
  const root = await rootOf(layout, image, join(scratch, 'roots/nobody'));
  cpSync(BUNDLE, join(root, 'bundle'), { recursive: true });
  const { Entrypoint, User } = image.config.config as { Entrypoint: string[]; User: string };
  expect(User).toBe('65534:65534');
  const { code, stdout } = await realExec.run(
    inRoot(root, [...Entrypoint, 'doctor', '--from', '/bundle'], User),
  );
  expect([code, stdout]).toEqual([1, expect.stringContaining('✗ plugin-missing')]);
});

const QEMU = '/usr/bin/qemu-aarch64-static';

test.skipIf(native === 'arm64' || !existsSync(QEMU))(
  "what is in the agent's image for arm64 runs there, as far as an emulator is that",
  async () => {
    const layout = await layoutOf('hostport-agent');
    const { platforms } = await imageIn(layout);
    const image = platforms.find(({ architecture }) => architecture === 'arm64')!;
    const root = await rootOf(layout, image, join(scratch, 'roots/agent-arm64'));
    for (const [[file, ...words], prints] of TOOLS) {
      const { stdout, stderr } = await realExec.run([QEMU, '-L', root, join(root, file!), ...words], {
        timeoutMs: BUILD_MS,
      });
      // The emulator has no netlink of netfilter: what asks for it has been loaded with all its libraries.
      const either = new RegExp(`${prints.source}|: Protocol not supported`);
      expect([file, (stdout + stderr).trim()]).toEqual([file, expect.stringMatching(either)]);
    }
  },
);

test('the plugin installs itself from its image', async () => {
  const layout = await layoutOf('hostport-cni');
  const { platforms } = await imageIn(layout);
  const image = platforms.find(({ architecture }) => architecture === native)!;
  const root = await rootOf(layout, image, join(scratch, 'roots/cni'));
  for (const directory of ['host/opt/cni/bin', 'proc']) mkdirSync(join(root, directory), { recursive: true });
  expect(image.config.config.Entrypoint).toEqual(['/install']);
  await run(inRoot(root, ['/install']));
  expect(digest(join(root, 'host/opt/cni/bin/portmap'))).toBe(digest(join(root, 'portmap')));
});

const missing = labMissing();

describe.skipIf(missing !== undefined)(`in a lab${missing ? ` (${missing})` : ''}`, () => {
  const lab = new Lab('release');
  let program: string;

  beforeAll(async () => {
    program = await unpacked(native);
    const images = join(built[0]!, 'images');
    await lab.must('create', 'cluster', '--name', lab.name);
    for (const file of readdirSync(images).filter((name) => name.endsWith('.tar')))
      await lab.must('load', 'image-archive', join(images, file), '--name', lab.name);
  }, BUILD_MS);
  afterAll(() => lab.delete(), BUILD_MS);

  const released = (...words: string[]) =>
    lab.command([program, ...words, '--kubeconfig', lab.env.KUBECONFIG!]);

  test('the doctor examines a node by a pod of the image, which has no shell', async () => {
    const { code, stdout, stderr } = await released('doctor', '-o', 'json');
    expect([code, JSON.parse(stdout).unknowns]).toEqual([0, []]);
    expect(stderr).not.toContain('WARNING');
  });

  test('the agent is installed from its image, and says how it is', async () => {
    const config = await lab.must('get', 'kubeconfig', '--name', lab.name, '--internal');
    const server = new URL(/server: (\S+)/.exec(config)![1]!).host;
    expect(await released('agent', 'install', '--heal', '--api-server', server)).toMatchObject({ code: 0 });
    let status = '';
    await eventually('the agent to have looked', async () => {
      const { code, stdout } = await released('agent', 'status', '-o', 'json');
      status = stdout;
      return code === 0;
    });
    expect(status).toContain(JSON.parse(await run([program, 'version', '-o', 'json'])).version);
    expect(await released('agent', 'uninstall')).toMatchObject({ code: 0 });
  });

  test('the manifest of the plugin puts it on the node', async () => {
    const manifest = readFileSync(join(built[0]!, 'manifests/plugin.yaml'), 'utf8');
    // An image that was loaded has no digest that a kubelet knows: nobody has pulled it.
    const file = lab.file('plugin.yaml', manifest.replaceAll(/@sha256:[0-9a-f]+/g, ''));
    expect(await lab.kubectl(['apply', '-f', file])).toMatchObject({ code: 0 });
    const rollout = ['-n', 'kube-system', 'rollout', 'status', 'daemonset/hostport-cni', '--timeout=60s'];
    expect(await lab.kubectl(rollout)).toMatchObject({ code: 0 });
    const node = `${lab.name}-control-plane`;
    const { stdout } = await lab.inNode(node, 'sha256sum', '/opt/cni/bin/portmap');
    const archive = namesIn(built[0]!).find(
      (name) => name.startsWith('hostport-cni-') && name.includes(native),
    );
    await run(['tar', '-xzf', join(built[0]!, archive!)]);
    const plugin = join(scratch, archive!.replace(/\.tar\.gz$/, ''), 'portmap');
    expect(stdout).toStartWith(digest(plugin));
  });
});
