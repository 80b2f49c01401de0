import type { HostPort, Subject } from '../../path/model/finding.ts';
import { UserError } from '../../util/errors.ts';

/** A failure cannot be injected for this target, but perhaps for another. Whatever was changed for it can be undone. */
export class UnsuitableTarget extends UserError {
  override name = 'UnsuitableTarget';
  /** What was seen, in words that are the same for every node on which it is so. */
  readonly why: string;
  /** What to do instead. */
  readonly advice: string;

  constructor(why: string, advice: string) {
    super(`${why}; ${advice}`);
    this.why = why;
    this.advice = advice;
  }
}

/** JSON, so that another process can undo what one did. */
export type Memo = null | boolean | number | string | Memo[] | { [key: string]: Memo };

/** What a failure is injected for: a pod that works. */
export interface FaultTarget {
  node: string;
  pod: { namespace: string; name: string; uid: string; address: string };
  port: HostPort;
  /** ID of the pod's sandbox. */
  sandbox: string;
  /** Address of the node. */
  nodeAddress: string;
}

/** What an injection may use: the lab's nodes and its API. Only a lab is ever behind it. */
export interface FaultDoor {
  /** Runs a command on a node, as root, in the node's namespaces; rejects when it fails. Returns its standard output. */
  run(node: string, argv: readonly string[], options?: { stdin?: string }): Promise<string>;
  /** Text of a file on a node, undefined when there is none. */
  read(node: string, path: string): Promise<string | undefined>;
  /** Writes a file on a node atomically. `mode`: permission bits, octal; default 0644. */
  write(node: string, path: string, content: string, mode?: string): Promise<void>;
  /** Names in a directory of a node, sorted; none when there is no such directory. */
  list(node: string, path: string): Promise<string[]>;
  /**
   * Creates API objects and returns when the API has them. Rejects with an {@link UnsuitableTarget} where somebody else has an object of that name.
   */
  apply(objects: readonly Record<string, unknown>[]): Promise<void>;
  /** The object, or undefined. */
  get(
    kind: string,
    namespace: string | undefined,
    name: string,
  ): Promise<Record<string, unknown> | undefined>;
  /** The pods of a node that are ready. */
  readyPods(node: string): Promise<{ namespace: string; name: string }[]>;
  /** Reasons of the events about the pod that has this name now. */
  eventReasons(namespace: string, pod: string): Promise<string[]>;
  /** Deletes an object that {@link apply} created and returns when it is gone; nothing there is fine, and somebody else's is left alone. */
  remove(kind: string, namespace: string | undefined, name: string): Promise<void>;
  /** Assigns a pod to a node as a scheduler does, with its event; one that has a node is left as it is. */
  assign(namespace: string, pod: string, node: string): Promise<void>;
  /** Changes a pod in a way that has no effect on it: a scheduler counts its ports again. A pod that is not there is left alone. */
  touch(namespace: string, pod: string): Promise<void>;
  /** Whether an agent on the node watches the configuration directory, and undoes at once what others change there. */
  watchesConfDir(node: string): Promise<boolean>;
  /**
   * Deletes the target's pod, does `meanwhile` when it is gone, and recreates the pod as it was, under a new uid; returns when the
   * API has the new one. It need not come up: that is often the point. What breaks a chain is done meanwhile, since the old pod is
   * deleted by that chain. A pod of a controller is recreated as that controller's, which does nothing until then.
   */
  recreate(target: FaultTarget, meanwhile?: () => Promise<void>): Promise<void>;
  /** Waits until the pod of this target runs: by namespace and name. */
  untilRunning(target: Pick<FaultTarget, 'pod'>): Promise<void>;
  /** Waits until the target's node has no sandbox of a pod of that name any more. */
  untilNoSandbox(target: Pick<FaultTarget, 'node' | 'pod'>): Promise<void>;
  /** Waits until the condition holds, with a deadline; `what` says what for. */
  until(what: string, condition: () => Promise<boolean>): Promise<void>;
}

/** A failure's real cause, done and undone in the lab. */
export interface Fault {
  /** What is done, to which part of the node or the cluster, in a line. */
  does: string;
  /** Why no lab can have the failure: it is never injected, and what is known of it is proved on recorded nodes alone. */
  impossible?: string;
  /** What undoing it needs to know of how things were. Asked, and written down, before anything is done. */
  remember?(door: FaultDoor, target: FaultTarget): Promise<Memo>;
  /** Injects the failure for the target, and returns once it is there. */
  inject(door: FaultDoor, target: FaultTarget): Promise<void>;
  /** Undoes it, also when it was half done or healed meanwhile; twice in a row is fine. */
  restore(door: FaultDoor, target: FaultTarget, memo: Memo): Promise<void>;
  /**
   * What it will be found on, where that is something else than the target: its node, and its pod and port where the finding
   * names one. Pods are compared by namespace and name, since a fault may have recreated them.
   */
  subjects?(target: FaultTarget, memo: Memo): Subject[];
}
