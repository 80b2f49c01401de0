import { CniError } from '../cni/errors.ts';
import type { PluginConfig } from '../cni/types.ts';
import { formatIp, type IpAddress, isUnspecified, parseIp } from '../util/ip.ts';
import type { PortmapConfig } from './config.ts';
import type { PodAddress } from './rules.ts';

/** Error code of our own, under `"strict": true`: something in the request cannot take effect. */
export const WITHOUT_EFFECT = 111;

/**
 * What an ADD would accept without any effect, one sentence each: the reference plugin silently succeeds here.
 * `isLocal` says whether an address belongs to this machine; it is called only for a hostIP.
 */
export function doubtsOf(
  request: PluginConfig,
  config: PortmapConfig,
  pods: readonly PodAddress[],
  isLocal: (ip: IpAddress) => boolean,
): string[] {
  const doubts = [...misplaced(request), ...config.repeated];
  for (const { hostIP, hostPort, protocol } of config.portMappings) {
    const ip = hostIP === undefined ? undefined : parseIp(hostIP);
    if (ip === undefined) continue;
    const reason = !pods.some((pod) => pod.ip.family === ip.family)
      ? `the pod has no ${ip.family} address`
      : isUnspecified(ip)
        ? undefined
        : formatIp(ip) === '::1'
          ? 'the kernel does not route packets from ::1'
          : isLocal(ip)
            ? undefined
            : 'it is not an address of this machine';
    if (reason !== undefined)
      doubts.push(`hostIP ${hostIP} of ${protocol} ${hostPort} has no effect: ${reason}`);
  }
  if (config.portMappings.length > 0 && pods.length === 0) {
    doubts.push('no port is mapped: the pod has no address');
  }
  return doubts;
}

/**
 * Ports that can never arrive. A runtime passes what the configuration declares as a capability, and leaves the key out for a
 * pod without ports: that it is missing means something only where it is not declared, for then it is missing for every pod.
 * https://www.cni.dev/docs/conventions/#dynamic-plugin-specific-fields-capabilities--runtime-configuration
 */
function misplaced(request: PluginConfig): string[] {
  const runtime = request.runtimeConfig as { portMappings?: unknown } | null | undefined;
  const capabilities = request.capabilities as { portMappings?: unknown } | null | undefined;
  const doubts: string[] = [];
  if (runtime?.portMappings === undefined && capabilities?.portMappings !== true) {
    doubts.push(
      'no port is ever mapped: the configuration does not declare "capabilities": {"portMappings": true}, so the runtime does not pass any',
    );
  }
  if (request.portMappings !== undefined) {
    doubts.push('"portMappings" is ignored: it must be inside "runtimeConfig"');
  }
  return doubts;
}

/** Says every doubt as a warning; under `"strict": true` all of them are one error, {@link WITHOUT_EFFECT}. */
export function raise(doubts: readonly string[], strict: boolean, warn: (message: string) => void): void {
  if (strict && doubts.length > 0) {
    throw new CniError(WITHOUT_EFFECT, doubts[0]!, doubts.slice(1).join('; '));
  }
  for (const doubt of doubts) warn(doubt);
}
