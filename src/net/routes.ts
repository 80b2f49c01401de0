import { readFileSync } from 'node:fs';
import { type IpAddress, numberOf } from '../util/ip.ts';

/** A route of the main table, as /proc/net/route has it. */
export interface KernelRoute {
  device: string;
  /** Network, mask: unsigned 32-bit numbers in host order. */
  network: number;
  mask: number;
  metric: number;
  up: boolean;
  /** It says that there is no way: `unreachable`, `blackhole`, `prohibit`. */
  reject: boolean;
}

// linux/route.h
const RTF_UP = 0x1;
const RTF_REJECT = 0x200;
const NO_DEVICE = '*';

/** Parses /proc/net/route (addresses are hexadecimal in the byte order of the machine, little-endian here). */
export function parseProcNetRoute(text: string): KernelRoute[] {
  return text
    .split('\n')
    .slice(1)
    .filter((line) => line.trim() !== '')
    .map((line) => {
      const field = line.trim().split(/\s+/);
      return {
        device: field[0]!,
        network: fromLittleEndian(field[1]!),
        mask: fromLittleEndian(field[7]!),
        metric: Number(field[6]),
        up: (Number.parseInt(field[3]!, 16) & RTF_UP) !== 0,
        // A black hole has no flag, and like the others no device (fib_flag_trans, fib_route_seq_show).
        reject: (Number.parseInt(field[3]!, 16) & RTF_REJECT) !== 0 || field[0] === NO_DEVICE,
      };
    });
}

/** The device that a packet to an IPv4 address leaves by: longest prefix, then lowest metric; undefined without a way, and for IPv6. */
export function deviceTowards(routes: readonly KernelRoute[], ip: IpAddress): string | undefined {
  const address = numberOf(ip);
  if (typeof address === 'bigint') return undefined;
  let best: KernelRoute | undefined;
  for (const route of routes) {
    if (!route.up || (address & route.mask) >>> 0 !== route.network) continue;
    const better =
      best === undefined ||
      route.mask > best.mask ||
      (route.mask === best.mask && route.metric < best.metric);
    if (better) best = route;
  }
  return best === undefined || best.reject ? undefined : best.device;
}

/** The routes of this process's network namespace. */
export function readRoutes(): KernelRoute[] {
  return parseProcNetRoute(readFileSync('/proc/net/route', 'utf8'));
}

function fromLittleEndian(hex: string): number {
  const value = Number.parseInt(hex, 16);
  return (
    (((value & 0xff) << 24) |
      ((value & 0xff00) << 8) |
      ((value >>> 8) & 0xff00) |
      ((value >>> 24) & 0xff)) >>>
    0
  );
}
