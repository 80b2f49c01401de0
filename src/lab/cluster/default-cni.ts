import type { ApiClient } from '../../kube/client.ts';
import { nodes as nodeResource } from '../../kube/resources.ts';
import type { Exec } from '../../sys/exec.ts';
import { waitFor } from '../../sys/wait.ts';
import { EVERY_ADDRESS, formatCidr, networkOf, parseCidr } from '../../util/cidr.ts';
import { formatIp } from '../../util/ip.ts';
import { settleAll } from '../../util/settle.ts';
import { nodeAddress6 } from './network.ts';
import { nodeOutput } from './node-exec.ts';
import type { PlacedNode } from './node-files.ts';

const CONFIG_DIRECTORY = '/etc/cni/net.d';

/**
 * The chain of a cluster without a CNI manifest: ptp with host-local addresses, then portmap, as kind's own CNI writes it.
 * `ipMasq` is off because pods of all nodes reach each other by route. A pod gets an address of each subnet.
 */
export function defaultConflist(podCidrs: readonly string[]): string {
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
          ranges: podCidrs.map((subnet) => [{ subnet }]),
          routes: podCidrs.map((subnet) => ({ dst: EVERY_ADDRESS[subnet.includes(':') ? 'ipv6' : 'ipv4'] })),
        },
        mtu: 1500,
      },
      { type: 'portmap', capabilities: { portMappings: true } },
    ],
  };
  return `${JSON.stringify(conflist, null, 2)}\n`;
}

/** Waits for every node's pod CIDRs, then writes its conflist and gives every node routes to the pods of the others. */
export async function installDefaultCni(
  { placed, isDual }: { placed: readonly PlacedNode[]; isDual: boolean },
  client: ApiClient,
  exec: Exec,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<void> {
  const cidrs = await waitFor(
    'pod subnets to be assigned to all nodes',
    async () => {
      const { items } = await client.list(nodeResource);
      const found = new Map(
        items.map(({ metadata, spec }) => [
          metadata?.name,
          isDual ? (spec?.podCIDRs ?? []) : [spec?.podCIDR ?? ''].filter(Boolean),
        ]),
      );
      return placed.every((node) => found.get(node.name)?.length === (isDual ? 2 : 1)) && found;
    },
    { timeoutMs, intervalMs: 30, signal },
  );
  const subnets = new Map(
    placed.map((node) => [node.name, cidrs.get(node.name)!.map((text) => validSubnet(node.name, text))]),
  );
  await settleAll(
    placed.map(async (node) => {
      const routes = placed
        .filter((other) => other.name !== node.name)
        .flatMap((other) =>
          subnets.get(other.name)!.map((subnet) => {
            const via = subnet.includes(':') ? nodeAddress6(other.address) : other.address;
            return `route replace ${subnet} via ${via}`;
          }),
        );
      // Done by the node's own tools in its own namespaces: a process number alone could be somebody else's by now.
      if (routes.length > 0) {
        await nodeOutput(exec, node.name, ['ip', '-batch', '-'], Buffer.from(`${routes.join('\n')}\n`));
      }
      // Written in place: containerd does not always notice a file moved in.
      const conflist = Buffer.from(defaultConflist(subnets.get(node.name)!));
      await nodeOutput(exec, node.name, ['mkdir', '-p', CONFIG_DIRECTORY]);
      await nodeOutput(
        exec,
        node.name,
        ['cp', '/dev/stdin', `${CONFIG_DIRECTORY}/10-kindnet.conflist`],
        conflist,
      );
    }),
  );
}

/** What the API says is a node's pod subnet goes into an `ip` document: it has to be one. */
function validSubnet(node: string, text: string): string {
  const subnet = parseCidr(text);
  if (subnet === undefined)
    throw new Error(`node ${node}: its pod subnet ${JSON.stringify(text)} is not a subnet`);
  return formatCidr({ address: formatIp(networkOf(subnet)), prefix: subnet.prefix });
}
