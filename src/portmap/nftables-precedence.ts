import { type NftRuleset, type PrintedRule, printedRules } from '../netfilter/nft/nft.ts';
import { type Family, NFT_FAMILY } from '../util/family.ts';

/**
 * Whether something in nftables takes a packet before our table does: rules of other base chains of type nat with a lower priority,
 * as `nft -j` prints them.
 */

type Statement = PrintedRule['expr'][number];

/** A packet to a mapped port. */
export interface MappedPacket {
  family: Family;
  protocol: string;
  port: number;
  /** The address it goes to; undefined: any of this machine. */
  address: string | undefined;
}

/** Where packets from outside and from this machine are translated. */
const HOOKS = ['prerouting', 'output'];
/** Statements after which no later rule sees the packet. */
const TAKING = ['dnat', 'redirect', 'drop', 'reject'];
/** Statements that only note something. */
const HARMLESS = ['counter', 'log', 'mangle'];

/**
 * The rule that is certain to take some packet of this kind before a chain of priority `before` sees it, in words; undefined when
 * there is none. Only rules count whose matches say nothing of the packet that is not known: what is found is a fact, and what
 * is not may still be.
 */
export function takenBefore(ruleset: NftRuleset, before: number, packet: MappedPacket): string | undefined {
  const families = [NFT_FAMILY[packet.family], 'inet'];
  const rules = printedRules(ruleset);
  const first = ruleset.nftables
    .flatMap(({ chain }) => (chain === undefined ? [] : [chain]))
    .filter(
      ({ family, type, hook = '' }) => families.includes(family) && type === 'nat' && HOOKS.includes(hook),
    )
    .filter(({ prio }) => prio !== undefined && prio < before)
    .sort((a, b) => a.prio! - b.prio!);
  for (const { family, table, name } of first) {
    const ofTable = rules.filter((rule) => rule.family === family && rule.table === table);
    const taken = walk(ofTable, name, packet, new Set());
    if (taken !== undefined)
      return `${JSON.stringify(taken.expr)} in chain ${taken.chain} of ${family} ${table}`;
  }
  return undefined;
}

function walk(
  rules: readonly PrintedRule[],
  chain: string,
  packet: MappedPacket,
  entered: Set<string>,
): PrintedRule | undefined {
  // The kernel refuses loops; a chain that is entered twice has let the packet pass before.
  if (entered.has(chain)) return undefined;
  entered.add(chain);
  for (const rule of rules) {
    if (rule.chain !== chain || !rule.expr.every((statement) => passes(statement, packet))) continue;
    const last = rule.expr.at(-1) ?? {};
    if (TAKING.some((verb) => verb in last)) return rule;
    if ('return' in last || 'accept' in last) return undefined;
    const target = (last.jump ?? last.goto) as { target: string } | undefined;
    if (target === undefined) continue;
    const taken = walk(rules, target.target, packet, entered);
    if (taken !== undefined) return taken;
    if ('goto' in last) return undefined;
  }
  return undefined;
}

/** Whether a packet of this kind is certain to get past a statement. */
function passes(statement: Statement, packet: MappedPacket): boolean {
  const [verb = ''] = Object.keys(statement);
  if (verb !== 'match') {
    const verdicts = ['jump', 'goto', 'return', 'accept', ...TAKING];
    // A translation that looks its target up in a map takes only what is in there.
    if (verb === 'dnat') return !JSON.stringify(statement).includes('"map"');
    return verdicts.includes(verb) || HARMLESS.includes(verb);
  }
  const { op, left, right } = statement.match as { op: string; left: Statement; right: unknown };
  const known = knownOf(left, packet);
  if (known === undefined || (op !== '==' && op !== '!=' && op !== 'in')) return false;
  return isAmong(known, right) === (op !== '!=');
}

/** What is known of a field of the packet. */
function knownOf(left: Statement, packet: MappedPacket): string | number | undefined {
  const payload = left.payload as { protocol?: string; field?: string } | undefined;
  if (payload?.field === 'dport') {
    const fits = payload.protocol === 'th' || payload.protocol === packet.protocol;
    return fits ? packet.port : undefined;
  }
  if (payload?.field === 'daddr') return packet.address;
  if (payload?.field === 'protocol' || payload?.field === 'nexthdr') return packet.protocol;
  const meta = (left.meta as { key?: string } | undefined)?.key;
  if (meta === 'l4proto') return packet.protocol;
  if (meta === 'nfproto') return packet.family;
  const fib = left.fib as { result?: string; flags?: unknown } | undefined;
  return fib?.result === 'type' && JSON.stringify(fib.flags).includes('daddr') ? 'local' : undefined;
}

/** Whether a value is what stands on the right side of a match; undefined for what is not read here (a named set, a network). */
function isAmong(value: string | number, right: unknown): boolean | undefined {
  if (typeof right === typeof value) {
    return typeof right === 'string' && right.startsWith('@') ? undefined : right === value;
  }
  const { set, range } = (right ?? {}) as { set?: unknown[]; range?: [number, number] };
  if (set !== undefined) {
    const truths = set.map((one) => isAmong(value, one));
    return truths.includes(true) ? true : truths.includes(undefined) ? undefined : false;
  }
  if (range === undefined || typeof value !== 'number') return undefined;
  return value >= range[0] && value <= range[1];
}
