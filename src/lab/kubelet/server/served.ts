import type { Runtime } from '../../../cri/runtime.ts';
import type { Pod } from '../../../kube/types.ts';
import type { ObservedContainer } from '../observe.ts';

/** What the server asks of a kubelet. */
export interface Served {
  readonly runtime: Runtime;
  readonly nodeName: string;
  /** Pods of this node with their status. */
  pods(): Pod[];
  /** Runs of a container of a pod, newest first. */
  containerRuns(pod: Pod, container: string): Promise<ObservedContainer[]>;
  /** The pod's sandbox that is ready. */
  sandboxId(pod: Pod): Promise<string | undefined>;
}
