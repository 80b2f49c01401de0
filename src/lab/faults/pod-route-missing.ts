import { z } from 'zod';
import type { Fault, FaultDoor, FaultTarget } from '../inject/fault.ts';
import { readSysctl, writeSysctl } from '../inject/sysctl.ts';

const routes = z.array(
  z.object({ dst: z.string(), type: z.string().optional(), dev: z.string().optional() }),
);

type Routes = z.infer<typeof routes>;

async function listed(door: FaultDoor, node: string, ...words: string[]): Promise<Routes> {
  const shown = await door.run(node, ['ip', '-j', 'route', 'show', ...words]);
  return routes.parse(JSON.parse(shown.trim() === '' ? '[]' : shown));
}

/** What the node had before: a type, since an interface is no memo. */
type Before = {
  /** The device of the route that leads to the pod alone. */
  own: string | null;
  /** Of the route to all pods of the node, which would lead to the pod, too: its device, and whether packets from 127.0.0.1 may leave by that. */
  shared: { device: string; localnet: string } | null;
};

const localnetOf = (device: string) => `net/ipv4/conf/${device}/route_localnet`;

async function routesBefore(door: FaultDoor, { node, pod }: FaultTarget): Promise<Before> {
  const matching = await listed(door, node, 'match', pod.address);
  const own = matching.find(({ dst }) => dst === pod.address)?.dev ?? null;
  const device = matching.find(({ dst, dev }) => dst !== 'default' && dst !== pod.address && dev)?.dev;
  if (device === undefined) return { own, shared: null };
  return { own, shared: { device, localnet: await readSysctl(door, node, localnetOf(device)) } };
}

/**
 * Of a pod with a route of its own on the node, that route is what a network daemon deletes. Where one route leads to all pods, a more
 * specific one of somebody else stands in its way.
 */
export const fault: Fault = {
  does: "deletes the route to the pod's address, or adds an unreachable one where a route leads to all pods of the node",
  remember: routesBefore,
  async inject(door, target) {
    const destination = `${target.pod.address}/32`;
    const { shared } = await routesBefore(door, target);
    const words = shared !== null ? ['replace', 'unreachable', destination] : ['del', destination];
    await door.run(target.node, ['ip', 'route', ...words]);
  },
  async restore(door, { node, pod }, memo) {
    const destination = `${pod.address}/32`;
    const { own, shared } = memo as Before;
    if (own !== null) {
      if (!(await door.list(node, '/sys/class/net')).includes(own)) return;
      await door.run(node, ['ip', 'route', 'replace', destination, 'dev', own, 'scope', 'link']);
      return;
    }
    // Healing has put another one in its place.
    const left = await listed(door, node, destination);
    if (left.length > 0) await door.run(node, ['ip', 'route', 'del', destination]);
    // What was attached while that one was there needed nothing of the other's device.
    if (shared !== null) await writeSysctl(door, node, localnetOf(shared.device), shared.localnet);
  },
  subjects: ({ node, pod }) => [{ node, pod }],
};
