import { z } from 'zod';
import type { FaultDoor, FaultTarget } from './fault.ts';

/** How a pod of the lab hangs on its node. */
export interface PodLink {
  /** The device on the node by which the pod is reached. */
  device: string;
  /** Name of the pod's network namespace, as `ip netns` has it. */
  netns: string;
}

const routes = z.array(z.object({ dev: z.string() })).min(1);
const links = z.array(z.object({ link_netnsid: z.number() })).min(1);

/** The device towards a pod. Source: `ip -j route get`. */
export async function podDevice(door: FaultDoor, { node, pod }: FaultTarget): Promise<string> {
  return routes.parse(JSON.parse(await door.run(node, ['ip', '-j', 'route', 'get', pod.address])))[0]!.dev;
}

/** The device towards a pod and the namespace at its other end. Source: ip-netns(8), `list-id`. */
export async function podLink(door: FaultDoor, target: FaultTarget): Promise<PodLink> {
  const { node } = target;
  const device = await podDevice(door, target);
  const [link] = links.parse(JSON.parse(await door.run(node, ['ip', '-j', 'link', 'show', 'dev', device])));
  const names = await door.run(node, ['ip', 'netns', 'list-id']);
  const netns = names.match(
    new RegExp(`^nsid ${link!.link_netnsid} \\(iproute2 netns name: (\\S+)\\)`, 'm'),
  )?.[1];
  if (netns === undefined) throw new Error(`node ${node}: the namespace behind ${device} has no name`);
  return { device, netns };
}
