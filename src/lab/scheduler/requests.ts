import { isSidecar } from '../../kube/pods.ts';
import { quantityMillis, quantityUnits } from '../../kube/quantity.ts';
import type { Pod } from '../../kube/types.ts';

/** What a node is asked for: millicores and bytes. */
export interface Amounts {
  milliCpu: number;
  memory: number;
}

/**
 * What a pod requests: the sum of its containers, or the greatest init container where that is more, and the pod's
 * overhead. Source: k8s.io/component-helpers/resource (PodRequests).
 */
export function podRequests(pod: Pod): Amounts {
  const of = (name: string, measure: (quantity: string) => number): number => {
    const amount = (list: Record<string, string> | undefined) => measure(list?.[name] ?? '0');
    const spec = pod.spec;
    let running = 0;
    let highest = 0;
    for (const container of spec?.initContainers ?? []) {
      const asked = amount(container.resources?.requests);
      // A restartable init container (a sidecar) keeps running beside all that start after it.
      if (isSidecar(container)) running += asked;
      highest = Math.max(highest, running + (isSidecar(container) ? 0 : asked));
    }
    for (const container of spec?.containers ?? []) running += amount(container.resources?.requests);
    return Math.max(running, highest) + amount(spec?.overhead);
  };
  return { milliCpu: of('cpu', quantityMillis), memory: of('memory', quantityUnits) };
}
