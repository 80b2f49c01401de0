import type { Fault, FaultDoor } from './fault.ts';

/** A table of the IPv4 rules of the lab's nodes, which have the nft variant, to be put back as it was. */
export function saveTable(door: FaultDoor, node: string, table: string): Promise<string> {
  return door.run(node, ['iptables-save', '-t', table]);
}

/**
 * Makes a table what it was. Rules that came since are lost with it, those of healing with them: only for a target whose pods have
 * not changed.
 */
export async function restoreTable(
  door: FaultDoor,
  node: string,
  table: string,
  saved: string,
): Promise<void> {
  await door.run(node, ['iptables-restore', '-w', '-T', table], { stdin: saved });
}

/** The undoing of a fault that changes one table of its target's node and nothing else. */
export function puttingBackTable(table: string): Required<Pick<Fault, 'remember' | 'restore'>> {
  return {
    remember: (door, { node }) => saveTable(door, node, table),
    restore: (door, { node }, memo) => restoreTable(door, node, table, memo as string),
  };
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

/** Whether a table has a rule: chain and words, as iptables prints them. */
export async function hasRule(
  door: FaultDoor,
  node: string,
  table: string,
  ...rule: string[]
): Promise<boolean> {
  const lines = (await iptablesIn(door, node, table, '-S')).split('\n');
  return lines.includes(`-A ${rule.join(' ')}`);
}
