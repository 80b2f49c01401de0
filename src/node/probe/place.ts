import { isNamespace, isOwnNetns } from '../../cni/sandbox.ts';
import { localAddressTest } from '../../net/local-addresses.ts';
import type { ProbeResult } from '../../path/model/probe.ts';
import { inNetns, namespaceIdentity } from '../../sys/netns.ts';
import { FAMILIES } from '../../util/family.ts';
import type { Probe } from './heard.ts';
import type { ProbeJob } from './order.ts';
import { probes, sendProbes } from './send.ts';

/** The namespace of the thread that opens the sockets of probes. The engine's own threads open none, and may have begun during a visit to a pod's. */
const THIS_THREAD = '/proc/thread-self/ns/net';

/**
 * Throws unless the thread that sends is in the job's namespace, or the job goes only to addresses of the current namespace. Called
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
  if (namespaceIdentity(THIS_THREAD) !== wanted)
    throw new Error('not in the network namespace to send from: nothing is sent');
}

/**
 * Sends the probes of a job from its place. A place that is the path of another namespace (a pod's) is visited: each socket is opened there,
 * and nothing else is done.
 */
export async function sendFrom(job: ProbeJob): Promise<ProbeResult[]> {
  const { place, orders, timeoutMs } = job;
  if (!('path' in place) || isOwnNetns(place.path)) {
    assertPlace(job);
    return sendProbes(orders, timeoutMs);
  }
  const { path } = place;
  // Opening what is no namespace (a named pipe, say) could hang.
  if (!isNamespace(path)) throw new Error(`no network namespace at ${path}: nothing is sent`);
  const identity = namespaceIdentity(path);
  const visiting =
    (probe: Probe): Probe =>
    (...target) =>
      inNetns(path, () => {
        if (namespaceIdentity(THIS_THREAD) !== identity)
          throw new Error(`${path}: is another namespace now; nothing is sent`);
        return probe(...target);
      });
  return sendProbes(orders, timeoutMs, {
    TCP: visiting(probes.TCP),
    UDP: visiting(probes.UDP),
    SCTP: visiting(probes.SCTP),
  });
}
