import { type ApiClient, hasReason } from '../../kube/client.ts';
import { conditionOf, isConditionTrue } from '../../kube/conditions.ts';
import { Informer } from '../../kube/informer.ts';
import { nodes as nodeResource, serviceAccounts } from '../../kube/resources.ts';
import type { Node } from '../../kube/types.ts';
import { waitFor } from '../../sys/wait.ts';
import { messageOf } from '../../util/errors.ts';
import { lastWords } from './last-words.ts';
import { labelsOf, type PlacedNode } from './node-files.ts';
import { clusterPaths } from './paths.ts';

/** A cluster whose API server serves, and whose nodes may not be there yet. */
export interface StartingCluster {
  cluster: string;
  client: ApiClient;
  placed: readonly PlacedNode[];
}

/**
 * Waits until the API server serves and takes pods: those of the default namespace need its default account. Past the deadline the error says
 * what the daemon logged last.
 */
export async function apiServerReady(
  api: ApiClient,
  cluster: string,
  controlPlane: string,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<void> {
  let last = 'nothing yet';
  await waitFor(
    `the API server of cluster "${cluster}"`,
    async () => {
      try {
        await api.text('/readyz', AbortSignal.timeout(2000));
        await api.get(serviceAccounts, 'default', 'default');
        return true;
      } catch (error) {
        last = messageOf(error);
        return false;
      }
    },
    {
      timeoutMs,
      intervalMs: 20,
      signal,
      describe: () => `${last}${logged(cluster, controlPlane, 'kube-apiserver')}`,
    },
  );
}

/** Sets the labels that a node's kubelet may not, once the node is registered. */
export async function labelNode(
  { cluster, client }: StartingCluster,
  node: PlacedNode,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<void> {
  const labels = labelsOf(node).administrator;
  if (Object.keys(labels).length === 0) return;
  await waitFor(
    `node ${node.name} to be registered`,
    async () => {
      try {
        return await client.patch(nodeResource, node.name, undefined, 'merge', { metadata: { labels } });
      } catch (error) {
        if (hasReason(error, 'NotFound')) return undefined;
        throw error;
      }
    },
    { timeoutMs, intervalMs: 20, signal, describe: () => notRegistered(cluster, node.name) },
  );
}

/** Resolves with the nodes when every one is as wanted; past the deadline the error says what each of the others reports. */
export async function nodesToBe(
  wanted: (node: Node | undefined) => boolean,
  what: string,
  { cluster, client, placed }: StartingCluster,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<(Node | undefined)[]> {
  let trouble = '';
  const informer = new Informer(client, nodeResource, {
    onError: (error) => {
      trouble = messageOf(error);
    },
  });
  const missing = () => placed.filter((node) => !wanted(informer.get(node.name)));
  const stop = new AbortController();
  const running = informer.run(AbortSignal.any([stop.signal, signal]));
  try {
    await waitFor(what, () => missing().length === 0, {
      timeoutMs,
      intervalMs: 20,
      signal,
      describe: () =>
        [
          ...missing().map(
            (node) =>
              `${node.name}: ${readyMessage(informer.get(node.name)) ?? notRegistered(cluster, node.name)}`,
          ),
          trouble,
        ]
          .filter((part) => part !== '')
          .join('; '),
    });
    return placed.map((node) => informer.get(node.name));
  } finally {
    stop.abort();
    await running;
  }
}

/** Whether its kubelet has said whether it is Ready. */
export function hasReported(node: Node | undefined): boolean {
  return conditionOf(node?.status, 'Ready') !== undefined;
}

export function isReady(node: Node | undefined): boolean {
  return isConditionTrue(node?.status, 'Ready');
}

function readyMessage(node: Node | undefined): string | undefined {
  if (node === undefined) return undefined;
  return conditionOf(node.status, 'Ready')?.message ?? 'no Ready condition';
}

function notRegistered(cluster: string, node: string): string {
  return `not registered${logged(cluster, node, 'kubelet')}`;
}

/** What a daemon of a node logged last, to follow what was seen of it from outside. */
function logged(cluster: string, node: string, daemon: string): string {
  const words = lastWords(clusterPaths(cluster).node(node), daemon);
  return words === undefined ? '' : `; its ${daemon} logged: ${words}`;
}
