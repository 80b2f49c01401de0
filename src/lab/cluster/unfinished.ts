import { lstatSync, realpathSync, rmSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import { namesIn } from '../../sys/directories.ts';
import type { ClusterConfig, ExtraMount } from './config/types.ts';

/** Directories of a node into which programs of ours write a file under another name, and rename it when it is complete. */
const WRITTEN = ['/opt/cni/bin', '/etc/cni/net.d'];

/** Those other names: of plugins, and of {@link import('../../sys/files.ts').writeFileAtomic}. */
const UNFINISHED = /^\.(?:[0-9a-f]{12}|(?:cilium-cni|loopback|portmap|hostport)\.(?:[0-9a-f]{12}|\d+))\.tmp$/;

/** Whether a file of this name is being written, or was left by a writer that was killed. */
export function isUnfinished(name: string): boolean {
  return UNFINISHED.test(name);
}

/**
 * Removes what was being written when a cluster's nodes were killed, from those directories of the machine that the nodes had
 * mounted. What nodes of `others` have mounted, too, stays: somebody may be writing there now.
 */
export function removeUnfinished(cluster: ClusterConfig, others: readonly ClusterConfig[]): void {
  const inUse = new Set(others.flatMap(writtenDirectories));
  for (const directory of new Set(writtenDirectories(cluster))) {
    if (inUse.has(directory)) continue;
    for (const path of namesIn(directory)
      .filter(isUnfinished)
      .map((name) => join(directory, name))) {
      if (lstatSync(path, { throwIfNoEntry: false })?.isFile() === true) rmSync(path, { force: true });
    }
  }
}

/** The machine's directories that a cluster's nodes write to, by their real paths. */
function writtenDirectories({ nodes }: ClusterConfig): string[] {
  return nodes
    .flatMap(({ extraMounts }) => extraMounts.flatMap(writtenBehind))
    .filter((path) => statSync(path, { throwIfNoEntry: false })?.isDirectory() === true)
    .map((path) => realpathSync(path));
}

/** Where on the machine a mount has the directories that nodes write to. */
function writtenBehind({ hostPath, containerPath, readOnly, type }: ExtraMount): string[] {
  if (readOnly || type !== 'Directory') return [];
  return WRITTEN.filter((path) => path === containerPath || path.startsWith(`${containerPath}/`)).map(
    (path) => join(hostPath, relative(containerPath, path)),
  );
}
