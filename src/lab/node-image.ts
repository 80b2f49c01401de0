import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import {
  copyFile,
  cp,
  link,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Exec, output } from '../sys/exec.ts';
import { exists, readIfExists } from '../sys/files.ts';
import { waitFor } from '../sys/wait.ts';
import { UserError } from '../util/errors.ts';
import type { Distribution } from './paths.ts';

/** The names that the program answers to in a node. */
const DAEMONS = [
  'hostport',
  'kubelet',
  'kube-apiserver',
  'kube-controller-manager',
  'kube-scheduler',
] as const;

/** Images that a node has in its containerd from the start, as kind's nodes have theirs. */
const PRELOADED = ['registry.k8s.io/pause:3.9', 'docker.io/hostport/cilium-stand-in:latest'];

/** Where Debian's containernetworking-plugins puts the reference plugins. */
const CNI_PACKAGE = '/usr/lib/cni';

/** What of the machine's /etc a node starts with: accounts, the alternatives that make `iptables`, the linker's cache. */
const ETC_FILES = [
  'alternatives',
  'group',
  'ld.so.cache',
  'ld.so.conf',
  'ld.so.conf.d',
  'nsswitch.conf',
  'os-release',
  'passwd',
  'protocols',
  'services',
];

/**
 * Builds the node image of a distribution below `dist/node-images`, as `kind build node-image` builds kind's: the program
 * under its daemons' names, the CNI package with our portmap in the place of its own, a minimal /etc, and the state of a
 * containerd that holds the preloaded images already unpacked. Nodes are made from it with hard links, so a node costs no
 * copy of the images, and every process of every node shares the program's pages.
 * Returns the image's directory. One that is there already is taken as it is; older ones are removed, except those that
 * `inUse` names: a running node has its image mounted.
 */
export async function buildNodeImage(
  exec: Exec,
  dist: Distribution,
  inUse: readonly string[],
): Promise<string> {
  const name = await inputsDigest(dist);
  const image = join(dist.nodeImages, name);
  if (await exists(image)) return image;
  const building = `${image}.${process.pid}`;
  await mkdir(building, { recursive: true, mode: 0o755 });
  try {
    await seedContainerd(exec, dist, join(building, 'containerd'));
    await layOutProgram(building);
    await layOutPlugins(dist, building);
    await layOutEtc(building);
    await rename(building, image);
  } catch (cause) {
    await rm(building, { recursive: true, force: true });
    // Somebody else has built the same image meanwhile.
    if (await exists(image)) return image;
    throw cause;
  }
  for (const other of await readdir(dist.nodeImages)) {
    const path = join(dist.nodeImages, other);
    const isComplete = /^[0-9a-f]+$/.test(other);
    if (path !== image && isComplete && !inUse.includes(path))
      await rm(path, { recursive: true, force: true });
  }
  return image;
}

/** Identity of what the node image is made from: the image index and the size and time of every other part. */
async function inputsDigest(dist: Distribution): Promise<string> {
  const hash = createHash('sha256');
  const index = await readIfExists(join(dist.images, 'index.json'));
  if (index === undefined) {
    throw new UserError(`build node image: ${dist.images} has no images; run "make build" first`);
  }
  hash.update(index);
  const parts = [join(dist.plugins, 'portmap'), join(CNI_PACKAGE, 'portmap'), '/etc/ld.so.cache'];
  for (const part of parts) {
    const { size, mtimeMs } = await stat(part);
    hash.update(`${part} ${size} ${mtimeMs}\n`);
  }
  return hash.digest('hex').slice(0, 16);
}

/** Runs a containerd of its own for as long as it takes to import the preloaded images into `root`. */
async function seedContainerd(exec: Exec, dist: Distribution, root: string): Promise<void> {
  const scratch = await mkdtemp(join(tmpdir(), 'hostport-image-'));
  const socket = join(scratch, 'containerd.sock');
  const config = join(scratch, 'config.toml');
  // Without CRI and its listeners: only images are wanted.
  await writeFile(config, 'version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n');
  const containerd = spawn(
    'containerd',
    ['--config', config, '--root', root, '--state', join(scratch, 'state'), '--address', socket],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  let log = '';
  containerd.stderr.on('data', (chunk: Buffer) => {
    log += chunk.toString();
  });
  const ended = new Promise<void>((resolve) => containerd.once('close', () => resolve()));
  try {
    await waitFor('containerd for the node image to serve its socket', () => exists(socket), {
      timeoutMs: 20_000,
      describe: () => log.slice(-2000),
    });
    const archive = join(scratch, 'images.tar');
    await archiveImages(exec, dist.images, PRELOADED, archive);
    await output(exec, ['ctr', '-a', socket, '-n', 'k8s.io', 'images', 'import', archive], {
      timeoutMs: 120_000,
    });
  } finally {
    containerd.kill('SIGTERM');
    await ended;
    await rm(scratch, { recursive: true, force: true });
  }
}

interface Index {
  manifests: { digest: string; annotations?: Record<string, string> }[];
}

const REF_NAME = 'org.opencontainers.image.ref.name';

/** Writes an OCI archive with the named images of a layout. */
export async function archiveImages(
  exec: Exec,
  layout: string,
  names: readonly string[],
  archive: string,
): Promise<void> {
  const index = JSON.parse(await readFile(join(layout, 'index.json'), 'utf8')) as Index;
  const manifests = names.map((name) => {
    const found = index.manifests.find((manifest) => manifest.annotations?.[REF_NAME] === name);
    if (found === undefined) throw new Error(`${layout}/index.json: has no image ${name}`);
    return found;
  });
  const blobs = new Set<string>();
  for (const { digest } of manifests) {
    blobs.add(digest);
    const manifest = JSON.parse(await readFile(blobPath(layout, digest), 'utf8')) as {
      config: { digest: string };
      layers: { digest: string }[];
    };
    for (const part of [manifest.config, ...manifest.layers]) blobs.add(part.digest);
  }
  const scratch = await mkdtemp(join(tmpdir(), 'hostport-archive-'));
  try {
    await writeFile(join(scratch, 'index.json'), JSON.stringify({ ...index, manifests }));
    const paths = [...blobs].map((digest) => `blobs/${digest.replace(':', '/')}`);
    await output(
      exec,
      ['tar', '-cf', archive, '-C', scratch, 'index.json', '-C', layout, 'oci-layout', ...paths],
      { timeoutMs: 60_000 },
    );
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

function blobPath(layout: string, digest: string): string {
  return join(layout, 'blobs', digest.replace(':', '/'));
}

/** Links the program out of the unpacked image, so that nodes and containers run one and the same file. */
async function layOutProgram(image: string): Promise<void> {
  const snapshots = join(image, 'containerd/io.containerd.snapshotter.v1.overlayfs/snapshots');
  const bin = join(image, 'usr/local/bin');
  await mkdir(bin, { recursive: true });
  for (const id of await readdir(snapshots)) {
    const program = join(snapshots, id, 'fs/usr/local/bin/hostport');
    if (!(await exists(program))) continue;
    for (const name of DAEMONS) await link(program, join(bin, name));
    return;
  }
  throw new Error(`${snapshots}: no unpacked image holds /usr/local/bin/hostport`);
}

async function layOutPlugins(dist: Distribution, image: string): Promise<void> {
  const bin = join(image, 'opt/cni/bin');
  await mkdir(bin, { recursive: true });
  for (const name of await readdir(CNI_PACKAGE)) await copyFile(join(CNI_PACKAGE, name), join(bin, name));
  await mkdir(join(image, 'reference'));
  await rename(join(bin, 'portmap'), join(image, 'reference/portmap'));
  await copyFile(join(dist.plugins, 'portmap'), join(bin, 'portmap'), constants.COPYFILE_FICLONE);
}

async function layOutEtc(image: string): Promise<void> {
  for (const name of ETC_FILES) {
    const from = join('/etc', name);
    if (!(await exists(from))) continue;
    await cp(from, join(image, 'etc', name), { recursive: true, verbatimSymlinks: true });
  }
}
