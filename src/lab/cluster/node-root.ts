import { chmodSync, copyFileSync, mkdirSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { copyTree } from '../../sys/copy-tree.ts';
import { NODE_LINKS } from './config/container-paths.ts';
import type { NodeFile } from './node-files.ts';
import type { NodePaths } from './paths.ts';

const DIRECTORIES = [
  'dev',
  'etc/cni/net.d',
  'etc/kubernetes/manifests',
  'home',
  'mnt',
  'opt',
  'proc',
  'root',
  'run',
  'srv',
  'sys',
  'tmp',
  'usr',
  'var/lib/kubelet',
  'var/log/pods',
  'var/log/containers',
];

/** Makes a node's root directory from the node image, with the given files in it. */
export function createNodeRoot(
  paths: NodePaths,
  image: string,
  files: readonly NodeFile[],
  portmap: 'ours' | 'reference',
): void {
  mkdirSync(paths.bundle, { recursive: true });
  mkdirSync(join(paths.rootfs, 'var/lib'), { recursive: true });
  for (const top of ['usr', 'opt'] as const) {
    const { upper, work } = paths.overlay(top);
    mkdirSync(upper);
    mkdirSync(work);
  }
  copyTree(join(image, 'etc'), join(paths.rootfs, 'etc'), () => false);
  for (const directory of DIRECTORIES) mkdirSync(join(paths.rootfs, directory), { recursive: true });
  for (const [link, target] of Object.entries(NODE_LINKS)) {
    symlinkSync(relative(dirname(link), target), join(paths.rootfs, link));
  }
  // Layers and blobs never change; databases do.
  copyTree(
    join(image, 'containerd'),
    join(paths.rootfs, 'var/lib/containerd'),
    (name) => !name.endsWith('.db'),
  );
  writeNodeFiles(paths.rootfs, files);
  // runsvdir sleeps a second before it reads a directory that changed within the current one, lest it miss a later change
  // (runit's runsvdir.c). Nothing is added to this one any more.
  utimesSync(join(paths.rootfs, 'etc/sv'), 1, 1);
  if (portmap === 'reference') {
    const bin = join(paths.overlay('opt').upper, 'cni/bin');
    mkdirSync(bin, { recursive: true });
    copyFileSync(join(image, 'reference/portmap'), join(bin, 'portmap'));
  }
}

function writeNodeFiles(root: string, files: readonly NodeFile[]): void {
  for (const file of files) {
    const target = join(root, file.path);
    mkdirSync(dirname(target), { recursive: true });
    const mode = file.mode ?? 0o644;
    writeFileSync(target, file.content, { mode });
    // The umask of whoever runs this must not decide what a node's files look like.
    chmodSync(target, mode);
  }
}
