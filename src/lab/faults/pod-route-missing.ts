import { z } from 'zod';
import type { Fault, FaultDoor, FaultTarget } from '../inject/fault.ts';

const routes = z.array(
  z.object({ dst: z.string(), type: z.string().optional(), dev: z.string().optional() }),
);

type Routes = z.infer<typeof routes>;

async function listed(door: FaultDoor, node: string, ...words: string[]): Promise<Routes> {
  const shown = await door.run(node, ['ip', '-j', 'route', 'show', ...words]);
  return routes.parse(JSON.parse(shown.trim() === '' ? '[]' : shown));
}

/** The device of the route that leads to the pod alone; null when there is none. */
async function ownRoute(door: FaultDoor, { node, pod }: FaultTarget): Promise<string | null> {
  return (await listed(door, node, `${pod.address}/32`))[0]?.dev ?? null;
}

/** Whether a route to all pods of the node would lead to the pod, too. */
async function isCovered(door: FaultDoor, { node, pod }: FaultTarget): Promise<boolean> {
  const matching = await listed(door, node, 'match', pod.address);
  return matching.some(({ dst }) => dst !== 'default' && dst !== pod.address);
}

/**
 * Of a pod with a route of its own on the node, that route is what a network daemon deletes. Where one route leads to all pods, a more
 * specific one of somebody else stands in its way.
 */
export const fault: Fault = {
  does: "deletes the route to the pod's address, or adds an unreachable one where a route leads to all pods of the node",
  remember: ownRoute,
  async inject(door, target) {
    const destination = `${target.pod.address}/32`;
    const words = (await isCovered(door, target))
      ? ['replace', 'unreachable', destination]
      : ['del', destination];
    await door.run(target.node, ['ip', 'route', ...words]);
  },
  async restore(door, { node, pod }, memo) {
    const destination = `${pod.address}/32`;
    const device = memo as string | null;
    if (device === null) {
      // One that healing has put in its place goes with the pod's device: what was attached since may need it.
      const [left] = await listed(door, node, destination);
      if (left?.type === 'unreachable')
        await door.run(node, ['ip', 'route', 'del', 'unreachable', destination]);
    } else if ((await door.list(node, '/sys/class/net')).includes(device)) {
      await door.run(node, ['ip', 'route', 'replace', destination, 'dev', device, 'scope', 'link']);
    }
  },
  subjects: ({ node, pod }) => [{ node, pod }],
};
