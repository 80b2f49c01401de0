import { randomBytes } from 'node:crypto';
import { type ApiClient, hasReason } from '../../kube/client.ts';
import { Informer } from '../../kube/informer.ts';
import { namespaces, pods } from '../../kube/resources.ts';
import type { Pod } from '../../kube/types.ts';
import { type Clock, realClock } from '../../sys/clock.ts';
import { DeadlineError, waitFor } from '../../sys/wait.ts';
import { messageOf } from '../../util/errors.ts';
import {
  NONCE_ANNOTATION,
  type ReaderSettings,
  RUN_LABEL,
  readerPod,
  type WriterSettings,
  workNamespace,
  writerPod,
} from './manifests.ts';
import { stateOf } from './pod-state.ts';
import { type RetryOptions, retrying } from './retry.ts';

/** How long a new namespace may be without its service account, in milliseconds: until then pods are refused. */
const NAMESPACE_SETUP_MS = 15_000;
/** How long a kubelet has to confirm that a pod has ended, in milliseconds, before the pod is removed from the API without that. */
const CONFIRMATION_MS = 15_000;
/** How long pods and namespace may take to go, in milliseconds. */
const REMOVAL_MS = 60_000;

export interface ReaderPodsOptions {
  /** Whether the namespace is to be created, and so to be removed. */
  createsNamespace: boolean;
  clock?: Clock;
  onRetry?: (cause: unknown) => void;
}

/** The pods of one run, their namespace, and the one watch by which they are waited for. */
export class ReaderPods {
  readonly #client: ApiClient;
  readonly #settings: ReaderSettings;
  readonly #options: ReaderPodsOptions;
  readonly #clock: Clock;
  readonly #informer: Informer<Pod>;
  readonly #watching = new AbortController();
  readonly #created = new Set<string>();
  /** By the names of pods, for the whole run: a pod that has not started is asked for again. */
  readonly #nonces = new Map<string, string>();
  #watched: Promise<void> | undefined;
  #changed = Promise.withResolvers<void>();
  #hasNamespace = false;

  constructor(client: ApiClient, settings: ReaderSettings, options: ReaderPodsOptions) {
    this.#client = client;
    this.#settings = settings;
    this.#options = options;
    this.#clock = options.clock ?? realClock;
    const { namespace, run } = settings;
    const change = () => {
      this.#changed.resolve();
      this.#changed = Promise.withResolvers<void>();
    };
    this.#informer = new Informer<Pod>(client, pods, {
      namespace,
      labelSelector: `${RUN_LABEL}=${run}`,
      onError: (cause) => options.onRetry?.(cause),
      clock: this.#clock,
    }).handle({ onAdd: change, onUpdate: change, onDelete: change });
  }

  /** Creates the namespace, unless there is one to be used, and starts to watch it. */
  async prepare(signal: AbortSignal): Promise<void> {
    if (this.#options.createsNamespace) {
      const wanted = workNamespace(this.#settings);
      // Before the answer: one that was lost may have been a yes.
      this.#hasNamespace = true;
      await retrying(() => this.#client.create(namespaces, wanted), this.#retry(signal)).catch(existing);
    }
    this.#watched = this.#informer.run(this.#watching.signal);
    await abortable(this.#informer.synced, signal);
  }

  /** Creates the pod that reads a node, and waits until it runs. Rejects with what was seen of it when it does not. */
  start(node: string, timeoutMs: number, signal: AbortSignal): Promise<string> {
    return this.#start(readerPod(node, this.#settings, this.#clock.now()), timeoutMs, signal);
  }

  /** As {@link start}, of a pod that changes its node. */
  startWriter(node: string, writer: WriterSettings, timeoutMs: number, signal: AbortSignal): Promise<string> {
    return this.#start(writerPod(node, this.#settings, writer, this.#clock.now()), timeoutMs, signal);
  }

  /** Deletes a pod that is not needed any more, and does not wait until it is gone. */
  async stop(name: string, signal: AbortSignal): Promise<void> {
    const { namespace } = this.#settings;
    await retrying(() => this.#client.delete(pods, name, namespace), this.#retry(signal)).catch(gone);
  }

  async #start(pod: Pod, timeoutMs: number, signal: AbortSignal): Promise<string> {
    const name = pod.metadata?.name ?? '';
    this.#created.add(name);
    const until = this.#clock.monotonic() + timeoutMs;
    const nonce = this.#nonces.get(name) ?? randomBytes(16).toString('hex');
    this.#nonces.set(name, nonce);
    await this.#create(pod, nonce, signal);
    for (;;) {
      const shown = this.#informer.get(name, this.#settings.namespace);
      if (shown !== undefined) this.#checkOwn(shown, nonce);
      const state = shown === undefined ? undefined : stateOf(shown);
      if (state?.is === 'running') return name;
      if (state?.is === 'failed') throw new Error(state.why);
      const left = until - this.#clock.monotonic();
      if (left <= 0) {
        const seen = state?.why ?? 'the API does not show its pod';
        throw new Error(`${seen} (waited ${Math.round(timeoutMs / 1000)} s; see --timeout)`);
      }
      const stop = new AbortController();
      const late = this.#clock.sleep(left, AbortSignal.any([signal, stop.signal])).catch(() => {});
      await Promise.race([this.#changed.promise, late]);
      stop.abort();
      signal.throwIfAborted();
    }
  }

  /**
   * Removes everything that was created. `pods` resolves when no pod is left or nothing more can be done about it, `left` when the namespace is gone,
   * too: to what is left, in words; empty when nothing is. Idempotent; does not depend on the signal of the run, which may have been aborted.
   */
  remove(): { pods: Promise<void>; left: Promise<string[]> } {
    const { promise: pods, resolve: podsGone } = Promise.withResolvers<void>();
    return { pods, left: this.#remove(podsGone).finally(podsGone) };
  }

  async #remove(podsGone: () => void): Promise<string[]> {
    const late = new AbortController();
    const done = new AbortController();
    const { signal } = late;
    void this.#clock.sleep(REMOVAL_MS, done.signal).then(
      () => late.abort(new Error(`not gone after ${REMOVAL_MS / 1000} s`)),
      // Everything was gone before.
      () => {},
    );
    const left: string[] = [];
    const attempt = async (what: string, work: Promise<unknown>) => {
      await work.catch((cause: unknown) => left.push(`${what}: ${messageOf(cause)}`));
    };
    try {
      const unconfirmed = this.#removePods(signal);
      await attempt('pods of this run', unconfirmed);
      left.push(...(await unconfirmed.catch(() => [])));
      podsGone();
      if (this.#hasNamespace) {
        const { namespace } = this.#settings;
        await attempt(
          `namespace ${namespace}`,
          removeNamespace(this.#client, namespace, this.#retry(signal), REMOVAL_MS),
        );
      }
    } finally {
      done.abort(new Error('everything is gone'));
      this.#watching.abort(new Error('nobody watches any more'));
      await this.#watched;
    }
    return left;
  }

  async #create(wanted: Pod, nonce: string, signal: AbortSignal): Promise<void> {
    const { name = '', namespace = '', annotations } = wanted.metadata ?? {};
    const pod = {
      ...wanted,
      metadata: { ...wanted.metadata, annotations: { ...annotations, [NONCE_ANNOTATION]: nonce } },
    };
    // The service account of a new namespace comes after it, and pods are refused until then.
    const since = this.#clock.monotonic();
    const also = (cause: unknown) =>
      this.#options.createsNamespace &&
      hasReason(cause, 'Forbidden') &&
      this.#clock.monotonic() - since < NAMESPACE_SETUP_MS;
    const retry = { ...this.#retry(signal), also };
    const created = await retrying(() => this.#client.create(pods, pod), retry).catch(existing);
    if (created !== undefined) return;
    // It is that of a try whose answer was lost, or somebody else's.
    const asked = { namespace, fieldSelector: `metadata.name=${name}` };
    const { items } = await retrying(() => this.#client.list(pods, asked, signal), retry);
    const found = items.find(({ metadata }) => metadata?.name === name);
    if (found !== undefined) this.#checkOwn(found, nonce);
  }

  /** Throws for a pod of the expected name that this run has not created: it would report whatever its owner likes. */
  #checkOwn({ metadata }: Pod, nonce: string): void {
    if (metadata?.annotations?.[NONCE_ANNOTATION] === nonce) return;
    const { name = '', namespace } = metadata ?? {};
    this.#created.delete(name);
    throw new Error(`pod ${name} in namespace ${namespace} was created by somebody else, and is not used`);
  }

  async #removePods(signal: AbortSignal): Promise<string[]> {
    const { namespace } = this.#settings;
    const names = [...this.#created];
    await Promise.all(
      names.map((name) =>
        retrying(() => this.#client.delete(pods, name, namespace), this.#retry(signal)).catch(gone),
      ),
    );
    if (this.#watched === undefined || (await this.#areGone(CONFIRMATION_MS, signal))) return [];
    // Their nodes do not answer. One that has never started a pod has nothing of it to end.
    const unconfirmed = this.#own();
    const force = { gracePeriodSeconds: 0 };
    await Promise.all(
      unconfirmed.map(({ metadata }) =>
        retrying(
          () => this.#client.delete(pods, metadata?.name ?? '', namespace, force),
          this.#retry(signal),
        ).catch(gone),
      ),
    );
    await this.#areGone(REMOVAL_MS, signal);
    return unconfirmed
      .filter(({ status }) => status?.startTime !== undefined)
      .map(({ spec }) => `pod on ${spec?.nodeName}: its kubelet does not confirm that it has ended`);
  }

  /** The pods that this run has created, as far as they are there. */
  #own(): Pod[] {
    return this.#informer.list().filter(({ metadata }) => this.#created.has(metadata?.name ?? ''));
  }

  /** Waits until the API shows no pod of the run any more; false when it still does after a time. */
  async #areGone(timeoutMs: number, signal: AbortSignal): Promise<boolean> {
    const until = this.#clock.monotonic() + timeoutMs;
    while (this.#own().length > 0) {
      const left = until - this.#clock.monotonic();
      if (left <= 0) return false;
      const changed = this.#changed.promise;
      const stop = new AbortController();
      const late = this.#clock.sleep(left, stop.signal).catch(() => {});
      await abortable(Promise.race([changed, late]), signal).finally(() => stop.abort());
    }
    return true;
  }

  #retry(signal: AbortSignal): RetryOptions {
    const { onRetry } = this.#options;
    return { signal, clock: this.#clock, ...(onRetry && { onRetry }) };
  }
}

/** Deletes a namespace and waits until it is gone. Rejects with what keeps it when that takes too long. */
export async function removeNamespace(
  client: ApiClient,
  name: string,
  retry: RetryOptions,
  timeoutMs: number,
): Promise<void> {
  await retrying(() => client.delete(namespaces, name), retry).catch(gone);
  let seen = '';
  const isGone = async () => {
    const found = await retrying(() => client.get(namespaces, name), retry).catch(gone);
    const holding = found?.status?.conditions?.filter(({ status }) => status === 'True') ?? [];
    seen = holding.map(({ message }) => message).join('; ');
    return found === undefined;
  };
  const { signal, clock } = retry;
  const wait = { timeoutMs, intervalMs: 250, signal, describe: () => seen, ...(clock && { clock }) };
  await waitFor('the API to finish deleting it', isGone, wait).catch((cause) => {
    if (!(cause instanceof DeadlineError) && !signal.aborted) throw cause;
    throw new Error(`still being deleted${seen === '' ? '' : `: ${seen}`}`);
  });
}

function existing(cause: unknown): undefined {
  if (!hasReason(cause, 'AlreadyExists')) throw cause;
  return undefined;
}

function gone(cause: unknown): undefined {
  if (!hasReason(cause, 'NotFound')) throw cause;
  return undefined;
}

/** As a promise, but rejects as soon as the signal is aborted. */
export function abortable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const abort = () => reject(signal.reason);
  if (signal.aborted) abort();
  signal.addEventListener('abort', abort, { once: true });
  return Promise.race([promise, aborted]).finally(() => signal.removeEventListener('abort', abort));
}
