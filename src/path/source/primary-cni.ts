import type { Pod } from '../../kube/types.ts';
import type { NodeView } from '../view/node-view.ts';
import type { Scene } from '../view/scene.ts';
import { CNIS, type CniSource, type Installer } from './cnis.ts';

/** The primary CNI that a node uses, and the evidence. */
export interface PrimaryCni {
  cni: CniSource;
  /** `1.16.3`; undefined where nothing shows it. */
  version: string | undefined;
  installer: Installer;
  /** What it was recognised by, in words. */
  evidence: readonly string[];
}

/**
 * Finds the primary CNI of a node, by the plugin that its chain begins with and the pod that runs its agent; undefined where it is not one that is
 * known. Pods are looked through once for all nodes.
 */
export function primaryCnis({ world }: Scene): (node: NodeView) => PrimaryCni | undefined {
  const podsByNode = Map.groupBy(world.pods, ({ spec }) => spec?.nodeName);
  const labelsByNode = new Map(world.nodes.map(({ metadata }) => [metadata?.name, metadata?.labels ?? {}]));
  const hasCharts = world.pods.some(
    (pod) =>
      pod.metadata?.namespace === 'kube-system' &&
      isOwnedBy(pod, 'Job') &&
      pod.metadata.labels?.['helmcharts.helm.cattle.io/chart']?.startsWith('rke2-'),
  );
  return (node) => {
    const pods = podsByNode.get(node.name) ?? [];
    const type = node.chain?.[0]?.type;
    const file = node.active?.name ?? '';
    // A list that is broken does not show its plugins; an agent on the node does.
    const cni =
      type === undefined
        ? CNIS.find((known) => agentOf(known, pods) !== undefined)
        : CNIS.find(({ plugins, file: name }) => plugins.includes(type) && (name?.test(file) ?? true));
    if (cni === undefined) return undefined;
    const agent = agentOf(cni, pods);
    const image = agent?.spec?.containers.find(({ name }) => name === cni.agent?.container)?.image;
    return {
      cni,
      version: versionOf(image),
      installer: installerOf(node, labelsByNode.get(node.name) ?? {}, hasCharts, agent?.metadata?.namespace),
      evidence: [
        ...(type === undefined ? [] : [`${file} begins with ${type}`]),
        ...(image === undefined ? [] : [`image ${image}`]),
      ],
    };
  };
}

function agentOf({ agent }: CniSource, pods: readonly Pod[]): Pod | undefined {
  if (agent === undefined) return undefined;
  const [key, value] = agent.label;
  return pods.find(
    (pod) =>
      pod.metadata?.labels?.[key] === value &&
      agent.namespaces.includes(pod.metadata.namespace ?? '') &&
      isOwnedBy(pod, 'DaemonSet'),
  );
}

function isOwnedBy({ metadata }: Pod, kind: string): boolean {
  return (
    metadata?.ownerReferences?.some((owner) => owner.controller === true && owner.kind === kind) === true
  );
}

/** The version that a tag names: `v1.16.3@sha256:…`, `v3.28.1-build20240806`. */
function versionOf(image: string | undefined): string | undefined {
  return /:v?(\d+\.\d+(?:\.\d+)?)(?:[-+.@][^/]*)?$/.exec(image ?? '')?.[1];
}

/** Where the distributions of Rancher keep their CNI, and the names by which they label their nodes and run their charts. */
function installerOf(
  node: NodeView,
  labels: Record<string, string>,
  hasCharts: boolean,
  namespace: string | undefined,
): Installer {
  const kind = labels['node.kubernetes.io/instance-type'];
  const confDir = node.seen?.cni.confDir ?? '';
  if (kind === 'k3s' || confDir.startsWith('/var/lib/rancher/k3s/')) return 'k3s';
  if (kind === 'rke2' || hasCharts) return 'rke2';
  return namespace === 'calico-system' ? 'operator' : 'other';
}
