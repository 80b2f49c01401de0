import { dlopen, ptr } from 'bun:ffi';
import { output, realExec } from '../../src/sys/exec.ts';
import { enterNetns } from '../../src/sys/netns.ts';
import { formatIp } from '../../src/util/ip.ts';
import { median } from '../statistics.ts';
import { podAddress } from './filling.ts';
import { BenchNode, home } from './node.ts';
import type { Backend, Subject } from './subjects.ts';

const AF_INET = 2;
const SOCK_STREAM_CLOEXEC = 0x80001;
const SOL_SOCKET = 1;
const SO_LINGER = 13;
/** Connections made in a row before it is the next one's turn. */
const BURST = 25;
const HOST_PORT = 80;
const CONTAINER_PORT = 8080;

/** Microseconds that connect(2) to the last of so many mappings takes. */
export interface ConnectTime {
  backend: Backend;
  subject: Subject;
  mappings: number;
  median: number;
  least: number;
}

const { symbols } = dlopen('libc.so.6', {
  socket: { args: ['i32', 'i32', 'i32'], returns: 'i32' },
  bind: { args: ['i32', 'ptr', 'u32'], returns: 'i32' },
  listen: { args: ['i32', 'i32'], returns: 'i32' },
  connect: { args: ['i32', 'ptr', 'u32'], returns: 'i32' },
  accept4: { args: ['i32', 'ptr', 'ptr', 'i32'], returns: 'i32' },
  setsockopt: { args: ['i32', 'i32', 'i32', 'ptr', 'u32'], returns: 'i32' },
  close: { args: ['i32'], returns: 'i32' },
});

/** A node with so many mappings, the last of which leads to a pod that listens. */
class Target {
  readonly node: BenchNode;
  readonly mappings: number;
  readonly times: number[] = [];
  readonly #pod: string;
  readonly #address: Buffer;
  #listener = -1;

  private constructor(node: BenchNode, mappings: number) {
    this.node = node;
    this.mappings = mappings;
    this.#pod = `pod-of-${node.name}`;
    this.#address = socketAddress([10, 88, 0, 1], HOST_PORT);
  }

  static async create(subject: Subject, backend: Backend, mappings: number): Promise<Target> {
    // The last one is the plugin's own work.
    const node = await BenchNode.create(subject, backend, mappings - 1);
    const target = new Target(node, mappings);
    const pod = podAddress(10);
    await output(realExec, ['ip', 'netns', 'add', target.#pod]);
    const peer = ['peer', 'name', 'eth0', 'netns', target.#pod];
    await node.run(['ip', 'link', 'add', 'pod', 'type', 'veth', ...peer]);
    await node.run(['ip', 'address', 'add', '10.88.0.1/16', 'dev', 'pod']);
    await node.run(['ip', 'link', 'set', 'pod', 'up']);
    const inPod = ['ip', '-netns', target.#pod];
    await output(realExec, [...inPod, 'address', 'add', `${formatIp(pod.ip)}/16`, 'dev', 'eth0']);
    await output(realExec, [...inPod, 'link', 'set', 'eth0', 'up']);
    const ports = [{ hostPort: HOST_PORT, containerPort: CONTAINER_PORT }];
    node.call('ADD', { id: 'last', index: 10, ports }, `/run/netns/${target.#pod}`);
    target.#listen(pod.ip.bytes);
    return target;
  }

  #listen(address: readonly number[]): void {
    within(`/run/netns/${this.#pod}`, () => {
      this.#listener = succeed('socket', symbols.socket(AF_INET, SOCK_STREAM_CLOEXEC, 0));
      const at = socketAddress(address, CONTAINER_PORT);
      succeed('bind', symbols.bind(this.#listener, ptr(at), at.length));
      succeed('listen', symbols.listen(this.#listener, 128));
    });
  }

  /** Connects by the host port, from the node. What is measured is connect(2), which returns when the handshake is done. */
  connect(times: number[] | undefined): void {
    within(this.node.path, () => {
      for (let i = 0; i < BURST; i++) {
        const client = succeed('socket', symbols.socket(AF_INET, SOCK_STREAM_CLOEXEC, 0));
        const start = Bun.nanoseconds();
        const connected = symbols.connect(client, ptr(this.#address), this.#address.length);
        times?.push((Bun.nanoseconds() - start) / 1000);
        succeed('connect', connected);
        const server = succeed('accept', symbols.accept4(this.#listener, null, null, 0));
        // Ended by a reset: no port is kept waiting.
        const linger = Buffer.from(new Int32Array([1, 0]).buffer);
        symbols.setsockopt(client, SOL_SOCKET, SO_LINGER, ptr(linger), linger.length);
        symbols.close(client);
        symbols.close(server);
      }
    });
  }

  async dispose(): Promise<void> {
    if (this.#listener >= 0) symbols.close(this.#listener);
    await this.node.dispose();
    await output(realExec, ['ip', 'netns', 'delete', this.#pod]);
  }
}

/**
 * How long a TCP connection from the node to the last of N mappings takes, for every subject and N, in turns, all from this one
 * process: it runs inside the node's namespace, and its listener inside the pod's.
 */
export async function measureConnects(
  subjects: readonly Subject[],
  counts: readonly number[],
  rounds: number,
): Promise<ConnectTime[]> {
  const targets: Target[] = [];
  try {
    for (const mappings of counts) {
      for (const subject of subjects) {
        for (const backend of subject.backends) targets.push(await Target.create(subject, backend, mappings));
      }
    }
    for (let round = -1; round < rounds; round++) {
      for (const target of targets) target.connect(round < 0 ? undefined : target.times);
    }
    return targets.map(({ node: { backend, subject }, mappings, times }) => ({
      ...{ backend, subject, mappings },
      median: median(times),
      least: Math.min(...times),
    }));
  } finally {
    for (const target of targets) await target.dispose();
  }
}

function within(namespace: string, work: () => void): void {
  enterNetns(namespace);
  try {
    work();
  } finally {
    enterNetns(home);
  }
}

/** struct sockaddr_in. */
function socketAddress(address: readonly number[], port: number): Buffer {
  const bytes = Buffer.alloc(16);
  bytes.writeUInt16LE(AF_INET, 0);
  bytes.writeUInt16BE(port, 2);
  bytes.set(address, 4);
  return bytes;
}

function succeed(what: string, result: number): number {
  if (result < 0) throw new Error(`${what}: refused by the kernel`);
  return result;
}
