import { z } from 'zod';
import { boundedList } from '../../util/bounded.ts';
import { type FaultDoor, type FaultTarget, UnsuitableTarget } from './fault.ts';

/** How a pod of the lab hangs on its node. */
export interface PodLink {
  /** The device on the node whose other end is in the pod. */
  device: string;
  /** Name of the pod's network namespace, as `ip netns` has it. */
  netns: string;
}

const routes = boundedList(z.object({ dev: z.string() }), { least: 1 });
const links = z.array(z.object({ ifname: z.string(), link_netnsid: z.number().optional() }));
const addresses = z.array(
  z.object({ addr_info: z.array(z.object({ local: z.string().optional() })).default([]) }),
);

/** The device by which packets leave for a pod: its own, or one that leads to all pods. Source: `ip -j route get`. */
export async function podDevice(door: FaultDoor, { node, pod }: FaultTarget): Promise<string> {
  return routes.parse(JSON.parse(await door.run(node, ['ip', '-j', 'route', 'get', pod.address])))[0]!.dev;
}

/** A pod's own device on its node and the namespace at the other end. Source: ip-netns(8), `list-id`. */
export async function podLink(door: FaultDoor, { node, pod }: FaultTarget): Promise<PodLink> {
  const veths = links.parse(JSON.parse(await door.run(node, ['ip', '-j', 'link', 'show', 'type', 'veth'])));
  const names = await door.run(node, ['ip', 'netns', 'list-id']);
  for (const [, id, netns] of names.matchAll(/^nsid (\d+) \(iproute2 netns name: (\S+)\)/gm)) {
    const device = veths.find((link) => link.link_netnsid === Number(id))?.ifname;
    if (device === undefined) continue;
    const shown = addresses.parse(JSON.parse(await door.run(node, ['ip', '-n', netns!, '-j', 'address'])));
    if (shown.some(({ addr_info }) => addr_info.some(({ local }) => local === pod.address)))
      return { device, netns: netns! };
  }
  throw new UnsuitableTarget(
    `no veth device leads to a network namespace with address ${pod.address}`,
    'choose another pod with --pod',
  );
}
