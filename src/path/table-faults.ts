import type { FaultDoor } from './fault.ts';

/** A table of the IPv4 rules of the lab's nodes, which have the nft variant, to be put back as it was. */
export function saveTable(door: FaultDoor, node: string, table: string): Promise<string> {
  return door.run(node, ['iptables-save', '-t', table]);
}

/** Makes a table what it was. Rules that came since are lost with it, those of healing with them. */
export async function restoreTable(
  door: FaultDoor,
  node: string,
  table: string,
  saved: string,
): Promise<void> {
  await door.run(node, ['iptables-restore', '-w', '-T', table], { stdin: saved });
}

/** Runs one command of iptables in a table. */
export function iptablesIn(
  door: FaultDoor,
  node: string,
  table: string,
  ...words: string[]
): Promise<string> {
  return door.run(node, ['iptables', '-w', '-t', table, ...words]);
}
