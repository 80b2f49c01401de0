import { chmod, copyFile, cp, mkdir, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { NodeFile } from './node-files.ts';
import { linkTree } from './node-image.ts';
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

/** Debian's merged /usr: these are links everywhere since Debian 12. */
const USR_LINKS = ['bin', 'sbin', 'lib', 'lib64'];

/** Makes a node's root directory from the node image, with the given files in it. */
export async function createNodeRoot(
  paths: NodePaths,
  image: string,
  files: readonly NodeFile[],
  portmap: 'ours' | 'reference',
): Promise<void> {
  await mkdir(paths.bundle, { recursive: true });
  await mkdir(paths.rootfs, { recursive: true });
  for (const top of ['usr', 'opt'] as const) {
    const { upper, work } = paths.overlay(top);
    await mkdir(upper);
    await mkdir(work);
  }
  for (const directory of DIRECTORIES) await mkdir(join(paths.rootfs, directory), { recursive: true });
  for (const link of USR_LINKS) await symlink(`usr/${link}`, join(paths.rootfs, link));
  await symlink('/run', join(paths.rootfs, 'var/run'));
  await cp(join(image, 'etc'), join(paths.rootfs, 'etc'), { recursive: true, verbatimSymlinks: true });
  await linkTree(join(image, 'containerd'), join(paths.rootfs, 'var/lib/containerd'));
  await writeNodeFiles(paths.rootfs, files);
  if (portmap === 'reference') {
    const bin = join(paths.overlay('opt').upper, 'cni/bin');
    await mkdir(bin, { recursive: true });
    await copyFile(join(image, 'reference/portmap'), join(bin, 'portmap'));
  }
}

async function writeNodeFiles(root: string, files: readonly NodeFile[]): Promise<void> {
  for (const file of files) {
    const target = join(root, file.path);
    await mkdir(dirname(target), { recursive: true });
    const mode = file.mode ?? 0o644;
    await writeFile(target, file.content, { mode });
    // The umask of whoever runs this must not decide what a node's files look like.
    await chmod(target, mode);
  }
}
