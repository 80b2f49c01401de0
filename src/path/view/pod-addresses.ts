import type { Pod } from '../../kube/types.ts';
import { parseIp } from '../../util/ip.ts';
import type { Sandbox } from '../model/node-report.ts';

/** The valid addresses of a pod: those that the runtime reports of its sandbox, or without any those of the API. */
export function addressesOfPod(pod: Pod, sandbox: Sandbox | undefined): string[] {
  const addresses = sandbox?.ips.length ? sandbox.ips : pod.status?.podIPs?.map(({ ip }) => ip);
  return addresses?.filter((ip): ip is string => ip !== undefined && parseIp(ip) !== undefined) ?? [];
}
