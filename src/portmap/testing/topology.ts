import { closeSync, mkdtempSync, openSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runPlugin } from '../../cni/plugin.ts';
import { isOwnNetns } from '../../cni/sandbox.ts';
import { glanceAtKernel } from '../../netfilter/nft/kernel-rules.ts';
import { bunExec } from '../../sys/bun-exec.ts';
import { copyTree } from '../../sys/copy-tree.ts';
import { type Exec, ExecError, type ExecResult, output, realExec } from '../../sys/exec.ts';
import { enterNetns, inNetns } from '../../sys/netns.ts';
import { AttachmentFiles } from '../attachments.ts';
import { thisMachine } from '../machine.ts';
import { portmap } from '../portmap.ts';

/** Where Debian's containernetworking-plugins puts the reference plugins. */
export const REFERENCE = '/usr/lib/cni';
/**
 * Where `make dist/cni/portmap` puts ours, or another directory of the repository with the same plugins, built in another way;
 * `scripts/test.ts` sees to it that they are up to date.
 */
const BUILT = join(import.meta.dir, '../../..', process.env.TESTED_PLUGINS ?? 'dist/cni');

/** One call of a plugin. What is left out is what a runtime passes for a container called `id`. */
export interface Call {
  id: string;
  netns?: string;
  ifName?: string;
  config: Record<string, unknown>;
  env?: Record<string, string>;
}

export interface Outcome {
  code: number;
  /** The document on standard output; undefined when there was none. */
  document: Record<string, unknown> | undefined;
  stderr: string;
}

/** What `iptables` is. */
export type Variant = 'nft' | 'legacy';

/** How our portmap runs programs in this process: `iptables` and its kin are those of the variant. */
export function execOf(variant: Variant): Exec {
  const named = (program: string) =>
    program.replace(/^(ip6?tables)(-restore)?$/, (_, base, end = '') => `${base}-${variant}${end}`);
  return { run: ([program, ...args], options) => bunExec.run([named(program!), ...args], options) };
}

function outcomeOf(code: number, stdout: string, stderr: string): Outcome {
  return { code, document: stdout.trim() === '' ? undefined : JSON.parse(stdout), stderr };
}

let serial = 0;

/** Network namespaces of a test, without a way out of them, and the plugins. Everything goes with `dispose`. */
export class Topology {
  /** Directory for what the test keeps. */
  readonly scratch: string;
  /** Our plugins. */
  readonly plugins: string;
  readonly #namespaces = new Map<string, string>();
  readonly #children: { kill(signal: NodeJS.Signals): void; exited: Promise<number> }[] = [];
  readonly #env: Record<string, string>;
  readonly #variant: Variant;
  /** Namespace of this process before it entered another. */
  #home: number | undefined;

  private constructor(variant: Variant) {
    this.scratch = mkdtempSync(join(tmpdir(), 'hostport-cni-'));
    this.plugins = join(this.scratch, 'bin');
    this.#env = { PATH: `${join(this.scratch, 'tools')}:/usr/sbin:/usr/bin:/sbin:/bin` };
    this.#variant = variant;
  }

  /** `variant` is what `iptables` means to the plugins. */
  static async create(variant: Variant = 'nft'): Promise<Topology> {
    const topology = new Topology(variant);
    const tools = join(topology.scratch, 'tools');
    await output(realExec, ['mkdir', '-p', tools]);
    for (const family of ['iptables', 'ip6tables']) {
      for (const suffix of ['', '-restore', '-save']) {
        symlinkSync(`/usr/sbin/${family}-${variant}${suffix}`, join(tools, family + suffix));
      }
    }
    copyTree(BUILT, topology.plugins, () => true);
    return topology;
  }

  /** Makes a namespace and sets its `lo` up. */
  async namespace(name: string, options: { loopback?: boolean } = {}): Promise<void> {
    const full = `hpt-${process.pid}-${++serial}-${name}`;
    await output(realExec, ['ip', 'netns', 'add', full]);
    this.#namespaces.set(name, full);
    // What the kernel itself sends to multicast groups would be tracked for ten minutes, as the only flow there is.
    inNetns(this.path(name), () => writeFileSync('/proc/sys/net/ipv4/igmp_link_local_mcast_reports', '0'));
    if (options.loopback !== false) await this.ok(name, ['ip', 'link', 'set', 'lo', 'up']);
  }

  /** Path of a namespace, as a runtime passes it. */
  path(name: string): string {
    return `/run/netns/${this.#full(name)}`;
  }

  /** Removes a namespace and all that is in it, as a runtime does with a sandbox. */
  async removeNamespace(name: string): Promise<void> {
    await output(realExec, ['ip', 'netns', 'delete', this.#full(name)]);
    this.#namespaces.delete(name);
  }

  /** Joins two namespaces by a pair of links called after the peer, each with an address. */
  async join(a: string, addressA: string, b: string, addressB: string): Promise<void> {
    const [linkA, linkB] = [`to-${b}`, `to-${a}`];
    await this.ok(a, [
      ...['ip', 'link', 'add', linkA, 'type', 'veth', 'peer', 'name', linkB],
      ...['netns', this.#full(b)],
    ]);
    for (const [name, link, address] of [
      [a, linkA, addressA],
      [b, linkB, addressB],
    ] as const) {
      await this.ok(name, ['ip', 'address', 'add', address, 'dev', link]);
      await this.ok(name, ['ip', 'link', 'set', link, 'up']);
    }
  }

  /**
   * Runs a command in a network namespace. It is found by the topology's PATH, whatever PATH it is given. Its mounts are the machine's: what
   * mounts starts with `unshare --mount`.
   */
  run(
    name: string,
    [program, ...args]: string[],
    stdin?: string,
    env: Record<string, string> = {},
  ): Promise<ExecResult> {
    const file = Bun.which(program!, { PATH: this.#env.PATH }) ?? program!;
    // The child is started before run() returns. "ip netns exec" would cost a process and a mount namespace more.
    return inNetns(this.path(name), () =>
      realExec.run([file, ...args], { stdin, env: { ...this.#env, ...env } }),
    );
  }

  /** Runs a command that must succeed, and returns what it printed. */
  async ok(name: string, argv: string[]): Promise<string> {
    const result = await this.run(name, argv);
    if (result.code !== 0) throw new ExecError(argv, result);
    return result.stdout;
  }

  /** Moves this process into a namespace until {@link dispose}; what {@link portmapHere} needs of a node. */
  enter(name: string): void {
    this.#home ??= openSync('/proc/thread-self/ns/net', 'r');
    enterNetns(this.path(name));
  }

  /** Starts a script of ours in a namespace; resolves when it says `ready`. Returns how to end it. */
  async start(
    name: string,
    script: string,
    args: string[] = [],
  ): Promise<{ pid: number; kill(signal: NodeJS.Signals): Promise<void>; log(): string }> {
    const child = inNetns(this.path(name), () =>
      Bun.spawn([process.execPath, 'run', script, ...args], {
        ...{ env: this.#env, stdout: 'pipe', stderr: 'pipe' },
      }),
    );
    this.#children.push({ kill: (signal) => child.kill(signal), exited: child.exited });
    let said = '';
    const log = (async () => {
      const decoder = new TextDecoder();
      for await (const chunk of child.stderr) said += decoder.decode(chunk, { stream: true });
    })();
    const reader = child.stdout.getReader();
    const { value } = await reader.read();
    reader.releaseLock();
    if (!new TextDecoder().decode(value).startsWith('ready')) {
      child.kill('SIGKILL');
      await log;
      throw new Error(`${script} in ${name} did not get ready: ${said}`);
    }
    return {
      pid: child.pid,
      kill: async (signal) => {
        child.kill(signal);
        await child.exited;
      },
      log: () => said,
    };
  }

  /** Calls a plugin as a process in the namespace of a node. */
  async cni(node: string, plugin: string, verb: string, call: Call): Promise<Outcome> {
    const environment = { ...this.#environmentOf(verb, call), ...call.env };
    const { code, stdout, stderr } = await this.run(node, [plugin], JSON.stringify(call.config), environment);
    return outcomeOf(code, stdout, stderr);
  }

  /**
   * Calls our portmap in this process, which must have entered the node: what a process of it does, without its start, which takes longer.
   * One call at a time.
   */
  async portmapHere(verb: string, call: Call): Promise<Outcome> {
    if (this.#home === undefined) throw new Error('this process is in no namespace of the topology');
    if (call.env !== undefined) throw new Error('an environment of its own is for a process');
    const machine = this.#variant === 'nft' ? { ...thisMachine, glance: glanceAtKernel } : thisMachine;
    // New for each call, as in a process: nothing is remembered but what is in files.
    const plugin = portmap(execOf(this.#variant), new AttachmentFiles(), machine);
    let [stdout, stderr] = ['', ''];
    const code = await runPlugin(plugin, {
      env: this.#environmentOf(verb, call),
      isOwnNetns,
      readStdin: async () => JSON.stringify(call.config),
      writeStdout: (text) => {
        stdout += text;
      },
      writeStderr: (text) => {
        stderr += text;
      },
    });
    return outcomeOf(code, stdout, stderr);
  }

  #environmentOf(verb: string, call: Call): Record<string, string> {
    return {
      CNI_COMMAND: verb,
      CNI_CONTAINERID: call.id,
      CNI_NETNS: call.netns ?? '',
      CNI_IFNAME: call.ifName ?? 'eth0',
      CNI_PATH: `${this.plugins}:${REFERENCE}`,
    };
  }

  /** The `nat` table of a namespace without what changes by itself. */
  async natRules(name: string, family: 'iptables' | 'ip6tables' = 'iptables'): Promise<string[]> {
    const text = await this.ok(name, [`${family}-save`, '-t', 'nat']);
    return text
      .split('\n')
      .filter((line) => /^[-:]/.test(line))
      .map((line) => line.replace(/ \[\d+:\d+\]$/, ''));
  }

  async dispose(): Promise<void> {
    for (const child of this.#children) {
      child.kill('SIGKILL');
      await child.exited;
    }
    if (this.#home !== undefined) {
      enterNetns(`/proc/self/fd/${this.#home}`);
      closeSync(this.#home);
    }
    for (const name of [...this.#namespaces.keys()]) await this.removeNamespace(name);
    rmSync(this.scratch, { recursive: true, force: true });
  }

  #full(name: string): string {
    const full = this.#namespaces.get(name);
    if (full === undefined) throw new Error(`no namespace ${name} in this topology`);
    return full;
  }
}
