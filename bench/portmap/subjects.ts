import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { builtPart } from '../../scripts/real/part.ts';
import { realPart } from '../../scripts/real/parts.ts';
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

/** The reference as it is now: CURRENT_PORTMAP, or what `make real` has built. Prints how to have it when it is not there. */
export async function currentReference(): Promise<string | undefined> {
  if (process.env.CURRENT_PORTMAP !== undefined) return process.env.CURRENT_PORTMAP;
  const part = await realPart('reference-portmap');
  if ((await builtPart(part)) !== undefined) return join(part.directory, 'portmap');
  console.log(`without the reference plugin ${part.version}: build it by make real PARTS=${part.name}`);
  return undefined;
}

/** The version of the package that a file is of, or else the one that it says it is. */
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
  const { stderr } = await realExec.run([plugin], { env: {} });
  return /^CNI portmap plugin v(\S+)/.exec(stderr)?.[1] ?? 'of unknown version';
}
