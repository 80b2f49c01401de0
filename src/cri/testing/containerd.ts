import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { closeSync, openSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { realClock } from '../../sys/clock.ts';
import { output, realExec } from '../../sys/exec.ts';
import { connectRuntime } from '../client.ts';

/** Names of the images that a {@link startContainerd} runtime has from the start; nothing can be pulled. */
export const PAUSE_IMAGE = 'registry.test/pause:1';
export const BUSYBOX_IMAGE = 'registry.test/busybox:1';

/** The node's address; only inside the test's network namespace. */
export const NODE_IP = '172.17.0.2';

/** A containerd of a test's own: root, state, socket, CNI directories and network namespace are all temporary. */
export interface TestContainerd {
  directory: string;
  socket: string;
  netns: string;
  cniBin: string;
  cniConf: string;
  /** Kills containerd with SIGKILL and starts it again; resolves when it answers. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

/**
 * Starts containerd in a new network namespace, as a node has it, with Debian's CNI plugins but no configuration:
 * the network is not ready until a conflist lies in `cniConf`.
 */
export async function startContainerd(name: string): Promise<TestContainerd> {
  await mkdir('/tmp/kubelet', { recursive: true });
  const directory = await mkdtemp(`/tmp/kubelet/${name}-`);
  const netns = `kubelet-${directory.slice(-6)}`;
  const at = (...parts: string[]) => join(directory, ...parts);
  const socket = at('containerd.sock');
  const cniBin = at('cni/bin');
  const cniConf = at('cni/net.d');
  await output(realExec, ['ip', 'netns', 'add', netns]);
  await output(realExec, ['ip', '-n', netns, 'link', 'set', 'lo', 'up']);
  await output(realExec, ['ip', '-n', netns, 'address', 'add', `${NODE_IP}/32`, 'dev', 'lo']);
  await mkdir(cniConf, { recursive: true });
  await cp('/usr/lib/cni', cniBin, { recursive: true });
  await writeFile(at('config.toml'), configuration({ directory, socket, cniBin, cniConf }));

  const runtime = connectRuntime(socket);
  const log = openSync(at('containerd.log'), 'a');
  let child: ChildProcess | undefined;
  const start = async () => {
    // Not `ip netns exec`: that mounts another /sys, and runc would find no cgroups there.
    child = spawn('nsenter', [`--net=/run/netns/${netns}`, 'containerd', '-c', at('config.toml')], {
      stdio: ['ignore', 'ignore', log],
    });
    const deadline = performance.now() + 15_000;
    for (;;) {
      try {
        await runtime.version();
        return;
      } catch (error) {
        if (performance.now() > deadline) {
          throw new Error(`containerd does not answer:\n${await readFile(at('containerd.log'), 'utf8')}`, {
            cause: error,
          });
        }
        await realClock.sleep(20);
      }
    }
  };
  const kill = async () => {
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child!.once('exit', resolve));
    child.kill('SIGKILL');
    await ended;
  };

  await start();
  await importImages(directory, socket);
  return {
    directory,
    socket,
    netns,
    cniBin,
    cniConf,
    async restart() {
      await kill();
      await start();
    },
    async stop() {
      // A test that ran out of time takes its child processes with it; what containerd made is still to be taken down.
      await runtime.version().catch(start);
      // A test may have removed plugins; without them no sandbox can be stopped, and its namespace would stay.
      await cp('/usr/lib/cni', cniBin, { recursive: true });
      for (const sandbox of await runtime.listSandboxes()) {
        await runtime.stopSandbox(sandbox.id);
        await runtime.removeSandbox(sandbox.id);
      }
      runtime.close();
      await kill();
      closeSync(log);
      await realExec.run(['ip', 'netns', 'delete', netns]);
      const { stdout } = await realExec.run(['findmnt', '-rno', 'TARGET']);
      for (const target of stdout.split('\n').reverse()) {
        if (target.startsWith(`${directory}/`)) await realExec.run(['umount', '-l', target]);
      }
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** A conflist of Debian's plugins, portmap chained; `directory` keeps the record of addresses. */
export function testConflist(directory: string, subnet = '10.99.0.0/24'): string {
  return JSON.stringify({
    cniVersion: '0.4.0',
    name: 'test',
    plugins: [
      {
        type: 'ptp',
        ipMasq: true,
        ipam: {
          type: 'host-local',
          subnet,
          routes: [{ dst: '0.0.0.0/0' }],
          dataDir: join(directory, 'ipam'),
        },
      },
      { type: 'portmap', capabilities: { portMappings: true } },
    ],
  });
}

function configuration(paths: {
  directory: string;
  socket: string;
  cniBin: string;
  cniConf: string;
}): string {
  return `version = 2
root = "${paths.directory}/root"
state = "${paths.directory}/state"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.devmapper"]
[debug]
  level = "error"
[grpc]
  address = "${paths.socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${PAUSE_IMAGE}"
  disable_cgroup = true
  disable_apparmor = true
  restrict_oom_score_adj = true
  tolerate_missing_hugetlb_controller = true
  disable_hugetlb_controller = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "${paths.cniBin}"
    conf_dir = "${paths.cniConf}"
`;
}

/** Makes a one-layer OCI archive of Debian's static busybox and imports it under both names. */
async function importImages(directory: string, socket: string): Promise<void> {
  const stage = join(directory, 'image');
  const rootfs = join(stage, 'rootfs');
  const blobs = join(stage, 'oci/blobs/sha256');
  await mkdir(join(rootfs, 'bin'), { recursive: true });
  await mkdir(join(rootfs, 'tmp'), { recursive: true });
  await mkdir(blobs, { recursive: true });
  await cp('/usr/bin/busybox', join(rootfs, 'bin/busybox'));
  const applets = await output(realExec, ['busybox', '--list']);
  for (const applet of applets.trim().split('\n')) {
    if (applet !== 'busybox') await symlink('busybox', join(rootfs, 'bin', applet));
  }
  const layerPath = join(stage, 'layer.tar');
  await output(realExec, ['tar', '-C', rootfs, '--owner=0', '--group=0', '-cf', layerPath, '.']);

  const store = async (content: Uint8Array, mediaType: string) => {
    const digest = createHash('sha256').update(content).digest('hex');
    await writeFile(join(blobs, digest), content);
    return { mediaType, digest: `sha256:${digest}`, size: content.length };
  };
  const layer = await store(await readFile(layerPath), 'application/vnd.oci.image.layer.v1.tar');
  const manifests = [];
  for (const [name, command] of [
    [PAUSE_IMAGE, ['/bin/sleep', '2147483647']],
    [BUSYBOX_IMAGE, ['/bin/sh']],
  ] as const) {
    const config = await store(
      Buffer.from(
        JSON.stringify({
          architecture: 'amd64',
          os: 'linux',
          config: { Env: ['PATH=/bin'], Cmd: command },
          rootfs: { type: 'layers', diff_ids: [layer.digest] },
        }),
      ),
      'application/vnd.oci.image.config.v1+json',
    );
    const manifest = { schemaVersion: 2, config, layers: [layer] };
    const descriptor = await store(
      Buffer.from(JSON.stringify(manifest)),
      'application/vnd.oci.image.manifest.v1+json',
    );
    manifests.push({ ...descriptor, annotations: { 'io.containerd.image.name': name } });
  }
  await writeFile(join(stage, 'oci/index.json'), JSON.stringify({ schemaVersion: 2, manifests }));
  await writeFile(join(stage, 'oci/oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }));
  const archive = join(stage, 'images.tar');
  await output(realExec, ['tar', '-C', join(stage, 'oci'), '-cf', archive, '.']);
  await output(realExec, ['ctr', '-a', socket, '-n', 'k8s.io', 'images', 'import', archive]);
  await rm(stage, { recursive: true });
}
