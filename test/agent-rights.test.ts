/**
 * Each right of the agent, of who installs it and of who removes it is needed: with all of them the work is done, with one less it is not. On
 * the lab's API server, which authorizes by roles as Kubernetes does.
 */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { defaultSettings } from '../scripts/agent-manifests.ts';
import { installAgent, installRights } from '../src/agent/install.ts';
import { AGENT_RIGHTS_OF_API, type AgentRight, rulesOf } from '../src/agent/manifests.ts';
import { MetricsAccess } from '../src/agent/metrics-access.ts';
import { watchNodeObjects } from '../src/agent/node-objects.ts';
import { UNINSTALL_RIGHTS, uninstallAgent, uninstallRightsIn } from '../src/agent/uninstall.ts';
import { AGENT_RIGHTS } from '../src/collect/reader/agents.ts';
import { execRights, type Right } from '../src/collect/reader/preflight.ts';
import { ApiClient } from '../src/kube/client.ts';
import { EventRecorder, referenceTo } from '../src/kube/event-recorder.ts';
import {
  clusterRoleBindings,
  clusterRoles,
  daemonSets,
  nodes,
  pods,
  serviceAccounts,
  services,
} from '../src/kube/resources.ts';
import type { KubeObject } from '../src/kube/types.ts';
import { FakeStorage } from '../src/lab/apiserver/storage.fake.ts';
import { TestServer } from '../src/lab/apiserver/test-server.fake.ts';
import { waitFor } from '../src/sys/wait.ts';
import { messageOf } from '../src/util/errors.ts';

/** All that uninstalling takes. */
const uninstallRights = (namespace: string) => [...UNINSTALL_RIGHTS, ...uninstallRightsIn(namespace)];

const NODE = 'worker';
const USERS = `admin,kubernetes-admin,1,"system:masters"
agent,agent,2
installer,installer,3
prometheus,prometheus,4
nobody,nobody,5
`;
/** The names of roles and bindings of this test. */
const ROLE = (user: string) => `test-${user}`;
const WAIT = { timeoutMs: 10_000 };
const retry = { signal: new AbortController().signal, patienceMs: 0 };

let server: TestServer;
let admin: ApiClient;

function clientOf(user: string): ApiClient {
  const { url, ca } = server;
  return new ApiClient({ server: url, ca: ca.certPem, token: user, userAgent: 'test' });
}

beforeAll(async () => {
  server = await TestServer.start(new FakeStorage(), (config) => ({
    ...config,
    tokenFile: { text: USERS, path: 'tokens.csv' },
  }));
  admin = clientOf('admin');
  await admin.create(nodes, { metadata: { name: NODE } });
  await admin.create(services, {
    metadata: { name: 'shop', namespace: 'default' },
    spec: { ports: [{ port: 80 }] },
  });
  await admin.create(serviceAccounts, { metadata: { name: 'default', namespace: 'default' } });
  await admin.create(pods, {
    metadata: { name: 'shop', namespace: 'default' },
    spec: { nodeName: NODE, containers: [{ name: 'a', image: 'a' }] },
  });
  const reads = { nonResourceURLs: ['/metrics'], verbs: ['get'] };
  await admin.create(clusterRoles, { metadata: { name: ROLE('prometheus') }, rules: [reads] });
  await bind('prometheus');
  for (const user of ['agent', 'installer']) {
    await admin.create(clusterRoles, { metadata: { name: ROLE(user) }, rules: [] });
    await bind(user);
  }
});
afterAll(() => server.stop());

async function bind(user: string): Promise<void> {
  await admin.create(clusterRoleBindings, {
    metadata: { name: ROLE(user) },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: ROLE(user) },
    subjects: [{ kind: 'User', apiGroup: 'rbac.authorization.k8s.io', name: user }],
  });
}

/** Gives a user these rights and no others, and waits until the server knows. */
async function allow(user: string, rights: readonly AgentRight[]): Promise<void> {
  const role = await admin.get(clusterRoles, ROLE(user));
  await admin.update(clusterRoles, { ...role, rules: rulesOf(rights) });
  const asked = { resourceAttributes: { verb: 'use', group: 'test', resource: 'markers', name: 'x' } };
  const marker = {
    apiGroups: ['test'],
    resources: ['markers'],
    verbs: ['use'],
    resourceNames: [String(++marks)],
  };
  const changed = await admin.get(clusterRoles, ROLE(user));
  await admin.update(clusterRoles, { ...changed, rules: [...(changed.rules ?? []), marker] });
  asked.resourceAttributes.name = String(marks);
  await waitFor(
    'the server to know the role',
    async () => {
      const { body } = await server.ask('POST', '/apis/authorization.k8s.io/v1/subjectaccessreviews', {
        apiVersion: 'authorization.k8s.io/v1',
        kind: 'SubjectAccessReview',
        spec: { user, ...asked },
      });
      return body.status.allowed === true;
    },
    WAIT,
  );
}
let marks = 0;

const named = (right: { verb: string; group?: string; resource: string }) =>
  `${right.verb} ${right.resource}${right.group ? `.${right.group}` : ''}`;

/** All that the agent does through the API, once; rejects with what is refused. */
async function beTheAgent(): Promise<void> {
  const client = clientOf('agent');
  const over = new AbortController();
  const refused = Promise.withResolvers<never>();
  refused.promise.catch(() => {});
  const onError = (cause: unknown) => refused.reject(cause);
  const objects = watchNodeObjects({ client, node: NODE, changed: () => {}, onError });
  const running = objects.run(over.signal);
  try {
    await Promise.race([objects.synced, refused.promise]);
    // Something changes of each kind, which only who watches sees.
    const mark = { metadata: { labels: { marked: String(++marks) } } };
    await admin.patch(nodes, NODE, undefined, 'merge', mark);
    await admin.patch(pods, 'shop', 'default', 'merge', mark);
    await admin.patch(services, 'shop', 'default', 'merge', mark);
    const isMarked = ({ metadata }: KubeObject) => metadata?.labels?.marked === String(marks);
    const seesAll = () => {
      const seen = objects.read();
      return [seen.nodes, seen.pods, seen.services].every((some) => some.some(isMarked));
    };
    await Promise.race([waitFor('the changes', seesAll, { ...WAIT, signal: over.signal }), refused.promise]);

    const events = new EventRecorder(client, { component: 'test' }, { onError });
    const pod = referenceTo(pods, await admin.get(pods, 'shop', 'default'));
    // The second of the same counts the first up.
    for (let time = 0; time < 2; time++) {
      events.event(pod, 'Warning', 'HostPortBroken', `mapping-missing ${marks}`);
      await Promise.race([events.flush(WAIT.timeoutMs), refused.promise]);
    }
    // What could not be written is reported after that.
    await Promise.race([Promise.resolve(), refused.promise]);

    const access = new MetricsAccess(client);
    expect(await access.of('Bearer prometheus', '/metrics')).toBe('allowed');
    expect(await access.of('Bearer nobody', '/metrics')).toBe('forbidden');
    expect(await access.of('Bearer invalid', '/metrics')).toBe('nobody');
  } finally {
    over.abort(new Error('it is over'));
    await running;
  }
}

describe('the agent', () => {
  test('does its work with its rights', async () => {
    await allow('agent', AGENT_RIGHTS_OF_API);
    await beTheAgent();
  });

  test.each(AGENT_RIGHTS_OF_API.map((right) => [named(right), right] as const))(
    'does not without: %s',
    async (_, right) => {
      await allow(
        'agent',
        AGENT_RIGHTS_OF_API.filter((other) => other !== right),
      );
      const refused = await beTheAgent().then(
        () => 'nothing was refused',
        (cause: unknown) => messageOf(cause),
      );
      expect(refused).toContain(`cannot ${right.verb} resource "${right.resource}"`);
    },
  );
});

/** Somebody's rights as an administrator would write them into a role for all namespaces. */
const asRole = (rights: readonly Right[]): AgentRight[] =>
  rights.map(({ verb, group = '', resource }) => ({ verb, group, resource, why: '' }));

/** The controller of DaemonSets, in a cluster without nodes: it has seen what was written, and nothing is wanted of it. */
async function whileControlled<T>(work: () => Promise<T>): Promise<T> {
  let isOver = false;
  const controlling = (async () => {
    while (!isOver) {
      for (const set of (await admin.list(daemonSets)).items) {
        const observedGeneration = set.metadata!.generation!;
        if (set.status?.observedGeneration === observedGeneration) continue;
        const counts = {
          currentNumberScheduled: 0,
          desiredNumberScheduled: 0,
          numberMisscheduled: 0,
          numberReady: 0,
        };
        await admin
          .update(daemonSets, { ...set, status: { ...counts, observedGeneration } }, 'status')
          .catch(() => {});
      }
      await Bun.sleep(10);
    }
  })();
  try {
    return await work();
  } finally {
    isOver = true;
    await controlling;
  }
}

describe('who installs it', () => {
  const settings = defaultSettings('observe');
  // Nobody gives rights that they do not have.
  const all = [...asRole(installRights(settings.namespace)), ...AGENT_RIGHTS_OF_API];
  const install = () =>
    whileControlled(() =>
      installAgent(clientOf('installer'), settings, { timeoutMs: 10_000, retry, progress: () => {} }),
    );
  const uninstall = (client = clientOf('installer')) =>
    uninstallAgent(client, settings, { timeoutMs: 10_000, retry });

  test('can with these rights, and remove it with those', async () => {
    await allow('installer', all);
    expect(await install()).toEqual({ nodes: 0 });
    // An upgrade in place takes the same.
    expect(await install()).toEqual({ nodes: 0 });
    await allow('installer', asRole(uninstallRights(settings.namespace)));
    expect(await uninstall()).toEqual({
      removed: [
        'daemonset kube-system/hostport-agent',
        'serviceaccount kube-system/hostport-agent',
        'clusterrole hostport-agent',
        'clusterrolebinding hostport-agent',
      ],
      left: [],
    });
  });

  test.each(all.map((right) => [named(right), right] as const))('cannot without: %s', async (_, right) => {
    await allow(
      'installer',
      all.filter((other) => other !== right),
    );
    const refused = await install().then(
      () => 'nothing was refused',
      (cause: unknown) => messageOf(cause),
    );
    expect(refused).toMatch(/^cannot install the agent: /);
    expect(refused).toContain(right.resource);
    expect(refused).toContain(right.verb);
    await uninstall(admin);
  });

  test.each(uninstallRights(settings.namespace).map((right) => [named(right), right] as const))(
    'cannot remove it without: %s',
    async (_, right) => {
      await whileControlled(() =>
        installAgent(admin, settings, { timeoutMs: 10_000, retry, progress: () => {} }),
      );
      await allow(
        'installer',
        asRole(uninstallRights(settings.namespace).filter((other) => named(other) !== named(right))),
      );
      const refused = await uninstall().then(
        () => 'nothing was refused',
        (cause: unknown) => messageOf(cause),
      );
      expect(refused).toContain(right.resource);
      expect(refused).toContain(right.verb);
      await uninstall(admin);
    },
  );
});

test('docs/agent.md has what installing, showing and removing it takes, and nothing else', async () => {
  const text = await Bun.file(`${import.meta.dir}/../docs/agent.md`).text();
  const start = text.indexOf('Who installs, shows or removes it needs');
  const section = text.slice(start, text.indexOf('\n## ', start));
  const rows = [...section.matchAll(/^\| ((?:`\w+`(?:, )?)+) \| ([^|]+) \|/gm)].flatMap(([, verbs, on]) =>
    [...verbs!.matchAll(/`(\w+)`/g)].flatMap(([, verb]) =>
      on!.split(', ').map((resource) => `${verb} ${resource.trim()}`),
    ),
  );
  const list = (resource: string): Right => ({ verb: 'list', resource });
  const shows = [list('nodes'), list('pods'), list('events'), ...execRights('x'), ...AGENT_RIGHTS];
  const needed = [...installRights('x'), ...uninstallRights('x'), ...shows].map(named);
  expect([...new Set(rows)].toSorted()).toEqual([...new Set(needed)].toSorted());
});
