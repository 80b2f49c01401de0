import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { AGENT, agentNamespace } from '../../src/collect/reader/agents.ts';
import { type ApiClient, hasReason } from '../../src/kube/client.ts';
import { isConditionTrue } from '../../src/kube/conditions.ts';
import { ConnectionError } from '../../src/kube/connection-error.ts';
import { daemonSets, nodes as nodeResource, pods as podResource } from '../../src/kube/resources.ts';
import { requireRecord } from '../../src/lab/cluster/record.ts';
import { labClient } from '../../src/lab/doctor/source.ts';
import { readProcFile } from '../../src/sys/processes.ts';
import type { Moment } from '../../src/ui/history.ts';
import { messageOf } from '../../src/util/errors.ts';
import { eventually } from '../e2e/eventually.ts';
import { EXAMPLE, Lab, leftovers, PROGRAM, type Started } from '../e2e/lab.ts';
import { type Holdings, holdings, pidIn } from '../e2e/node-view.ts';
import { OpenPage } from '../e2e/open-page.ts';
import { CLOCK_DIRECTORY, CLOCK_LIBRARY, JumpingClock } from './clock.ts';
import { growthOf, type Sample } from './growth.ts';
import type { Random, Tally } from './tally.ts';

const CLUSTER = 'soak';
const CONTROL_PLANE = `${CLUSTER}-control-plane`;
const WORKERS = [`${CLUSTER}-worker`, `${CLUSTER}-worker2`] as const;
const CNI = join(EXAMPLE, 'kind/cni');
const CONFLIST = `{hostPath: ${CNI}/000-cilium-portmap.conflist, containerPath: /etc/cni/net.d/000-cilium-portmap.conflist, readOnly: true}`;
/** Of nodes whose daemons have the clock; the agent's pods get it by themselves. */
function configOf({ directory, preload }: JumpingClock): string {
  const clock = `{hostPath: ${directory}, containerPath: ${CLOCK_DIRECTORY}, readOnly: true}, {hostPath: ${preload}, containerPath: /etc/ld.so.preload, readOnly: true}`;
  return `kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
nodes:
- role: control-plane
  extraMounts: [{hostPath: ${CNI}/cilium.yaml, containerPath: /kind/manifests/default-cni.yaml}, ${CONFLIST}, ${clock}]
- role: worker
  extraMounts: [${CONFLIST}, ${clock}]
- role: worker
  extraMounts: [${CONFLIST}, ${clock}]
`;
}
/** Another cluster, whose creation and deletion are killed. */
const OTHER = 'soak-other';
const MOST_PODS = 8;
/** How long it may take until all is as it must be after a fault, on a machine that does much else. */
const SETTLE_MS = 120_000;
/** How long a part of the nodes does not hear another. */
const PARTED_MS = 3000;
/** By how many seconds the clock is set at most, forward or back. */
const MOST_JUMP = 6 * 3600;

/** Who is killed, and on which nodes. */
const VICTIMS: readonly (readonly [daemon: string, node: string])[] = [
  ...['kube-apiserver', 'etcd', 'kube-controller', 'kube-scheduler'].map(
    (name) => [name, CONTROL_PLANE] as const,
  ),
  ...['containerd', 'kubelet', 'cilium-agent'].flatMap((name) =>
    WORKERS.map((node) => [name, node] as const),
  ),
];
interface Kept {
  node: string;
  port: number;
  uid: string;
}

/** When what happens, in milliseconds. */
export interface LabTimes {
  /** How long pods come and go until growth is measured, and how long it is. */
  warmUpMs: number;
  measuredMs: number;
  /** Until when there are faults, by performance.now(). */
  until: number;
}

/**
 * A lab with the agent that heals and a live page: pods come and go, then daemons are killed, nodes parted, rules flushed, commands killed, clocks set,
 * until the deadline. Every pod that was acknowledged is there, once, and answers at its hostPort; nothing is left of what was deleted.
 */
export async function soakLab(tally: Tally, random: Random, times: LabTimes): Promise<void> {
  const lab = new Lab(CLUSTER);
  const clock = await JumpingClock.make(join(lab.scratch, 'clock'));
  let page: LivePage | undefined;
  try {
    await lab.must(
      'create',
      'cluster',
      '--name',
      CLUSTER,
      '--config',
      lab.file('config.yaml', configOf(clock)),
    );
    await lab.must('agent', 'install', '--heal', '--name', CLUSTER);
    const client = await labClient(await requireRecord(CLUSTER));
    await giveAgentTheClock(client);
    page = await LivePage.open(lab);
    const nodes = new SoakLab({ lab, client, clock, page, tally, random });
    await nodes.begin();
    if (nodes.isLost) return;
    await nodes.measureGrowth(times);
    while (performance.now() < times.until && !nodes.isLost) await nodes.step();
    await nodes.removeAll();
  } finally {
    const ended = await page?.close();
    if (ended) tally.violation(`the live page: ${ended}`);
    await lab.delete();
    clock.close();
  }
  const left = leftovers(CLUSTER);
  if (left.length > 0) tally.violation(`left of the cluster: ${left.join('; ')}`);
}

/** Has the agent's pods preload the clock of their nodes, which is the same file. */
async function giveAgentTheClock(client: ApiClient): Promise<void> {
  const retry = { signal: new AbortController().signal };
  const namespace = await agentNamespace(client, retry);
  const set = await client.get(daemonSets, AGENT.name, namespace);
  const spec = set.spec!.template.spec!;
  const [container] = spec.containers;
  container!.env = [...(container!.env ?? []), { name: 'LD_PRELOAD', value: CLOCK_LIBRARY }];
  container!.volumeMounts = [
    ...(container!.volumeMounts ?? []),
    { name: 'soak-clock', mountPath: CLOCK_DIRECTORY, readOnly: true },
  ];
  spec.volumes = [...(spec.volumes ?? []), { name: 'soak-clock', hostPath: { path: CLOCK_DIRECTORY } }];
  await client.update(daemonSets, set);
  await eventually(
    'all agents to have the clock',
    async () => {
      const { metadata, status } = await client.get(daemonSets, AGENT.name, namespace);
      return (
        status?.observedGeneration === metadata!.generation &&
        status?.updatedNumberScheduled === status?.desiredNumberScheduled &&
        status?.numberAvailable === status?.desiredNumberScheduled
      );
    },
    { timeoutMs: SETTLE_MS },
  );
}

/** `hostport ui` of the cluster, with a browser that follows it. */
class LivePage {
  readonly #program: Started;
  readonly #page: OpenPage;
  readonly #closed = new AbortController();
  readonly #following: Promise<string>;

  private constructor(program: Started, page: OpenPage) {
    this.#program = program;
    this.#page = page;
    this.#following = page.follow(this.#closed.signal).then(
      () => '',
      (cause: unknown) => messageOf(cause),
    );
  }

  static async open(lab: Lab): Promise<LivePage> {
    const program = lab.start([PROGRAM, 'ui', '--name', lab.name]);
    const [, url] = await program.until(/^Open (http:\S+)$/m);
    return new LivePage(program, await OpenPage.open(url!));
  }

  get pid(): number {
    return this.#program.pid;
  }

  /** How many mappings it shows now, by how they are. */
  async mappings(): Promise<Moment['mappings'] | undefined> {
    return (await this.#page.moments()).at(-1)?.mappings;
  }

  /** Ends it; returns what has ended it before, '' for nothing. */
  async close(): Promise<string> {
    this.#closed.abort();
    await this.#program.stop();
    return this.#following;
  }
}

interface SoakLabParts {
  lab: Lab;
  client: ApiClient;
  clock: JumpingClock;
  page: LivePage;
  tally: Tally;
  random: Random;
}

class SoakLab {
  readonly #lab: Lab;
  readonly #client: ApiClient;
  readonly #clock: JumpingClock;
  readonly #page: LivePage;
  readonly #tally: Tally;
  readonly #random: Random;
  readonly #pods = new Map<string, Kept>();
  readonly #quiet = new Map<string, Holdings>();
  #serial = 0;
  #clockIsAt = 0;
  /** Whether it is no use to continue. */
  isLost = false;

  constructor({ lab, client, clock, page, tally, random }: SoakLabParts) {
    this.#lab = lab;
    this.#client = client;
    this.#clock = clock;
    this.#page = page;
    this.#tally = tally;
    this.#random = random;
  }

  async begin(): Promise<void> {
    for (const node of WORKERS) this.#quiet.set(node, await holdings(this.#lab, node));
    for (let i = 0; i < 4; i++) await this.#create();
    await this.#settle('at the beginning');
  }

  /** Pods come and go, and nothing else: once what does the work is warm, memory and descriptors stay what they are. */
  async measureGrowth({ warmUpMs, measuredMs }: LabTimes): Promise<void> {
    const warmAt = performance.now() + warmUpMs;
    const watched = this.#watched();
    const samples = new Map(watched.map(([process]) => [process, [] as Sample[]]));
    while (performance.now() < warmAt + measuredMs && !this.isLost) {
      await this.#create();
      await this.#delete();
      await this.#settle('while nothing is killed');
      if (performance.now() < warmAt) continue;
      for (const [process, pid] of watched)
        samples.get(process)!.push({
          at: performance.now(),
          memory: anonymousBytes(pid),
          descriptors: readdirSync(`/proc/${pid}/fd`).length,
        });
    }
    for (const [process, of] of samples) this.#tally.soak.growth.push(growthOf(process, of));
    if (!Bun.deepEquals(this.#watched(), watched))
      this.#tally.violation(`another process does the work than before, while nothing was killed`);
  }

  /** Whose memory and descriptors must not grow. */
  #watched(): [process: string, pid: number][] {
    return [
      ['API server', pidIn(this.#lab, CONTROL_PLANE, 'kube-apiserver')],
      ['kubelet', pidIn(this.#lab, WORKERS[0], 'kubelet')],
      ['agent', this.#agentOn(WORKERS[0])],
      ['live page', this.#page.pid],
    ];
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
      ...Array.from({ length: 3 }, (): [string, () => Promise<unknown>] => [
        'a clock set',
        () => this.#setClock(),
      ]),
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
    if (!this.isLost) await this.#expectShown();
  }

  /** The live page, which has seen it all, shows what there is. */
  async #expectShown(): Promise<void> {
    const wanted = { good: this.#pods.size, risk: 0, broken: 0, unknown: 0 };
    try {
      await eventually('the live page', async () => Bun.deepEquals(await this.#page.mappings(), wanted), {
        timeoutMs: SETTLE_MS,
      });
    } catch {
      this.#tally.violation(
        `the live page shows ${JSON.stringify(await this.#page.mappings())}, wanted ${JSON.stringify(wanted)}`,
      );
    }
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
    const deadline = performance.now() + SETTLE_MS;
    for (;;) {
      try {
        return await ask();
      } catch (cause) {
        const isDown = cause instanceof ConnectionError || hasReason(cause, 'ServiceUnavailable', 'Timeout');
        if (!isDown || performance.now() > deadline) throw cause;
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
    return pidIn(this.#lab, node, 'hostport', ['agent', 'run']);
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

  /**
   * The daemons' clock is set, forward or back, and stays there: what is broken then is healed, what comes and goes does, no node is lost, and nobody is
   * restarted for it.
   */
  async #setClock(): Promise<void> {
    const before = this.#daemons();
    const seconds = this.#random.below(2 * MOST_JUMP) - MOST_JUMP;
    this.#tally.fault(`clock set ${seconds > this.#clockIsAt ? 'forward' : 'back'}`);
    this.#clock.set(seconds);
    this.#clockIsAt = seconds;
    await this.#flush();
    await this.#settle(`after the clock was set to ${seconds} s`);
    const { items } = await this.#client.list(nodeResource);
    const lost = items.filter(({ status }) => !isConditionTrue(status, 'Ready'));
    for (const { metadata } of lost)
      this.#tally.violation(`${metadata!.name} is not ready since the clock was set`);
    const now = this.#daemons();
    const restarted = [...before].filter(([daemon, pid]) => now.get(daemon) !== pid);
    for (const [daemon, pid] of restarted) {
      const old = `${pid}${existsSync(`/proc/${pid}`) ? '' : ', which has ended'}`;
      this.#tally.violation(
        `${daemon} is another process than before the clock was set to ${seconds} s: ${now.get(daemon)}, was ${old}`,
      );
    }
  }

  /** The processes of all daemons of the lab, and of the agents. */
  #daemons(): Map<string, number> {
    return new Map([
      ...VICTIMS.map(([daemon, node]) => [`${daemon} of ${node}`, pidIn(this.#lab, node, daemon)] as const),
      ...WORKERS.map((node) => [`the agent of ${node}`, this.#agentOn(node)] as const),
    ]);
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
      // For whoever looks into it.
      console.log((await this.#lab.hostport('doctor', '--name', CLUSTER)).stdout);
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
      'while read name at; do curl -sS --max-time 10 "$at" 2>&1 | grep -q "My hostname is: $name" || echo "$name at $at does not answer"; done';
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

/** Bytes of memory that no file is behind: what a process has taken for itself. Source: proc_pid_smaps(5), since Linux 5.9. */
function anonymousBytes(pid: number): number {
  const found = /^Pss_Anon:\s+(\d+) kB$/m.exec(readProcFile(`/proc/${pid}/smaps_rollup`));
  if (found === null) throw new Error(`process ${pid} has ended, or the kernel says nothing of its memory`);
  return Number(found[1]) * 1024;
}
