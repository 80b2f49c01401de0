import type { FaultDoor } from './fault.ts';

/** A setting of a node's network. A dot in a device's name is a slash, as sysctl(8) has it. */
export async function readSysctl(door: FaultDoor, node: string, name: string): Promise<string> {
  return (await door.run(node, ['sysctl', '-n', name])).trim();
}

export async function writeSysctl(door: FaultDoor, node: string, name: string, value: string): Promise<void> {
  await door.run(node, ['sysctl', '-q', '-w', `${name}=${value}`]);
}
