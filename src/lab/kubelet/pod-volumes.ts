import type { Pod } from '../../kube/types.ts';
import { messageOf } from '../../util/errors.ts';
import type { PodContext } from './pod-context.ts';
import type { WakeTimer } from './wake-timer.ts';

/** How often objects behind volumes (config maps, secrets, tokens) are looked at again. */
const REFRESH_MS = 60_000;

/** The volumes of one pod on this node. */
export class PodVolumes {
  readonly #context: PodContext;
  readonly #timer: WakeTimer;
  /** When they were last made or brought up to date ({@link Clock.monotonic}). */
  #ensuredAt: number | undefined;

  constructor(context: PodContext, timer: WakeTimer) {
    this.#context = context;
    this.#timer = timer;
  }

  /** Makes what is missing and brings files up to date. Returns volume name to path. @throws VolumeError */
  async ensure(pod: Pod, podIp: string): Promise<Map<string, string>> {
    const { volumes, nodeIp, nodeName, allocatable, clock } = this.#context;
    const paths = await volumes.ensure(pod, {
      podIps: podIp === '' ? [] : [podIp],
      hostIp: nodeIp,
      nodeName,
      allocatable,
    });
    this.#ensuredAt = clock.monotonic();
    return paths;
  }

  /** Keeps the files of volumes as their objects are; a failure is reported, and tried again at the next turn. */
  async refresh(pod: Pod, podIp: string): Promise<void> {
    if (this.#ensuredAt === undefined) return;
    const fromObjects = (pod.spec?.volumes ?? []).some(
      (volume) => volume.hostPath === undefined && volume.emptyDir === undefined,
    );
    if (!fromObjects) return;
    const now = this.#context.clock.monotonic();
    if (now - this.#ensuredAt >= REFRESH_MS) {
      try {
        await this.ensure(pod, podIp);
      } catch (error) {
        this.#ensuredAt = now;
        this.#context.say(pod, 'Warning', 'FailedMount', messageOf(error));
      }
    }
    this.#timer.at(this.#ensuredAt + REFRESH_MS);
  }
}
