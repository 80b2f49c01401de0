import { CniError, cniErrorCode } from '../cni/errors.ts';
import type { NftElement } from '../netfilter/nft/nft.ts';
import { type Exec, realExec } from '../sys/exec.ts';
import { FAMILIES, type Family } from '../util/family.ts';
import { withRulesLock } from './alone.ts';
import { AttachmentFiles } from './attachments.ts';
import { backends, podsOfOthers } from './backends.ts';
import {
  DNAT_CHAIN,
  MASQ_CHAIN,
  NFT_TABLE,
  type Owner,
  parseEntries,
  parseOwner,
  SETMARK_CHAIN,
} from './layout.ts';
import { type Machine, thisMachine } from './machine.ts';
import { mappingsIn } from './nftables-backend.ts';
import { allNftMaps, claimMaps, FURTHER_LAYERS, mapIn, ownerOfElement } from './nftables-layout.ts';
import { neededByOthers, RouteLocalnet } from './route-localnet.ts';
import { deletion, type InstalledMapping, parseMappings } from './rules.ts';
import { STATE_DIRECTORY } from './state.ts';

/** A mapping that was removed, and whose it was as far as its rules say. */
export interface RemovedMapping extends InstalledMapping {
  backend: 'nftables' | 'iptables';
  owner: Owner | undefined;
}

/** What a cleanup removed, or would remove. */
export interface Cleanup {
  mappings: RemovedMapping[];
  /** The rest, in words: a table, a chain, a setting of a device, a directory. */
  others: string[];
  /** Mappings of other plugins, which stay. */
  kept: number;
}

/** What a cleanup works on; this machine unless a test says otherwise. */
export interface CleanupScene {
  exec: Exec;
  machine: Machine;
  attachments: AttachmentFiles;
  routeLocalnet: RouteLocalnet;
}

/** How often a transaction is planned, when something else changes the table at the same time. */
const MAX_ATTEMPTS = 4;

/**
 * Removes everything that this portmap has on the machine, whoever it belongs to: its nftables table, its chains in iptables, what it set on
 * devices, and what it remembers. What the reference plugin made stays, and the chains that both share as long as it needs them. It may
 * run any number of times, and needs no plugin. With `isDryRun` nothing is changed.
 */
export async function cleanUp(
  isDryRun: boolean,
  warn: (message: string) => void,
  scene: CleanupScene = here(),
): Promise<Cleanup> {
  const { machine, attachments, routeLocalnet } = scene;
  const found: Cleanup = { mappings: [], others: [], kept: 0 };
  const work = async (exec: Exec): Promise<void> => {
    await cleanNftables(scene, exec, isDryRun, found);
    for (const family of FAMILIES) await cleanIptables(scene, exec, family, isDryRun, found);
    const recorded = attachments.recorded();
    const devices = [...recorded].flatMap(([chain, { devices }]) =>
      devices.map((device) => ({ chain, device })),
    );
    const held = new Set(
      devices.flatMap(({ chain, device }) =>
        routeLocalnet.isHeld(chain, device.index) ? [device.name] : [],
      ),
    );
    found.others.push(...[...held].map((name) => `route_localnet of ${name}`));
    if (isDryRun) {
      if (recorded.size > 0) found.others.push(`records of ${recorded.size} attachments`);
      return;
    }
    const isNeeded = neededByOthers(machine, () =>
      podsOfOthers(backends(exec, attachments, warn, machine), warn),
    );
    await routeLocalnet.tidy(() => false, isNeeded);
    if (attachments.discard()) found.others.push(`${STATE_DIRECTORY}/portmap`);
    if (routeLocalnet.discard()) found.others.push(`${STATE_DIRECTORY}/route_localnet`);
  };
  await withRulesLock(machine, scene.exec, work);
  return found;
}

function here(): CleanupScene {
  return {
    ...{ exec: realExec, machine: thisMachine, attachments: new AttachmentFiles() },
    routeLocalnet: new RouteLocalnet(thisMachine),
  };
}

async function cleanNftables(
  { machine }: CleanupScene,
  exec: Exec,
  isDryRun: boolean,
  found: Cleanup,
): Promise<void> {
  const table = machine.nft(exec, NFT_TABLE, allNftMaps);
  const claims: NftElement[] = [];
  for (const layer of [0, ...FURTHER_LAYERS]) {
    for (const map of claimMaps) claims.push(...(await table.list(mapIn(map, layer))));
  }
  const targets = await table.look(claims.map(({ map, key }) => ({ map: `${map}_targets`, key })));
  for (const [i, claim] of claims.entries()) {
    const owner =
      ownerOfElement(claim.comment) ?? parseOwner(claim.comment, { family: 'inet', name: NFT_TABLE });
    const [mapping] = mappingsIn(claim, targets[i]);
    if (mapping !== undefined) found.mappings.push({ ...mapping, backend: 'nftables', owner });
  }
  const isThere = isDryRun ? await table.exists() : await table.destroy();
  if (isThere) found.others.push(`table inet ${NFT_TABLE}`);
}

/** Chains that have a record, or rules of a second interface, which the reference does not know, are ours. */
async function cleanIptables(
  { machine, attachments }: CleanupScene,
  exec: Exec,
  family: Family,
  isDryRun: boolean,
  found: Cleanup,
): Promise<void> {
  const recorded = [...attachments.recorded().keys()];
  if (![DNAT_CHAIN, ...recorded].some((chain) => machine.mayHaveIptablesChain(chain, family))) return;
  const nat = machine.nat(exec, family);
  let last = '';
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    const lines = await nat.listAll();
    const entries = parseEntries(lines.filter((line) => line.startsWith(`-A ${DNAT_CHAIN} `)));
    const isOurs = (chain: string, owner?: Owner) =>
      attachments.hasRecord(chain) || owner?.ifName !== undefined;
    const own = new Map(
      entries.filter(({ chain, owner }) => isOurs(chain, owner)).map((e) => [e.chain, e.owner]),
    );
    for (const chain of recorded) {
      if (!own.has(chain) && (await nat.listChain(chain)) !== undefined) own.set(chain, undefined);
    }
    const commands = entries.filter(({ chain }) => own.has(chain)).map(({ line }) => deletion(line));
    const mappings: RemovedMapping[] = [];
    for (const [chain, owner] of own) {
      const rules = lines.filter((line) => line.startsWith(`-A ${chain} `));
      mappings.push(
        ...parseMappings(rules).map((mapping) => ({ ...mapping, backend: 'iptables' as const, owner })),
      );
      commands.push(`-F ${chain}`, `-X ${chain}`);
    }
    const others = lines.filter(
      (line) =>
        line.startsWith(`-A ${DNAT_CHAIN} `) && !entries.some((e) => e.line === line && own.has(e.chain)),
    );
    const shared = others.length === 0 ? await sharedChains(nat, lines, own) : { commands: [], chains: [] };
    commands.push(...shared.commands);
    const outcome =
      isDryRun || commands.length === 0 ? { applied: true as const } : await nat.restore(commands);
    if (outcome.applied) {
      found.mappings.push(...mappings);
      found.kept += others.length;
      found.others.push(...shared.chains.map((chain) => `chain ${chain} (${family})`));
      return;
    }
    last = outcome.reason;
  }
  throw new CniError(cniErrorCode.internal, `cannot remove port mappings (${family})`, last);
}

/**
 * The commands that remove the chains that nothing needs any more, and what leads to them. Their rules are deleted one by one: when another
 * plugin has added one meanwhile, its chain is not empty, and the transaction fails.
 */
async function sharedChains(
  nat: { listChain(chain: string): Promise<string[] | undefined> },
  lines: readonly string[],
  own: ReadonlyMap<string, unknown>,
): Promise<{ commands: string[]; chains: string[] }> {
  const commands: string[] = [];
  const chains: string[] = [];
  for (const chain of [DNAT_CHAIN, SETMARK_CHAIN, MASQ_CHAIN]) {
    const rules = await nat.listChain(chain);
    if (rules === undefined) continue;
    const jumps = lines.filter((line) => line.endsWith(` -j ${chain}`) && !own.has(line.split(' ', 2)[1]!));
    const isBuiltIn = (line: string) => /^-A (?:PREROUTING|OUTPUT|POSTROUTING) /.test(line);
    // A rule of somebody else marks by it still.
    if (!jumps.every(isBuiltIn)) continue;
    const left = chain === DNAT_CHAIN ? [] : rules;
    commands.push(...[...jumps, ...left].map(deletion), `-X ${chain}`);
    chains.push(chain);
  }
  return { commands, chains };
}
