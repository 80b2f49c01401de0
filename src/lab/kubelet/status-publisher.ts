import { isDeepStrictEqual } from 'node:util';
import { type ApiClient, hasReason } from '../../kube/client.ts';
import { pods } from '../../kube/resources.ts';
import type { Pod, PodStatus } from '../../kube/types.ts';
import type { Clock } from '../../sys/clock.ts';
import { Backoff } from '../../util/backoff.ts';

/** Fields of a pod's status that are the kubelet's: one that it no longer sets is removed from the API. */
const OWN_FIELDS = [
  'observedGeneration',
  'phase',
  'conditions',
  'reason',
  'message',
  'hostIP',
  'hostIPs',
  'podIP',
  'podIPs',
  'startTime',
  'initContainerStatuses',
  'containerStatuses',
  'qosClass',
] as const;

/**
 * Brings one pod's status to the API behind the worker's back: the newest wins, nothing is sent that is there already, and
 * a server that is away is tried again until it takes the status or a newer one.
 */
export class StatusPublisher {
  readonly #client: ApiClient;
  readonly #clock: Clock;
  readonly #onError: (error: unknown) => void;
  readonly #stop = new AbortController();
  readonly #backoff = new Backoff(100, 5_000);
  #wanted: { pod: Pod; status: PodStatus } | undefined;
  #sent: { pod: Pod; status: PodStatus } | undefined;
  /** Version of the object that the last patch made. */
  #sentVersion: string | undefined;
  #sending: Promise<void> | undefined;

  constructor(client: ApiClient, clock: Clock, onError: (error: unknown) => void) {
    this.#client = client;
    this.#clock = clock;
    this.#onError = onError;
  }

  /** Wants the API to have `status` for `pod` (its mirror, for a static pod). Returns at once. */
  publish(pod: Pod, status: PodStatus): void {
    const plain = JSON.parse(JSON.stringify(status)) as PodStatus;
    // A mirror that was deleted comes back as another object, which has no status yet.
    const same = (other: { pod: Pod } | undefined) => other?.pod.metadata?.uid === pod.metadata?.uid;
    const sent = isNewer(pod, this.#sentVersion) ? undefined : this.#sent;
    const last = [this.#wanted, sent].find(same);
    if (isDeepStrictEqual(last === undefined ? ownPart(pod.status) : last.status, plain)) return;
    this.#wanted = { pod, status: plain };
    this.#sending ??= this.#send().finally(() => {
      this.#sending = undefined;
    });
  }

  /** Resolves when the API has what was published last, or has no such pod any more. */
  async settled(): Promise<void> {
    await this.#sending;
  }

  stop(): void {
    this.#stop.abort();
  }

  async #send(): Promise<void> {
    while (this.#wanted !== undefined && !this.#stop.signal.aborted) {
      const { pod, status } = this.#wanted;
      const { name, namespace, uid } = pod.metadata!;
      const absent = OWN_FIELDS.filter((field) => status[field as keyof PodStatus] === undefined);
      const patch = {
        // Another pod of the same name must not get this one's status.
        metadata: { uid },
        status: { ...status, ...Object.fromEntries(absent.map((field) => [field, null])) },
      };
      try {
        const patched = await this.#client.patch(pods, name!, namespace, 'merge', patch, 'status');
        this.#sentVersion = patched.metadata?.resourceVersion;
      } catch (error) {
        const answered = hasReason(error, 'NotFound', 'Conflict', 'Invalid');
        if (!hasReason(error, 'NotFound')) this.#onError(error);
        if (!answered) {
          await this.#clock.sleep(this.#backoff.next(''), this.#stop.signal).catch(() => {});
          continue;
        }
      }
      this.#backoff.forget('');
      this.#sent = { pod, status };
      if (this.#wanted.status === status) this.#wanted = undefined;
    }
  }
}

/**
 * Whether somebody else has written the pod since: the node controller says of all pods of a node that is not ready that they are
 * not, and the kubelet, once it is back, says again what it sees. Versions are compared as numbers: etcd's revisions.
 */
function isNewer({ metadata }: Pod, version: string | undefined): boolean {
  const own = metadata?.resourceVersion;
  return version !== undefined && own !== undefined && Number(own) > Number(version);
}

function ownPart(status: PodStatus | undefined): Partial<PodStatus> {
  return Object.fromEntries(
    Object.entries(status ?? {}).filter(([key]) => (OWN_FIELDS as readonly string[]).includes(key)),
  );
}
