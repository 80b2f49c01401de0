import type { Runtime } from '../../cri/runtime.ts';
import type { ApiClient } from '../../kube/client.ts';
import type { EventType } from '../../kube/event-correlator.ts';
import type { Pod, Service } from '../../kube/types.ts';
import type { Clock } from '../../sys/clock.ts';
import type { ClusterDns } from './dns.ts';
import type { Images } from './images.ts';
import type { Directories } from './names.ts';
import type { Observer } from './observe.ts';
import type { ProbeRunner } from './probes.ts';
import type { ObjectSource, Volumes } from './volumes/volumes.ts';

/** What the workers of all pods of a node share. */
export interface PodContext {
  readonly runtime: Runtime;
  readonly observer: Observer;
  readonly images: Images;
  readonly volumes: Volumes;
  readonly objects: ObjectSource;
  readonly probe: ProbeRunner;
  readonly client: ApiClient;
  readonly clock: Clock;
  readonly directories: Directories;
  readonly nodeName: string;
  readonly nodeIp: string;
  readonly dns: ClusterDns;
  readonly allocatable: { cpu: number; memory: number };
  /** The services of the cluster. @throws ConfigError while they cannot be had, unless the pod is a static one. */
  services(pod: Pod): Promise<readonly Service[]>;
  /** Why the runtime has no network for pods; undefined when it has. */
  networkProblem(): string | undefined;
  /** Writes an event about a pod or, with a container's name, about that container. */
  say(pod: Pod, type: EventType, reason: string, message: string, container?: string): void;
  log(line: string): void;
}
