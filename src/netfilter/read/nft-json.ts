import { entryOf, isObject, type Json, type JsonObject } from '../../util/json.ts';
import {
  type BaseHook,
  type Beyond,
  type Chain,
  type ChainType,
  type DeviceChain,
  type Element,
  type ElementSet,
  type Field,
  HOOKS,
  type Hook,
  type Rule,
  RulesetParseError,
  type Table,
  type TableFamily,
} from './model.ts';
import { readElements } from './nft-elements.ts';
import { RuleBuilder } from './nft-rule.ts';
import { ruleText } from './nft-text.ts';

/** Longest document, in characters. */
const MAX_DOCUMENT = 64 * 1024 * 1024;

export interface NftDocument {
  tables: Table[];
  atDevices: DeviceChain[];
  beyond: Beyond[];
}

/** The devices that a chain of hook ingress or egress is at. */
export interface ChainDevices {
  family: string;
  table: string;
  chain: string;
  devices: readonly string[];
}

/**
 * Parses what `nft -j list ruleset` prints (libnftables-json(5)), tables of iptables-nft included; their extensions are opaque
 * there. Throws {@link RulesetParseError} with the place in the document for what is no such output; an expression that is only
 * unknown becomes opaque. `chainDevices`: those of chains whose devices the document leaves out, as nft 1.0.6 does.
 */
export function parseNftRuleset(text: string, chainDevices: readonly ChainDevices[] = []): NftDocument {
  if (text.length > MAX_DOCUMENT) throw problem('document', `is longer than ${MAX_DOCUMENT} characters`);
  let document: Json;
  try {
    document = JSON.parse(text) as Json;
  } catch {
    // The engine's own message quotes the text.
    throw new RulesetParseError('nft ruleset', `is not JSON (${text.length} characters)`);
  }
  const items = isObject(document) ? document.nftables : undefined;
  if (!Array.isArray(items)) throw problem('document', 'has no list `nftables`');
  return new Reader(items, chainDevices).read();
}

function problem(place: string, what: string): RulesetParseError {
  return new RulesetParseError(`nft ruleset, ${place}`, what);
}

interface OpenTable {
  family: TableFamily;
  name: string;
  handle: number | undefined;
  chains: Map<string, { base: BaseHook | undefined; rules: Rule[] }>;
  sets: Map<string, ElementSet & { elements: Element[] }>;
}

class Reader {
  readonly #items: Json[];
  readonly #chainDevices: ReadonlyMap<string, readonly string[]>;
  readonly #tables = new Map<string, OpenTable>();
  /** Those of family netdev, read as if of both families of addresses. */
  readonly #deviceTables = new Map<string, OpenTable>();
  readonly #atDevices: { open: OpenTable; name: string; devices: readonly string[]; base: BaseHook }[] = [];
  readonly #beyond = new Map<string, Beyond>();

  constructor(items: Json[], chainDevices: readonly ChainDevices[]) {
    this.#items = items;
    this.#chainDevices = new Map(
      chainDevices.map(({ family, table, chain, devices }) => [`${family} ${table} ${chain}`, devices]),
    );
  }

  read(): NftDocument {
    // Sets and chains first: a rule may be listed before what it refers to.
    for (const kinds of [['table'], ['chain', 'set', 'map'], ['rule', 'element']]) {
      for (const [i, item] of this.#items.entries()) {
        if (!isObject(item)) throw problem(`nftables[${i}]`, 'is not an object');
        for (const kind of kinds) {
          const body = item[kind];
          if (body === undefined) continue;
          if (!isObject(body)) throw problem(`nftables[${i}].${kind}`, 'is not an object');
          this.#read(kind, body, `nftables[${i}].${kind}`);
        }
      }
    }
    const atDevices = this.#atDevices
      .sort((a, b) => a.base.priority - b.base.priority)
      .map(({ open, name, devices, base }): DeviceChain => {
        const chains = [...open.chains].map(([other, { rules }]) => {
          return [other, { base: other === name ? base : undefined, rules }] as const;
        });
        return { devices, table: closed({ ...open, chains: new Map(chains) }) };
      });
    return { tables: [...this.#tables.values()].map(closed), atDevices, beyond: [...this.#beyond.values()] };
  }

  #read(kind: string, body: JsonObject, place: string): void {
    const family = text(body, 'family', place);
    if (kind === 'table') {
      const isOfDevices = family === 'netdev';
      if (family !== 'ip' && family !== 'ip6' && family !== 'inet' && !isOfDevices) return;
      const name = text(body, 'name', place);
      const handle = typeof body.handle === 'number' ? body.handle : undefined;
      const open: OpenTable = {
        family: isOfDevices ? 'inet' : family,
        ...{ name, handle, chains: new Map(), sets: new Map() },
      };
      (isOfDevices ? this.#deviceTables : this.#tables).set(`${family} ${name}`, open);
      return;
    }
    const tableName = text(body, 'table', place);
    const key = `${family} ${tableName}`;
    const table = this.#tables.get(key) ?? this.#deviceTables.get(key);
    if (kind === 'chain') this.#chain(body, family, tableName, table, place);
    else if (kind === 'rule') this.#rule(body, family, tableName, table, place);
    else if (table !== undefined && (kind === 'set' || kind === 'map')) {
      table.sets.set(text(body, 'name', place), readSet(body, place));
    }
  }

  #chain(
    body: JsonObject,
    family: string,
    tableName: string,
    table: OpenTable | undefined,
    place: string,
  ): void {
    const name = text(body, 'name', place);
    const hook = body.hook;
    if (table === undefined || (hook !== undefined && !HOOKS.includes(hook as Hook))) {
      const devices =
        hook === 'ingress' && table !== undefined
          ? (devicesOf(body) ?? this.#chainDevices.get(`${family} ${tableName} ${name}`) ?? [])
          : [];
      if (devices.length > 0) {
        if (typeof body.prio !== 'number') throw problem(place, 'has no number `prio`');
        const policy = body.policy === 'drop' ? 'drop' : 'accept';
        const priority = BEFORE_PREROUTING + body.prio;
        this.#atDevices.push({
          ...{ open: table!, name, devices },
          base: { type: 'filter', hook: 'prerouting', priority, policy },
        });
      } else if (hook !== undefined) {
        const beyond = { family, table: tableName, chain: name, hook: text(body, 'hook', place), rules: 0 };
        this.#beyond.set(`${family} ${tableName} ${name}`, beyond);
      }
      table?.chains.set(name, { base: undefined, rules: [] });
      return;
    }
    let base: BaseHook | undefined;
    if (hook !== undefined) {
      const type = text(body, 'type', place);
      if (type !== 'nat' && type !== 'filter' && type !== 'route')
        throw problem(place, `has unknown type ${type}`);
      if (typeof body.prio !== 'number') throw problem(place, 'has no number `prio`');
      base = {
        type: type satisfies ChainType,
        hook: hook as Hook,
        priority: body.prio,
        policy: body.policy === 'drop' ? 'drop' : 'accept',
      };
    }
    table.chains.set(name, { base, rules: [] });
  }

  #rule(
    body: JsonObject,
    family: string,
    tableName: string,
    table: OpenTable | undefined,
    place: string,
  ): void {
    const chainName = text(body, 'chain', place);
    const beyond = this.#beyond.get(`${family} ${tableName} ${chainName}`);
    if (beyond !== undefined) beyond.rules++;
    if (table === undefined) return;
    const chain = table.chains.get(chainName);
    if (chain === undefined) throw problem(place, `belongs to chain ${chainName}, which is not listed`);
    const list = body.expr;
    if (!Array.isArray(list)) throw problem(place, 'has no list `expr`');
    const builder = new RuleBuilder(table.sets);
    for (const expression of list) builder.add(expression);
    chain.rules.push({
      location: {
        backend: 'nft',
        family: table.family,
        table: table.name,
        chain: chainName,
        index: chain.rules.length,
      },
      expressions: builder.expressions,
      comment: typeof body.comment === 'string' ? body.comment : undefined,
      counters: builder.counters,
      handle: typeof body.handle === 'number' ? body.handle : undefined,
      text: ruleText(list, typeof body.comment === 'string' ? body.comment : undefined),
    });
  }
}

/** Priorities of chains at devices count among themselves: all of them come before the chains of prerouting. */
const BEFORE_PREROUTING = -(2 ** 33);

/** nft prints one device as a text and several as a list. */
function devicesOf({ dev }: JsonObject): string[] | undefined {
  return dev === undefined
    ? undefined
    : (Array.isArray(dev) ? dev : [dev]).filter((name) => typeof name === 'string');
}

function closed({ family, name: table, chains: open, sets, handle }: OpenTable): Table {
  const chains = new Map<string, Chain>();
  for (const [name, { base, rules }] of open) {
    chains.set(name, { backend: 'nft', family, table, name, base, rules });
  }
  return { backend: 'nft', family, name: table, chains, sets, handle };
}

function text(body: JsonObject, key: string, place: string): string {
  const value = body[key];
  if (typeof value !== 'string') throw problem(place, `has no text \`${key}\``);
  return value;
}

/** The fields that are compared alike, by the type of a named set; others are compared as what they look like. */
const TYPES: Record<string, Field> = {
  ipv4_addr: 'source',
  ipv6_addr: 'source',
  inet_proto: 'protocol',
  inet_service: 'destination-port',
  mark: 'mark',
  ifname: 'input-interface',
  iface_index: 'input-interface',
  fib_addrtype: 'destination-type',
  ct_state: 'ct-state',
  nf_proto: 'family',
};

/** A set or map with its elements. */
function readSet(body: JsonObject, place: string): ElementSet & { elements: Element[] } {
  const types = (Array.isArray(body.type) ? body.type : [body.type]).map(String);
  const elements = body.elem ?? [];
  if (!Array.isArray(elements)) throw problem(place, 'has no list `elem`');
  return {
    name: text(body, 'name', place),
    ...readElements(
      elements,
      types.map((type) => entryOf(TYPES, type)),
      `@${text(body, 'name', place)}`,
    ),
  };
}
