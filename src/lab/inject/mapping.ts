import { DNAT_CHAIN, parseEntries } from '../../portmap/layout.ts';
import { type Fault, type FaultDoor, type FaultTarget, UnsuitableTarget } from './fault.ts';
import { iptablesIn, puttingBackTable } from './table.ts';

/** The memo of a fault that needs nothing but portmap's rules for iptables to be there. */
export async function requireIptables(door: FaultDoor, { node }: FaultTarget): Promise<null> {
  const lines = (await iptablesIn(door, node, 'nat', '-S')).split('\n');
  if (lines.includes(`-N ${DNAT_CHAIN}`)) return null;
  throw new UnsuitableTarget(
    `table nat has no chain ${DNAT_CHAIN}: portmap has the nftables backend there, or has mapped no port yet`,
    'choose a node on which portmap has the iptables backend with --node',
  );
}

const puttingBackNat = puttingBackTable('nat');

/** How to undo a fault that changes portmap's rules for iptables and nothing else. */
export const puttingBackMappings: Required<Pick<Fault, 'remember' | 'restore'>> = {
  async remember(door, target) {
    await requireIptables(door, target);
    return puttingBackNat.remember(door, target);
  },
  restore: puttingBackNat.restore,
};

/** The chain of the target's sandbox, by the comment of the rule that leads to it. */
export async function chainOf(door: FaultDoor, { node, pod, sandbox }: FaultTarget): Promise<string> {
  const lines = (await iptablesIn(door, node, 'nat', '-S', DNAT_CHAIN)).split('\n');
  const entry = parseEntries(lines).find(({ owner }) => owner?.containerId === sandbox);
  if (entry === undefined)
    throw new UnsuitableTarget(
      `${DNAT_CHAIN} has no rule for pod ${pod.namespace}/${pod.name}`,
      'choose another pod with --pod',
    );
  return entry.chain;
}

/** Removes whatever leads to a hostPort in portmap's chain; nothing there is fine. */
export async function removeMapping(door: FaultDoor, target: FaultTarget, hostPort: number): Promise<void> {
  const nat = (...words: string[]) => iptablesIn(door, target.node, 'nat', ...words);
  const lines = (await nat('-S')).split('\n').filter((line) => line.startsWith(`-A ${DNAT_CHAIN} `));
  const entry = parseEntries(lines).find(({ ports }) => ports.length === 1 && ports[0] === hostPort);
  if (entry === undefined) return;
  // By its position: the comment's quotes would have to be undone.
  await nat('-D', DNAT_CHAIN, String(lines.indexOf(entry.line) + 1));
  await nat('-F', entry.chain);
  await nat('-X', entry.chain);
  return removeMapping(door, target, hostPort);
}
