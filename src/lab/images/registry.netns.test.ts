import { afterAll, beforeAll, expect, setDefaultTimeout, test } from 'bun:test';
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { createAuthority, issueCertificate } from '../../kube/pki.ts';
import { realClock } from '../../sys/clock.ts';
import { type ExecResult, output, realExec } from '../../sys/exec.ts';
import { describeArchive, writeArchive } from './archive.ts';
import { buildImages, LAB_IMAGES } from './lab-images.ts';
import { readIndex } from './oci.ts';

// A real containerd and the real images, in a network namespace that has a loopback device and nothing else. The
// program in the images is busybox here: what it does is not the question.

setDefaultTimeout(60_000);

const PORT = 5000;
let directory: string;
let netns: string;
const running: ChildProcess[] = [];
const logged: string[] = [];

const at = (...parts: string[]) => join(directory, ...parts);
// Not `ip netns exec`: that has mounts of its own, and an image is mounted below.
const inside = (...argv: string[]) => ['nsenter', `--net=/run/netns/${netns}`, ...argv];
const ctr = (...args: string[]): Promise<ExecResult> =>
  realExec.run(inside('ctr', '-a', at('containerd.sock'), '-n', 'k8s.io', ...args));

/** Runs `attempt` until it says yes; throws what it last said after ten seconds. */
async function until(attempt: () => Promise<ExecResult>): Promise<void> {
  const deadline = Date.now() + 10_000;
  for (;;) {
    const result = await attempt();
    if (result.code === 0) return;
    if (Date.now() > deadline) throw new Error(`not after 10 s: ${result.stderr}\n${logged.join('')}`);
    await realClock.sleep(20);
  }
}

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'hostport-pull-'));
  netns = basename(directory);
  await output(realExec, ['ip', 'netns', 'add', netns]);
  await output(realExec, ['ip', '-n', netns, 'link', 'set', 'lo', 'up']);

  mkdirSync(at('plugins'));
  for (const plugin of ['cilium-cni', 'loopback', 'portmap']) writeFileSync(at('plugins', plugin), 'plugin');
  await buildImages({
    programPath: '/usr/bin/busybox',
    pluginsDir: at('plugins'),
    busyboxPath: '/usr/bin/busybox',
    outDir: at('layout'),
  });

  const authority = await createAuthority('lab');
  const server = await issueCertificate(authority, {
    commonName: 'registry',
    ipAddresses: ['127.0.0.1'],
    usage: 'server',
  });
  const client = await issueCertificate(authority, { commonName: 'node', usage: 'client' });
  writeFileSync(at('ca.crt'), authority.certPem);
  for (const [name, pair] of Object.entries({ server, client })) {
    writeFileSync(at(`${name}.crt`), pair.certPem);
    writeFileSync(at(`${name}.key`), pair.keyPem, { mode: 0o600 });
  }
  mkdirSync(at('certs.d/_default'), { recursive: true });
  writeFileSync(
    at('certs.d/_default/hosts.toml'),
    // The registry is the server itself, not a mirror before it:
    // so that what it answers is the last word. containerd 1.6 wants the empty table.
    `server = "https://127.0.0.1:${PORT}"
capabilities = ["pull", "resolve"]
ca = "${at('ca.crt')}"
client = [["${at('client.crt')}", "${at('client.key')}"]]
[host]
`,
  );
  mkdirSync(at('anonymous/_default'), { recursive: true });
  writeFileSync(
    at('anonymous/_default/hosts.toml'),
    `server = "https://127.0.0.1:${PORT}"\nca = "${at('ca.crt')}"\n[host]\n`,
  );

  const registry = `
    import { main } from ${JSON.stringify(join(import.meta.dir, 'registry.ts'))};
    process.exitCode = await main(process.argv.slice(1));
  `;
  start(
    inside(
      process.execPath,
      '-e',
      registry,
      '--',
      ...['--listen', `127.0.0.1:${PORT}`, '--layout', at('layout'), '--client-ca-file', at('ca.crt')],
      ...['--tls-cert-file', at('server.crt'), '--tls-private-key-file', at('server.key')],
    ),
  );
  writeFileSync(
    at('config.toml'),
    `version = 2
root = "${at('root')}"
state = "${at('state')}"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "${at('containerd.sock')}"
[debug]
  level = "error"
`,
  );
  start(inside('containerd', '-c', at('config.toml')));
  await until(() => ctr('version'));
});

function start(argv: string[]): void {
  const child = spawn(argv[0]!, argv.slice(1), { stdio: ['ignore', 'ignore', 'pipe'] });
  child.stderr!.on('data', (chunk: Buffer) => logged.push(chunk.toString()));
  running.push(child);
}

afterAll(async () => {
  for (const child of running) {
    if (child.exitCode !== null) continue;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGTERM');
    await ended;
  }
  await output(realExec, ['ip', 'netns', 'delete', netns]);
  rmSync(directory, { recursive: true });
});

test('containerd pulls every image of the lab through the mirror', async () => {
  for (const reference of Object.values(LAB_IMAGES)) {
    await until(() => ctr('images', 'pull', '--hosts-dir', at('certs.d'), reference));
  }
  const { stdout } = await ctr('images', 'list', '-q');
  expect(stdout.trim().split('\n').sort()).toEqual([...Object.values(LAB_IMAGES)].sort());
  expect(logged.join('')).toContain('HEAD /v2/inanimate/echo-server/manifests/latest?ns=docker.io 200');
});

test('an image that is not there is not found, by name', async () => {
  const missing = 'docker.io/inanimate/echo-server:v9';
  const { code, stderr } = await ctr('images', 'pull', '--hosts-dir', at('certs.d'), missing);
  expect(code).not.toBe(0);
  expect(stderr).toContain(`failed to resolve reference "${missing}"`);
  expect(stderr).toContain('not found');
});

test('containerd without a client certificate is refused', async () => {
  const { code, stderr } = await ctr(
    ...['images', 'pull', '--hosts-dir', at('anonymous'), LAB_IMAGES.busybox],
  );
  expect(code).not.toBe(0);
  expect(stderr).toMatch(/certificate required|bad certificate|connection reset|EOF|broken pipe/);
});

test('an archive of the layout can be imported, under the full name', async () => {
  await output(
    realExec,
    inside('ctr', '-a', at('containerd.sock'), '-n', 'k8s.io', 'images', 'rm', LAB_IMAGES.pause),
  );
  await writeArchive(at('layout'), await readIndex(at('layout')), [LAB_IMAGES.pause], at('pause.tar'));
  expect((await describeArchive(at('pause.tar'))).images[0]?.references).toEqual([LAB_IMAGES.pause]);
  const imported = await ctr('images', 'import', at('pause.tar'));
  expect(imported).toMatchObject({ code: 0 });
  expect((await ctr('images', 'list', '-q')).stdout).toContain(LAB_IMAGES.pause);
});

test('what was pulled unpacks into a root that runs', async () => {
  const root = at('mnt');
  mkdirSync(root);
  await until(() => ctr('images', 'mount', LAB_IMAGES.ciliumStandIn, root));
  try {
    for (const path of ['usr/local/bin/cilium-agent', 'opt/cilium/bin/loopback', 'etc/passwd']) {
      expect([path, existsSync(join(root, path))]).toEqual([path, true]);
    }
    expect(await output(realExec, ['chroot', root, '/usr/sbin/iptables-restore', '--version'])).toMatch(
      /^iptables-restore v1\.\d+\.\d+ \(nf_tables\)/,
    );
    expect(await output(realExec, ['chroot', root, '/usr/sbin/ip', '-V'])).toContain('iproute2');
    expect(await output(realExec, ['chroot', root, '/bin/sh', '-c', 'echo $0 works'])).toBe(
      '/bin/sh works\n',
    );
  } finally {
    await output(realExec, ['umount', root]);
  }
});
