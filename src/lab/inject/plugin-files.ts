import type { FaultDoor, FaultTarget } from './fault.ts';

/** Where the lab's nodes have their plugins. */
export const BIN_DIR = '/opt/cni/bin';

/** Where a fault puts the real portmap meanwhile: on the same file system, not in the directory. */
const ASIDE = '/opt/cni/portmap.aside';

/** Paths for faults that put something else in portmap's place. */
export const portmapPaths = { inPlace: `${BIN_DIR}/portmap`, aside: ASIDE };

/** Puts the node's portmap aside; what is in its place afterwards is the fault's business. Twice in a row is fine. */
export async function putPortmapAside(door: FaultDoor, { node }: FaultTarget): Promise<void> {
  if ((await door.list(node, '/opt/cni')).includes('portmap.aside')) return;
  await door.run(node, ['mv', '--', `${BIN_DIR}/portmap`, ASIDE]);
}

/** Gives the node its portmap back. */
export async function bringPortmapBack(door: FaultDoor, { node }: FaultTarget): Promise<void> {
  if (!(await door.list(node, '/opt/cni')).includes('portmap.aside')) return;
  await door.run(node, ['mv', '-f', '--', ASIDE, `${BIN_DIR}/portmap`]);
}
