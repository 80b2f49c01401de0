import { readdirSync, statSync } from 'node:fs';
import { localAddressTest } from '../../net/local-addresses.ts';
import { FAMILIES } from '../../util/family.ts';
import type { ProbeJob } from './order.ts';

/** `device:inode` of a namespace's file, which identifies the namespace. Undefined when there is none. Source: namespaces(7). */
export function namespaceIdentity(path: string): string | undefined {
  try {
    const { dev, ino } = statSync(path);
    return `${dev}:${ino}`;
  } catch (cause) {
    if (['ENOENT', 'ESRCH'].includes((cause as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw cause;
  }
}

/**
 * Throws unless every thread of this process is in the job's namespace, or the job goes only to addresses of the current namespace. Called
 * before anything is sent: in another namespace, the same address belongs to another machine.
 */
export function assertPlace(job: ProbeJob): void {
  const { place } = job;
  if ('only' in place) {
    const tests = FAMILIES.map(localAddressTest);
    const foreign = job.orders.find(({ target: { address } }) => !tests.some((isLocal) => isLocal(address)));
    if (foreign === undefined) return;
    throw new Error(`${foreign.target.address} is not an address of this machine: nothing is sent`);
  }
  const wanted = 'namespace' in place ? place.namespace : namespaceIdentity(place.path);
  if (wanted === undefined) throw new Error('the network namespace to send from is gone: nothing is sent');
  for (const thread of readdirSync('/proc/self/task')) {
    const here = namespaceIdentity(`/proc/self/task/${thread}/ns/net`);
    // A thread that has ended between the listing and the look sends nothing.
    if (here !== undefined && here !== wanted) {
      throw new Error('not in the network namespace to send from: nothing is sent');
    }
  }
}
