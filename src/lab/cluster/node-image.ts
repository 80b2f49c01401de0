import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { constants } from 'node:fs';
import { copyFile, cp, link, mkdir, readdir, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Distribution } from '../../sys/distribution.ts';
import { type Exec, output } from '../../sys/exec.ts';
import { exists, readIfExists } from '../../sys/files.ts';
import { waitFor } from '../../sys/wait.ts';
import { UserError } from '../../util/errors.ts';
import { writeArchive } from '../images/archive.ts';
import { readIndex } from '../images/oci.ts';
import { type ImageStore, keepImage } from './image-store.ts';
import { NODE_LAYERS } from './node-spec.ts';
import { RUN_ROOT } from './paths.ts';
import { imagesInUse } from './record.ts';

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

/** Plugins that the program can put into a node. All are one executable, which acts by its name. */
const OWN_PLUGINS = ['portmap', 'loopback'] as const;

/** Where Debian's containernetworking-plugins puts the reference plugins. */
const CNI_PACKAGE = '/usr/lib/cni';

/** Where the overlay snapshotter of an image's containerd has its directories, one a snapshot. */
const SNAPSHOTS = 'containerd/io.containerd.snapshotter.v1.overlayfs/snapshots';

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
 * Makes sure that the node image of a distribution is there, as `kind build node-image` builds kind's: the program under
 * its daemons' names, the CNI package with our portmap in the place of its own, a minimal /etc, and the state of a
 * containerd that holds the preloaded images already unpacked. Nodes are made from it with hard links, so a node costs no
 * copy of the images, and every process of every node shares the program's pages.
 * `claim` gets the image's directory while nobody can remove it, and records there who uses it (see
 * {@link ImageStore}). Returns the directory.
 */
export async function ensureNodeImage(
  exec: Exec,
  dist: Distribution,
  signal: AbortSignal,
  claim: (image: string) => Promise<void> = async () => {},
): Promise<string> {
  const name = await inputsDigest(dist);
  const store = nodeImageStore(dist);
  const build = async (building: string) => {
    await seedContainerd(exec, dist, building, store.scratch, signal);
    await layOutProgram(building);
    await layOutLayers(building);
    await layOutPlugins(dist, building);
    await layOutEtc(building);
  };
  return keepImage(store, name, build, claim, signal);
}

/** Where a distribution's node images are, and what is only there while one is built. */
export function nodeImageStore(dist: Distribution): ImageStore {
  // Of fixed length: a socket's path may have 107 characters. Not beside the clusters' locks, whose names users choose.
  const id = createHash('sha256').update(dist.nodeImages).digest('hex').slice(0, 16);
  const state = join(RUN_ROOT, 'node-images', id);
  return { directory: dist.nodeImages, lock: `${state}.lock`, scratch: state, inUse: imagesInUse };
}

/** Which parts an image has and where; another number for every change of that. */
const LAYOUT = 2;

/** Identity of what the node image is made from: the image index and the size and time of every other part. */
async function inputsDigest(dist: Distribution): Promise<string> {
  const hash = createHash('sha256');
  const index = await readIfExists(join(dist.images, 'index.json'));
  if (index === undefined) {
    throw new UserError(`cannot build the node image: ${dist.images} has no images; run "make build" first`);
  }
  hash.update(`${LAYOUT}\n`);
  hash.update(index);
  const parts = [join(dist.plugins, 'portmap'), join(CNI_PACKAGE, 'portmap'), '/etc/ld.so.cache'];
  for (const part of parts) {
    const { size, mtimeMs } = await stat(part);
    hash.update(`${part} ${size} ${mtimeMs}\n`);
  }
  return hash.digest('hex').slice(0, 16);
}

/** Runs a containerd of its own for as long as it takes to import the preloaded images into `image`. */
async function seedContainerd(
  exec: Exec,
  dist: Distribution,
  image: string,
  scratch: string,
  signal: AbortSignal,
): Promise<void> {
  const socket = join(scratch, 'containerd.sock');
  const config = join(scratch, 'config.toml');
  // Without CRI and its listeners: only images are wanted.
  await writeFile(config, 'version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n');
  const root = join(image, 'containerd');
  const containerd = spawn(
    'setpriv',
    // Whatever ends this process ends its containerd with it.
    ['--pdeathsig', 'KILL', 'containerd', '--config', config, '--root', root].concat([
      '--state',
      join(scratch, 'state'),
      '--address',
      socket,
    ]),
    { detached: true, stdio: ['ignore', 'ignore', 'pipe'] },
  );
  let log = '';
  containerd.stderr.on('data', (chunk: Buffer) => {
    log += chunk.toString();
  });
  const ended = new Promise<void>((resolve) => containerd.once('close', () => resolve()));
  await once(containerd, 'spawn');
  try {
    await waitFor(
      'containerd for the node image to serve its socket',
      async () => {
        if (containerd.exitCode !== null)
          throw new Error(`containerd for the node image: ${log.slice(-2000)}`);
        return exists(socket);
      },
      { timeoutMs: 20_000, signal, describe: () => log.slice(-2000) },
    );
    // On disk, not in the scratch directory: that may be memory.
    const archive = join(image, 'images.tar');
    await writeArchive(dist.images, await readIndex(dist.images), PRELOADED, archive);
    await output(exec, ['ctr', '-a', socket, '-n', 'k8s.io', 'images', 'import', archive], {
      timeoutMs: 120_000,
      signal,
    });
    await rm(archive);
  } finally {
    containerd.kill('SIGTERM');
    await ended;
  }
}

/** Links the program out of the unpacked image, so that nodes and containers run one and the same file. */
async function layOutProgram(image: string): Promise<void> {
  const snapshots = join(image, SNAPSHOTS);
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

/**
 * Takes the unpacked layers out of containerd's state and leaves links to {@link NODE_LAYERS}, where every node has them
 * mounted: nobody writes to a committed snapshot, and so a node's own copy of that state is four directories and not fifty,
 * with four hundred names in them. containerd only ever names the layers as lower directories, and removes the links.
 */
async function layOutLayers(image: string): Promise<void> {
  const snapshots = join(image, SNAPSHOTS);
  const layers = join(image, 'layers');
  await mkdir(layers);
  for (const id of await readdir(snapshots)) {
    await rename(join(snapshots, id, 'fs'), join(layers, id));
    await symlink(`${NODE_LAYERS}/${id}`, join(snapshots, id, 'fs'));
  }
}

async function layOutPlugins(dist: Distribution, image: string): Promise<void> {
  const bin = join(image, 'opt/cni/bin');
  await mkdir(bin, { recursive: true });
  for (const name of await readdir(CNI_PACKAGE)) await copyFile(join(CNI_PACKAGE, name), join(bin, name));
  await mkdir(join(image, 'reference'));
  await rename(join(bin, 'portmap'), join(image, 'reference/portmap'));
  await copyFile(join(dist.plugins, 'portmap'), join(bin, 'portmap'), constants.COPYFILE_FICLONE);
  // What belongs to the program is beside it, too: a node's /opt may be hidden by a mount, or emptied.
  const own = join(image, 'usr/local/lib/hostport/cni');
  await mkdir(own, { recursive: true });
  for (const name of OWN_PLUGINS) await link(join(bin, 'portmap'), join(own, name));
}

async function layOutEtc(image: string): Promise<void> {
  for (const name of ETC_FILES) {
    const from = join('/etc', name);
    if (!(await exists(from))) continue;
    await cp(from, join(image, 'etc', name), { recursive: true, verbatimSymlinks: true });
  }
}
