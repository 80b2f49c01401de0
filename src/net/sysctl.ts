import { existsSync, readFileSync, writeFileSync } from 'node:fs';

/** Path of a per-interface IPv4 setting. The name goes in as a path component, so one with a dot needs no care. */
function interfaceSetting(ifName: string, key: string): string {
  return `/proc/sys/net/ipv4/conf/${ifName}/${key}`;
}

/**
 * Sets `net.ipv4.conf.<interface>.<key>` in this process's network namespace. Writes only what differs: in a container
 * /proc/sys may be read-only and already right.
 */
export function setInterfaceSysctl(ifName: string, key: string, value: string): void {
  if (interfaceSysctl(ifName, key) === value) return;
  writeFileSync(interfaceSetting(ifName, key), value);
}

/** `net.ipv4.conf.<interface>.<key>` in this process's network namespace; `all` is an interface here. */
export function interfaceSysctl(ifName: string, key: string): string {
  return readFileSync(interfaceSetting(ifName, key), 'utf8').trim();
}

/** Whether an interface of that name is in this process's network namespace. */
export function interfaceExists(ifName: string): boolean {
  // /proc/sys/net follows the namespace of the reading process; /sys/class/net that of the mount.
  return existsSync(`/proc/sys/net/ipv4/conf/${ifName}`);
}
