import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ApiClient } from '../kube/client.ts';
import { nodes as nodeResource } from '../kube/resources.ts';
import { type Exec, output } from '../sys/exec.ts';
import { waitFor } from '../sys/wait.ts';
import type { PlacedNode } from './node-files.ts';
import { readContainerPid } from './node-process.ts';

/**
 * The chain of a cluster without a CNI manifest: ptp with host-local addresses, then portmap, as kind's own CNI writes it.
 * `ipMasq` is off because pods of all nodes reach each other by route.
 */
export function defaultConflist(podCidr: string): string {
  const conflist = {
    cniVersion: '0.4.0',
    name: 'kindnet',
    plugins: [
      {
        type: 'ptp',
        ipMasq: false,
        ipam: {
          type: 'host-local',
          dataDir: '/run/cni-ipam-state',
          ranges: [[{ subnet: podCidr }]],
          routes: [{ dst: '0.0.0.0/0' }],
        },
        mtu: 1500,
      },
      { type: 'portmap', capabilities: { portMappings: true } },
    ],
  };
  return `${JSON.stringify(conflist, null, 2)}\n`;
}

/** Waits for every node's pod CIDR, then writes its conflist and gives every node routes to the pods of the others. */
export async function installDefaultCni(
  cluster: string,
  placed: readonly PlacedNode[],
  client: ApiClient,
  exec: Exec,
  signal: AbortSignal,
): Promise<void> {
  const cidrs = await waitFor(
    'pod subnets to be assigned to all nodes',
    async () => {
      const { items } = await client.list(nodeResource);
      const found = new Map(items.map((node) => [node.metadata?.name, node.spec?.podCIDR]));
      return placed.every((node) => found.get(node.name) !== undefined) && found;
    },
    { timeoutMs: 60_000, intervalMs: 30, signal },
  );
  await Promise.all(
    placed.map(async (node) => {
      const pid = await readContainerPid(cluster, node.name);
      const routes = placed
        .filter((other) => other.name !== node.name)
        .map((other) => `route replace ${cidrs.get(other.name)} via ${other.address}`);
      if (routes.length > 0) {
        await output(exec, ['nsenter', `--net=/proc/${pid}/ns/net`, 'ip', '-batch', '-'], {
          stdin: `${routes.join('\n')}\n`,
        });
      }
      // Seen through the node's own mounts, and written in place: containerd does not always notice a file moved in.
      const directory = join('/proc', String(pid), 'root/etc/cni/net.d');
      await mkdir(directory, { recursive: true });
      await writeFile(join(directory, '10-kindnet.conflist'), defaultConflist(cidrs.get(node.name)!));
    }),
  );
}
