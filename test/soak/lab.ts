import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { pssBytes } from '../../bench/processes.ts';
import { type ApiClient, hasReason } from '../../src/kube/client.ts';
import { ConnectionError } from '../../src/kube/connection-error.ts';
import { pods as podResource } from '../../src/kube/resources.ts';
import { requireRecord } from '../../src/lab/cluster/record.ts';
import { labClient } from '../../src/lab/doctor/source.ts';
import { readProcFile } from '../../src/sys/processes.ts';
import { eventually } from '../e2e/eventually.ts';
import { EXAMPLE, Lab, leftovers, PROGRAM } from '../e2e/lab.ts';
import { type Holdings, holdings, pidIn, pidsIn } from '../e2e/node-view.ts';
import { growthOf, type Sample } from './growth.ts';
import type { Random, Tally } from './tally.ts';

const CLUSTER = 'soak';
const CONTROL_PLANE = `${CLUSTER}-control-plane`;
const WORKERS = [`${CLUSTER}-worker`, `${CLUSTER}-worker2`] as const;
const CNI = join(EXAMPLE, 'kind/cni');
const CONFLIST = `{hostPath: ${CNI}/000-cilium-portmap.conflist, containerPath: /etc/cni/net.d/000-cilium-portmap.conflist, readOnly: true}`;
const CONFIG = `kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
nodes:
- role: control-plane
  extraMounts:
  - {hostPath: ${CNI}/cilium.yaml, containerPath: /kind/manifests/default-cni.yaml}
  - ${CONFLIST}
- role: worker
  extraMounts: [${CONFLIST}]
- role: worker
  extraMounts: [${CONFLIST}]
`;
/** Another cluster, whose creation and deletion are killed. */
const OTHER = 'soak-other';
const MOST_PODS = 8;
/** How long it may take until all is as it must be after a fault, on a machine that does much else. */
const SETTLE_MS = 120_000;
/** How long a part of the nodes does not hear another. */
const PARTED_MS = 3000;
/** Share of the time in which nothing is killed, to see whether anything grows. */
const FLAT = 0.4;

/** Who is killed, and on which nodes. */
const VICTIMS: readonly (readonly [daemon: string, node: string])[] = [
  ...['kube-apiserver', 'etcd', 'kube-controller', 'kube-scheduler'].map(
    (name) => [name, CONTROL_PLANE] as const,
  ),
  ...['containerd', 'kubelet', 'cilium-agent'].flatMap((name) =>
    WORKERS.map((node) => [name, node] as const),
  ),
];
/** Whose memory and descriptors must not grow. */
const WATCHED: readonly (readonly [process: string, node: string, comm: string])[] = [
  ['API server', CONTROL_PLANE, 'kube-apiserver'],
  ['kubelet', WORKERS[0], 'kubelet'],
  ['agent', WORKERS[0], 'hostport'],
];

interface Kept {
  node: string;
  port: number;
  uid: string;
}

/**
 * A lab with the agent that heals: pods come and go, daemons are killed, nodes parted, rules flushed, commands killed, until the deadline. Every pod that
 * was acknowledged is there, once, and answers at its hostPort; nothing is left of what was deleted.
 */
export async function soakLab(tally: Tally, random: Random, until: number): Promise<void> {
  const lab = new Lab(CLUSTER);
  try {
    await lab.must('create', 'cluster', '--name', CLUSTER, '--config', lab.file('config.yaml', CONFIG));
    await lab.must('agent', 'install', '--heal', '--name', CLUSTER);
    const nodes = new SoakLab(lab, await labClient(await requireRecord(CLUSTER)), tally, random);
    await nodes.begin();
    if (nodes.isLost) return;
    await nodes.stayFlat(Date.now() + FLAT * (until - Date.now()));
    while (Date.now() < until && !nodes.isLost) await nodes.step();
    await nodes.removeAll();
  } finally {
    await lab.delete();
  }
  const left = leftovers(CLUSTER);
  if (left.length > 0) tally.violation(`left of the cluster: ${left.join('; ')}`);
}

class SoakLab {
  readonly #lab: Lab;
  readonly #client: ApiClient;
  readonly #tally: Tally;
  readonly #random: Random;
  readonly #pods = new Map<string, Kept>();
  readonly #quiet = new Map<string, Holdings>();
  #serial = 0;
  /** Whether it is no use to continue. */
  isLost = false;

  constructor(lab: Lab, client: ApiClient, tally: Tally, random: Random) {
    this.#lab = lab;
    this.#client = client;
    this.#tally = tally;
    this.#random = random;
  }

  async begin(): Promise<void> {
    for (const node of WORKERS) this.#quiet.set(node, await holdings(this.#lab, node));
    for (let i = 0; i < 4; i++) await this.#create();
    await this.#settle('at the beginning');
  }

  /** Pods come and go, and nothing else: memory and descriptors stay what they are. */
  async stayFlat(until: number): Promise<void> {
    const began = Date.now();
    const samples = WATCHED.map((): Sample[] => []);
    while (Date.now() < until && !this.isLost) {
      await this.#create();
      await this.#delete();
      await this.#settle('while nothing is killed');
      for (const [i, [, node, comm]] of WATCHED.entries()) {
        const pid = comm === 'hostport' ? this.#agentOn(node) : pidIn(this.#lab, node, comm);
        samples[i]!.push({
          at: performance.now(),
          memory: pssBytes(pid),
          descriptors: readdirSync(`/proc/${pid}/fd`).length,
        });
      }
    }
    const seconds = Math.round((Date.now() - began) / 1000);
    for (const [i, [process]] of WATCHED.entries())
      this.#tally.soak.growth.push(growthOf(process, seconds, samples[i]!));
  }

  async step(): Promise<void> {
    const steps: [name: string, step: () => Promise<unknown>][] = [
      ['a pod created', () => this.#create()],
      ['a pod deleted', () => this.#delete()],
      ['two heals at once', () => Promise.all([this.#cli('heal', '--yes'), this.#cli('heal', '--yes')])],
      ['a doctor', () => this.#cli('doctor')],
      ...Array.from({ length: 4 }, (): [string, () => Promise<unknown>] => [
        'a daemon killed',
        () => this.#kill(),
      ]),
      ['a command killed', () => this.#killCommand()],
      ['nodes parted', () => this.#part()],
      ['rules flushed', () => this.#flush()],
      ['creations killed', () => this.#killCreations()],
      ['two creators', () => this.#createTwice()],
    ];
    const [name, step] = this.#random.of(steps);
    console.log(`${this.#pods.size} pods: ${name}`);
    // What comes and goes meanwhile is in the way of every fault.
    const meanwhile = this.#random.chance(0.7) ? this.#create() : this.#delete();
    await Promise.all([step(), meanwhile]);
    await this.#settle(`after ${name}`);
  }

  async removeAll(): Promise<void> {
    while (this.#pods.size > 0 && !this.isLost) await this.#delete();
    if (!this.isLost) await this.#settle('after all were deleted');
  }

  async #create(): Promise<void> {
    if (this.#pods.size >= MOST_PODS) return this.#delete();
    const [name, node, port] = [`p${this.#serial}`, this.#random.of(WORKERS), 8000 + this.#serial++];
    const pod = {
      metadata: { name, namespace: 'default' },
      spec: {
        ...{ nodeName: node, terminationGracePeriodSeconds: 1 },
        containers: [
          { name: 'c', image: 'inanimate/echo-server', ports: [{ containerPort: 8080, hostPort: port }] },
        ],
      },
    };
    const made = await this.#untilAnswered(async () => {
      try {
        return await this.#client.create(podResource, pod);
      } catch (cause) {
        // The answer to an earlier try was lost.
        if (!hasReason(cause, 'AlreadyExists')) throw cause;
        return this.#client.get(podResource, name, 'default');
      }
    });
    this.#pods.set(name, { node, port, uid: made.metadata!.uid! });
    this.#tally.operation('pod created');
  }

  async #delete(): Promise<void> {
    const [name] = this.#pods.keys();
    if (name === undefined) return;
    this.#pods.delete(name);
    await this.#untilAnswered(async () => {
      try {
        await this.#client.delete(podResource, name, 'default');
      } catch (cause) {
        if (!hasReason(cause, 'NotFound')) throw cause;
      }
    });
    this.#tally.operation('pod deleted');
  }

  /** Asks until there is an answer: while the API server is the one that is down there is none. */
  async #untilAnswered<T>(ask: () => Promise<T>): Promise<T> {
    const deadline = Date.now() + SETTLE_MS;
    for (;;) {
      try {
        return await ask();
      } catch (cause) {
        const isDown = cause instanceof ConnectionError || hasReason(cause, 'ServiceUnavailable', 'Timeout');
        if (!isDown || Date.now() > deadline) throw cause;
        await Bun.sleep(100);
      }
    }
  }

  async #cli(...words: string[]): Promise<void> {
    const ran = await this.#lab.hostport(...words, '--name', CLUSTER);
    this.#tally.operation(words[0]!);
    if (ran.code > 2 || /\n {4}at /.test(ran.stderr))
      this.#tally.violation(`${words.join(' ')}: status ${ran.code}: ${ran.stderr}`);
  }

  async #kill(): Promise<void> {
    const [daemon, node] = this.#random.of([
      ...VICTIMS,
      ['agent', WORKERS[0]] as const,
      ['agent', WORKERS[1]] as const,
    ]);
    const pid = daemon === 'agent' ? this.#agentOn(node) : pidIn(this.#lab, node, daemon);
    process.kill(pid, 'SIGKILL');
    this.#tally.fault(`kill -9 of ${daemon}`);
    const next = () => (daemon === 'agent' ? this.#agentOn(node) : pidIn(this.#lab, node, daemon));
    await eventually(`${daemon} to be back`, () => next() !== pid, { timeoutMs: SETTLE_MS });
  }

  #agentOn(node: string): number {
    const found = pidsIn(this.#lab, node, 'hostport').filter((pid) => argvOf(pid).includes('agent'));
    if (found.length === 0) throw new Error(`no agent runs on ${node}`);
    return found[0]!;
  }

  async #killCommand(): Promise<void> {
    const words = this.#random.of([['heal', '--yes'], ['doctor'], ['agent', 'status']]);
    const started = this.#lab.start([PROGRAM, ...words, '--name', CLUSTER]);
    await Bun.sleep(this.#random.below(1500));
    started.kill();
    await started.exited;
    this.#tally.fault(`kill -9 of ${words[0]}`);
  }

  /** One worker hears neither the control plane nor the other worker for a while. */
  async #part(): Promise<void> {
    const node = this.#random.of(WORKERS);
    const rules =
      'add table inet soak; add chain inet soak in { type filter hook input priority -300; ip saddr 172.17.0.0/16 ip daddr 172.17.0.0/16 drop; }';
    await this.#lab.mustAskNode(node, 'nft', rules);
    this.#tally.fault('partition of a node');
    await Bun.sleep(PARTED_MS);
    await this.#lab.mustAskNode(node, 'nft', 'delete table inet soak');
  }

  async #flush(): Promise<void> {
    await this.#lab.askNode(this.#random.of(WORKERS), 'iptables', '-t', 'nat', '-F', 'CNI-HOSTPORT-DNAT');
    this.#tally.fault('flush of the mappings');
  }

  async #killCreations(): Promise<void> {
    for (const verb of ['create', 'delete'] as const) {
      const started = this.#lab.start([PROGRAM, verb, 'cluster', '--name', OTHER]);
      await Bun.sleep(this.#random.below(3000));
      started.kill();
      await started.exited;
      this.#tally.fault(`kill -9 of ${verb}`);
    }
    await this.#expectNoOther();
  }

  async #createTwice(): Promise<void> {
    const create = () => this.#lab.hostport('create', 'cluster', '--name', OTHER);
    const codes = (await Promise.all([create(), create()])).map(({ code }) => code);
    this.#tally.operation('create', 2);
    if (codes.filter((code) => code === 0).length !== 1)
      this.#tally.violation(`two creators ended with ${codes.join(' and ')}`);
    await this.#expectNoOther();
  }

  async #expectNoOther(): Promise<void> {
    await this.#lab.must('delete', 'cluster', '--name', OTHER);
    this.#tally.operation('delete');
    const left = leftovers(OTHER);
    if (left.length > 0) this.#tally.violation(`left of a cluster: ${left.join('; ')}`);
  }

  /** Waits until everything that was acknowledged is there, once, and answers, and nothing else is. */
  async #settle(when: string): Promise<void> {
    let seen = '';
    const isSettled = async () => {
      seen = await this.#problem();
      return seen === '';
    };
    try {
      await eventually('no problems found', isSettled, { timeoutMs: SETTLE_MS, intervalMs: 200 });
    } catch {
      this.#tally.violation(`${when}: ${seen}`);
      this.isLost = true;
    }
  }

  /** What is not as it must be; '' when nothing is. */
  async #problem(): Promise<string> {
    const wanted = [...this.#pods].map(([name, { uid }]) => `${name} ${uid}`).sort();
    const { items } = await this.#client.list(podResource, { namespace: 'default' });
    const found = items.map(({ metadata }) => `${metadata!.name} ${metadata!.uid}`).sort();
    if (wanted.join() !== found.join())
      return `pods are ${found.join(', ')}, acknowledged were ${wanted.join(', ')}`;
    for (const node of WORKERS) {
      const here = [...this.#pods.values()].filter((pod) => pod.node === node);
      const { sandboxes, links, echoServers } = this.#quiet.get(node)!;
      const right: Holdings = {
        sandboxes: sandboxes + here.length,
        echoServers: echoServers + here.length,
        links: links + here.length,
        hostPorts: here.map(({ port }) => port).sort((a, b) => a - b),
      };
      const has = await holdings(this.#lab, node);
      if (!Bun.deepEquals(has, right))
        return `${node} has ${JSON.stringify(has)}, wanted ${JSON.stringify(right)}`;
    }
    const asked = [...this.#pods].map(([name, { node, port }]) => `${name} ${addressOf(node)}:${port}`);
    if (asked.length === 0) return '';
    const script =
      'while read name at; do curl -sS --max-time 3 "$at" 2>&1 | grep -q "My hostname is: $name" || echo "$name at $at does not answer"; done';
    const argv = [
      PROGRAM,
      'run',
      '--name',
      CLUSTER,
      '--',
      'sh',
      '-c',
      `echo '${asked.join('\n')}' | ${script.replace('while', '{ while')}; }`,
    ];
    const { stdout } = await this.#lab.command(argv);
    return stdout.trim();
  }
}

function addressOf(node: string): string {
  return node === WORKERS[0] ? '172.17.0.3' : '172.17.0.4';
}

function argvOf(pid: number): string[] {
  return readProcFile(`/proc/${pid}/cmdline`).split('\0');
}
