import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { copyTree } from '../../sys/copy-tree.ts';
import { type ExecResult, output, realExec } from '../../sys/exec.ts';

/** Where Debian's containernetworking-plugins puts the reference plugins. */
export const REFERENCE = '/usr/lib/cni';
/** Where `make dist/cni/portmap` puts ours; `scripts/test.ts` sees to it that they are up to date. */
const BUILT = join(import.meta.dir, '../../../dist/cni');

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

  private constructor(env: Record<string, string>) {
    this.scratch = mkdtempSync(join(tmpdir(), 'hostport-cni-'));
    this.plugins = join(this.scratch, 'bin');
    this.#env = env;
  }

  /** `variant` is what `iptables` means to the plugins. */
  static async create(variant: 'nft' | 'legacy' = 'nft'): Promise<Topology> {
    const topology = new Topology({});
    const tools = join(topology.scratch, 'tools');
    await output(realExec, ['mkdir', '-p', tools]);
    for (const family of ['iptables', 'ip6tables']) {
      for (const suffix of ['', '-restore', '-save']) {
        symlinkSync(`/usr/sbin/${family}-${variant}${suffix}`, join(tools, family + suffix));
      }
    }
    topology.#env.PATH = `${tools}:/usr/sbin:/usr/bin:/sbin:/bin`;
    // Names of the built files: each is 110 MB.
    copyTree(BUILT, topology.plugins, () => true);
    return topology;
  }

  /** Makes a namespace and sets its `lo` up. */
  async namespace(name: string, options: { loopback?: boolean } = {}): Promise<void> {
    const full = `hpt-${process.pid}-${++serial}-${name}`;
    await output(realExec, ['ip', 'netns', 'add', full]);
    this.#namespaces.set(name, full);
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

  /** Runs a command in a namespace. */
  run(name: string, argv: string[], stdin?: string, env: Record<string, string> = {}): Promise<ExecResult> {
    return realExec.run(['ip', 'netns', 'exec', this.#full(name), ...argv], {
      stdin,
      env: { ...this.#env, ...env },
    });
  }

  /** Runs a command that must succeed, and returns what it printed. */
  ok(name: string, argv: string[]): Promise<string> {
    return output(realExec, ['ip', 'netns', 'exec', this.#full(name), ...argv], { env: this.#env });
  }

  /** Starts a script of ours in a namespace; resolves when it says `ready`. Returns how to end it. */
  async start(
    name: string,
    script: string,
    args: string[] = [],
  ): Promise<{ pid: number; kill(signal: NodeJS.Signals): Promise<void>; log(): string }> {
    const child = Bun.spawn(
      ['ip', 'netns', 'exec', this.#full(name), process.execPath, 'run', script, ...args],
      { env: this.#env, stdout: 'pipe', stderr: 'pipe' },
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

  /** Calls a plugin in the namespace of a node. */
  async cni(node: string, plugin: string, verb: string, call: Call): Promise<Outcome> {
    // By env(1): a PATH of the call is the plugin's, not that of `ip`.
    const own = Object.entries(call.env ?? {}).map(([key, value]) => `${key}=${value}`);
    const result = await this.run(node, ['env', ...own, plugin], JSON.stringify(call.config), {
      CNI_COMMAND: verb,
      CNI_CONTAINERID: call.id,
      CNI_NETNS: call.netns ?? '',
      CNI_IFNAME: call.ifName ?? 'eth0',
      CNI_PATH: `${this.plugins}:${REFERENCE}`,
    });
    const { code, stdout, stderr } = result;
    return { code, document: stdout.trim() === '' ? undefined : JSON.parse(stdout), stderr };
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
    for (const name of [...this.#namespaces.keys()]) await this.removeNamespace(name);
    rmSync(this.scratch, { recursive: true, force: true });
  }

  #full(name: string): string {
    const full = this.#namespaces.get(name);
    if (full === undefined) throw new Error(`no namespace ${name} in this topology`);
    return full;
  }
}
