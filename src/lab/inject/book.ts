import { join } from 'node:path';
import { z } from 'zod';
import type { KubeObject } from '../../kube/types.ts';
import type { World } from '../../path/model/world.ts';
import type { Failure } from '../../path/stages/failure.ts';
import { catalogue } from '../../path/stages/index.ts';
import { podName } from '../../path/view/pod-name.ts';
import { Scene } from '../../path/view/scene.ts';
import { calledAs } from '../../sys/called-as.ts';
import { tryFileLock } from '../../sys/file-lock.ts';
import { readIfExists, writeFileAtomic } from '../../sys/files.ts';
import { waitFor } from '../../sys/wait.ts';
import { andMore } from '../../util/and-more.ts';
import { combinedError, InputError, messageOf, UserError } from '../../util/errors.ts';
import { clusterPaths } from '../cluster/paths.ts';
import type { ClusterRecord } from '../cluster/record.ts';
import { faultOf } from '../faults/index.ts';
import { type FaultDoor, type FaultTarget, type Memo, UnsuitableTarget } from './fault.ts';

const targetSchema = z.object({
  node: z.string(),
  pod: z.object({ namespace: z.string(), name: z.string(), uid: z.string(), address: z.string() }),
  port: z.object({
    hostPort: z.number(),
    containerPort: z.number(),
    protocol: z.enum(['TCP', 'UDP', 'SCTP']),
    hostIP: z.string().optional(),
  }),
  sandbox: z.string(),
  nodeAddress: z.string(),
});

/** A failure that was injected and not undone yet. */
const injectedSchema = z.object({
  code: z.string(),
  target: targetSchema,
  memo: z.unknown(),
  // Older versions did not write it.
  ready: z.array(z.object({ namespace: z.string(), name: z.string() })).default([]),
});

export interface Injected {
  failure: Failure;
  target: FaultTarget;
  memo: Memo;
  /** The pods of the target's node that were ready before. */
  ready: readonly { namespace: string; name: string }[];
}

/** How long one process waits for another that writes the book, in milliseconds. A write takes a few milliseconds. */
const LOCK_DEADLINE_MS = 5000;

/** The failures injected into a lab, stored beside its record until they are undone. */
export class FaultBook {
  readonly #path: string;

  constructor({ name }: Pick<ClusterRecord, 'name'>, stateRoot?: string) {
    this.#path = join(clusterPaths(name, stateRoot).root, 'faults.json');
  }

  async list(): Promise<Injected[]> {
    const text = await readIfExists(this.#path);
    if (text === undefined) return [];
    return injectedSchema
      .array()
      .parse(JSON.parse(text))
      .map(({ code, target, memo, ready }) => {
        const failure = catalogue.find((entry) => entry.code === code);
        if (failure === undefined)
          throw new UserError(
            `cannot read ${this.#path}: this version knows no failure "${code}"; undo it with the version that injected it, or recreate the cluster`,
          );
        return { failure, target: target as FaultTarget, memo: (memo ?? null) as Memo, ready };
      });
  }

  /** Changes the list under a lock. An error of `change` leaves it unchanged. */
  async update(change: (entries: readonly Injected[]) => readonly Injected[]): Promise<void> {
    const lock = await waitFor(
      `${this.#path} to be free`,
      () => {
        const taken = tryFileLock(`${this.#path}.lock`, `process ${process.pid}`);
        return 'release' in taken ? taken : undefined;
      },
      { timeoutMs: LOCK_DEADLINE_MS },
    );
    try {
      const entries = change(await this.list());
      const document = entries.map(({ failure, target, memo, ready }) => ({
        code: failure.code,
        target,
        memo,
        ready,
      }));
      await writeFileAtomic(this.#path, `${JSON.stringify(document, null, 2)}\n`, 0o600);
    } finally {
      lock.release();
    }
  }
}

/** What a failure is injected by. */
export interface Injector {
  book: FaultBook;
  /** The door into the lab, whose work ends when the signal aborts. */
  doorFor(signal: AbortSignal): FaultDoor;
}

/** A signal of what must be done although somebody interrupts. */
export const UNINTERRUPTED = new AbortController().signal;

/** What to do when a failure is not injected, and the node is as it was. */
const ADVICE = 'try again, or another node with --node';

/**
 * Injects a failure for a target; how to undo it is written down first. One failure of a kind a node at a time. What fails or is interrupted is
 * undone. `through` is what is between the fault and its door.
 */
export async function inject(
  { book, doorFor }: Injector,
  failure: Failure,
  target: FaultTarget,
  signal: AbortSignal,
  through: (door: FaultDoor) => FaultDoor = (door) => door,
): Promise<Injected> {
  refuseImpossible(failure);
  const { remember, inject: injectFault } = faultOf(failure);
  const door = through(doorFor(signal));
  const refuseTwice = (entries: readonly Injected[]) => {
    if (!entries.some((entry) => isSame(entry, { failure, target }))) return;
    throw new UnsuitableTarget(
      'it is already injected there',
      `undo it with "${calledAs()} unbreak ${failure.code}"`,
    );
  };
  refuseTwice(await book.list());
  /** An error of the node or the API says neither what was attempted nor what is so now. */
  const explained = (cause: unknown, after: string) =>
    cause instanceof UserError || signal.aborted
      ? cause
      : new UserError(`cannot inject ${failure.code} on node ${target.node}: ${messageOf(cause)}; ${after}`, {
          cause,
        });
  const unchanged = (cause: unknown) => {
    throw explained(cause, `nothing was changed; ${ADVICE}`);
  };
  const memo = await remember?.(door, target).catch(unchanged);
  const ready = await door.readyPods(target.node).catch(unchanged);
  const injected = { failure, target, memo: memo ?? null, ready };
  await book.update((entries) => {
    refuseTwice(entries);
    return [...entries, injected];
  });
  try {
    await injectFault(door, target);
  } catch (cause) {
    // Half a failure is not one of the known failures.
    const errors = await undoErrors({ book, doorFor }, injected);
    const after =
      errors.length === 0
        ? `what was changed is undone; ${ADVICE}`
        : `what was changed is not undone; undo it with "${calledAs()} unbreak ${failure.code}"`;
    throw combinedError([explained(cause, after), ...errors]);
  }
  return injected;
}

/** Undoes what ended with an error; returns that error, with why it could not be undone. */
export async function undone(injector: Injector, injected: Injected, cause: unknown): Promise<unknown> {
  return combinedError([cause, ...(await undoErrors(injector, injected))]);
}

/** Undoes a failure; returns why it could not be undone. */
async function undoErrors({ book, doorFor }: Injector, injected: Injected): Promise<unknown[]> {
  return restore(book, doorFor(UNINTERRUPTED), (entry) => isSame(entry, injected)).then(
    ({ failed }) => failed.map(({ entry, cause }) => undoError(entry, cause)),
    (error: unknown) => [error],
  );
}

/** Whether two are one: a failure is injected once a node. */
function isSame(a: Pick<Injected, 'failure' | 'target'>, b: Pick<Injected, 'failure' | 'target'>): boolean {
  return a.failure === b.failure && a.target.node === b.target.node;
}

/** Refuses a failure that no lab can have, before anything is looked at. */
export function refuseImpossible(failure: Failure): void {
  const { impossible } = faultOf(failure);
  if (impossible === undefined) return;
  const { code } = failure;
  throw new InputError(
    `cannot inject ${code}: ${impossible}; "${calledAs()} doctor --explain ${code}" says what is known of it`,
  );
}

function undoError({ failure, target }: Injected, cause: unknown): Error {
  return new Error(`cannot undo ${failure.code} on node ${target.node}`, { cause });
}

/** The result of undoing failures. */
export interface Restored {
  undone: Injected[];
  /** Those that could not be undone, and why; they stay in the book. */
  failed: { entry: Injected; cause: unknown }[];
}

/** Undoes failures, the last first. One that cannot be undone does not stop the others from being undone. */
export async function restore(
  book: FaultBook,
  door: FaultDoor,
  chosen: (entry: Injected) => boolean,
): Promise<Restored> {
  const undone: Injected[] = [];
  const failed: Restored['failed'] = [];
  for (const entry of (await book.list()).reverse()) {
    if (!chosen(entry)) continue;
    try {
      await faultOf(entry.failure).restore(door, entry.target, entry.memo);
      await book.update((entries) =>
        entries.filter(
          ({ failure, target }) => failure !== entry.failure || target.node !== entry.target.node,
        ),
      );
      undone.push(entry);
    } catch (cause) {
      failed.push({ entry, cause });
    }
  }
  return { undone, failed };
}

/** How many pods an error names. */
const SHOWN = 10;

function listed(names: Iterable<string>): string {
  return andMore([...new Set(names)], SHOWN);
}

/** Targets that a failure may be injected for: the mappings that match the wishes and whose pods run, one per node. */
export function chooseTargets(
  world: World,
  wishes: { node?: string; pod?: string; namespace?: string },
): FaultTarget[] {
  const scene = new Scene(world);
  const suits = scene.paths.filter(
    ({ node, subject }) =>
      (wishes.node === undefined || node?.name === wishes.node) &&
      (wishes.pod === undefined || subject.pod?.name === wishes.pod) &&
      (wishes.namespace === undefined || subject.pod?.namespace === wishes.namespace),
  );
  const running = suits.filter(({ sandbox }) => sandbox !== undefined && sandbox.ips.length > 0);
  if (running.length === 0) {
    const place = ({ node, subject }: (typeof suits)[number]) =>
      `${podName(subject.pod!)} on ${node?.name ?? 'no node'}`;
    if (scene.paths.length === 0)
      throw new InputError('cannot inject a failure: no pod of the cluster has a hostPort; deploy one first');
    if (suits.length === 0)
      throw new InputError(
        `cannot inject a failure: no pod${nameIn(wishes)} with a hostPort${wishes.node === undefined ? '' : ` on node ${wishes.node}`}; choose one of ${listed(scene.paths.map(place))}`,
      );
    throw new UserError(
      `cannot inject a failure: no pod that could have it runs: ${listed(suits.map(place))}; "${calledAs()} doctor" shows why`,
    );
  }
  const onePerNode = new Map([...running].reverse().map((path) => [path.node!.name, path]));
  return [...onePerNode.values()].reverse().map(({ node, subject, port, sandbox }) => {
    const nodeAddress = scene.addressOf(node!.name);
    if (nodeAddress === undefined) throw new Error(`node ${node!.name} has no InternalIP`);
    return {
      node: node!.name,
      pod: { ...subject.pod!, address: sandbox!.ips[0]! },
      port,
      sandbox: sandbox!.id,
      nodeAddress,
    };
  });
}

/** What was injected, and which objects it created in the cluster: `pod default/echo-leaked`. */
export interface InjectedSomewhere extends Injected {
  created: string[];
}

/** A door by which the objects that are created, and not removed again, are noted by their names. */
function noting(door: FaultDoor, names: Set<string>): FaultDoor {
  const nameOf = (kind = '', namespace: string | undefined, name = '') =>
    `${kind.toLowerCase()} ${namespace === undefined ? '' : `${namespace}/`}${name}`;
  return {
    ...door,
    async apply(objects) {
      await door.apply(objects);
      for (const { kind, metadata } of objects as readonly KubeObject[])
        names.add(nameOf(kind, metadata?.namespace, metadata?.name));
    },
    async remove(kind, namespace, name) {
      await door.remove(kind, namespace, name);
      names.delete(nameOf(kind, namespace, name));
    },
  };
}

/** None of some targets suits a failure. */
export class NoSuitableTarget extends UserError {
  override name = 'NoSuitableTarget';
}

/** Injects a failure for the first of some targets that suits it. */
export async function injectSomewhere(
  injector: Injector,
  failure: Failure,
  targets: readonly FaultTarget[],
  signal: AbortSignal,
): Promise<InjectedSomewhere> {
  const refusals: { node: string; cause: UnsuitableTarget }[] = [];
  for (const target of targets) {
    const created = new Set<string>();
    try {
      const injected = await inject(injector, failure, target, signal, (door) => noting(door, created));
      return { ...injected, created: [...created] };
    } catch (cause) {
      if (!(cause instanceof UnsuitableTarget)) throw cause;
      refusals.push({ node: target.node, cause });
    }
  }
  throw new NoSuitableTarget(`cannot inject ${failure.code}: ${reasonsOf(refusals)}`);
}

/** Why no node suits, each reason once with its nodes, and what to do. */
function reasonsOf(refusals: readonly { node: string; cause: UnsuitableTarget }[]): string {
  const byReason = Map.groupBy(refusals, ({ cause }) => cause.why);
  const reasons = [...byReason].map(([why, of]) => `on ${of.map(({ node }) => node).join(', ')}: ${why}`);
  const advice = new Set(refusals.map(({ cause }) => cause.advice));
  return [...reasons, ...advice].join('; ');
}

/** The name that a wish gives a pod, with a blank before it. */
function nameIn({ namespace, pod }: { namespace?: string; pod?: string }): string {
  if (pod === undefined) return namespace === undefined ? '' : ` of namespace ${namespace}`;
  return ` ${namespace === undefined ? '' : `${namespace}/`}${pod}`;
}
