import type { FaultDoor } from './fault.ts';

/** A setting of a node's network. A dot in a device's name is a slash, as sysctl(8) has it. */
export async function readSysctl(door: FaultDoor, node: string, name: string): Promise<string> {
  return (await door.run(node, ['sysctl', '-n', name])).trim();
}

/** Sets it. Rejects with what was asked for and what is there when the kernel did not take the value. */
export async function writeSysctl(door: FaultDoor, node: string, name: string, value: string): Promise<void> {
  await door.run(node, ['sysctl', '-q', '-w', `${name}=${value}`]);
  // Read back: where the kernel refuses a write, sysctl of procps 4.0.2 complains and still exits with 0.
  const after = await readSysctl(door, node, name);
  if (after !== value) {
    throw new Error(`cannot set ${name} to ${value} on node ${node}: the kernel kept ${after}`);
  }
}
