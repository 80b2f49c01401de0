import type { Pod } from '../../kube/types.ts';

/** What a node is asked for: millicores and bytes. */
export interface Amounts {
  milliCpu: number;
  memory: number;
}

const SUFFIX: Record<string, number> = {
  '': 1,
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
  Ei: 2 ** 60,
};

/** The value of a Kubernetes quantity (`250m`, `1.5Gi`, `1e3`); 0 when it is none: the API server has validated it. */
export function quantity(text: string | number | undefined): number {
  const match = /^([+-]?(?:\d+\.?\d*|\.\d+))(?:([eE][+-]?\d+)|([numkMGTPE]|[KMGTPE]i))?$/.exec(
    String(text ?? ''),
  );
  if (match === null) return 0;
  return Number(match[1]! + (match[2] ?? '')) * SUFFIX[match[3] ?? '']!;
}

/**
 * What a pod requests: the sum of its containers, or the greatest init container where that is more, and the pod's
 * overhead. Source: k8s.io/component-helpers/resource (PodRequests).
 */
export function podRequests(pod: Pod): Amounts {
  const of = (name: string): number => {
    const spec = pod.spec;
    let running = 0;
    let highest = 0;
    for (const container of spec?.initContainers ?? []) {
      const asked = quantity(container.resources?.requests?.[name]);
      // A restartable init container (a sidecar) keeps running beside all that start after it.
      if ((container as { restartPolicy?: string }).restartPolicy === 'Always') running += asked;
      highest = Math.max(
        highest,
        running + ((container as { restartPolicy?: string }).restartPolicy ? 0 : asked),
      );
    }
    for (const container of spec?.containers ?? [])
      running += quantity(container.resources?.requests?.[name]);
    return Math.max(running, highest) + quantity(spec?.overhead?.[name]);
  };
  return { milliCpu: Math.ceil(of('cpu') * 1000 - 1e-6), memory: of('memory') };
}
