import { closeSync, mkdirSync, openSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { namesIn } from '../../sys/directories.ts';
import { tryLockOpenFile } from '../../sys/flock.ts';
import { waitFor } from '../../sys/wait.ts';
import { messageOf } from '../../util/errors.ts';
import { deletionQueue, queuedEndpoint } from './cni/deletion-queue.ts';
import { hostLink } from './cni/plugin.ts';
import type { Endpoints } from './endpoints.ts';

/** Longer than the plugins that hold the lock take to ask the agent twice. */
const LOCK_TIMEOUT_MS = 10_000;

/**
 * Deletes what DELs have left for this agent while none ran, and then serves: a plugin that waits for the lock meanwhile finds the agent
 * there. Returns what `serve` returns. Source: Cilium 1.20, pkg/endpoint/api/endpoint_deletion_queue.go.
 */
export async function workOffDeletions<T>(
  socket: string,
  endpoints: Pick<Endpoints, 'delete'>,
  log: (line: string) => void,
  signal: AbortSignal,
  serve: () => T,
): Promise<T> {
  const { directory, lock } = deletionQueue(socket);
  mkdirSync(directory, { recursive: true, mode: 0o755 });
  const fd = openSync(lock, 'a', 0o644);
  try {
    await waitFor(`the lock ${lock}`, () => tryLockOpenFile(fd), { timeoutMs: LOCK_TIMEOUT_MS, signal });
    const files = namesIn(directory).filter((name) => name.endsWith('.delete'));
    log(`Processing queued deletion requests: ${files.length}`);
    for (const name of files) {
      const path = join(directory, name);
      // As with Cilium, one that fails is not tried again: an agent that cannot start would be worse.
      await deleteQueued(path, endpoints, log).catch((error) => log(`${path}: ${messageOf(error)}; removed`));
      await rm(path, { recursive: true, force: true });
    }
    return serve();
  } finally {
    closeSync(fd);
  }
}

async function deleteQueued(
  path: string,
  endpoints: Pick<Endpoints, 'delete'>,
  log: (line: string) => void,
): Promise<void> {
  const endpoint = queuedEndpoint(await readFile(path, 'utf8'));
  if (endpoint === undefined) log(`${path} names no endpoint; removed`);
  else await endpoints.delete(hostLink(endpoint.containerId, endpoint.ifName));
}
