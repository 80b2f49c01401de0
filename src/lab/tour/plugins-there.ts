import type { Exec } from '../../sys/exec.ts';
import { waitFor } from '../../sys/wait.ts';
import { nodeArgv } from '../cluster/node-exec.ts';

/** How long it may take, in milliseconds. */
const DEADLINE_MS = 60_000;
const LOOK_MS = 100;

/**
 * Waits for what the agent of each of these nodes installs last. A node that had its configuration from the start is Ready before, and
 * a pod there would at first lack another plugin than the one that the how-to is about.
 */
export async function untilPluginsAreThere(
  nodes: readonly string[],
  exec: Exec,
  signal?: AbortSignal,
): Promise<void> {
  const isThere = async (node: string) => {
    const argv = await nodeArgv(exec, node, ['test', '-x', '/opt/cni/bin/loopback']);
    return (await exec.run(argv, { signal })).code === 0;
  };
  await waitFor(
    "each node's agent to install its plugins",
    async () => (await Promise.all(nodes.map(isThere))).every(Boolean),
    { timeoutMs: DEADLINE_MS, intervalMs: LOOK_MS, signal },
  );
}
