import { statfsSync } from 'node:fs';
import { unlessMissing } from '../sys/errno.ts';
import { enterNetns, namespaceIdentity } from '../sys/netns.ts';
import { CniError, cniErrorCode } from './errors.ts';

/** NSFS_MAGIC, linux/magic.h. */
const NSFS_MAGIC = 0x6e736673;

/** Moves this process into the sandbox's network namespace; error 8 when the path is not a network namespace, or is the host's own. */
export function enterSandbox(path: string): void {
  if (!enterSandboxIfExists(path)) {
    throw new CniError(cniErrorCode.invalidNetns, `no network namespace at ${path}`);
  }
}

/** As {@link enterSandbox}, but answers false when there is no namespace at that path (any more). */
export function enterSandboxIfExists(path: string): boolean {
  if (!isNamespace(path)) return false;
  if (isOwnNetns(path)) {
    throw new CniError(
      cniErrorCode.invalidNetns,
      "plugin's netns and netns from CNI_NETNS should not be the same",
      path,
    );
  }
  enterNetns(path);
  return true;
}

/** Whether the path is the network namespace that this process is in. */
export function isOwnNetns(path: string): boolean {
  return isNamespace(path) && namespaceIdentity(path) === namespaceIdentity('/proc/self/ns/net');
}

/** Whether the path is a namespace: runtimes unmount it first, then remove the file that is left. */
export function isNamespace(path: string): boolean {
  return unlessMissing(() => statfsSync(path).type, ['ENOTDIR']) === NSFS_MAGIC;
}
