import { configFileOrder } from '../../cni/conflist.ts';
import { formatDocument, type ListDocument } from '../../path/heal/list-document.ts';
import { type Fault, type FaultDoor, type Memo, UnsuitableTarget } from './fault.ts';

/** Where the lab's runtime looks for configurations. */
export const CONF_DIR = '/etc/cni/net.d';

/** Everything in the configuration directory of a node, as a memo: name to content. Refuses a node where it cannot be changed. */
export async function snapshotConfDir(door: FaultDoor, node: string): Promise<{ [name: string]: string }> {
  const names = await door.list(node, CONF_DIR);
  const mounts = mountPoints(await door.run(node, ['cat', '/proc/self/mountinfo']));
  const mounted = names.find((name) => mounts.has(`${CONF_DIR}/${name}`));
  if (mounted !== undefined) {
    throw new UnsuitableTarget(
      `${CONF_DIR}/${mounted} of ${node} is mounted into the node from outside, and cannot be changed there; choose another node with --node`,
    );
  }
  if (await door.watchesConfDir(node)) {
    throw new UnsuitableTarget(
      `an agent on ${node} watches ${CONF_DIR} and undoes every change there at once; with Cilium, that is its value cni.exclusive=true`,
    );
  }
  const files = await Promise.all(
    names.map(async (name) => [name, await door.read(node, `${CONF_DIR}/${name}`)] as const),
  );
  return Object.fromEntries(
    files.flatMap(([name, content]) => (content === undefined ? [] : [[name, content]])),
  );
}

/** Where something is mounted, by a mountinfo (proc(5)): its fifth column. */
function mountPoints(mountinfo: string): ReadonlySet<string> {
  return new Set(mountinfo.split('\n').map((line) => line.split(' ')[4] ?? ''));
}

/**
 * Restores the configuration directory. Writes every file again, even an unchanged one: the runtime may have missed how it
 * got there.
 */
export async function restoreConfDir(door: FaultDoor, node: string, memo: Memo): Promise<void> {
  const files = memo as { [name: string]: string };
  for (const name of await door.list(node, CONF_DIR)) {
    if (!Object.hasOwn(files, name)) await door.run(node, ['rm', '-f', '--', `${CONF_DIR}/${name}`]);
  }
  for (const [name, content] of Object.entries(files)) await door.write(node, `${CONF_DIR}/${name}`, content);
}

/** How to undo a fault that changes only the configuration directory of its target's node. */
export const puttingBackConfDir: Required<Pick<Fault, 'remember' | 'restore'>> = {
  remember: (door, { node }) => snapshotConfDir(door, node),
  restore: (door, { node }, memo) => restoreConfDir(door, node, memo),
};

/** The list that the runtime of a lab's node uses: what faults start from. */
export async function activeList(
  door: FaultDoor,
  node: string,
): Promise<{ name: string; path: string; list: ListDocument }> {
  const [name] = configFileOrder(await door.list(node, CONF_DIR));
  if (name === undefined || !name.endsWith('.conflist')) {
    throw new Error(`node ${node} uses ${name ?? 'no configuration'}; want a .conflist that chains portmap`);
  }
  const path = `${CONF_DIR}/${name}`;
  return { name, path, list: JSON.parse((await door.read(node, path)) ?? '') as ListDocument };
}

/** Changes the list in use, in place, as an administrator's editor would. */
export async function editActiveList(
  door: FaultDoor,
  node: string,
  change: (list: ListDocument) => ListDocument,
): Promise<void> {
  const { path, list } = await activeList(door, node);
  await door.write(node, path, formatDocument(change(list)));
}
