import type { NodeAction } from '../../path/model/action.ts';
import { output } from '../../sys/exec.ts';
import { parseCidr } from '../../util/cidr.ts';
import { parseIp } from '../../util/ip.ts';
import { parseIpRoute } from '../report/network.ts';
import type { ApplyContext } from './context.ts';
import type { Applied } from './result.ts';

/** Sets the route to a destination in the main table. */
export async function replaceRouteAction(
  { family, destination, device, gateway }: Extract<NodeAction, { do: 'replace-route' }>,
  { exec }: ApplyContext,
): Promise<Applied> {
  if (parseCidr(destination)?.ip.family !== family)
    throw new Error(`${destination}: not a network of ${family}`);
  if (gateway !== undefined && parseIp(gateway)?.family !== family) {
    throw new Error(`${gateway}: not an address of ${family}`);
  }
  if (device !== undefined && !/^[^\s/-][^\s/]{0,14}$/.test(device)) {
    throw new Error(`${device}: not a name of a device`);
  }
  if (device === undefined && gateway === undefined) throw new Error('a route needs a device or a gateway');
  const ip = ['ip', family === 'ipv4' ? '-4' : '-6'];
  const listed = await output(exec, [...ip, '-j', 'route', 'show', 'exact', destination]);
  const before = parseIpRoute(family, listed).filter(({ type }) => type === 'unicast');
  const isThere = before.some(
    (route) => (device === undefined || route.device === device) && route.gateway === gateway,
  );
  const words = [
    destination,
    ...(gateway === undefined ? [] : ['via', gateway]),
    ...(device === undefined ? [] : ['dev', device]),
  ];
  if (isThere && before.length === 1) return { changed: false, detail: `the route is ${words.join(' ')}` };
  await output(exec, [...ip, 'route', 'replace', ...words]);
  const was = before.map((route) => route.device ?? route.gateway ?? route.type).join(', ') || 'none';
  return { changed: true, detail: `route ${words.join(' ')} (before: ${was})` };
}
