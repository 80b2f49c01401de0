import { join } from 'node:path';
import { type NftTableName, nftTableNames } from '../../netfilter/nft/table-names.ts';
import type { NodeReport } from '../../path/model/node-report.ts';
import { known } from '../../path/model/observed.ts';
import { readKernelFile } from '../../sys/bounded-file.ts';
import { unlessMissing } from '../../sys/errno.ts';
import { type Exec, output } from '../../sys/exec.ts';
import { FAMILIES, FAMILY_OF_NFT, type Family, iptablesProgram, isNftFamily } from '../../util/family.ts';
import { observe } from './observe.ts';

type Netfilter = NodeReport['netfilter'];
type Tables = Netfilter['iptables'][number];
type ChainDevices = Extract<NonNullable<Netfilter['chainDevices']>, { value: unknown }>['value'][number];

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

/** What the kernel itself lists, without a tool. */
export interface Kernel {
  proc: string;
  /** The tables of nf_tables; undefined when the kernel does not list them. */
  nftTables(): readonly NftTableName[] | undefined;
}

const thisKernel: Kernel = { proc: '/proc', nftTables: nftTableNames };

/** What nft prints of a kernel without tables. */
const NO_TABLES = '{"nftables":[]}';

/** The tables that iptables-nft makes; xtables-nft.c. */
const OF_IPTABLES: readonly string[] = ['raw', 'mangle', 'nat', 'filter', 'security'];

/**
 * The rules of the node, as every installed tool lists them. Where a tool is not installed and the kernel has no tables that it would list,
 * its rules are known to be empty: nodes with one of the two iptables, or with nft alone, are common.
 */
export async function readNetfilter(
  exec: Exec,
  which: Which,
  kernel: Kernel = thisKernel,
): Promise<Netfilter> {
  const tools = Object.fromEntries(
    TOOLS.flatMap((name) => {
      const path = which(name);
      return path === undefined ? [] : [[name, path] as const];
    }),
  );
  const [defaultVariant, nft, ...iptables] = await Promise.all([
    readDefaultVariant(exec, tools.iptables),
    observe('nft list ruleset', () =>
      tools.nft === undefined
        ? withoutNft(kernel, which)
        : output(exec, [tools.nft, '-j', 'list', 'ruleset']),
    ),
    ...FAMILIES.flatMap((family) => [
      saveNft(exec, which, family, kernel),
      saveLegacy(exec, which, family, kernel.proc),
    ]),
  ]);
  const chainDevices = AT_DEVICES.test(known(nft) ?? '')
    ? await observe('nft list chains', async () =>
        parseChainDevices(await output(exec, [tools.nft!, 'list', 'chains'])),
      )
    : undefined;
  return {
    tools,
    ...(defaultVariant === undefined ? {} : { defaultVariant }),
    ...(chainDevices === undefined ? {} : { chainDevices }),
    iptables,
    nft,
  };
}

/** A chain at devices, as `nft -j` prints its hook. */
const AT_DEVICES = /"hook": ?"(?:in|e)gress"/;

/** Reads the devices of chains from what `nft list chains` prints. */
export function parseChainDevices(text: string): ChainDevices[] {
  const found: ChainDevices[] = [];
  let [family, table, chain] = ['', '', ''];
  for (const line of text.split('\n')) {
    const opened = /^\s*(?:table (\S+) (\S+)|chain (\S+)) \{/.exec(line);
    if (opened?.[3] !== undefined) chain = opened[3];
    else if (opened !== null) [family, table] = [opened[1]!, opened[2]!];
    // One as `device "eth0"`, several as `devices = { eth0, eth1 }`, with quotes or without.
    const listed = /hook \w+ (?:device (\S+)|devices = \{([^}]*)\})/.exec(line);
    const names = listed?.[1] ?? listed?.[2];
    if (names === undefined) continue;
    const devices = names.split(',').map((name) => name.trim().replace(/^"|"$/g, ''));
    found.push({ family, table, chain, devices: devices.filter((name) => name !== '') });
  }
  return found;
}

function missing(tool: string, tables: readonly NftTableName[] = []): never {
  const named = tables.map(({ family, name }) => `${family} ${name}`).join(', ');
  throw new Error(`${tool} is not on this node${named === '' ? '' : `, and the kernel has tables ${named}`}`);
}

async function saveNft(exec: Exec, which: Which, family: Family, kernel: Kernel): Promise<Tables> {
  const program = iptablesProgram('iptables-nft-save', family);
  const text = await observe(program, () => {
    const path = which(program);
    if (path !== undefined) return output(exec, [path, '-c']);
    // nft lists its tables as well.
    if (which('nft') !== undefined) return '';
    const own = tablesOf(kernel, program).filter((table) => familyOfIptables(table) === family);
    return own.length === 0 ? '' : missing(program, own);
  });
  return { variant: 'iptables-nft', family, text };
}

/** Empty rules where the kernel has no tables but those that iptables-nft-save lists; else why they are unknown. */
function withoutNft(kernel: Kernel, which: Which): string {
  const untold = tablesOf(kernel, 'nft').filter((table) => {
    const family = familyOfIptables(table);
    return family === undefined || which(iptablesProgram('iptables-nft-save', family)) === undefined;
  });
  return untold.length === 0 ? NO_TABLES : missing('nft', untold);
}

function familyOfIptables({ family, name }: NftTableName): Family | undefined {
  return OF_IPTABLES.includes(name) && isNftFamily(family) ? FAMILY_OF_NFT[family] : undefined;
}

function tablesOf(kernel: Kernel, tool: string): readonly NftTableName[] {
  return kernel.nftTables() ?? missing(tool);
}

/**
 * The rules of the older kernel interface. A tool creates its tables by reading them, so they are read only when
 * the kernel lists one: reading must not change the node.
 */
async function saveLegacy(exec: Exec, which: Which, family: Family, proc: string): Promise<Tables> {
  const program = iptablesProgram('iptables-legacy-save', family);
  const text = await observe(program, async () => {
    if (!hasLegacyTables(family, proc)) return '';
    return output(exec, [which(program) ?? missing(program), '-c']);
  });
  return { variant: 'iptables-legacy', family, text };
}

function hasLegacyTables(family: Family, proc: string): boolean {
  const path = join(proc, family === 'ipv4' ? 'net/ip_tables_names' : 'net/ip6_tables_names');
  // Without the module there are no tables.
  return (unlessMissing(() => readKernelFile(path)) ?? '').trim() !== '';
}

/** The variant of the plain name `iptables`, by its version text: `iptables v1.8.9 (nf_tables)`. */
async function readDefaultVariant(
  exec: Exec,
  iptables: string | undefined,
): Promise<Netfilter['defaultVariant']> {
  if (iptables === undefined) return undefined;
  const said = await observe('iptables --version', () => output(exec, [iptables, '--version']));
  if ('unknown' in said) return undefined;
  return said.value.includes('nf_tables') ? 'iptables-nft' : 'iptables-legacy';
}
