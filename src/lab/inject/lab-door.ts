import type { ApiClient } from '../../kube/client.ts';
import { hasReason } from '../../kube/client.ts';
import { isConditionTrue } from '../../kube/conditions.ts';
import { EventRecorder, referenceTo } from '../../kube/event-recorder.ts';
import { isMirrorPod } from '../../kube/pods.ts';
import { events, pods, type Resource, services } from '../../kube/resources.ts';
import type { KubeObject, Pod } from '../../kube/types.ts';
import { known } from '../../path/model/observed.ts';
import { calledAs } from '../../sys/called-as.ts';
import { ExecError } from '../../sys/exec.ts';
import { waitFor } from '../../sys/wait.ts';
import { UserError } from '../../util/errors.ts';
import type { LabPlaces } from '../doctor/places.ts';
import { type FaultDoor, type FaultTarget, UnsuitableTarget } from './fault.ts';

/** How long a fault waits for the lab to take notice of something, in milliseconds. */
const UNTIL_MS = 20_000;
/** Kubernetes' kubelets remove the sandboxes of deleted pods once a minute (ContainerGCPeriod). */
const KUBERNETES_SANDBOX_MS = 90_000;

/** The program that recreates pods of controllers, on both engines, and how long it stands still at most if nobody lets it run again, in seconds. */
const CONTROLLERS = '/etc/sv/kube-controller-manager';
const PAUSE_SECONDS = 90;
/** Kinds whose controllers are in that program. */
const HELD = ['DaemonSet', 'Job', 'ReplicaSet', 'ReplicationController', 'StatefulSet'];

/** An annotation that says nothing. */
const TOUCHED = 'hostport.example/touched';
/** The annotation of objects that faults created: no other is removed. */
const INJECTED = 'hostport.example/injected';

const OTHER_POD = 'choose another pod with --pod';

/** The kinds of objects that faults create. */
const RESOURCES: Readonly<Record<string, Resource<KubeObject>>> = { Pod: pods, Service: services };

/** The door of faults into one lab. */
export function labFaultDoor(places: LabPlaces, client: ApiClient, signal: AbortSignal): FaultDoor {
  const { record } = places;
  const run: FaultDoor['run'] = async (node, argv, { stdin } = {}) => {
    const result = await places.run(node, argv, { stdin, signal });
    if (result.code !== 0) throw new ExecError([`${node}:`, ...argv], result);
    return result.stdout;
  };
  const succeeds = async (node: string, argv: readonly string[]): Promise<boolean> => {
    const result = await places.run(node, argv, { signal });
    if (result.code > 1) throw new ExecError([`${node}:`, ...argv], result);
    return result.code === 0;
  };
  const gone = async (resource: Resource<KubeObject>, namespace: string | undefined, name: string) => {
    await client
      // With a grace period, the pod is gone only when its kubelet says so; without one its node might still have its ports and sandbox.
      .delete(resource, name, namespace, resource === pods ? { gracePeriodSeconds: 1 } : {})
      .catch(notFound);
    await waitFor(
      `${resource.kind} ${name} to go`,
      async () => (await client.get(resource, name, namespace).catch(notFound)) === undefined,
      { timeoutMs: UNTIL_MS, intervalMs: 30, signal },
    );
  };
  /** Lets no controller recreate pods until the result is called; a process in the node does that, too, should this one be killed. */
  const holdControllers = async (): Promise<() => Promise<void>> => {
    const nodes = record.nodes.filter(({ role }) => role === 'control-plane');
    const later = `exec >/dev/null 2>&1 </dev/null; setsid -f sh -c 'sleep ${PAUSE_SECONDS}; sv cont ${CONTROLLERS}'`;
    const release = async () => {
      for (const { name } of nodes) {
        const argv = ['sv', 'cont', CONTROLLERS];
        // Also when this was interrupted.
        const result = await places.run(name, argv);
        if (result.code !== 0) throw new ExecError([`${name}:`, ...argv], result);
      }
    };
    try {
      for (const { name } of nodes) {
        await run(name, ['sh', '-c', later]);
        await run(name, ['sv', 'pause', CONTROLLERS]);
      }
    } catch (cause) {
      await release();
      throw cause;
    }
    return release;
  };
  return {
    run,

    async watchesConfDir(node) {
      const report = await places.report(node, signal);
      if ('unknown' in report) throw unread(node, report.unknown);
      return known(report.value.cni.ciliumAgents)?.some(({ watches }) => watches) ?? false;
    },

    async read(node, path) {
      return (await succeeds(node, ['test', '-f', path])) ? run(node, ['cat', '--', path]) : undefined;
    },

    async write(node, path, content, mode = '0644') {
      // Written beside and moved within the directory: readers see all or nothing, and a runtime that watches sees the rename.
      const scratch = `${path}.hostport-new`;
      try {
        await run(node, ['dd', 'status=none', `of=${scratch}`], { stdin: content });
        await run(node, ['chmod', mode, scratch]);
        await run(node, ['mv', '-f', '--', scratch, path]);
      } catch (cause) {
        await run(node, ['rm', '-f', '--', scratch]);
        throw cause;
      }
    },

    async list(node, path) {
      if (!(await succeeds(node, ['test', '-d', path]))) return [];
      const names = await run(node, ['ls', '-A1', '--', path]);
      return names
        .split('\n')
        .filter((name) => name !== '')
        .sort();
    },

    async apply(objects) {
      for (const object of objects) {
        const { kind, metadata } = object as KubeObject;
        const resource = resourceOf(kind);
        const own = { ...metadata, annotations: { ...metadata?.annotations, [INJECTED]: 'true' } };
        try {
          await client.create(resource, { ...(object as KubeObject), metadata: own });
        } catch (cause) {
          if (!hasReason(cause, 'AlreadyExists')) throw cause;
          const name = `${metadata?.namespace}/${metadata?.name}`;
          throw new UnsuitableTarget(
            `${resource.kind} ${name} exists already, and is not changed`,
            `remove it, or choose a pod of another namespace with --pod`,
          );
        }
        await client.get(resource, metadata?.name ?? '', metadata?.namespace);
      }
    },

    async get(kind, namespace, name) {
      const object = await client.get(resourceOf(kind), name, namespace).catch(notFound);
      return object as Record<string, unknown> | undefined;
    },

    async readyPods(node) {
      const { items } = await client.list(pods, { fieldSelector: `spec.nodeName=${node}` });
      return items
        .filter(
          ({ metadata, status }) =>
            metadata?.deletionTimestamp === undefined && isConditionTrue(status, 'Ready'),
        )
        .map(({ metadata }) => ({ namespace: metadata?.namespace ?? '', name: metadata?.name ?? '' }));
    },

    async eventReasons(namespace, name) {
      // Events of a pod that had the name before stay for an hour.
      const uid = (await client.get(pods, name, namespace).catch(notFound))?.metadata?.uid;
      if (uid === undefined) return [];
      const { items } = await client.list(events, { namespace });
      return items
        .filter(({ involvedObject }) => involvedObject.uid === uid)
        .flatMap(({ reason }) => reason ?? []);
    },

    async remove(kind, namespace, name) {
      const resource = resourceOf(kind);
      const found = await client.get(resource, name, namespace).catch(notFound);
      if (found?.metadata?.annotations?.[INJECTED] !== undefined) await gone(resource, namespace, name);
    },

    async assign(namespace, name, node) {
      const pod = await client.get(pods, name, namespace);
      if (pod.spec?.nodeName !== undefined) return;
      const target = { apiVersion: 'v1', kind: 'Node', name: node };
      const binding = { apiVersion: 'v1', kind: 'Binding', metadata: { name, namespace }, target };
      await client.postSubresource(pods, name, namespace, 'binding', binding);
      const refused: unknown[] = [];
      const component = pod.spec?.schedulerName ?? 'default-scheduler';
      const recorder = new EventRecorder(client, { component }, { onError: (error) => refused.push(error) });
      const message = `Successfully assigned ${namespace}/${name} to ${node}`;
      recorder.event(referenceTo(pods, pod), 'Normal', 'Scheduled', message);
      await recorder.flush();
      if (refused.length > 0)
        throw new Error(`cannot write the event of ${namespace}/${name}`, { cause: refused[0] });
    },

    async touch(namespace, name) {
      const annotations = { [TOUCHED]: new Date().toISOString() };
      await client.patch(pods, name, namespace, 'merge', { metadata: { annotations } }).catch(notFound);
    },

    async recreate({ pod: { namespace, name } }: FaultTarget, meanwhile) {
      const pod = await client.get(pods, name, namespace);
      if (isMirrorPod(pod))
        throw new UnsuitableTarget(
          `pod ${namespace}/${name} is static, and only its node's kubelet can recreate it`,
          OTHER_POD,
        );
      const controller = pod.metadata?.ownerReferences?.find((owner) => owner.controller);
      if (controller !== undefined && !HELD.includes(controller.kind)) {
        throw new UnsuitableTarget(
          `pod ${namespace}/${name} is of ${controller.kind} ${controller.name}, which may recreate it before the failure is there`,
          OTHER_POD,
        );
      }
      const release = controller === undefined ? undefined : await holdControllers();
      try {
        await gone(pods, namespace, name);
        try {
          await meanwhile?.();
        } finally {
          await client.create(pods, asNew(pod));
        }
      } finally {
        await release?.();
      }
    },

    async untilRunning({ pod: { namespace, name } }) {
      await waitFor(
        `pod ${namespace}/${name} to run`,
        async () => {
          const pod = await client.get(pods, name, namespace);
          return isConditionTrue(pod.status, 'Ready');
        },
        { timeoutMs: UNTIL_MS, intervalMs: 50, signal },
      );
    },

    async untilNoSandbox({ node, pod: { namespace, name } }) {
      await waitFor(
        `the sandbox of ${namespace}/${name} to go`,
        async () => {
          const report = await places.report(node, signal);
          if ('unknown' in report) throw unread(node, report.unknown);
          const { sandboxes } = report.value;
          if ('unknown' in sandboxes) throw unread(node, sandboxes.unknown);
          return !sandboxes.value.some((sandbox) => sandbox.namespace === namespace && sandbox.name === name);
        },
        {
          timeoutMs: record.engine?.kind === 'kubernetes' ? KUBERNETES_SANDBOX_MS : UNTIL_MS,
          intervalMs: 100,
          signal,
        },
      );
    },

    async until(what, condition) {
      await waitFor(what, condition, { timeoutMs: UNTIL_MS, intervalMs: 50, signal });
    },
  };
}

function unread(node: string, why: string): UserError {
  return new UserError(
    `cannot read the state of node ${node}: ${why}; "${calledAs()} ps" shows whether it runs`,
  );
}

function resourceOf(kind: string | undefined): Resource<KubeObject> {
  const resource = kind === undefined ? undefined : RESOURCES[kind];
  if (resource === undefined) throw new Error(`faults create no objects of kind ${kind}`);
  return resource;
}

/** A pod as its user, or its controller, would write it again: what the API server has filled in for this one left out, its node kept. */
function asNew({ metadata, spec }: Pod): Pod {
  const { name, namespace, labels, annotations, ownerReferences } = metadata ?? {};
  const token = (name: string) => name.startsWith('kube-api-access-');
  return {
    metadata: {
      name,
      namespace,
      labels,
      annotations,
      ...(ownerReferences === undefined ? {} : { ownerReferences }),
    },
    spec: {
      ...spec!,
      volumes: (spec!.volumes ?? []).filter((volume) => !token(volume.name)),
      containers: spec!.containers.map((container) => ({
        ...container,
        volumeMounts: (container.volumeMounts ?? []).filter((mount) => !token(mount.name)),
      })),
    },
  };
}

function notFound(error: unknown): undefined {
  if (hasReason(error, 'NotFound')) return undefined;
  throw error;
}
