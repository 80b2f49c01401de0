import { familyOf } from '../../util/family.ts';
import { known, type Observed } from '../model/observed.ts';
import { type NodeView, portmapIn } from './node-view.ts';
import { entryDevices } from './pod-devices.ts';
import { podName } from './pod-name.ts';
import { servesOthersAlone } from './port-mapper.ts';
import { routeTo } from './routing.ts';
import type { PathView, Scene } from './scene.ts';
import { leadsToPod, podAddress, traceFrom } from './traces.ts';

/** A device that connections to 127.0.0.1 and a hostPort pass, and how. */
export interface LoopbackDevice {
  device: string;
  /** `both`: they leave by it, and their answers enter by it. */
  passedBy: 'connections' | 'answers' | 'both';
}

/**
 * The devices that must have route_localnet and do not, of a mapping that serves 127.0.0.1. A packet leaves with the source 127.0.0.1 by
 * the device of the route to the pod, and its answer, translated back to that destination, enters by the device at the pod's other end;
 * each drops what is of the loopback network without the setting (ip_route_output_key, ip_route_input_slow). With Cilium's default routing
 * they are two: cilium_host and the pod's `lxc…`. Undefined where nothing is promised, where the rules do not lead to the pod, and where it
 * is seen to work. Unknown where no device is seen to lack it, and of one that is not known.
 */
export function devicesWithoutLocalnet(path: PathView, scene: Scene): Observed<LoopbackDevice[]> | undefined {
  const { node } = path;
  const address = podAddress(path);
  if (node === undefined || address === undefined || !servesLoopback(path)) return undefined;
  const probe = path.probes.get('loopback');
  if (probe?.outcome === 'answered' && probe.target.address.startsWith('127.')) return undefined;
  const route = routeTo(node, address);
  if (route?.type !== 'unicast' || route.device === undefined) return undefined;
  const lacking = lackingOn(path, node, route.device, entryDevices(path, node, address));
  // Following the packet takes longest, and most nodes are in order.
  if ('value' in lacking && lacking.value.length === 0) return lacking;
  const trace = traceFrom('loopback', path, scene);
  return 'value' in trace && leadsToPod(trace.value, path) ? lacking : undefined;
}

/** Of the device that packets leave by and those that answers may enter by, those that lack the setting. */
function lackingOn(
  { subject }: PathView,
  node: NodeView,
  out: string,
  entries: Observed<string[]>,
): Observed<LoopbackDevice[]> {
  const all = node.sysctl(localnetOf('all'));
  const isAllOn = isOnValue(all);
  // Either will do (IN_DEV_ORCONF).
  if (isAllOn) return { value: [] };
  const isOn = (device: string): boolean | undefined => {
    const isOwnOn = isOnValue(node.sysctl(localnetOf(device)));
    if (isOwnOn) return true;
    return isOwnOn === undefined || isAllOn === undefined ? undefined : false;
  };
  const answersBy = known(entries) ?? [];
  // Where it may be one device or another, it is known to be off only if it is off on each.
  const isAnswerLost = answersBy.every((device) => isOn(device) === false);
  const passed = (device: string): LoopbackDevice['passedBy'] | undefined => {
    const isOut = device === out && isOn(out) === false;
    const isEntry = isAnswerLost && answersBy.includes(device);
    if (isOut && isEntry) return 'both';
    return isOut ? 'connections' : isEntry ? 'answers' : undefined;
  };
  const lacking = [...new Set([out, ...answersBy])].flatMap((device) => {
    const passedBy = passed(device);
    return passedBy === undefined ? [] : [{ device, passedBy }];
  });
  if (lacking.length > 0) return { value: lacking };
  const unseen = [out, ...answersBy].find((device) => isOn(device) === undefined);
  if (unseen !== undefined) return { unknown: `${localnetOf(unseen)} of ${node.name} was not seen` };
  if ('unknown' in entries) return entries;
  if (answersBy.every(isOn)) return { value: [] };
  return {
    unknown: `answers of ${podName(subject.pod!)} enter ${node.name} by ${answersBy.join(' or ')}, and not all of these have route_localnet`,
  };
}

/** Whether the kernel takes a setting's value for on: any number but 0. Undefined for what is no number. */
function isOnValue(value: string | undefined): boolean | undefined {
  return value !== undefined && /^-?\d+$/.test(value) ? Number(value) !== 0 : undefined;
}

/** Name of the setting that lets a device take packets of the loopback network. */
export function localnetOf(device: string): string {
  return `net.ipv4.conf.${device.replaceAll('.', '/')}.route_localnet`;
}

/** Whether 127.0.0.1 is promised to work: for mappings of every address or of the loopback, unless portmap does not masquerade (`snat: false`). */
function servesLoopback(path: PathView): boolean {
  const { node, port, address } = path;
  if (portmapIn(node?.mappingChain)?.fields.snat === false || servesOthersAlone(path)) return false;
  if (address === undefined || familyOf(address) === 'ipv6') return false;
  return port.hostIP === undefined || port.hostIP.startsWith('127.');
}
