import type { FaultDoor, FaultTarget } from './fault.ts';

/**
 * What is done to the rules that portmap makes with iptables: names and shapes of the reference plugin, which ours shares. The IPv4
 * table nat of the lab's nodes, which have the nft variant.
 */
export const DNAT_CHAIN = 'CNI-HOSTPORT-DNAT';
export const MASQ_CHAIN = 'CNI-HOSTPORT-MASQ';

/** Runs one iptables command in table nat of the target's node. */
export function iptablesNat(door: FaultDoor, { node }: FaultTarget, ...words: string[]): Promise<string> {
  return door.run(node, ['iptables', '-w', '-t', 'nat', ...words]);
}

/** Whether a rule is there. */
export async function hasNatRule(door: FaultDoor, target: FaultTarget, ...rule: string[]): Promise<boolean> {
  const [chain, ...rest] = rule;
  const lines = (await iptablesNat(door, target, '-S')).split('\n');
  return lines.includes(['-A', chain, ...rest].join(' '));
}

/** The chain of the target's sandbox, by the comment of the rule that leads to it. */
export async function chainOf(door: FaultDoor, target: FaultTarget): Promise<string> {
  const lines = (await iptablesNat(door, target, '-S', DNAT_CHAIN)).split('\n');
  const chain = lines.find((line) => line.includes(target.sandbox))?.match(/-j (CNI-DN-\S+)/)?.[1];
  if (chain === undefined)
    throw new Error(`node ${target.node}: ${DNAT_CHAIN} has no rule for sandbox ${target.sandbox}`);
  return chain;
}

/** All of table nat, to be put back as it was. */
export function saveNat(door: FaultDoor, node: string): Promise<string> {
  return door.run(node, ['iptables-save', '-t', 'nat']);
}

/** Makes table nat what it was. Rules that came since are lost with it: only for a target whose pods have not changed. */
export async function restoreNat(door: FaultDoor, node: string, saved: string): Promise<void> {
  await door.run(node, ['iptables-restore', '-w', '-T', 'nat'], { stdin: saved });
}

/** Removes whatever leads to a hostPort in portmap's chain; nothing there is fine. */
export async function removeMapping(door: FaultDoor, target: FaultTarget, hostPort: number): Promise<void> {
  const lines = (await iptablesNat(door, target, '-S')).split('\n');
  for (const line of lines) {
    const chain =
      line.startsWith(`-A ${DNAT_CHAIN} `) &&
      line.includes(`--dports ${hostPort} `) &&
      line.match(/-j (CNI-DN-\S+)/)?.[1];
    if (!chain) continue;
    // By its position: the comment's quotes would have to be undone.
    const position = lines.filter((other) => other.startsWith(`-A ${DNAT_CHAIN} `)).indexOf(line) + 1;
    await iptablesNat(door, target, '-D', DNAT_CHAIN, String(position));
    await iptablesNat(door, target, '-F', chain);
    await iptablesNat(door, target, '-X', chain);
    return removeMapping(door, target, hostPort);
  }
}
