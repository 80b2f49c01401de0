/** One worker of the catalogue's cluster, on which failures are injected, found, healed and undone, one after the other. */

import { type HealReport, heal, type Patient } from '../../../src/agent/heal.ts';
import type { ApiClient } from '../../../src/kube/client.ts';
import { events, pods } from '../../../src/kube/resources.ts';
import type { Pod } from '../../../src/kube/types.ts';
import { labPatient } from '../../../src/lab/doctor/patient.ts';
import type { LabPlaces } from '../../../src/lab/doctor/places.ts';
import { collectLabWorld, labClient } from '../../../src/lab/doctor/source.ts';
import { chooseTargets, FaultBook, type Injected, inject, restore } from '../../../src/lab/inject/book.ts';
import type { FaultDoor, FaultTarget } from '../../../src/lab/inject/fault.ts';
import { untilFound } from '../../../src/lab/inject/found.ts';
import { labFaultDoor } from '../../../src/lab/inject/lab-door.ts';
import { type Diagnosed, diagnose } from '../../../src/path/diagnose/diagnose.ts';
import type { Finding, PathVerdict } from '../../../src/path/model/finding.ts';
import type { World } from '../../../src/path/model/world.ts';
import type { Failure } from '../../../src/path/stages/failure.ts';
import { waitFor } from '../../../src/sys/wait.ts';
import type { Lab } from '../lab.ts';
import { applyObjects, ECHO, echoPod } from './cluster.ts';

/** Makes a lane of each worker of a cluster: a namespace of its own, and the echo pod in it. */
export async function makeLanes(
  places: LabPlaces,
  lab: Lab,
  nodes: readonly string[],
  signal: AbortSignal,
): Promise<Lane[]> {
  const { record } = places;
  const client = await labClient(record);
  const book = new FaultBook(record);
  await applyObjects(
    lab,
    nodes.flatMap((node) => [
      { apiVersion: 'v1', kind: 'Namespace', metadata: { name: `on-${node}` } },
      echoPod(`on-${node}`, node),
    ]),
  );
  return nodes.map((node) => new Lane(node, `on-${node}`, { places, client, book, signal }));
}

/** Deadline of a probe: everything is on one machine, and what times out takes this long at every look. */
const PROBE_MS = 600;
const SETTLE_MS = 45_000;

/** Events that say that a pod does not come up for now. */
const FAILURES = /^(BackOff|FailedCreatePodSandBox|FailedScheduling|NodePorts|Unhealthy)$/;

export class Lane {
  readonly node: string;
  readonly namespace: string;
  readonly #places: LabPlaces;
  readonly #client: ApiClient;
  readonly #book: FaultBook;
  readonly #signal: AbortSignal;
  readonly #door: FaultDoor;

  constructor(
    node: string,
    namespace: string,
    {
      places,
      client,
      book,
      signal,
    }: { places: LabPlaces; client: ApiClient; book: FaultBook; signal: AbortSignal },
  ) {
    this.node = node;
    this.namespace = namespace;
    this.#places = places;
    this.#client = client;
    this.#book = book;
    this.#signal = signal;
    this.#door = labFaultDoor(places, client, signal);
  }

  /** What there is to see on this lane's node, from this lane's pods. */
  async observe(probes = true): Promise<World> {
    const world = await collectLabWorld(this.#places, {
      probes,
      probeTimeoutMs: PROBE_MS,
      choose: () => new Set([this.node]),
      signal: this.#signal,
    });
    return {
      ...world,
      pods: world.pods.filter(
        ({ metadata, spec }) => metadata?.namespace === this.namespace || spec?.nodeName === this.node,
      ),
    };
  }

  async look(): Promise<Diagnosed> {
    return diagnose(await this.observe());
  }

  target(world: World): FaultTarget {
    return chooseTargets(world, { node: this.node, namespace: this.namespace })[0]!;
  }

  inject(failure: Failure, target: FaultTarget): Promise<Injected> {
    const injector = { book: this.#book, doorFor: () => this.#door };
    return inject(injector, failure, target, this.#signal);
  }

  /** Waits until the doctor finds what was injected, as `hostport break` does. */
  async untilFound(injected: Injected): Promise<void> {
    await untilFound(async () => (await this.look()).diagnosis, injected, new Set(), this.#signal);
  }

  async restore(failure: Failure): Promise<void> {
    const { failed } = await restore(
      this.#book,
      this.#door,
      (entry) => entry.failure === failure && entry.target.node === this.node,
    );
    const [first] = failed;
    if (first !== undefined) throw new Error(`undo ${failure.code} on ${this.node}`, { cause: first.cause });
  }

  /** Heals all that a look has found, on this node. */
  heal(first: Diagnosed, restart: boolean): Promise<HealReport> {
    const whole = labPatient(this.#places, true, new Date().toISOString());
    const patient: Patient = { ...whole, observe: () => this.observe() };
    return heal(patient, first, { signal: this.#signal, restart });
  }

  /** The lane's own pod. */
  pod(): Promise<Pod> {
    return this.#client.get(pods, ECHO, this.namespace);
  }

  /** Recreates the pod, when nothing else has made the lane healthy. */
  async recreate(target: FaultTarget): Promise<void> {
    await this.#door.recreate(target);
    await this.#door.untilRunning(target);
  }

  /** Waits until every pod of the lane is ready, or an event or its phase says that it is not going to be. */
  async untilSettled(): Promise<void> {
    await this.#until('to come up or to fail', async () => {
      const { items: recorded } = await this.#client.list(events, { namespace: this.namespace });
      const failed = new Set(
        recorded.filter(({ reason }) => FAILURES.test(reason ?? '')).map((event) => event.involvedObject.uid),
      );
      return (pod) => isReady(pod) || pod.status?.phase === 'Failed' || failed.has(pod.metadata?.uid ?? '');
    });
  }

  /** Waits until every pod of the lane is ready. */
  untilUp(): Promise<void> {
    return this.#until('to come up', async () => isReady);
  }

  async #until(what: string, condition: () => Promise<(pod: Pod) => boolean>): Promise<void> {
    let last = '';
    await waitFor(
      `pods of ${this.namespace} ${what}`,
      async () => {
        const { items } = await this.#client.list(pods, { namespace: this.namespace });
        const holds = await condition();
        const waiting = items.filter((pod) => !holds(pod));
        last = waiting.map(({ metadata }) => metadata?.name).join(', ');
        return waiting.length === 0;
      },
      { timeoutMs: SETTLE_MS, intervalMs: 100, signal: this.#signal, describe: () => last },
    );
  }

  /** The findings that are this lane's: of its node, or of its pods. */
  findings({ diagnosis }: Diagnosed): Finding[] {
    return diagnosis.findings.filter(
      ({ subject }) =>
        subject.node === this.node ||
        subject.pod?.namespace === this.namespace ||
        (subject.node === undefined && subject.pod === undefined),
    );
  }

  paths({ diagnosis }: Diagnosed): PathVerdict[] {
    return diagnosis.paths.filter(({ pod }) => pod.namespace === this.namespace);
  }
}

function isReady({ status }: Pod): boolean {
  return status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True') ?? false;
}
