import { configFileOrder } from '../../cni/conflist.ts';
import { formatDocument, isPortmap, type ListDocument } from '../../path/heal/list-document.ts';
import { type Fault, type FaultDoor, type FaultTarget, type Memo, UnsuitableTarget } from './fault.ts';

/** Where the lab's runtime looks for configurations. */
export const CONF_DIR = '/etc/cni/net.d';

const OTHER_NODE = 'choose another node with --node';

/** Everything in the configuration directory of a node, as a memo: name to content. Refuses a node where it cannot be changed. */
export async function snapshotConfDir(door: FaultDoor, node: string): Promise<{ [name: string]: string }> {
  const names = await door.list(node, CONF_DIR);
  const mounts = mountPoints(await door.run(node, ['cat', '/proc/self/mountinfo']));
  const mounted = names.find((name) => mounts.has(`${CONF_DIR}/${name}`));
  if (mounted !== undefined) {
    throw new UnsuitableTarget(
      `${CONF_DIR}/${mounted} is mounted into the node from outside, and cannot be changed there`,
      OTHER_NODE,
    );
  }
  if (await door.watchesConfDir(node)) {
    throw new UnsuitableTarget(
      `an agent watches ${CONF_DIR} and undoes every change there at once`,
      'with Cilium, set its value cni.exclusive=false first',
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
  remember: rememberList,
  restore: (door, { node }, memo) => restoreConfDir(door, node, memo),
};

/** The list that the runtime of a lab's node uses and that chains portmap: what faults start from. */
export async function activeList(
  door: FaultDoor,
  node: string,
): Promise<{ name: string; path: string; list: ListDocument }> {
  const [name] = configFileOrder(await door.list(node, CONF_DIR));
  const path = `${CONF_DIR}/${name}`;
  const content = name === undefined ? undefined : await door.read(node, path);
  if (name === undefined || content === undefined)
    throw new UnsuitableTarget(`no configuration is in ${CONF_DIR}`, OTHER_NODE);
  const list = readJson(content) as Partial<ListDocument> | undefined;
  if (!Array.isArray(list?.plugins) || !list.plugins.some(isPortmap))
    throw new UnsuitableTarget(`${name}, which the runtime uses, is no list that chains portmap`, OTHER_NODE);
  return { name, path, list: list as ListDocument };
}

/** A configuration that a person may have written; undefined when it is no JSON. */
function readJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    if (cause instanceof SyntaxError) return undefined;
    throw cause;
  }
}

/** The memo of a fault that changes the list in use: that is there, and all that is beside it. */
export async function rememberList(door: FaultDoor, { node }: FaultTarget): Promise<Memo> {
  const memo = await snapshotConfDir(door, node);
  await activeList(door, node);
  return memo;
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
