/** What the end-to-end tests share: the program, run as a user runs it, and what of a cluster can be seen from outside. */
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { nodeArgv } from '../../src/lab/cluster/node-exec.ts';
import { NodeServer } from '../../src/lab/doctor/node-server.ts';
import { ranSchema } from '../../src/node/serve/request.ts';
import { realExec } from '../../src/sys/exec.ts';
import { readProcFile } from '../../src/sys/processes.ts';
import { kubectls } from './kubectls.ts';

export const ROOT = join(import.meta.dir, '../..');
export const PROGRAM = join(ROOT, 'bin/hostport');
export const EXAMPLE = join(ROOT, 'examples/kind-cilium-portmap');

export interface Ran {
  code: number;
  stdout: string;
  stderr: string;
}

export interface CommandOptions {
  stdin?: string;
  /** 90 s if not given; the command is killed then. */
  timeoutMs?: number;
  /** On top of the lab's own. */
  env?: Record<string, string>;
}

/** Why the lab cannot run here; undefined when it can. Tests that need it are skipped with this reason. */
export function labMissing(): string | undefined {
  if (process.getuid?.() !== 0) return 'needs root';
  if (!existsSync(PROGRAM)) return 'needs bin/hostport (make build)';
  return undefined;
}

/** One cluster of a test, with a kubeconfig and scratch directory of its own. */
export class Lab {
  readonly scratch: string;
  readonly env: Record<string, string | undefined>;
  readonly name: string;
  readonly #servers = new Map<string, NodeServer>();

  constructor(name: string) {
    this.name = name;
    this.scratch = mkdtempSync(join(tmpdir(), `hostport-e2e-${name}-`));
    this.env = { ...process.env, KUBECONFIG: join(this.scratch, 'kubeconfig') };
  }

  /** Writes a file into the scratch directory and returns its path. */
  file(name: string, content: string): string {
    const path = join(this.scratch, name);
    writeFileSync(path, content);
    return path;
  }

  hostport(...words: string[]): Promise<Ran> {
    return this.command([PROGRAM, ...words]);
  }

  /** Runs the program and throws when it fails. */
  async must(...words: string[]): Promise<string> {
    const ran = await this.hostport(...words);
    if (ran.code !== 0) {
      throw new Error(`hostport ${words.join(' ')}: exit ${ran.code}\n${ran.stdout}${ran.stderr}`);
    }
    return ran.stdout;
  }

  async command(argv: string[], options: CommandOptions = {}): Promise<Ran> {
    const child = Bun.spawn(argv, {
      env: { ...this.env, ...options.env },
      stdin: options.stdin === undefined ? 'ignore' : new TextEncoder().encode(options.stdin),
      stdout: 'pipe',
      stderr: 'pipe',
      timeout: options.timeoutMs ?? 90_000,
      killSignal: 'SIGKILL',
    });
    const [stdout, stderr, code] = await Promise.all([
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
      child.exited,
    ]);
    return { code, stdout, stderr };
  }

  /**
   * kubectl from the machine's own namespace, over the published port: the newest there is, or the one at a path. One lives a tenth of a
   * second, so that collecting its garbage would only cost time.
   */
  kubectl(words: string[], options: CommandOptions & { kubectl?: string } = {}): Promise<Ran> {
    const env = { GOGC: 'off', ...options.env };
    return this.command([options.kubectl ?? kubectls().at(-1)!, ...words], { ...options, env });
  }

  /** Starts a command that runs until it is stopped: a watch, a log that is followed, a forwarded port. */
  start(argv: string[]): Started {
    return new Started(argv, this.env);
  }

  /** A command where the how-to's author sits. */
  inLab(...argv: string[]): Promise<Ran> {
    return this.hostport('run', '--name', this.name, '--', ...argv);
  }

  inNode(node: string, ...argv: string[]): Promise<Ran> {
    return this.hostport('exec', node, '--', ...argv);
  }

  /** As {@link kubectl}; throws when it fails, and returns what it printed. */
  async mustKubectl(...words: string[]): Promise<string> {
    const ran = await this.kubectl(words);
    if (ran.code !== 0) throw new Error(`kubectl ${words.join(' ')}: ${ran.stderr}`);
    return ran.stdout;
  }

  /**
   * As {@link inNode}, by way of one process that stays in the node, for what is asked many times: `hostport exec` is two more processes
   * each time. Rejects when the command cannot be started.
   */
  async askNode(node: string, ...argv: string[]): Promise<Ran> {
    let server = this.#servers.get(node);
    if (server === undefined) {
      server = new NodeServer(() => nodeArgv(realExec, node, ['hostport', 'node-serve']));
      this.#servers.set(node, server);
    }
    return ranSchema.parse(await server.ask({ do: 'run', argv }, { timeoutMs: 90_000 }));
  }

  /** As {@link askNode}; throws when the command fails, and returns what it printed. */
  async mustAskNode(node: string, ...argv: string[]): Promise<string> {
    const ran = await this.askNode(node, ...argv);
    if (ran.code !== 0) throw new Error(`${argv.join(' ')}: exit ${ran.code}: ${ran.stderr}`);
    return ran.stdout;
  }

  async delete(): Promise<void> {
    await Promise.all([...this.#servers.values()].map((server) => server.close()));
    await this.must('delete', 'cluster', '--name', this.name);
    rmSync(this.scratch, { recursive: true, force: true });
  }
}

/** A command under way, what it has printed so far, and its standard input. */
export class Started {
  readonly #argv: string[];
  readonly #child: Bun.Subprocess<'pipe', 'pipe', 'pipe'>;
  #printed = '';
  #changed = Promise.withResolvers<void>();
  /** Resolves when all that it printed has been read. */
  readonly #read: Promise<unknown>;
  #over = false;

  constructor(argv: string[], env: Record<string, string | undefined>) {
    this.#argv = argv;
    this.#child = Bun.spawn(argv, { env, stdin: 'pipe', stdout: 'pipe', stderr: 'pipe' });
    this.#read = Promise.all([this.#gather(this.#child.stdout), this.#gather(this.#child.stderr)]).then(
      () => {
        this.#over = true;
        this.#changed.resolve();
      },
    );
  }

  /** Standard output and error, as they came. */
  get printed(): string {
    return this.#printed;
  }

  /** Resolves with its exit status when it has ended and all that it printed is there. */
  get exited(): Promise<number> {
    return this.#read.then(() => this.#child.exited);
  }

  /** Waits until what it has printed matches; throws with what was printed when it does not within `timeoutMs`. */
  async until(pattern: RegExp, timeoutMs = 30_000): Promise<RegExpMatchArray> {
    const deadline = AbortSignal.timeout(timeoutMs);
    const late = new Promise<void>((resolve) => deadline.addEventListener('abort', () => resolve()));
    for (;;) {
      const found = this.#printed.match(pattern);
      if (found !== null) return found;
      if (deadline.aborted || this.#over) {
        const how = this.#over ? 'before its end' : `in ${timeoutMs} ms`;
        throw new Error(`${this.#argv.join(' ')}: nothing matched ${pattern} ${how}\n${this.#printed}`);
      }
      await Promise.race([this.#changed.promise, late]);
    }
  }

  get pid(): number {
    return this.#child.pid;
  }

  type(text: string): void {
    this.#child.stdin.write(text);
    this.#child.stdin.flush();
  }

  /** Ends its standard input. */
  async endInput(): Promise<void> {
    await this.#child.stdin.end();
  }

  /** Sends it what Ctrl-C sends. */
  interrupt(): void {
    this.#child.kill('SIGINT');
  }

  /** Kills it, so that it can clear up nothing. */
  kill(): void {
    this.#child.kill('SIGKILL');
  }

  /** Interrupts it, and waits until it has ended. */
  async stop(): Promise<void> {
    this.interrupt();
    await this.#child.exited;
  }

  async #gather(stream: ReadableStream<Uint8Array>): Promise<void> {
    const decoder = new TextDecoder();
    for await (const chunk of stream) {
      this.#printed += decoder.decode(chunk, { stream: true });
      this.#changed.resolve();
      this.#changed = Promise.withResolvers<void>();
    }
  }
}

/** Everything of a cluster that is left on the machine; empty when nothing is. */
export function leftovers(cluster: string): string[] {
  const found: string[] = [];
  const names = new RegExp(
    `/hostport-${cluster}-${cluster}-(?:control-plane|worker\\d*)(?:[/\\s]|$)|/hostport-${cluster}(?![\\w.-])|/clusters/${cluster}/`,
    'm',
  );
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    // A zombie holds nothing any more; the machine's PID 1 takes its number back when it gets to it.
    if (/^State:\s+[ZX]/m.test(readProcFile(`/proc/${entry}/status`))) continue;
    const cgroup = readProcFile(`/proc/${entry}/cgroup`);
    const cmdline = readProcFile(`/proc/${entry}/cmdline`).replaceAll('\0', ' ');
    if (names.test(cgroup) || names.test(cmdline)) found.push(`process ${entry}: ${cmdline}`);
  }
  for (const line of readProcFile('/proc/self/mountinfo').split('\n')) {
    if (names.test(line)) found.push(`mount ${line}`);
  }
  for (const path of [
    `/run/netns/hostport-${cluster}`,
    `/run/hostport/clusters/${cluster}.lock`,
    `/var/lib/hostport/clusters/${cluster}`,
  ]) {
    if (existsSync(path)) found.push(`file ${path}`);
  }
  for (const directory of ['/sys/fs/cgroup', ...directoriesIn('/sys/fs/cgroup')]) {
    for (const path of directoriesIn(directory)) if (names.test(path)) found.push(`cgroup ${path}`);
  }
  return found;
}

function directoriesIn(path: string): string[] {
  return readdirSync(path, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => join(path, entry.name));
}
