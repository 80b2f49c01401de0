import { z } from 'zod';
import type { Fault, FaultDoor, FaultTarget } from '../inject/fault.ts';

const routes = z.array(z.object({ dev: z.string() }));

/** The device of the route that leads to the pod alone; null when there is none. */
async function ownRoute(door: FaultDoor, { node, pod }: FaultTarget): Promise<string | null> {
  const shown = await door.run(node, ['ip', '-j', 'route', 'show', `${pod.address}/32`]);
  return routes.parse(JSON.parse(shown.trim() === '' ? '[]' : shown))[0]?.dev ?? null;
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
    const isAlone = (await ownRoute(door, target)) !== null;
    const words = isAlone ? ['del', destination] : ['add', 'unreachable', destination];
    await door.run(target.node, ['ip', 'route', ...words]);
  },
  async restore(door, { node, pod }, memo) {
    const destination = `${pod.address}/32`;
    const device = memo as string | null;
    if (device === null) {
      // Healing has put another one in its place.
      const left = await door.run(node, ['ip', 'route', 'show', destination]);
      if (left.trim() !== '') await door.run(node, ['ip', 'route', 'del', destination]);
    } else if ((await door.list(node, '/sys/class/net')).includes(device)) {
      await door.run(node, ['ip', 'route', 'replace', destination, 'dev', device, 'scope', 'link']);
    }
  },
  subjects: ({ node, pod }) => [{ node, pod }],
};
