import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { NodeReport } from '../../path/node-report.ts';
import { type Exec, output } from '../../sys/exec.ts';
import { observe } from './observe.ts';

type Netfilter = NodeReport['netfilter'];
type Tables = Netfilter['iptables'][number];

const TOOLS = [
  'nft',
  'iptables',
  'ip6tables',
  'iptables-nft',
  'ip6tables-nft',
  'iptables-legacy',
  'ip6tables-legacy',
  'conntrack',
];

/** Finds a program by its name; undefined when there is none. */
export type Which = (name: string) => string | undefined;

/** The rules of the node, as every tool that is there tells them. */
export async function readNetfilter(exec: Exec, which: Which, proc = '/proc'): Promise<Netfilter> {
  const tools = Object.fromEntries(
    TOOLS.flatMap((name) => {
      const path = which(name);
      return path === undefined ? [] : [[name, path] as const];
    }),
  );
  const [defaultVariant, nft, ...iptables] = await Promise.all([
    readDefaultVariant(exec, tools.iptables),
    observe('nft list ruleset', () =>
      tools.nft === undefined ? missing('nft') : output(exec, [tools.nft, '-j', 'list', 'ruleset']),
    ),
    ...(['ipv4', 'ipv6'] as const).flatMap((family) => [
      saveNft(exec, which, family),
      saveLegacy(exec, which, family, proc),
    ]),
  ]);
  return { tools, ...(defaultVariant === undefined ? {} : { defaultVariant }), iptables, nft };
}

function missing(tool: string): never {
  throw new Error(`${tool} is not on this node`);
}

async function saveNft(exec: Exec, which: Which, family: Tables['family']): Promise<Tables> {
  const program = family === 'ipv4' ? 'iptables-nft-save' : 'ip6tables-nft-save';
  const text = await observe(program, () => output(exec, [which(program) ?? missing(program), '-c']));
  return { variant: 'iptables-nft', family, text };
}

/**
 * The rules of the older kernel interface. Its tables come into being when a tool looks at them, so they are looked at only when
 * the kernel lists one: reading must not change the node.
 */
async function saveLegacy(exec: Exec, which: Which, family: Tables['family'], proc: string): Promise<Tables> {
  const program = family === 'ipv4' ? 'iptables-legacy-save' : 'ip6tables-legacy-save';
  const text = await observe(program, async () => {
    if (!hasLegacyTables(family, proc)) return '';
    return output(exec, [which(program) ?? missing(program), '-c']);
  });
  return { variant: 'iptables-legacy', family, text };
}

function hasLegacyTables(family: Tables['family'], proc: string): boolean {
  const path = join(proc, family === 'ipv4' ? 'net/ip_tables_names' : 'net/ip6_tables_names');
  try {
    return readFileSync(path, 'utf8').trim() !== '';
  } catch (cause) {
    // Without the module there are no tables.
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw cause;
  }
}

/** What the plain name `iptables` stands for, by what it says of itself: `iptables v1.8.9 (nf_tables)`. */
async function readDefaultVariant(
  exec: Exec,
  iptables: string | undefined,
): Promise<Netfilter['defaultVariant']> {
  if (iptables === undefined) return undefined;
  const said = await observe('iptables --version', () => output(exec, [iptables, '--version']));
  if ('unknown' in said) return undefined;
  return said.value.includes('nf_tables') ? 'iptables-nft' : 'iptables-legacy';
}
