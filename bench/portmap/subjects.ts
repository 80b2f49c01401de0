import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { output, realExec } from '../../src/sys/exec.ts';

export type Backend = 'iptables' | 'nftables';

/** A portmap that is measured. */
export interface Subject {
  name: string;
  plugin: string;
  isOurs: boolean;
  backends: readonly Backend[];
}

const root = join(import.meta.dir, '../..');
/** The reference's module, as its project publishes it. */
const MODULE = 'github.com/containernetworking/plugins/plugins/meta/portmap@latest';

/** Ours (PORTMAP, default dist/cni/portmap), the reference of the distribution (REFERENCE_PORTMAP, default Debian's), and `current`. */
export async function findSubjects(current: string | undefined): Promise<Subject[]> {
  const subjects: Subject[] = [
    {
      name: 'ours',
      plugin: process.env.PORTMAP ?? join(root, 'dist/cni/portmap'),
      isOurs: true,
      backends: ['iptables', 'nftables'],
    },
  ];
  const distribution = process.env.REFERENCE_PORTMAP ?? '/usr/lib/cni/portmap';
  if (existsSync(distribution)) {
    const name = `reference ${await versionOf(distribution)}`;
    subjects.push({ name, plugin: distribution, isOurs: false, backends: ['iptables'] });
  } else console.log(`without the distribution's reference plugin: ${distribution} does not exist`);
  if (current !== undefined) {
    const name = `reference ${await versionOf(current)}`;
    subjects.push({ name, plugin: current, isOurs: false, backends: ['iptables', 'nftables'] });
  }
  return subjects;
}

/** The reference as it is now: CURRENT_PORTMAP, or installed into `scratch` by `go install`. Prints why when it is not available. */
export async function currentReference(scratch: string): Promise<string | undefined> {
  if (process.env.CURRENT_PORTMAP !== undefined) return process.env.CURRENT_PORTMAP;
  const program = go();
  if (program === undefined) {
    console.log('without the current reference plugin: Go is not installed');
    return undefined;
  }
  const env = { ...process.env, GOBIN: scratch };
  const { code, stderr } = await realExec.run([program, 'install', MODULE], { env, timeoutMs: 300_000 });
  if (code !== 0) {
    console.log(`without the current reference plugin: go install: ${stderr.trim().split('\n').at(-1)}`);
    return undefined;
  }
  return join(scratch, 'portmap');
}

/** The version of the package that a file is of, or else of the Go module that it says it was built from. */
async function versionOf(plugin: string): Promise<string> {
  const owner = await realExec.run(['dpkg-query', '--search', plugin]).catch(() => undefined);
  if (owner?.code === 0) {
    const name = owner.stdout.split(':')[0]!;
    const version = await output(realExec, [
      'dpkg-query',
      '--show',
      '--showformat=${source:Upstream-Version}',
      name,
    ]);
    return version.replace(/\+.*/, '');
  }
  const info = await output(realExec, [go() ?? 'go', 'version', '-m', plugin]);
  return /\tmod\t\S+\tv(\S+)/.exec(info)?.[1] ?? 'of unknown version';
}

function go(): string | undefined {
  const usual = '/usr/local/go/bin/go';
  return Bun.which('go') ?? (existsSync(usual) ? usual : undefined);
}
