import { mkdirSync, rmSync, statSync } from 'node:fs';
import { deviceTowards } from '../net/routes.ts';
import { namesIn } from '../sys/directories.ts';
import { unlessMissing } from '../sys/errno.ts';
import { type IpAddress, isUnspecified, parseIp } from '../util/ip.ts';
import type { PortmapConfig } from './config.ts';
import type { Devices } from './machine.ts';
import { mappingsOf, type PodAddress } from './rules.ts';
import { changingState, STATE_DIRECTORY, statsOf } from './state.ts';

const SETTING = 'route_localnet';

/** A network device of the node. Its index is never given to another one; its name may be. */
export interface Device {
  index: number;
  name: string;
}

/**
 * The devices that connections from 127.0.0.1 to a pod's ports pass: the one that packets to the pod leave by, and the one that the
 * answers come in by, when that is another. With Cilium's default routing the first is `cilium_host` and the second the pod's
 * `lxc…`, and the kernel drops what has an address of 127.0.0.0/8 unless `route_localnet` is set on each of them. None when no
 * mapping promises to answer there.
 */
export function loopbackDevices(
  machine: Devices,
  config: PortmapConfig,
  pods: readonly PodAddress[],
  netns: string,
  ifName: string,
): Device[] {
  const pod = pods.find(({ ip }) => ip.family === 'ipv4');
  if (pod === undefined || !config.snat || !servesLoopback(config)) return [];
  // By the main routing table, where every CNI plugin has the route to its pods.
  const towards = deviceTowards(machine.routes(), pod.ip);
  const devices = machine.devices();
  try {
    const back = machine.isNamespace(netns) ? devices.otherEnd(netns, ifName) : undefined;
    const out = towards === undefined || towards === back?.name ? undefined : devices.byName(towards);
    const found = [
      ...(out === undefined ? [] : [out]),
      // What comes in by a port of a bridge comes in by the bridge.
      ...(back === undefined || (back.master !== undefined && back.name !== towards) ? [] : [back]),
    ];
    return found.map(({ index, name }) => ({ index, name }));
  } finally {
    devices.close();
  }
}

function servesLoopback(config: PortmapConfig): boolean {
  return mappingsOf(config, 'ipv4').some(({ hostIP }) => {
    const ip = hostIP === undefined ? undefined : parseIp(hostIP)!;
    return ip === undefined || isUnspecified(ip) || ip.bytes[0] === 127;
  });
}

/** The devices of these on which the kernel drops connections from 127.0.0.1: it is off there, and is not on for all of them. */
export function withoutRouteLocalnet(machine: Devices, devices: readonly Device[]): Device[] {
  if (devices.length === 0 || machine.sysctl('all', SETTING) !== '0') return [];
  return devices.filter(({ name }) => machine.sysctl(name, SETTING) === '0');
}

/** Whether a device that nobody holds must stay as it is. */
export type NeededByOthers = (device: string) => Promise<boolean>;

/**
 * Whether a device leads to pods of another plugin's mappings, which hold nothing here. `mapped` returns their addresses, and
 * is asked only when a route leads by the device; if they cannot be determined, the answer is yes.
 */
export function neededByOthers(
  machine: Devices,
  mapped: () => Promise<IpAddress[] | undefined>,
): NeededByOthers {
  let asked: Promise<IpAddress[] | undefined> | undefined;
  return async (device) => {
    const routes = machine.routes();
    if (!routes.some((route) => route.device === device)) return false;
    asked ??= mapped();
    return (await asked)?.some((ip) => deviceTowards(routes, ip) === device) ?? true;
  };
}

/**
 * `route_localnet` of devices that attachments need, and who needs it: a directory for each device on which it was off before us,
 * and in that an empty one for each attachment, by the name of its chain. A device on which it was on is not ours and has none. Used
 * under the lock that every caller holds.
 */
export class RouteLocalnet {
  readonly #machine: Devices;
  readonly #directory: string;
  #namespace: string | undefined;

  constructor(machine: Devices, directory = `${STATE_DIRECTORY}/route_localnet`) {
    this.#machine = machine;
    this.#directory = directory;
  }

  /** Sets it for an attachment. Recorded before it is set: if this process is killed in between, no setting stays on without a record. */
  hold(chain: string, devices: readonly Device[]): void {
    for (const { index, name } of devices) {
      const isOff = this.#machine.sysctl(name, SETTING) === '0';
      if (this.#wasOff(index) || isOff) {
        const holder = `${this.#holders(index)}/${chain}`;
        changingState(holder, () => mkdirSync(holder, { recursive: true, mode: 0o700 }));
      }
      if (isOff) this.#machine.setSysctl(name, SETTING, '1');
    }
  }

  /** The attachment no longer needs these devices. A setting that no attachment needs is turned off, if this plugin turned it on. */
  async release(chain: string, devices: readonly Device[], isNeeded: NeededByOthers): Promise<void> {
    for (const { index } of devices) {
      remove(`${this.#holders(index)}/${chain}`);
      await this.#restoreUnheld(index, isNeeded);
    }
  }

  /** Releases what was left by calls that were killed: `isHeld` says whether an attachment has a device still. */
  async tidy(isHeld: (chain: string, index: number) => boolean, isNeeded: NeededByOthers): Promise<void> {
    const prefix = this.#holders('');
    for (const name of unlessMissing(() => namesIn(this.#directory), ['ENOTDIR']) ?? []) {
      const path = `${this.#directory}/${name}`;
      const index = Number(path.slice(prefix.length));
      if (!path.startsWith(prefix) || !this.#wasOff(index)) continue;
      for (const chain of namesIn(path)) if (!isHeld(chain, index)) remove(`${path}/${chain}`);
      await this.#restoreUnheld(index, isNeeded);
    }
  }

  /** Whether an attachment needs the setting that this plugin turned on. */
  isHeld(chain: string, index: number): boolean {
    return this.#wasOff(index) && statsOf(`${this.#holders(index)}/${chain}`) !== undefined;
  }

  /** Removes the directory with all that is noted; false when there is none. */
  discard(): boolean {
    if (statsOf(this.#directory) === undefined) return false;
    remove(this.#directory);
    return true;
  }

  /** What another plugin needs stays on, and noted: a GC turns it off when that is over. */
  async #restoreUnheld(index: number, isNeeded: NeededByOthers): Promise<void> {
    if (!this.#wasOff(index) || namesIn(this.#holders(index)).length > 0) return;
    const device = deviceOf(this.#machine, index);
    if (device !== undefined && (await isNeeded(device))) return;
    // First the setting: if this process is killed in between, the directory shows that this still has to be done.
    if (device !== undefined) turnOff(this.#machine, index, device);
    remove(this.#holders(index));
  }

  #wasOff(index: number): boolean {
    const holders = this.#holders(index);
    const found = statsOf(holders);
    if (found === undefined || found.isDirectory()) return found !== undefined;
    // It has one of our names but is not a directory.
    remove(holders);
    return false;
  }

  /** An index is valid in its network namespace only, and a test runs several namespaces with one /run. */
  #holders(index: number | ''): string {
    this.#namespace ??= String(statSync('/proc/self/ns/net').ino);
    return `${this.#directory}/${this.#namespace}-${index}`;
  }
}

/** Turns the setting off; a device that is gone needs nothing. */
function turnOff(machine: Devices, index: number, name: string): void {
  try {
    machine.setSysctl(name, SETTING, '0');
  } catch (cause) {
    if (deviceOf(machine, index) !== undefined) throw cause;
  }
}

/** The name that a device has now; undefined when it is gone. */
function deviceOf(machine: Devices, index: number): string | undefined {
  const devices = machine.devices();
  try {
    return devices.byIndex(index)?.name;
  } finally {
    devices.close();
  }
}

function remove(path: string): void {
  // What is not there need not be removed, whatever the directory is.
  if (statsOf(path) === undefined) return;
  changingState(path, () => rmSync(path, { recursive: true, force: true }));
}
