import { rm } from 'node:fs/promises';
import { type Exec, ExecError, output } from '../../sys/exec.ts';
import { exists } from '../../sys/files.ts';
import { formatIPv4, parseIPv4 } from '../../util/address.ts';
import { labNetns, netnsPath } from './paths.ts';

/** The node network, as Docker makes it for kind in the how-to. It exists only inside the lab's namespace. */
export const NODE_NETWORK = { bridge: 'kind', gateway: '172.17.0.1', prefix: 16 } as const;
/** The same of IPv6, in a cluster with both families. */
const NODE_NETWORK_6 = { network: 'fd00:172:17::', gateway: 'fd00:172:17::1', prefix: 64 } as const;

/** Address of the node with this index (0 is the control plane): 172.17.0.2 and up. */
export function nodeAddress(index: number): string {
  return formatIPv4(parseIPv4(NODE_NETWORK.gateway)! + 1 + index);
}

/** The IPv6 address of the node with this IPv4 address, with the same last part: fd00:172:17::2 and up. */
export function nodeAddress6(address: string): string {
  return `${NODE_NETWORK_6.network}${(parseIPv4(address)! % 65536).toString(16)}`;
}

/**
 * Makes the lab's network namespace with the bridge that nodes hang on. The namespace has no way out: its only links are
 * loopback and the bridge, so nothing sent in it can leave the machine.
 */
export async function createLabNetwork(exec: Exec, cluster: string, isDual = false): Promise<void> {
  const { bridge, gateway, prefix } = NODE_NETWORK;
  await output(exec, ['ip', 'netns', 'add', labNetns(cluster)]);
  await batch(
    exec,
    ['ip', '-n', labNetns(cluster)],
    [
      'link set lo up',
      // Without forwarding delay a port of the bridge takes part the moment it is up.
      `link add ${bridge} type bridge forward_delay 0`,
      `address add ${gateway}/${prefix} dev ${bridge}`,
      `link set ${bridge} up`,
      // Nobody else can have it: it need not be asked for first.
      ...(isDual
        ? [`address add ${NODE_NETWORK_6.gateway}/${NODE_NETWORK_6.prefix} dev ${bridge} nodad`]
        : []),
    ],
  );
}

/** A node container that has namespaces but no network yet. */
export interface NodePort {
  name: string;
  address: string;
  /** Host PID of a process in the node's network namespace. */
  pid: number;
  /** Whether it has an IPv6 address, too. */
  isDual?: boolean;
}

/** Plugs a node into the bridge: a veth pair, `eth0` inside, `veth<number>` on the bridge. */
export async function plugNode(exec: Exec, cluster: string, node: NodePort): Promise<void> {
  const { bridge, gateway, prefix } = NODE_NETWORK;
  // The last part of the address is unique and keeps the name below the kernel's 15 characters.
  const port = `veth${parseIPv4(node.address)! % 65536}`;
  await batch(
    exec,
    ['ip', '-n', labNetns(cluster)],
    [`link add ${port} master ${bridge} type veth peer name eth0 netns ${node.pid}`, `link set ${port} up`],
  );
  await batch(
    exec,
    ['nsenter', `--net=/proc/${node.pid}/ns/net`, 'ip'],
    [
      'link set lo up',
      `address add ${node.address}/${prefix} dev eth0`,
      'link set eth0 up',
      `route add default via ${gateway}`,
      ...(node.isDual
        ? [
            `address add ${nodeAddress6(node.address)}/${NODE_NETWORK_6.prefix} dev eth0 nodad`,
            `route add default via ${NODE_NETWORK_6.gateway}`,
          ]
        : []),
    ],
  );
}

/** Removes the lab's namespace and with it every link in it. Gone already is fine. */
export async function deleteLabNetwork(exec: Exec, cluster: string): Promise<void> {
  const path = netnsPath(labNetns(cluster));
  if (!(await exists(path))) return;
  const argv = ['ip', 'netns', 'delete', labNetns(cluster)];
  const result = await exec.run(argv);
  // A crash between creating the file and mounting the namespace on it leaves a plain file, which ip refuses.
  if (result.code !== 0) await rm(path).catch(() => Promise.reject(new ExecError(argv, result)));
}

async function batch(exec: Exec, ip: string[], lines: string[]): Promise<void> {
  await output(exec, [...ip, '-batch', '-'], { stdin: `${lines.join('\n')}\n` });
}
