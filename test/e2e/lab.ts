/** What the end-to-end tests share: the program, run as a user runs it, and what of a cluster can be seen from outside. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const ROOT = join(import.meta.dir, '../..');
export const PROGRAM = join(ROOT, 'bin/hostport');
export const EXAMPLE = join(ROOT, 'examples/kind-cilium-portmap');

export interface Ran {
  code: number;
  stdout: string;
  stderr: string;
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

  async command(argv: string[], options: { stdin?: string; timeoutMs?: number } = {}): Promise<Ran> {
    const child = Bun.spawn(argv, {
      env: this.env,
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

  /** kubectl (of a given name on PATH) from the machine's own namespace, over the published port. */
  kubectl(words: string[], options: { kubectl?: string; stdin?: string } = {}): Promise<Ran> {
    return this.command([options.kubectl ?? 'kubectl', ...words], options);
  }

  /** A command where the how-to's author sits. */
  inLab(...argv: string[]): Promise<Ran> {
    return this.hostport('run', '--name', this.name, '--', ...argv);
  }

  inNode(node: string, ...argv: string[]): Promise<Ran> {
    return this.hostport('exec', node, '--', ...argv);
  }

  async delete(): Promise<void> {
    await this.must('delete', 'cluster', '--name', this.name);
    rmSync(this.scratch, { recursive: true, force: true });
  }
}

/** Everything of a cluster that is left on the machine; empty when nothing is. */
export function leftovers(cluster: string): string[] {
  const found: string[] = [];
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    // A zombie has ended and holds nothing but its number, until the machine's init asks how it ended.
    if (/^State:\s+[ZX]/m.test(readProc(`/proc/${entry}/status`))) continue;
    const cgroup = readProc(`/proc/${entry}/cgroup`);
    const cmdline = readProc(`/proc/${entry}/cmdline`).replaceAll('\0', ' ');
    if (cgroup.includes(`/hostport-${cluster}-`) || cmdline.includes(`/clusters/${cluster}/gateway`)) {
      found.push(`process ${entry}: ${cmdline}`);
    }
  }
  for (const line of readProc('/proc/self/mountinfo').split('\n')) {
    if (line.includes(`hostport-${cluster}`) || line.includes(`/clusters/${cluster}/`))
      found.push(`mount ${line}`);
  }
  for (const path of [`/run/netns/hostport-${cluster}`, `/var/lib/hostport/clusters/${cluster}`]) {
    if (existsSync(path)) found.push(`file ${path}`);
  }
  for (const controller of readdirSync('/sys/fs/cgroup', { withFileTypes: true })) {
    if (!controller.isDirectory()) continue;
    for (const entry of readdirSync(join('/sys/fs/cgroup', controller.name))) {
      if (entry.startsWith(`hostport-${cluster}-`)) found.push(`cgroup ${controller.name}/${entry}`);
    }
  }
  return found;
}

/** A file of /proc; empty when its process has gone meanwhile. */
function readProc(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' || code === 'ESRCH') return '';
    throw cause;
  }
}
