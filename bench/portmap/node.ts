import { openSync } from 'node:fs';
import { dirname } from 'node:path';
import { output, realExec } from '../../src/sys/exec.ts';
import { enterNetns } from '../../src/sys/netns.ts';
import { formatIp } from '../../src/util/ip.ts';
import { filling, foreignChains, NETWORK, podAddress } from './filling.ts';
import { peakOf } from './peak.ts';
import type { Backend, Subject } from './subjects.ts';

/** The namespace that this process was born in. */
export const home = `/proc/self/fd/${openSync('/proc/self/ns/net', 'r')}`;

/** What one call of a plugin cost, in milliseconds. */
export interface Cost {
  /** From its start to its end. */
  wall: number;
  /** User and system time of its process and of those that it started. */
  cpu: number;
}

/** A pod as it is described to a plugin. */
export interface Pod {
  id: string;
  /** Index of its address, see {@link podAddress}. */
  index: number;
  ports: readonly { hostPort: number; containerPort: number }[];
}

/** A network namespace that stands for a node, with one subject's mappings in it. Goes with {@link BenchNode.dispose}. */
export class BenchNode {
  readonly subject: Subject;
  readonly backend: Backend;
  readonly name: string;

  private constructor(subject: Subject, backend: Backend, name: string) {
    this.subject = subject;
    this.backend = backend;
    this.name = name;
  }

  static #serial = 0;

  /** A node that has so many mappings, as the subject would have left them: see {@link filling}, and {@link foreignChains}. */
  static async create(subject: Subject, backend: Backend, mappings: number, foreign = 0): Promise<BenchNode> {
    const node = new BenchNode(subject, backend, `node-${++BenchNode.#serial}`);
    await output(realExec, ['ip', 'netns', 'add', node.name]);
    await node.run(['ip', 'link', 'set', 'lo', 'up']);
    if (mappings > 0) {
      const program = backend === 'iptables' ? ['iptables-restore'] : ['nft', '-f', '-'];
      await node.run(program, filling(subject.isOurs, backend, mappings));
    }
    if (foreign > 0) {
      const program = backend === 'iptables' ? ['iptables-restore', '--noflush'] : ['nft', '-f', '-'];
      await node.run(program, foreignChains(subject.isOurs, backend, foreign));
    }
    return node;
  }

  get path(): string {
    return `/run/netns/${this.name}`;
  }

  /** Runs a command in the namespace; it must succeed. */
  run(argv: readonly string[], stdin?: string): Promise<string> {
    const options = { stdin, timeoutMs: 120_000 };
    return output(realExec, ['ip', 'netns', 'exec', this.name, ...argv], options);
  }

  /** Calls the plugin in the namespace and waits for it. A call that fails is an error. */
  call(verb: 'ADD' | 'DEL', pod: Pod, sandbox: string): Cost {
    enterNetns(this.path);
    try {
      const start = performance.now();
      const { exitCode, stdout, resourceUsage } = Bun.spawnSync([this.subject.plugin], {
        stdin: this.#request(pod, sandbox),
        env: this.#environment(verb, pod, sandbox),
      });
      const wall = performance.now() - start;
      if (exitCode !== 0) throw new Error(`${this.subject.plugin} ${verb}: ${exitCode}: ${stdout}`);
      return { wall, cpu: Number(resourceUsage.cpuTime.total) / 1000 };
    } finally {
      enterNetns(home);
    }
  }

  /** As {@link call}; the most memory that a process of it had, in bytes. */
  peak(verb: 'ADD' | 'DEL', pod: Pod, sandbox: string): number {
    enterNetns(this.path);
    try {
      const { bytes, failure } = peakOf([this.subject.plugin], {
        stdin: this.#request(pod, sandbox),
        env: this.#environment(verb, pod, sandbox),
      });
      if (failure !== undefined) throw new Error(`${this.subject.plugin} ${verb}: ${failure}`);
      return bytes;
    } finally {
      enterNetns(home);
    }
  }

  /** As {@link call}, many at a time: answers the exit status, what was printed, and the CPU time in milliseconds. */
  async callAsync(verb: 'ADD' | 'DEL', pod: Pod, sandbox: string) {
    enterNetns(this.path);
    const child = (() => {
      try {
        return Bun.spawn([this.subject.plugin], {
          stdin: this.#request(pod, sandbox),
          stdout: 'pipe',
          env: this.#environment(verb, pod, sandbox),
        });
      } finally {
        enterNetns(home);
      }
    })();
    const [printed, code] = await Promise.all([new Response(child.stdout).text(), child.exited]);
    return { code, printed, cpu: Number(child.resourceUsage()?.cpuTime.total ?? 0) / 1000 };
  }

  async dispose(): Promise<void> {
    await output(realExec, ['ip', 'netns', 'delete', this.name]);
  }

  #request(pod: Pod, sandbox: string): Buffer {
    const { ip, prefix } = podAddress(pod.index);
    const mappings = pod.ports.map((port) => ({ ...port, protocol: 'tcp' }));
    return Buffer.from(
      JSON.stringify({
        ...{ cniVersion: '1.0.0', name: NETWORK, type: 'portmap', backend: this.backend },
        capabilities: { portMappings: true },
        runtimeConfig: { portMappings: mappings },
        prevResult: {
          cniVersion: '1.0.0',
          interfaces: [{ name: 'eth0', sandbox }],
          ips: [{ address: `${formatIp(ip)}/${prefix}`, interface: 0 }],
        },
      }),
    );
  }

  #environment(verb: string, pod: Pod, sandbox: string): Record<string, string | undefined> {
    return {
      ...{ PATH: process.env.PATH, CNI_COMMAND: verb, CNI_CONTAINERID: pod.id, CNI_IFNAME: 'eth0' },
      ...{ CNI_NETNS: sandbox, CNI_PATH: dirname(this.subject.plugin) },
    };
  }
}

/** Makes the namespace that stands for every pod's; its path. */
export async function makeSandbox(): Promise<string> {
  await output(realExec, ['ip', 'netns', 'add', 'pod']);
  return '/run/netns/pod';
}
