import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { ApiClient } from '../kube/client.ts';
import { kubeconfigDocument } from '../kube/kubeconfig-document.ts';
import { createAuthority, createServiceAccountKeys, issueCertificate } from '../kube/pki.ts';
import {
  configMaps,
  daemonSets,
  deployments,
  endpoints,
  namespaces,
  nodes,
  pods,
  replicaSets,
  serviceAccounts,
  services,
} from '../kube/resources.ts';
import type { Deployment, Pod } from '../kube/types.ts';
import { World } from './world.fake.ts';

/** Real etcd, API server, controller manager and scheduler, as processes; only the kubelets are played. */
const ETCD = '/usr/bin/etcd';
const MAIN = resolve(import.meta.dir, '../cli/main.ts');
const etcdIsThere = existsSync(ETCD);
if (!etcdIsThere)
  console.warn(`SKIPPED: ${import.meta.file}: ${ETCD} is not installed (package etcd-server)`);

class Lab {
  readonly directory: string;
  readonly world: World;
  readonly #commands: Record<string, string[]>;
  readonly #running = new Map<string, ChildProcess>();
  readonly #logs: string[] = [];

  private constructor(directory: string, world: World, commands: Record<string, string[]>) {
    this.directory = directory;
    this.world = world;
    this.#commands = commands;
  }

  static async make(): Promise<Lab> {
    const directory = await mkdtemp(join(tmpdir(), 'controllers-test-'));
    const [port, etcdPort, peerPort] = await freePorts(3);
    const authority = await createAuthority('kubernetes');
    const ipAddresses = ['127.0.0.1'];
    const server = await issueCertificate(authority, {
      commonName: 'apiserver',
      usage: 'server',
      ipAddresses,
    });
    const etcd = await issueCertificate(authority, { commonName: 'etcd', usage: 'both', ipAddresses });
    const client = await issueCertificate(authority, { commonName: 'client', usage: 'client' });
    const accounts = await createServiceAccountKeys();
    const file = (name: string) => join(directory, name);
    const url = `https://127.0.0.1:${port}`;
    const identities: Record<string, string> = {
      admin: 'system:masters',
      'system:kube-controller-manager': '',
      'system:kube-scheduler': '',
    };
    const users = Object.keys(identities);
    const kubeconfig = (user: string) =>
      kubeconfigDocument({
        name: 'test',
        server: url,
        caPem: authority.certPem,
        credentials: { token: `token-${user}` },
      });
    const files: Record<string, string> = {
      'ca.crt': authority.certPem,
      'server.crt': server.certPem,
      'server.key': server.keyPem,
      'etcd.crt': etcd.certPem,
      'etcd.key': etcd.keyPem,
      'client.crt': client.certPem,
      'client.key': client.keyPem,
      'sa.key': accounts.privatePem,
      'sa.pub': accounts.publicPem,
      'tokens.csv': users.map((user) => `token-${user},${user},${user},"${identities[user]}"\n`).join(''),
      'controller-manager.conf': kubeconfig('system:kube-controller-manager'),
      'scheduler.conf': kubeconfig('system:kube-scheduler'),
    };
    for (const [name, content] of Object.entries(files))
      await writeFile(file(name), content, { mode: 0o600 });
    const etcdUrl = `https://127.0.0.1:${etcdPort}`;
    const peerUrl = `https://127.0.0.1:${peerPort}`;
    const commands = {
      etcd: [
        ETCD,
        `--data-dir=${file('etcd')}`,
        `--listen-client-urls=${etcdUrl}`,
        `--advertise-client-urls=${etcdUrl}`,
        `--listen-peer-urls=${peerUrl}`,
        `--initial-advertise-peer-urls=${peerUrl}`,
        `--initial-cluster=default=${peerUrl}`,
        '--client-cert-auth',
        `--trusted-ca-file=${file('ca.crt')}`,
        `--cert-file=${file('etcd.crt')}`,
        `--key-file=${file('etcd.key')}`,
        '--peer-client-cert-auth',
        `--peer-trusted-ca-file=${file('ca.crt')}`,
        `--peer-cert-file=${file('etcd.crt')}`,
        `--peer-key-file=${file('etcd.key')}`,
        '--log-level=error',
      ],
      'kube-apiserver': [
        process.execPath,
        MAIN,
        'kube-apiserver',
        '--bind-address=127.0.0.1',
        `--secure-port=${port}`,
        '--advertise-address=192.0.2.1',
        `--etcd-servers=${etcdUrl}`,
        `--etcd-cafile=${file('ca.crt')}`,
        `--etcd-certfile=${file('client.crt')}`,
        `--etcd-keyfile=${file('client.key')}`,
        `--tls-cert-file=${file('server.crt')}`,
        `--tls-private-key-file=${file('server.key')}`,
        `--client-ca-file=${file('ca.crt')}`,
        `--token-auth-file=${file('tokens.csv')}`,
        `--service-account-key-file=${file('sa.pub')}`,
        `--service-account-signing-key-file=${file('sa.key')}`,
        '--service-account-issuer=https://kubernetes.default.svc.cluster.local',
        '--service-cluster-ip-range=10.96.0.0/12',
        `--kubelet-client-certificate=${file('client.crt')}`,
        `--kubelet-client-key=${file('client.key')}`,
        `--kubelet-certificate-authority=${file('ca.crt')}`,
      ],
      'kube-controller-manager': [
        process.execPath,
        MAIN,
        'kube-controller-manager',
        `--kubeconfig=${file('controller-manager.conf')}`,
        '--cluster-cidr=192.168.0.0/16',
        `--root-ca-file=${file('ca.crt')}`,
      ],
      'kube-scheduler': [process.execPath, MAIN, 'kube-scheduler', `--kubeconfig=${file('scheduler.conf')}`],
    };
    const api = new ApiClient({
      server: url,
      ca: authority.certPem,
      token: 'token-admin',
      userAgent: 'test',
    });
    return new Lab(directory, new World(api), commands);
  }

  start(name: string): void {
    const [command, ...args] = this.#commands[name]!;
    const child = spawn(command!, args, { stdio: ['ignore', 'ignore', 'pipe'] });
    child.stderr!.on('data', (chunk: Buffer) => this.#logs.push(`${name}: ${chunk.toString()}`));
    this.#running.set(name, child);
  }

  /** What the daemons said last, for a failing test. */
  get logs(): string {
    return this.#logs.slice(-60).join('');
  }

  async kill(name: string, signal: NodeJS.Signals = 'SIGKILL'): Promise<number | null> {
    const child = this.#running.get(name);
    if (child === undefined) return null;
    this.#running.delete(name);
    if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
    const ended = new Promise<number | null>((done) => child.once('exit', done));
    child.kill(signal);
    return ended;
  }

  async restart(name: string): Promise<void> {
    await this.kill(name);
    this.start(name);
  }

  async stop(): Promise<void> {
    for (const name of [...this.#running.keys()].reverse()) await this.kill(name);
    await rm(this.directory, { recursive: true });
  }
}

async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  const ports = await Promise.all(
    servers.map(
      (server) =>
        new Promise<number>((done) =>
          server.listen(0, '127.0.0.1', () => done((server.address() as { port: number }).port)),
        ),
    ),
  );
  await Promise.all(servers.map((server) => new Promise((done) => server.close(done))));
  return ports;
}

describe.if(etcdIsThere)('control plane of real processes', () => {
  let lab: Lab;
  let world: World;
  beforeAll(async () => {
    lab = await Lab.make();
    world = lab.world;
    for (const name of ['etcd', 'kube-apiserver', 'kube-controller-manager', 'kube-scheduler'])
      lab.start(name);
    await until(
      'the API is ready',
      async () => (await world.api.fetch('GET', '/readyz')).status,
      (code) => code === 200,
    );
    for (const name of ['n1', 'n2', 'n3']) await world.addNode(name);
  }, 40_000);
  afterAll(() => lab?.stop());

  /** Like the world's own, patient with an API server that is away, and with the daemons' words when it fails. */
  async function until<T>(what: string, look: () => Promise<T>, check: (seen: T) => boolean): Promise<T> {
    const deadline = Date.now() + 25_000;
    let last: unknown;
    while (Date.now() < deadline) {
      try {
        await world.kubelets();
      } catch (error) {
        last = error;
      }
      try {
        const seen = await look();
        if (check(seen)) return seen;
        last = seen;
      } catch (error) {
        last = error;
      }
      await Bun.sleep(20);
    }
    const seen = last instanceof Error ? String(last) : JSON.stringify(last);
    throw new Error(`${what}: not within 25 s; last seen ${seen?.slice(0, 3000)}\n${lab.logs}`);
  }

  const selector = { matchLabels: { app: 'web' } };
  const deployment = (replicas: number, image: string, hostPort?: number): Deployment => ({
    metadata: { name: 'web', namespace: 'default' },
    spec: {
      replicas,
      selector,
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 0, maxUnavailable: 1 } },
      template: {
        metadata: { labels: selector.matchLabels },
        spec: {
          containers: [{ name: 'c', image, ports: [{ name: 'http', containerPort: 8080, hostPort }] }],
        },
      },
    },
  });
  const get = () => world.api.get(deployments, 'web', 'default');
  const done = ({ spec, status, metadata }: Deployment) =>
    status?.observedGeneration === metadata?.generation &&
    status?.updatedReplicas === spec?.replicas &&
    status?.availableReplicas === spec?.replicas &&
    status?.replicas === spec?.replicas;
  const active = async (): Promise<Pod[]> =>
    (await world.pods()).filter(
      (pod) => pod.metadata?.namespace === 'default' && !pod.metadata.deletionTimestamp,
    );

  test('nodes have their subnets, and no taints of the controllers', async () => {
    const all = await until(
      'subnets',
      async () => (await world.api.list(nodes)).items,
      (seen) => seen.every((node) => node.spec?.podCIDR && !node.spec.taints?.length),
    );
    expect(new Set(all.map((node) => node.spec!.podCIDR)).size).toBe(3);
  }, 30_000);

  test('namespaces have their account and CA', async () => {
    await until(
      'account',
      () => world.api.get(serviceAccounts, 'default', 'default'),
      () => true,
    );
    const ca = await until(
      'CA',
      () => world.api.get(configMaps, 'kube-root-ca.crt', 'default'),
      () => true,
    );
    expect(ca.data!['ca.crt']).toBe(await readFile(join(lab.directory, 'ca.crt'), 'utf8'));
  }, 30_000);

  test('a Deployment with a host port: one pod a node, the fourth waits and says why', async () => {
    await world.api.create(deployments, deployment(3, 'one', 80));
    await until('rolled out', get, done);
    expect((await active()).map((pod) => pod.spec!.nodeName).sort()).toEqual(['n1', 'n2', 'n3']);
    await world.api.patch(deployments, 'web', 'default', 'merge', { spec: { replicas: 4 } });
    const message =
      "0/3 nodes are available: 3 node(s) didn't have free ports for the requested pod ports. " +
      'preemption: 0/3 nodes are available: 3 No preemption victims found for incoming pod.';
    await until(
      'event',
      () => world.events('FailedScheduling'),
      (seen) => seen.includes(message),
    );
    await world.api.patch(deployments, 'web', 'default', 'merge', { spec: { replicas: 3 } });
    await until('back', get, done);
  }, 60_000);

  test('a Service finds its pods', async () => {
    await world.api.create(services, {
      metadata: { name: 'web', namespace: 'default' },
      spec: { selector: selector.matchLabels, ports: [{ port: 80, targetPort: 'http' }] },
    });
    const found = await until(
      'three addresses',
      () => world.api.get(endpoints, 'web', 'default'),
      (seen) => seen.subsets?.[0]?.addresses?.length === 3,
    );
    expect(found.subsets![0]!.ports![0]!.port).toBe(8080);
  }, 30_000);

  test('kill -9 of each daemon in the middle of a rollout: no pod is lost or doubled', async () => {
    for (const [index, name] of [
      'kube-apiserver',
      'kube-controller-manager',
      'kube-scheduler',
      'etcd',
    ].entries()) {
      const image = `image-${index}`;
      const template = { spec: { containers: [{ name: 'c', image }] } };
      await world.api.patch(deployments, 'web', 'default', 'strategic', { spec: { template } });
      await until('under way', active, (all) => all.some((pod) => pod.spec!.containers[0]!.image === image));
      await lab.restart(name);
      await until(`rolled out after ${name} died`, get, done);
      const all = await until('settled', active, (seen) => seen.length === 3);
      expect(all.map((pod) => pod.spec!.nodeName).sort()).toEqual(['n1', 'n2', 'n3']);
      expect(all.map((pod) => pod.spec!.containers[0]!.image)).toEqual([image, image, image]);
    }
    const sets = (await world.api.list(replicaSets)).items;
    expect(sets.filter((set) => set.spec!.replicas! > 0)).toHaveLength(1);
  }, 150_000);

  test('a DaemonSet reaches every node, a new one included', async () => {
    const labels = { app: 'agent' };
    await world.api.create(daemonSets, {
      metadata: { name: 'agent', namespace: 'default' },
      spec: {
        selector: { matchLabels: labels },
        template: { metadata: { labels }, spec: { containers: [{ name: 'c', image: 'i' }] } },
      },
    });
    const look = () => world.api.get(daemonSets, 'agent', 'default');
    await until('three', look, (set) => set.status?.numberAvailable === 3);
    await world.addNode('n4');
    await until('four', look, (set) => set.status?.numberAvailable === 4);
  }, 60_000);

  test('deleting owners deletes what they own; a namespace takes everything along', async () => {
    await world.api.create(namespaces, { metadata: { name: 'doomed' } });
    await world.api.create(configMaps, { metadata: { name: 'm', namespace: 'doomed' }, data: { a: 'b' } });
    await world.api.delete(deployments, 'web', 'default', { propagationPolicy: 'Foreground' });
    await world.api.delete(daemonSets, 'agent', 'default');
    await world.api.delete(namespaces, 'doomed');
    await until(
      'no pods',
      () => world.pods(),
      (all) => all.length === 0,
    );
    await until(
      'no sets',
      async () => (await world.api.list(replicaSets)).items,
      (all) => all.length === 0,
    );
    await until(
      'no namespace',
      async () => (await world.api.list(namespaces)).items.map((each) => each.metadata!.name),
      (names) => !names.includes('doomed'),
    );
    // In the foreground an owner goes last: when nothing that it owns is left.
    await until(
      'no deployment',
      async () => (await world.api.list(deployments)).items,
      (all) => all.length === 0,
    );
  }, 60_000);

  test('a pod of a deleted namespaceless owner, and nothing else, goes', async () => {
    const uid = (await world.api.get(nodes, 'n4')).metadata!.uid!;
    const ownerReferences = [{ apiVersion: 'v1', kind: 'Node', name: 'n4', uid }];
    await world.api.create(configMaps, {
      metadata: { name: 'of-n4', namespace: 'default', ownerReferences },
    });
    await world.api.create(pods, {
      metadata: { name: 'bystander', namespace: 'default' },
      spec: { containers: [{ name: 'c', image: 'i' }] },
    });
    await world.api.delete(nodes, 'n4');
    const names = async () =>
      (await world.api.list(configMaps, { namespace: 'default' })).items.map((m) => m.metadata!.name);
    await until('gone', names, (seen) => !seen.includes('of-n4'));
    expect((await world.pod('bystander')).metadata!.deletionTimestamp).toBeUndefined();
  }, 30_000);

  test('the daemons end on SIGTERM with status 0', async () => {
    expect(await lab.kill('kube-scheduler', 'SIGTERM')).toBe(0);
    expect(await lab.kill('kube-controller-manager', 'SIGTERM')).toBe(0);
  }, 20_000);
});
