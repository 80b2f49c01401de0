import { hasReason } from '../../../kube/client.ts';
import { conditionOf } from '../../../kube/conditions.ts';
import { deployments, keyOf, pods, replicaSets } from '../../../kube/resources.ts';
import { labelSelectorMatches } from '../../../kube/selectors/label.ts';
import type { Deployment, ReplicaSet } from '../../../kube/types.ts';
import { messageOf } from '../../../util/errors.ts';
import { type Controller, type ControllerContext, ControllerEvents, ControllerQueue } from '../context.ts';
import { Newest } from '../newest.ts';
import { claimObjects, controllerOf, controllerReference, isControlledBy } from '../ownership.ts';
import { canonical, sameTemplate, templateHash } from '../template-hash.ts';
import {
  HASH_LABEL,
  newReplicaSetAnnotations,
  REVISION,
  replicasAnnotations,
  revisionOf,
} from './annotations.ts';
import {
  active,
  byCreation,
  isRollingUpdate,
  newReplicaSetSize,
  replicasOf,
  rollingStep,
  rolloutBounds,
  type Scaling,
  scaleInProportion,
  wasScaled,
} from './rolling.ts';
import {
  type DeploymentStatus,
  deadlineAt,
  deploymentStatus,
  hasDeadline,
  isComplete,
  sameStatus,
  withCondition,
} from './status.ts';

/** Moves every Deployment's pods to its current template, and its ReplicaSets to its size. */
export function deploymentController(context: ControllerContext): Controller {
  const { client, informers, clock } = context;
  const events = new ControllerEvents(context, 'deployment-controller');
  const deploymentInformer = informers.of(deployments);
  const newest = new Newest(client, deployments, deploymentInformer);
  const setInformer = informers.of(replicaSets);
  const newestSets = new Newest(client, replicaSets, setInformer);
  const podInformer = informers.of(pods);
  const queue = new ControllerQueue(context, 'deployment', sync);

  const enqueueOwnersOf = (set: ReplicaSet): void => {
    const owner = controllerOf(set);
    if (owner !== undefined) {
      if (owner.kind === 'Deployment') queue.add(`${set.metadata?.namespace}/${owner.name}`);
      return;
    }
    for (const deployment of deploymentInformer.list()) {
      if (deployment.metadata?.namespace !== set.metadata?.namespace) continue;
      if (labelSelectorMatches(deployment.spec?.selector, set.metadata?.labels)) queue.add(keyOf(deployment));
    }
  };
  deploymentInformer.handle({
    onAdd: (deployment) => queue.add(keyOf(deployment)),
    onUpdate: (deployment) => queue.add(keyOf(deployment)),
  });
  setInformer.handle({
    onAdd: enqueueOwnersOf,
    onUpdate: (set, old) => {
      if (controllerOf(old)?.uid !== controllerOf(set)?.uid) enqueueOwnersOf(old);
      enqueueOwnersOf(set);
    },
    onDelete: enqueueOwnersOf,
  });
  podInformer.handle({
    // Recreate waits until the last old pod is gone, which no ReplicaSet's status shows.
    onDelete: (pod) => {
      const owner = controllerOf(pod);
      const set = owner && setInformer.get(owner.name, pod.metadata?.namespace);
      if (set !== undefined) enqueueOwnersOf(set);
    },
  });

  async function sync(key: string): Promise<void> {
    const deployment = newest.get(key);
    if (deployment === undefined) return;
    const namespace = deployment.metadata!.namespace;
    const matches = (labels: Record<string, string> | undefined) =>
      labelSelectorMatches(deployment.spec?.selector, labels);
    const inNamespace = newestSets.list().filter((set) => set.metadata?.namespace === namespace);
    const sets = await claimObjects(client, deployments, deployment, replicaSets, matches, inNamespace);
    const same = (set: ReplicaSet) => sameTemplate(set.spec?.template, deployment.spec?.template, HASH_LABEL);
    // Should two have the template, the older one is it: always the same choice.
    const current = [...sets].sort(byCreation).find(same);
    const old = sets.filter((set) => set !== current);

    if (deployment.metadata?.deletionTimestamp !== undefined) {
      return reportStatus(deployment, sets, current, false);
    }
    if (await noteWhetherPaused(deployment)) return;
    if (deployment.spec?.paused) {
      await resize(deployment, sets, scaleInProportion(deployment, current, old));
      await cleanUp(deployment, old);
      return reportStatus(deployment, sets, current, false);
    }
    const target = await currentReplicaSet(deployment, sets, current, old);
    // What is scaled or created comes back as an event; the next step is decided when its effect is known.
    if (target === undefined) return;
    if (wasScaled(deployment, sets)) {
      await resize(deployment, sets, scaleInProportion(deployment, target, old));
      return reportStatus(deployment, sets, target, false);
    }
    const step = isRollingUpdate(deployment)
      ? rollingStep(deployment, target, old)
      : recreateStep(deployment, target, old);
    const resized = await resize(deployment, [], step);
    const now = sets.map((set) => resized.get(set) ?? set);
    await reportStatus(deployment, now, resized.get(target) ?? target, true);
    if (
      step.length === 0 &&
      isComplete(deployment, deploymentStatus(deployment, sets, target, clock.now(), false))
    ) {
      await cleanUp(deployment, old);
    }
  }

  /** Old pods first; the new ones when the last old one is gone. */
  function recreateStep(deployment: Deployment, target: ReplicaSet, old: readonly ReplicaSet[]): Scaling[] {
    const down = active(old).map((replicaSet) => ({ replicaSet, replicas: 0 }));
    if (down.length > 0 || oldPodsRun(old)) return down;
    const wanted = replicasOf(deployment);
    return replicasOf(target) === wanted ? [] : [{ replicaSet: target, replicas: wanted }];
  }

  function oldPodsRun(old: readonly ReplicaSet[]): boolean {
    const uids = new Set(old.map((set) => set.metadata!.uid));
    return podInformer.list().some((pod) => {
      const phase = pod.status?.phase;
      return uids.has(controllerOf(pod)?.uid) && phase !== 'Succeeded' && phase !== 'Failed';
    });
  }

  /**
   * Makes sure that the ReplicaSet of the current template exists and carries the highest revision. Returns it, or
   * undefined when something was written whose echo has to be awaited.
   */
  async function currentReplicaSet(
    deployment: Deployment,
    sets: readonly ReplicaSet[],
    current: ReplicaSet | undefined,
    old: readonly ReplicaSet[],
  ): Promise<ReplicaSet | undefined> {
    const highest = Math.max(0, ...old.map(revisionOf));
    if (current === undefined) {
      if (!isRollingUpdate(deployment)) {
        // Recreate makes the new ReplicaSet only when the old pods are gone.
        const down = active(old).map((replicaSet) => ({ replicaSet, replicas: 0 }));
        if (down.length > 0 || oldPodsRun(old)) {
          const resized = await resize(deployment, [], down);
          await reportStatus(
            deployment,
            sets.map((set) => resized.get(set) ?? set),
            undefined,
            true,
          );
          return undefined;
        }
      }
      await create(deployment, old, highest + 1);
      return undefined;
    }
    const revision = Math.max(highest + 1, revisionOf(current));
    const annotations = newReplicaSetAnnotations(deployment, current, revision);
    const minReadySeconds = deployment.spec?.minReadySeconds ?? 0;
    const stale =
      canonical(annotations) !== canonical(current.metadata?.annotations ?? {}) ||
      minReadySeconds !== (current.spec?.minReadySeconds ?? 0);
    if (stale) {
      const metadata = { ...current.metadata, annotations };
      const spec = { ...current.spec!, minReadySeconds };
      await newestSets.update({ ...current, metadata, spec });
      await noteRevision(deployment, revision);
      return undefined;
    }
    if (await noteRevision(deployment, revision)) return undefined;
    if (hasDeadline(deployment) && conditionOf(deployment.status, 'Progressing') === undefined) {
      const message = `Found new replica set "${current.metadata!.name}"`;
      const statement = { type: 'Progressing', status: 'True', reason: 'FoundNewReplicaSet', message };
      const status = withCondition(deployment.status ?? {}, statement, clock.now());
      await newest.writeStatus({ ...deployment, status });
      return undefined;
    }
    return current;
  }

  async function create(deployment: Deployment, old: readonly ReplicaSet[], revision: number): Promise<void> {
    const hash = templateHash(deployment.spec!.template, deployment.status?.collisionCount ?? 0);
    const { name, namespace } = deployment.metadata!;
    const template = structuredClone(deployment.spec!.template);
    template.metadata = {
      ...template.metadata,
      labels: { ...template.metadata?.labels, [HASH_LABEL]: hash },
    };
    const replicas = newReplicaSetSize(deployment, old, undefined);
    const bounds = rolloutBounds(deployment);
    const wanted: ReplicaSet = {
      metadata: {
        name: `${name}-${hash}`,
        namespace,
        labels: template.metadata.labels,
        annotations: {
          ...newReplicaSetAnnotations(deployment, undefined, revision),
          ...replicasAnnotations(replicasOf(deployment), replicasOf(deployment) + bounds.maxSurge),
        },
        ownerReferences: [controllerReference(deployments, deployment)],
      },
      spec: {
        replicas,
        minReadySeconds: deployment.spec?.minReadySeconds,
        selector: {
          ...deployment.spec!.selector,
          matchLabels: { ...deployment.spec!.selector.matchLabels, [HASH_LABEL]: hash },
        },
        template,
      },
    };
    const progress = (value: 'True' | 'False', reason: string, message: string): DeploymentStatus =>
      withCondition(
        deployment.status ?? {},
        { type: 'Progressing', status: value, reason, message },
        clock.now(),
      );
    try {
      await client.create(replicaSets, wanted);
    } catch (error) {
      if (hasReason(error, 'AlreadyExists')) return await resolveCollision(deployment, wanted);
      if (hasDeadline(deployment)) {
        const message = `Failed to create new replica set "${wanted.metadata!.name}": ${messageOf(error)}`;
        const status = progress('False', 'ReplicaSetCreateError', message);
        if (!sameStatus(deployment.status, status)) {
          // The creation's own error is the one to throw.
          await newest
            .writeStatus({ ...deployment, status })
            .catch((failure) =>
              context.log(`deployment ${keyOf(deployment)}: condition not written: ${messageOf(failure)}`),
            );
        }
      }
      throw error;
    }
    if (replicas > 0) {
      const message = `Scaled up replica set ${wanted.metadata!.name} from 0 to ${replicas}`;
      events.say(deployments, deployment, 'Normal', 'ScalingReplicaSet', message);
    }
    if (await noteRevision(deployment, revision)) return;
    if (!hasDeadline(deployment)) return;
    const message = `Created new replica set "${wanted.metadata!.name}"`;
    const status = progress('True', 'NewReplicaSetCreated', message);
    await newest.writeStatus({ ...deployment, status });
  }

  /**
   * The name is taken. By this Deployment's own ReplicaSet of this template: the cache was behind, nothing is wrong. By
   * anything else: the hash collides, and the next try counts it in.
   */
  async function resolveCollision(deployment: Deployment, wanted: ReplicaSet): Promise<void> {
    const { name, namespace } = wanted.metadata!;
    const taken = await client.get(replicaSets, name!, namespace);
    const sameSpec = sameTemplate(taken.spec?.template, deployment.spec?.template, HASH_LABEL);
    if (isControlledBy(taken, deployment) && sameSpec) return queue.addAfter(keyOf(deployment), 50);
    const collisionCount = (deployment.status?.collisionCount ?? 0) + 1;
    const status = { ...deployment.status, collisionCount };
    await newest.writeStatus({ ...deployment, status });
  }

  /** Writes the revision where `kubectl rollout` looks for it. True when that was a change. */
  async function noteRevision(deployment: Deployment, revision: number): Promise<boolean> {
    if (deployment.metadata?.annotations?.[REVISION] === String(revision)) return false;
    await newest.merge(deployment, { metadata: { annotations: { [REVISION]: String(revision) } } });
    return true;
  }

  /** States that the Deployment is paused, or resumed, where that is news. True when something was written. */
  async function noteWhetherPaused(deployment: Deployment): Promise<boolean> {
    if (!hasDeadline(deployment)) return false;
    const reason = conditionOf(deployment.status, 'Progressing')?.reason;
    const paused = deployment.spec?.paused === true;
    // A rollout that was given up stays given up: pausing does not hide it.
    if (reason === 'ProgressDeadlineExceeded') return false;
    if (paused === (reason === 'DeploymentPaused')) return false;
    if (!paused && reason !== 'DeploymentPaused') return false;
    const statement = {
      type: 'Progressing',
      status: 'Unknown',
      reason: paused ? 'DeploymentPaused' : 'DeploymentResumed',
      message: paused ? 'Deployment is paused' : 'Deployment is resumed',
    };
    const status = withCondition(deployment.status ?? {}, statement, clock.now());
    await newest.writeStatus({ ...deployment, status });
    return true;
  }

  /**
   * Writes new sizes, and on those of `also` that keep theirs the size they were made for. Returns the ReplicaSets as
   * they are now.
   */
  async function resize(
    deployment: Deployment,
    also: readonly ReplicaSet[],
    scalings: readonly Scaling[],
  ): Promise<Map<ReplicaSet, ReplicaSet>> {
    const wanted = replicasOf(deployment);
    const marks = replicasAnnotations(wanted, wanted + rolloutBounds(deployment).maxSurge);
    const sizes = new Map(active(also).map((set) => [set, replicasOf(set)]));
    for (const { replicaSet, replicas } of scalings) sizes.set(replicaSet, replicas);
    const result = new Map<ReplicaSet, ReplicaSet>();
    for (const [set, replicas] of sizes) {
      const marked = Object.entries(marks).every(
        ([key, value]) => set.metadata?.annotations?.[key] === value,
      );
      const before = replicasOf(set);
      if (marked && before === replicas) continue;
      const metadata = { ...set.metadata, annotations: { ...set.metadata?.annotations, ...marks } };
      result.set(set, await newestSets.update({ ...set, metadata, spec: { ...set.spec!, replicas } }));
      if (before === replicas) continue;
      const direction = replicas > before ? 'up' : 'down';
      const message = `Scaled ${direction} replica set ${set.metadata!.name} from ${before} to ${replicas}`;
      events.say(deployments, deployment, 'Normal', 'ScalingReplicaSet', message);
    }
    return result;
  }

  /** Deletes old ReplicaSets beyond revisionHistoryLimit, lowest revisions first. */
  async function cleanUp(deployment: Deployment, old: readonly ReplicaSet[]): Promise<void> {
    const alive = old.filter((set) => set.metadata?.deletionTimestamp === undefined);
    const surplus = alive.length - (deployment.spec?.revisionHistoryLimit ?? 10);
    if (surplus <= 0) return;
    const lowestFirst = [...alive].sort((a, b) => revisionOf(a) - revisionOf(b) || byCreation(a, b));
    for (const set of lowestFirst.slice(0, surplus)) {
      const current = (set.status?.observedGeneration ?? 0) >= (set.metadata?.generation ?? 0);
      if (replicasOf(set) !== 0 || (set.status?.replicas ?? 0) !== 0 || !current) continue;
      const { name, namespace, uid } = set.metadata!;
      try {
        await client.delete(replicaSets, name!, namespace, { preconditions: { uid } });
      } catch (error) {
        if (!hasReason(error, 'NotFound')) throw error;
      }
    }
  }

  async function reportStatus(
    deployment: Deployment,
    sets: readonly ReplicaSet[],
    current: ReplicaSet | undefined,
    rollout: boolean,
  ): Promise<void> {
    const now = clock.now();
    const status = deploymentStatus(deployment, sets, current, now, rollout);
    if (!sameStatus(deployment.status, status)) {
      await newest.writeStatus({ ...deployment, status });
    }
    const deadline = rollout ? deadlineAt(deployment, status) : undefined;
    if (deadline !== undefined) queue.addAfter(keyOf(deployment), deadline - now + 1000);
  }

  return { start: () => queue.start(), flush: () => events.flush() };
}
