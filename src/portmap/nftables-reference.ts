import { CniError, cniErrorCode } from '../cni/errors.ts';
import type { AttachmentKey } from '../cni/result-cache.ts';
import { type NftRuleset, type PrintedRule, printedRules } from '../netfilter/nft/nft.ts';
import { type Exec, ExecError } from '../sys/exec.ts';
import { formatEndpoint } from '../util/endpoint.ts';
import { NFT_FAMILY } from '../util/family.ts';
import { canonicalAddress } from '../util/ip.ts';
import type { Attachments } from './attachments.ts';
import { attachmentChain, type Owner, REFERENCE_NFT_TABLE } from './layout.ts';
import type { Rules } from './machine.ts';
import type { InstalledMapping } from './rules.ts';

/** The reference's table, of family ip and of family ip6, has these chains with rules of containers. */
const CHAINS = new Set(['hostports', 'hostip_hostports', 'masquerading']);

/**
 * What the reference plugin left in nftables: one rule for each mapping, with the container ID as its comment and no network name.
 * These rules are only removed here, never added.
 */
export class ReferenceTables {
  readonly #exec: Exec;
  readonly #attachments: Attachments;
  readonly #machine: Pick<Rules, 'foreignRules'>;

  constructor(exec: Exec, attachments: Attachments, machine: Pick<Rules, 'foreignRules'>) {
    this.#exec = exec;
    this.#attachments = attachments;
    this.#machine = machine;
  }

  /** Removes the rules of a container, except those that lead to another interface of it: their comments are the same. */
  async remove(key: AttachmentKey): Promise<InstalledMapping[]> {
    let others: ReadonlySet<string> | undefined;
    return this.#remove(
      (comment) => comment === key.containerId,
      (rule) => {
        others ??= this.#attachments.addressesOfOthers(key, 'any');
        const destination = destinationOf(rule);
        return destination !== undefined && others.has(canonicalAddress(destination));
      },
    );
  }

  /**
   * Rules do not name their network. A rule is removed when its container has no attachment to keep and libcni's cache says
   * that it was attached to this network and its sandbox is gone: without this proof it could belong to another network.
   */
  async collect(networkName: string, kept: readonly Owner[]): Promise<InstalledMapping[]> {
    const keep = new Set(kept.map(({ containerId }) => containerId));
    return this.#remove((containerId) => {
      if (keep.has(containerId)) return false;
      const chain = attachmentChain(networkName, containerId);
      return this.#attachments.sandboxState(chain, { networkName, containerId }) === 'gone';
    });
  }

  /** Where the IPv4 rules of all containers lead, as {@link InstalledMapping} has it. */
  async targets(): Promise<string[]> {
    const isThere = this.#machine
      .foreignRules('ip', REFERENCE_NFT_TABLE)
      .some(({ chain }) => CHAINS.has(chain));
    return isThere ? (await this.#list('ip')).flatMap(({ expr }) => expr.flatMap(targetOf)) : [];
  }

  async #remove(
    isWanted: (comment: string) => boolean,
    isSpared: (rule: PrintedRule) => boolean = () => false,
  ): Promise<InstalledMapping[]> {
    const removed: InstalledMapping[] = [];
    for (const family of Object.values(NFT_FAMILY)) {
      // Ask the kernel first: most machines have no such table, and need not start nft to find out.
      const found = this.#machine
        .foreignRules(family, REFERENCE_NFT_TABLE)
        .some(({ chain, comment }) => CHAINS.has(chain) && comment !== undefined && isWanted(comment));
      if (!found) continue;
      const rules = (await this.#list(family)).filter(
        (rule) =>
          CHAINS.has(rule.chain) && rule.comment !== undefined && isWanted(rule.comment) && !isSpared(rule),
      );
      if (rules.length === 0) continue;
      const document = rules.map(
        ({ chain, handle }) => `delete rule ${family} ${REFERENCE_NFT_TABLE} ${chain} handle ${handle}\n`,
      );
      const argv = ['nft', '-f', '-'];
      const result = await this.#exec.run(argv, { stdin: document.join('') });
      if (result.code !== 0) throw asCniError(new ExecError(argv, result));
      removed.push(...rules.flatMap(mappingOf));
    }
    return removed;
  }

  async #list(family: string): Promise<PrintedRule[]> {
    const argv = ['nft', '-j', 'list', 'table', family, REFERENCE_NFT_TABLE];
    const result = await this.#exec.run(argv);
    if (result.code !== 0) throw asCniError(new ExecError(argv, result));
    return printedRules(JSON.parse(result.stdout) as NftRuleset);
  }
}

/** The pod's address in a rule of the reference: what it translates to, or where what it masquerades goes. */
function destinationOf({ expr }: PrintedRule): string | undefined {
  let destination: string | undefined;
  for (const statement of expr) {
    const match = statement.match as { left?: { payload?: Payload }; right?: unknown } | undefined;
    if (match?.left?.payload?.field === 'daddr' && typeof match.right === 'string') destination = match.right;
    const dnat = statement.dnat as { addr?: unknown } | undefined;
    if (typeof dnat?.addr === 'string') return dnat.addr;
  }
  return destination;
}

/** What a rule of the reference translates; nothing for its masquerading. */
function mappingOf({ expr }: PrintedRule): InstalledMapping[] {
  let [protocol, hostPort, hostIP]: [string?, number?, string?] = [];
  for (const statement of expr) {
    const match = statement.match as { left?: { payload?: Payload }; right?: unknown } | undefined;
    const payload = match?.left?.payload;
    if (payload?.field === 'dport' && typeof match?.right === 'number') {
      [protocol, hostPort] = [payload.protocol, match.right];
    }
    if (payload?.field === 'daddr' && typeof match?.right === 'string') hostIP = match.right;
    const [target] = targetOf(statement);
    if (target === undefined || protocol === undefined || hostPort === undefined) continue;
    return [{ protocol, hostPort, hostIP, target }];
  }
  return [];
}

/** What a statement translates the destination to, if it does: what is not an address with ports, as nft prints it. */
function targetOf({ dnat }: PrintedRule['expr'][number]): string[] {
  if (dnat === undefined) return [];
  const { addr, port } = (dnat ?? {}) as { addr?: unknown; port?: unknown };
  const ports = port === undefined || typeof port === 'number' ? port : rangeOf(port);
  if (typeof addr !== 'string' || (port !== undefined && ports === undefined)) return [JSON.stringify(dnat)];
  return [ports === undefined ? addr : formatEndpoint({ address: addr, port: ports })];
}

function rangeOf(port: unknown): string | undefined {
  const { range } = (port ?? {}) as { range?: unknown };
  return Array.isArray(range) ? range.join('-') : undefined;
}

interface Payload {
  protocol: string;
  field: string;
}

function asCniError(cause: ExecError): CniError {
  return new CniError(cniErrorCode.internal, 'mappings of the reference plugin not removed', cause.message, {
    cause,
  });
}
