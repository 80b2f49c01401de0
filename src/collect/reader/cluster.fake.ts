import { FakeApi } from '../../kube/client.fake.ts';
import { ApiError } from '../../kube/client.ts';
import { namespaces, nodes, pods } from '../../kube/resources.ts';
import type { Node, Pod } from '../../kube/types.ts';
import type { NodeRequest } from '../../node/serve/request.ts';
import type { NodeAction } from '../../path/model/action.ts';
import type { NodeReport } from '../../path/model/node-report.ts';
import type { CollectOptions } from './collect.ts';
import { CONTAINER } from './manifests.ts';
import type { NodeSession } from './node-session.ts';

/** What becomes of pods on a node. */
export type Kubelet = 'starts' | 'cannot-pull' | 'silent' | 'full';

/**
 * A cluster in memory: {@link FakeApi} with what a kubelet, the namespace controller and reviews of rights do for the doctor's pods. It admits its
 * differences: pods start at once or never, and a program in a pod answers whatever it is given here.
 */
export class FakeCluster extends FakeApi {
  readonly kubelets = new Map<string, Kubelet>();

  /** Pods that were created for changes, by their requests. */
  get writers(): Pod[] {
    return this.requests
      .filter(({ method, path }) => method === 'POST' && path.endsWith('/pods'))
      .map(({ body }) => body as Pod)
      .filter(({ metadata }) => metadata?.name?.startsWith('heal'));
  }

  /** `verb resource` that the user may not. */
  readonly denied = new Set<string>();
  /** Nodes whose kubelets do not confirm the end of pods. */
  readonly unreachable = new Set<string>();
  /** Whether namespaces that are deleted stay, held by something. */
  holdsNamespaces = false;
  /** Version that the program in pods answers with. */
  version = '1.2.3';
  /** Called for each request of a session: what it throws is the answer. */
  answering: ((node: string, request: NodeRequest) => void) | undefined;
  /** Reports by node; one of which nothing could be read where there is none. */
  readonly reports = new Map<string, NodeReport>();
  /** Where paths of nodes lead that are links. */
  readonly links = new Map<string, string>();
  /** What was done on nodes, in order, and by which pods. */
  readonly applied: { node: string; pod: string; actions: readonly NodeAction[] }[] = [];
  /** Sessions that were opened, in order: `how node`. */
  readonly opened: string[] = [];

  async addNode(name: string, kubelet: Kubelet = 'starts', status: Node['status'] = {}): Promise<void> {
    this.kubelets.set(name, kubelet);
    const conditions = [{ type: 'Ready', status: 'True' }];
    const addresses = [{ type: 'InternalIP', address: `192.0.2.${this.kubelets.size}` }];
    const merged = { conditions, addresses, ...status } as NonNullable<Node['status']>;
    await this.create(nodes, { metadata: { name }, status: merged });
  }

  override async fetch(
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
    signal?: AbortSignal,
  ): Promise<Response> {
    if (path.includes('/selfsubjectaccessreviews')) return this.#review(method, path, body);
    const answer = await super.fetch(method, path, body, headers, signal);
    if (method === 'POST' && /\/pods$/.test(path)) await this.#run((body as Pod).metadata!);
    if (method === 'DELETE') await this.#afterDelete(path);
    return answer;
  }

  /** A session with the program in a pod or an agent. */
  readonly open = async (
    { namespace, pod }: { namespace: string; pod: string },
    how: string,
  ): Promise<NodeSession> => {
    const node = (await this.get(pods, pod, namespace)).spec?.nodeName ?? '';
    this.opened.push(`${how} ${node}`);
    let isOver = false;
    return {
      get isOver() {
        return isOver;
      },
      ask: async (request) => {
        try {
          this.answering?.(node, request);
        } catch (cause) {
          // As a connection that breaks.
          isOver = true;
          throw cause;
        }
        if (request.do === 'identity') return { version: this.version, inHostNetwork: true };
        if (request.do === 'report') return this.reports.get(node) ?? emptyReport(request.node);
        if (request.do === 'resolve') return request.paths.map((path) => this.links.get(path) ?? path);
        if (request.do === 'last-heal') return null;
        if (request.do === 'apply') {
          this.applied.push({ node, pod, actions: request.actions });
          return request.actions.map(({ do: action }) => ({ action, outcome: 'done', detail: 'done' }));
        }
        return [];
      },
      close: async () => {
        isOver = true;
      },
    };
  };

  /** What held namespaces lets go of those that are being deleted. */
  async releaseNamespaces(): Promise<void> {
    this.holdsNamespaces = false;
    for (const { metadata } of (await this.list(namespaces)).items)
      if (metadata?.deletionTimestamp !== undefined)
        await this.#afterDelete(`/api/v1/namespaces/${metadata.name}`);
  }

  /** The kubelet of a node that did not confirm the end of pods does, of those that are being deleted too. */
  async reach(node: string): Promise<void> {
    this.unreachable.delete(node);
    for (const { metadata, spec } of (await this.list(pods)).items)
      if (spec?.nodeName === node && metadata?.deletionTimestamp !== undefined)
        await this.#confirmEnd(metadata.name ?? '', metadata.namespace ?? '');
  }

  async #review(method: string, path: string, body: unknown): Promise<Response> {
    this.requests.push({ method, path, body });
    const { spec } = body as { spec: { resourceAttributes: Record<string, string> } };
    const { verb, resource, subresource } = spec.resourceAttributes;
    const asked = `${verb} ${resource}${subresource === undefined ? '' : `/${subresource}`}`;
    return Response.json({ ...(body as object), status: { allowed: !this.denied.has(asked) } });
  }

  /** What the kubelet of its node does with a new pod. */
  async #run({ name = '', namespace = '' }: NonNullable<Pod['metadata']>): Promise<void> {
    const pod = await this.get(pods, name, namespace);
    const status = STATUS[this.kubelets.get(pod.spec?.nodeName ?? '') ?? 'silent'];
    if (status !== undefined) await this.update(pods, { ...pod, status }, 'status');
  }

  /** The kubelet of its node has ended a pod that was deleted. */
  async #confirmEnd(name: string, namespace: string): Promise<void> {
    const pod = await this.get(pods, name, namespace).catch(gone);
    if (pod === undefined || this.unreachable.has(pod.spec?.nodeName ?? '')) return;
    await super.fetch('DELETE', `/api/v1/namespaces/${namespace}/pods/${name}`, { gracePeriodSeconds: 0 });
  }

  async #afterDelete(path: string): Promise<void> {
    const pod = /\/namespaces\/([^/]+)\/pods\/([^/]+)$/.exec(path);
    if (pod !== null) await this.#confirmEnd(pod[2]!, pod[1]!);
    const namespace = /\/api\/v1\/namespaces\/([^/]+)$/.exec(path)?.[1];
    if (namespace === undefined) return;
    const found = await this.get(namespaces, namespace).catch(gone);
    if (found === undefined) return;
    if (this.holdsNamespaces) {
      const message = 'Some content in the namespace has finalizers remaining: example.com/held';
      const conditions = [{ type: 'NamespaceFinalizersRemaining', status: 'True', message }];
      const status = { ...found.status, conditions } as NonNullable<typeof found.status>;
      await this.update(namespaces, { ...found, status }, 'status');
      return;
    }
    // It waits for what is in it.
    if ((await this.list(pods, { namespace })).items.length > 0) return;
    await this.update(namespaces, { ...found, spec: { finalizers: [] } });
  }
}

const waiting = (reason: string, message: string): Pod['status'] => ({
  phase: 'Pending',
  containerStatuses: [{ ...CONTAINER_STATUS, state: { waiting: { reason, message } } }],
});
const CONTAINER_STATUS = { name: CONTAINER, image: 'i', imageID: '', ready: false, restartCount: 0 };

const STATUS: Readonly<Record<Kubelet, Pod['status'] | undefined>> = {
  starts: {
    phase: 'Running',
    startTime: '2026-01-01T00:00:00Z',
    containerStatuses: [
      { ...CONTAINER_STATUS, ready: true, state: { running: { startedAt: '2026-01-01T00:00:00Z' } } },
    ],
  },
  'cannot-pull': waiting('ImagePullBackOff', 'Back-off pulling image "x"'),
  silent: undefined,
  full: { phase: 'Failed', reason: 'OutOfpods', message: 'Node did not have enough resource: pods' },
};

function gone(cause: unknown): undefined {
  if (!(cause instanceof ApiError) || cause.code !== 404) throw cause;
  return undefined;
}

/** A report of a node on which nothing could be read. */
export function emptyReport(node: string): NodeReport {
  const unknown = { unknown: 'not read' };
  return {
    apiVersion: 'hostport/v1',
    kind: 'NodeReport',
    node,
    takenAt: new Date().toISOString(),
    machine: { kernel: '6.1', architecture: 'x64', elfMachine: 62 },
    network: {
      links: unknown,
      addresses: unknown,
      routes: unknown,
      sysctls: unknown,
      listeners: unknown,
      flows: unknown,
    },
    cni: {
      confDir: '/etc/cni/net.d',
      files: unknown,
      binDirs: ['/opt/cni/bin'],
      plugins: unknown,
      attachments: unknown,
      skipped: [],
    },
    runtime: unknown,
    sandboxes: unknown,
    netfilter: { tools: {}, iptables: [], nft: unknown },
  };
}

/** Settings of a collection that reports nothing to anybody. */
export function quietOptions(given: Partial<CollectOptions> = {}): CollectOptions {
  return {
    parallel: 8,
    timeoutMs: 60_000,
    probes: true,
    image: 'example/image:1',
    imagePullSecrets: [],
    version: '1.2.3',
    signal: new AbortController().signal,
    warn: () => {},
    progress: () => {},
    ...given,
  };
}
