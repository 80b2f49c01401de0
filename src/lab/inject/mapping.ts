import { DNAT_CHAIN, parseEntries } from '../../portmap/layout.ts';
import type { FaultDoor, FaultTarget } from './fault.ts';
import { iptablesIn } from './table.ts';

/** The chain of the target's sandbox, by the comment of the rule that leads to it. */
export async function chainOf(door: FaultDoor, { node, sandbox }: FaultTarget): Promise<string> {
  const lines = (await iptablesIn(door, node, 'nat', '-S', DNAT_CHAIN)).split('\n');
  const entry = parseEntries(lines).find(({ owner }) => owner?.containerId === sandbox);
  if (entry === undefined) throw new Error(`node ${node}: ${DNAT_CHAIN} has no rule for sandbox ${sandbox}`);
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
