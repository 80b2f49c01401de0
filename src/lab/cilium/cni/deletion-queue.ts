import { closeSync, existsSync, mkdirSync, openSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type Clock, realClock } from '../../../sys/clock.ts';
import { discard } from '../../../sys/discard.ts';
import { tryLockOpenFile } from '../../../sys/flock.ts';
import { waitFor } from '../../../sys/wait.ts';
import { type AgentApi, AgentDown } from './agent-api.ts';

// Source of all of it: Cilium 1.20, plugins/cilium-cni/lib/deletion_queue.go.

/** How long a DEL waits for the agent, and for the queue's lock, in milliseconds: less than a kubelet waits for a DEL. */
const TIMEOUT_MS = 1500;
/** How often and after how many milliseconds an agent is asked again that has removed its socket and is about to make it. */
const STARTING = { attempts: 3, intervalMs: 5000 };
/** The largest number of deletions that wait for the agent. */
const MOST_FILES = 256;

/** Where deletions wait for an agent that listens at `socket`. */
export function deletionQueue(socket: string): { directory: string; lock: string } {
  const directory = join(dirname(socket), 'deleteQueue');
  return { directory, lock: join(directory, 'lockfile') };
}

/**
 * Deletes an attachment's endpoint by the agent, or leaves the deletion for the next agent's start when there is none: a runtime wants a
 * DEL to succeed. The second attempt is made under the lock which an agent that starts holds until it serves. Returns whether the deletion
 * was queued. Throws what the agent answered, or that the queue could not take it.
 */
export async function deleteOrQueue(
  agent: AgentApi,
  socket: string,
  endpoint: { link: string; containerId: string; ifName: string },
  clock: Clock = realClock,
): Promise<boolean> {
  if (await deletedByAgent(agent, socket, endpoint.link, clock)) return false;
  const { directory, lock } = deletionQueue(socket);
  mkdirSync(directory, { recursive: true, mode: 0o755 });
  const fd = openSync(lock, 'a', 0o644);
  try {
    await waitFor(`the lock ${lock}`, () => tryLockOpenFile(fd, 'shared'), { timeoutMs: TIMEOUT_MS, clock });
    if (await deletedByAgent(agent, socket, endpoint.link, clock)) return false;
    if (readdirSync(directory).length > MOST_FILES) {
      throw new Error(`deletion queue directory ${directory} has too many entries; aborting`);
    }
    const content = `cni-attachment-id:${endpoint.containerId}:${endpoint.ifName}`;
    const name = new Bun.CryptoHasher('sha256').update(content).digest('hex');
    const path = join(directory, `${name}.delete`);
    try {
      writeFileSync(path, content, { mode: 0o644 });
    } catch (cause) {
      discard(path);
      throw cause;
    }
    return true;
  } finally {
    closeSync(fd);
  }
}

async function deletedByAgent(agent: AgentApi, socket: string, link: string, clock: Clock): Promise<boolean> {
  if (!(await connected(agent, socket, clock))) return false;
  await agent.deleteEndpoint(link);
  return true;
}

async function connected(agent: AgentApi, socket: string, clock: Clock): Promise<boolean> {
  const isThere = () =>
    agent.connect(TIMEOUT_MS).then(
      () => true,
      (error: unknown) => {
        if (error instanceof AgentDown) return false;
        throw error;
      },
    );
  if (await isThere()) return true;
  // Its directory without its socket: the agent is starting, and is about to work off the queue.
  const isStarting = existsSync(dirname(socket)) && !existsSync(socket);
  for (let attempt = 0; isStarting && attempt < STARTING.attempts; attempt++) {
    await clock.sleep(STARTING.intervalMs);
    if (await isThere()) return true;
  }
  return false;
}

/** The attachment that a queued deletion names; undefined for other content. */
export function queuedEndpoint(content: string): { containerId: string; ifName: string } | undefined {
  const [, containerId, ifName] = /^cni-attachment-id:([^:]+):([^:]+)$/.exec(content) ?? [];
  return containerId === undefined || ifName === undefined ? undefined : { containerId, ifName };
}
