import { closeSync, mkdirSync, openSync, readdirSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { attachmentChain } from '../../src/portmap/layout.ts';
import { Topology } from '../../src/portmap/testing/topology.ts';
import { isErrno } from '../../src/sys/errno.ts';
import { type ExecResult, output, realExec } from '../../src/sys/exec.ts';
import { answerProblem, type Verb } from './answer.ts';
import type { Random, Tally } from './tally.ts';

/** Calls at once. */
const AT_ONCE = 50;
/** Of pods; each has ports of its own. */
const PODS = 60;
/** Share of calls that are killed, and of rounds in which the state cannot be written. */
const KILLED = 0.25;
const UNWRITABLE = 0.2;
/** Within so many milliseconds after its start a call is killed. */
const KILL_MS = 400;
/** Bytes of the disk on which portmap keeps its state. */
const STATE_BYTES = 2 * 1024 * 1024;
const NETWORK = `soak-${process.pid}`;
const BACKENDS = ['nftables', 'iptables'] as const;
type Backend = (typeof BACKENDS)[number];

/** What is known of a pod by the answers of its calls: a call that was killed or failed says nothing. */
type Known = 'mapped' | 'unmapped' | 'unknown';

interface Call {
  pod: number;
  verb: Verb;
  /** Milliseconds after which it is killed. */
  killed?: number;
}

/**
 * portmap as processes, fifty at once, some of them killed, some without a place for their state, on one backend until a time of performance.now(). What was
 * acknowledged is there, whole and once; what was released is gone; everything else is whole or not there.
 */
export async function soakPlugin(
  tally: Tally,
  random: Random,
  backend: Backend,
  until: number,
): Promise<void> {
  const lab = await Topology.create();
  const state = join(lab.scratch, 'state');
  try {
    for (const name of ['node', 'pod']) await lab.namespace(name);
    mkdirSync(state);
    await output(realExec, ['mount', '-t', 'tmpfs', '-o', `size=${STATE_BYTES}`, 'none', state]);
    const node = new PluginNode(lab, state, backend, tally);
    // How much a whole mapping is.
    await node.learn();
    while (performance.now() < until) await node.round(random);
    await node.removeAll();
  } finally {
    await output(realExec, ['umount', '-l', state]);
    await lab.dispose();
  }
}

class PluginNode {
  readonly #lab: Topology;
  readonly #state: string;
  readonly #backend: Backend;
  readonly #tally: Tally;
  readonly #known: Known[] = Array.from({ length: PODS }, () => 'unmapped');
  /** Pods that are being added, which a GC of the same moment must spare. */
  #adding: ReadonlySet<number> = new Set();
  /** Rules or elements of a whole mapping, for each part that changes at once. */
  #whole: number[] = [];

  constructor(lab: Topology, state: string, backend: Backend, tally: Tally) {
    this.#lab = lab;
    this.#state = state;
    this.#backend = backend;
    this.#tally = tally;
  }

  async learn(): Promise<void> {
    const { code, stdout } = await this.#call({ pod: 0, verb: 'ADD' });
    if (code !== 0) throw new Error(`the first ADD failed: ${stdout}`);
    this.#known[0] = 'mapped';
    this.#whole = (await this.#parts()).map((part) => part.get(0) ?? 0);
    if (this.#whole.some((count) => count < 2))
      throw new Error(`a mapping has ${this.#whole.join(' and ')} parts`);
  }

  async round(random: Random): Promise<void> {
    const unwritable = random.chance(UNWRITABLE) ? random.of(['full', 'read-only'] as const) : undefined;
    const pods = Array.from({ length: PODS }, (_, pod) => pod).sort(() => random.next() - 0.5);
    const calls = pods.slice(0, AT_ONCE).map((pod): Call => {
      const verb =
        this.#known[pod] === 'mapped'
          ? random.of(['DEL', 'DEL', 'CHECK'] as const)
          : random.of(['ADD', 'ADD', 'DEL'] as const);
      return { pod, verb, ...(random.chance(KILLED) && { killed: 1 + random.below(KILL_MS) }) };
    });
    if (random.chance(0.3))
      calls.push({
        pod: -1,
        verb: 'GC',
        ...(random.chance(KILLED) && { killed: 1 + random.below(KILL_MS) }),
      });
    this.#adding = new Set(calls.filter(({ verb }) => verb === 'ADD').map(({ pod }) => pod));
    const filler = unwritable === 'full' ? this.#fill() : undefined;
    if (unwritable !== undefined) this.#tally.fault(`state ${unwritable}`);
    const results = await Promise.all(calls.map((call) => this.#call(call, unwritable === 'read-only')));
    if (filler !== undefined) rmSync(filler);
    for (const [i, call] of calls.entries()) this.#note(call, results[i]!, unwritable !== undefined);
    await this.#check(`${this.#backend}, after ${calls.length} calls at once`);
  }

  /** Everything is released, twice, and nothing is left. */
  async removeAll(): Promise<void> {
    for (let i = 0; i < 2; i++) {
      const results = await Promise.all(this.#known.map((_, pod) => this.#call({ pod, verb: 'DEL' })));
      for (const [pod, result] of results.entries()) this.#note({ pod, verb: 'DEL' }, result, false);
    }
    await this.#call({ pod: -1, verb: 'GC' });
    await this.#check(`${this.#backend}, after all were released`);
    const left = readdirSync(join(this.#state, 'portmap'));
    if (left.length > 0) this.#tally.violation(`${this.#backend}: records left: ${left.join(', ')}`);
  }

  #note({ pod, verb, killed }: Call, result: ExecResult, isUnwritable: boolean): void {
    const { code } = result;
    this.#tally.operation(`portmap ${verb}`);
    // How the shells around it say what the signal was.
    if (killed !== undefined && (code === 9 || code === 128 + 9)) {
      this.#tally.fault('kill of portmap');
      if (verb === 'ADD' || verb === 'DEL') this.#known[pod] = 'unknown';
      return;
    }
    const problem = answerProblem(verb, result, isUnwritable);
    if (problem !== undefined)
      this.#tally.violation(
        `${this.#backend}: ${verb} of pod ${pod}${killed ? ', to be killed,' : ''}${isUnwritable ? ' with a state that cannot be written' : ''}: ${problem}`,
      );
    if (verb === 'ADD' || verb === 'DEL')
      this.#known[pod] = code !== 0 ? 'unknown' : verb === 'ADD' ? 'mapped' : 'unmapped';
  }

  async #check(when: string): Promise<void> {
    const parts = await this.#parts();
    for (const [pod, known] of this.#known.entries()) {
      const counts = parts.map((part) => part.get(pod) ?? 0);
      const isRight = counts.every((count, i) => {
        if (known === 'mapped') return count === this.#whole[i];
        return count === 0 || (known === 'unknown' && count === this.#whole[i]);
      });
      if (!isRight)
        this.#tally.violation(
          `${when}: pod ${pod} is ${known} and has ${counts.join(' and ')} of ${this.#whole.join(' and ')}`,
        );
    }
  }

  /** Rules or elements of each pod, for each part that changes at once. */
  async #parts(): Promise<Map<number, number>[]> {
    const chains = new Map(this.#known.map((_, pod) => [attachmentChain(NETWORK, idOf(pod)), pod]));
    const count = (found: Iterable<number | undefined>) => {
      const counts = new Map<number, number>();
      for (const pod of found) if (pod !== undefined) counts.set(pod, (counts.get(pod) ?? 0) + 1);
      return counts;
    };
    if (this.#backend === 'nftables') {
      const { stdout } = await this.#lab.run('node', ['nft', 'list', 'table', 'inet', 'hostport']);
      return [
        count(
          stdout.matchAll(new RegExp(`comment "${NETWORK}/pod-(\\d+)"`, 'g')).map(([, pod]) => Number(pod)),
        ),
      ];
    }
    const families = ['iptables', 'ip6tables'] as const;
    const all = await Promise.all(families.map((family) => this.#lab.natRules('node', family)));
    return all.map((lines) =>
      count(lines.map((line) => chains.get(/CNI-DN-[0-9a-f]+/.exec(line)?.[0] ?? ''))),
    );
  }

  /** Takes all room that is left; returns the file that has it. */
  #fill(): string {
    const path = join(this.#state, 'filler');
    const fd = openSync(path, 'w');
    try {
      for (let block = Buffer.alloc(64 * 1024); ; ) {
        try {
          writeSync(fd, block);
        } catch (cause) {
          if (!isErrno(cause, 'ENOSPC')) throw cause;
          if (block.length <= 512) return path;
          block = block.subarray(0, block.length / 2);
        }
      }
    } finally {
      closeSync(fd);
    }
  }

  #call({ pod, verb, killed }: Call, isReadOnly = false): Promise<ExecResult> {
    const script = [
      'mount --bind "$1" /run/hostport',
      ...(isReadOnly ? ['mount -o remount,bind,ro /run/hostport'] : []),
      'exec $2 "$0"',
    ].join(' && ');
    const kill = killed === undefined ? '' : `timeout -s KILL ${killed / 1000}`;
    const portmap = join(this.#lab.plugins, 'portmap');
    // A session of its own: `timeout` kills the process alone, and what that has started continues, as after a crash.
    const argv = ['setsid', '-w', 'unshare', '--mount', 'sh', '-c', script, portmap, this.#state, kill];
    const valid = this.#known.flatMap((known, i) =>
      known === 'unmapped' && !this.#adding.has(i) ? [] : [{ containerID: idOf(i), ifname: 'eth0' }],
    );
    return this.#lab.run('node', argv, JSON.stringify(this.#config(pod, valid)), {
      ...{
        CNI_COMMAND: verb,
        CNI_CONTAINERID: idOf(pod),
        CNI_NETNS: this.#lab.path('pod'),
        CNI_IFNAME: 'eth0',
      },
      CNI_PATH: this.#lab.plugins,
    });
  }

  #config(pod: number, valid: object[]) {
    const portMappings = [
      { hostPort: 1000 + pod, containerPort: 8080, protocol: 'tcp' },
      { hostPort: 2000 + pod, containerPort: 8081, protocol: 'udp' },
    ];
    return {
      ...{ cniVersion: '1.1.0', name: NETWORK, type: 'portmap', backend: this.#backend },
      capabilities: { portMappings: true },
      runtimeConfig: { portMappings },
      prevResult: {
        cniVersion: '1.1.0',
        ips: [{ address: `10.88.0.${10 + pod}/24` }, { address: `fd88::${10 + pod}/64` }],
      },
      // Those that are being added meanwhile are valid, too.
      'cni.dev/valid-attachments': valid,
    };
  }
}

function idOf(pod: number): string {
  return `pod-${pod}`;
}
