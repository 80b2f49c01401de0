import { familyOf } from '../../util/family.ts';
import type { PathView, Scene } from './scene.ts';
import { leadsToPod, traceFrom } from './traces.ts';

/**
 * Whether all that can be seen on a node lets other machines' packets through to the pod: rules, routes and forwarding. What fails all
 * the same fails by something that only probes tell.
 */
export function isWayClear(path: PathView, scene: Scene): boolean {
  const trace = traceFrom('outside', path, scene);
  if ('unknown' in trace || !leadsToPod(trace.value, path)) return false;
  const { verdict } = trace.value;
  if (!verdict.known || verdict.value !== 'accept') return false;
  return path.node?.sysctl(forwardingOf(path)) !== '0';
}

/** Name of the setting by which a node forwards packets of the mapping's family at all. */
export function forwardingOf({ address }: PathView): string {
  return familyOf(address ?? '') === 'ipv6' ? 'net.ipv6.conf.all.forwarding' : 'net.ipv4.ip_forward';
}
