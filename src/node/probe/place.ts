import { localAddressTest } from '../../net/local-addresses.ts';
import { isWhollyIn, namespaceIdentity } from '../../sys/netns.ts';
import { FAMILIES } from '../../util/family.ts';
import type { ProbeJob } from './order.ts';

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
  if (!isWhollyIn(wanted)) throw new Error('not in the network namespace to send from: nothing is sent');
}
