import { Counts, renderMetrics } from '../../../util/prometheus.ts';
import { processMetrics } from '../../process-metrics.ts';
import type { Served } from './served.ts';

/** What a kubelet says of itself to Prometheus, under the names of Kubernetes' kubelet. */
export async function kubeletMetrics(kubelet: Served): Promise<string> {
  const [sandboxes, containers] = await Promise.all([
    kubelet.runtime.listSandboxes(),
    kubelet.runtime.listContainers(),
  ]);
  const byState = new Counts();
  for (const { state } of containers) byState.add({ container_state: state });
  return renderMetrics([
    {
      name: 'kubelet_node_name',
      help: "The node's name. The count is always 1.",
      type: 'gauge',
      series: [[{ node: kubelet.nodeName }, 1]],
    },
    {
      name: 'kubelet_running_pods',
      help: 'Number of pods that have a running pod sandbox',
      type: 'gauge',
      series: [[{}, sandboxes.filter(({ state }) => state === 'ready').length]],
    },
    {
      name: 'kubelet_running_containers',
      help: 'Number of containers currently running',
      type: 'gauge',
      series: byState.series,
    },
    ...processMetrics(),
  ]);
}
