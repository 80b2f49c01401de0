import { closeSync, openSync, readdirSync, statSync } from 'node:fs';
import { unlessMissing } from './errno.ts';
import { libc } from './libc.ts';

const CLONE_NEWNET = 0x40000000;

const calls = libc('setns');

/**
 * Moves the calling thread (JavaScript's main thread) into the network namespace at `path` (`/run/netns/NAME`,
 * `/proc/PID/ns/net`). Sockets made before stay in the namespace they were made in; sockets and processes made after
 * belong to the new one. That is what lets one process listen in one namespace and dial in another.
 *
 * Only this thread moves: sockets of node:net and node:tls and child processes are made by it, but fetch and node:http
 * run on a thread of Bun's that keeps the namespace it was started in. Whoever sends HTTP to a namespace starts a process
 * there.
 * Needs CAP_SYS_ADMIN. Source: setns(2).
 */
export function enterNetns(path: string): void {
  const fd = openSync(path, 'r');
  try {
    enterOpenNetns(fd, path);
  } finally {
    closeSync(fd);
  }
}

function enterOpenNetns(fd: number, path: string): void {
  if (calls().setns(fd, CLONE_NEWNET) === 0) return;
  throw new Error(
    `cannot enter network namespace ${path}: refused by the kernel; needs CAP_SYS_ADMIN and a network namespace file`,
  );
}

/**
 * Does what `work` does before it returns in the network namespace at `path`, and moves back. What it has started by then (a process, a
 * socket) stays in that namespace; what it awaits is done in the one that the thread was in before.
 */
export function inNetns<T>(path: string, work: () => T): T {
  const home = openSync('/proc/thread-self/ns/net', 'r');
  try {
    enterNetns(path);
    try {
      return work();
    } finally {
      enterOpenNetns(home, 'of this process before');
    }
  } finally {
    closeSync(home);
  }
}

/** `device:inode` of a namespace's file, which identifies the namespace. Undefined when there is none. Source: namespaces(7). */
export function namespaceIdentity(path: string): string | undefined {
  const found = unlessMissing(() => statSync(path), ['ESRCH']);
  return found && `${found.dev}:${found.ino}`;
}

/** Whether every thread of this process is in the network namespace of this {@link namespaceIdentity}. */
export function isWhollyIn(namespace: string): boolean {
  return readdirSync('/proc/self/task').every((thread) => {
    const here = namespaceIdentity(`/proc/self/task/${thread}/ns/net`);
    // A thread that has ended between the listing and the look sends nothing.
    return here === undefined || here === namespace;
  });
}
