import { parseAddress } from '../../util/address.ts';
import { NFT_FAMILY, type NftFamily } from '../../util/family.ts';
import { entryOf, isObject, type Json, type JsonObject } from '../../util/json.ts';
import { ANY, exact, fieldMatch, interfacePattern, network, range } from './match-builders.ts';
import {
  type BaseHook,
  type Beyond,
  type Chain,
  type ChainType,
  type Counters,
  type DeviceChain,
  type Element,
  type ElementSet,
  type Expression,
  type Field,
  type FieldMatch,
  HOOKS,
  type Hook,
  type Lookup,
  type Match,
  type NatSource,
  type NatTarget,
  type Operand,
  type Pattern,
  protocolNumber,
  type Rule,
  RulesetParseError,
  type Statement,
  type Table,
  type TableFamily,
  type Verdict,
} from './model.ts';
import { elementText, expressionText, MAX_DEPTH, ruleText } from './nft-text.ts';

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
    const builder = new RuleBuilder(table);
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

function readElements(
  list: Json[],
  fields: readonly (Field | undefined)[],
  what: string,
): { elements: Element[]; opaque?: string } {
  const elements: Element[] = [];
  let opaque: string | undefined;
  for (const entry of list) {
    // An entry of a map is a pair of an element and its value; so it is `[[key, value], ...]`.
    const [keyJson, value] = Array.isArray(entry) ? [entry[0]!, entry[1]] : [entry, undefined];
    const element = readElement(keyJson, value, fields);
    if (element === undefined) opaque = `an element of ${what} that is not understood`;
    else elements.push(element);
  }
  return opaque === undefined ? { elements } : { elements, opaque };
}

function readElement(
  json: Json,
  data: Json | undefined,
  fields: readonly (Field | undefined)[],
): Element | undefined {
  let value = json;
  let comment: string | undefined;
  let counters: Counters | undefined;
  if (isObject(json) && isObject(json.elem)) {
    value = json.elem.val ?? null;
    if (typeof json.elem.comment === 'string') comment = json.elem.comment;
    counters = readCounters(json.elem.counter);
  }
  const parts = isObject(value) && Array.isArray(value.concat) ? value.concat : [value];
  if (parts.length !== fields.length) return undefined;
  const key: Pattern[] = [];
  for (const [i, part] of parts.entries()) {
    const pattern = readPattern(part, fields[i]);
    if (pattern === undefined) return undefined;
    key.push(pattern);
  }
  const element: Element = { key, text: elementText(json, data) };
  if (comment !== undefined) element.comment = comment;
  if (counters !== undefined) element.counters = counters;
  if (data === undefined) return element;
  const verdict = isObject(data) ? readVerdict(data) : undefined;
  if (verdict !== undefined) element.verdict = verdict;
  else if (typeof data === 'number') {
    // A mark or a port: which of them the rule says that looks it up.
    element.value = data;
    element.target = { port: { from: data, to: data } };
  } else {
    element.target = readTarget(data);
    if (element.target === undefined) return undefined;
  }
  return element;
}

function readCounters(json: Json | undefined): Counters | undefined {
  if (!isObject(json) || typeof json.packets !== 'number' || typeof json.bytes !== 'number') return undefined;
  return { packets: json.packets, bytes: json.bytes };
}

/** Address, address and port, or a range of addresses. */
function readTarget(json: Json): NatTarget | undefined {
  const [addressJson, portJson] = isObject(json) && Array.isArray(json.concat) ? json.concat : [json];
  const address = readAddresses(addressJson!);
  if (address === undefined) return undefined;
  if (portJson === undefined) return { address };
  const port = readPorts(portJson);
  return port && { address, port };
}

function readAddresses(json: Json): NatTarget['address'] {
  const pattern = readPattern(json, 'source');
  if (pattern?.kind === 'exact' && typeof pattern.value !== 'string') {
    return { from: pattern.value, to: pattern.value };
  }
  return pattern?.kind === 'range' ? { from: pattern.from, to: pattern.to } : undefined;
}

function readPorts(json: Json): NatTarget['port'] {
  const pattern = readPattern(json, 'destination-port');
  if (pattern?.kind === 'exact') return { from: Number(pattern.value), to: Number(pattern.value) };
  return pattern?.kind === 'range' ? { from: Number(pattern.from), to: Number(pattern.to) } : undefined;
}

/** What a value stands for when it is compared with a field; undefined when it is not understood. */
function readPattern(json: Json, field: Field | undefined): Pattern | undefined {
  if (json === '*') return ANY;
  if (isObject(json)) {
    if (isObject(json.prefix)) {
      const { addr, len } = json.prefix;
      const address = typeof addr === 'string' ? parseAddress(addr) : undefined;
      return address === undefined || typeof len !== 'number' ? undefined : network(address, len);
    }
    if (!Array.isArray(json.range) || json.range.length !== 2) return undefined;
    const [from, to] = json.range.map((end) => readPattern(end, field));
    if (from?.kind !== 'exact' || to?.kind !== 'exact') return undefined;
    const [low, high] = [from.value, to.value];
    return typeof low === 'string' || typeof high === 'string' ? undefined : range(low, high);
  }
  if (typeof json !== 'string' && typeof json !== 'number') return undefined;
  switch (field) {
    case 'source':
    case 'destination':
    case 'ct-original-source':
    case 'ct-original-destination': {
      const address = typeof json === 'string' ? parseAddress(json) : undefined;
      return address === undefined ? undefined : exact(address);
    }
    case 'protocol': {
      const number = protocolNumber(json);
      return number === undefined ? undefined : exact(number);
    }
    case 'input-interface':
    case 'output-interface':
      return typeof json === 'string' ? interfacePattern(json, '*') : undefined;
    case 'family': {
      const family = entryOf(FAMILIES, json);
      return family === undefined ? undefined : exact(family);
    }
    case 'source-type':
    case 'destination-type':
    case 'reverse-path':
    case 'reverse-path-by-mark':
    case 'ct-state':
    case 'ct-direction':
      return typeof json === 'string' ? exact(json) : undefined;
    // What the other bits say of the connection (`seen-reply`, `confirmed`, …) is not modelled.
    case 'ct-status':
      return json === 'dnat' || json === 'snat' ? exact(json) : undefined;
    case 'source-port':
    case 'destination-port':
    case 'ct-original-destination-port':
    case 'mark':
    case 'ct-mark':
      return typeof json === 'number' ? exact(json) : undefined;
    case undefined:
      return undefined;
  }
}

/** `meta nfproto` and `meta protocol` print the names of families differently. */
const FAMILIES: Readonly<Record<string, string>> = { ...NFT_FAMILY, ip: 'ip', ip6: 'ip6' };

const VERDICTS: ReadonlySet<string> = new Set(['accept', 'drop', 'return', 'continue']);

function readVerdict(json: JsonObject): Verdict | undefined {
  for (const kind of Object.keys(json)) {
    if (VERDICTS.has(kind)) return { kind: kind as 'accept' | 'drop' | 'return' | 'continue' };
    if (kind === 'jump' || kind === 'goto') {
      const body = json[kind];
      if (isObject(body) && typeof body.target === 'string') return { kind, chain: body.target };
    }
  }
  return undefined;
}

const META: Record<string, Field> = {
  l4proto: 'protocol',
  nfproto: 'family',
  protocol: 'family',
  iifname: 'input-interface',
  iif: 'input-interface',
  oifname: 'output-interface',
  oif: 'output-interface',
  mark: 'mark',
};

const CONNECTION: Record<string, Field> = {
  state: 'ct-state',
  status: 'ct-status',
  mark: 'ct-mark',
  direction: 'ct-direction',
};

const ORIGINAL: Record<string, Field> = {
  saddr: 'ct-original-source',
  'ip saddr': 'ct-original-source',
  'ip6 saddr': 'ct-original-source',
  daddr: 'ct-original-destination',
  'ip daddr': 'ct-original-destination',
  'ip6 daddr': 'ct-original-destination',
  'proto-dst': 'ct-original-destination-port',
};

const TRANSPORTS: ReadonlySet<string> = new Set(['tcp', 'udp', 'sctp', 'dccp', 'udplite']);

/** `fib saddr . iif oif missing`, or `exists`: whether a route back to the source leads out by the interface that the packet came in by. */
function reversePath(left: Json, right: Json, op: Json | undefined): FieldMatch | undefined {
  if (!isObject(left) || !isObject(left.fib) || typeof right !== 'boolean' || op !== '==') return undefined;
  const { result, flags } = left.fib;
  const names = new Set(Array.isArray(flags) ? flags : []);
  const isKnown = [...names].every((name) => name === 'saddr' || name === 'iif' || name === 'mark');
  if (result !== 'oif' || !isKnown || !names.has('saddr') || !names.has('iif')) return undefined;
  const operand: Operand = { field: names.has('mark') ? 'reverse-path-by-mark' : 'reverse-path' };
  return fieldMatch(operand, [exact('kept')], !right);
}

/** What an expression reads of the packet; undefined when it is not modelled. */
function readOperand(json: Json): Operand | undefined {
  if (!isObject(json)) return undefined;
  if (isObject(json.meta)) {
    const field = entryOf(META, json.meta.key);
    return field && { field };
  }
  if (isObject(json.payload)) return payloadOperand(json.payload);
  if (isObject(json.fib)) {
    const { result, flags } = json.fib;
    // With an interface among the flags it asks for less than "any address of the node".
    if (result !== 'type' || !Array.isArray(flags) || flags.length !== 1) return undefined;
    if (flags[0] === 'daddr') return { field: 'destination-type' };
    return flags[0] === 'saddr' ? { field: 'source-type' } : undefined;
  }
  if (isObject(json.ct)) {
    const { key, dir } = json.ct;
    const field =
      dir === 'original' ? entryOf(ORIGINAL, key) : dir === undefined ? entryOf(CONNECTION, key) : undefined;
    if (field === undefined) return undefined;
    const family = /^(ip6?) /.exec(key as string)?.[1] as NftFamily | undefined;
    return family === undefined ? { field } : { field, family };
  }
  if (Array.isArray(json['&']) && json['&'].length === 2) {
    const [inner, mask] = json['&'];
    const operand = readOperand(inner!);
    if (operand === undefined || operand.mask !== undefined || typeof mask !== 'number') return undefined;
    return { ...operand, mask };
  }
  return undefined;
}

function payloadOperand({ protocol, field }: JsonObject): Operand | undefined {
  if (protocol === 'ip' || protocol === 'ip6') {
    if (field === 'saddr') return { field: 'source', family: protocol };
    if (field === 'daddr') return { field: 'destination', family: protocol };
    const transport = field === (protocol === 'ip' ? 'protocol' : 'nexthdr');
    return transport ? { field: 'protocol', family: protocol } : undefined;
  }
  const name = field === 'dport' ? 'destination-port' : field === 'sport' ? 'source-port' : undefined;
  if (name === undefined) return undefined;
  if (protocol === 'th') return { field: name };
  if (typeof protocol !== 'string' || !TRANSPORTS.has(protocol)) return undefined;
  return { field: name, protocol: protocolNumber(protocol) };
}

/** The operands of a key, which may be a concatenation; undefined when one is not modelled. */
function readKey(json: Json): Operand[] | undefined {
  const parts = isObject(json) && Array.isArray(json.concat) ? json.concat : [json];
  const key: Operand[] = [];
  for (const part of parts) {
    const operand = readOperand(part);
    if (operand === undefined) return undefined;
    key.push(operand);
  }
  return key;
}

/** Whether a key is chosen by lot or turn. */
function isRandom(json: Json): boolean {
  return (
    isObject(json) && (json.numgen !== undefined || json.jhash !== undefined || json.symhash !== undefined)
  );
}

class RuleBuilder {
  readonly expressions: Expression[] = [];
  counters: Counters | undefined;
  readonly #table: OpenTable;

  constructor(table: OpenTable) {
    this.#table = table;
  }

  add(json: Json): void {
    if (!isObject(json)) {
      this.expressions.push({ kind: 'opaque-statement', text: expressionText(json) });
      return;
    }
    const verdict = readVerdict(json);
    if (verdict !== undefined) {
      this.expressions.push(verdict);
      return;
    }
    const kind = Object.keys(json)[0] ?? '';
    const body = json[kind];
    if (kind === 'counter') this.counters = readCounters(body) ?? this.counters;
    else if (kind === 'mangle')
      this.expressions.push(...this.#mangle(isObject(body) ? body : {}, expressionText(json)));
    else {
      if (kind === 'reject') this.expressions.push(...impliedByReject(isObject(body) ? body : {}));
      this.expressions.push(this.#expression(kind, body ?? null, json));
    }
  }

  #expression(kind: string, body: Json, whole: JsonObject): Expression {
    const written = expressionText(whole);
    const members = isObject(body) ? body : {};
    switch (kind) {
      case 'match':
        return this.#match(members, written);
      case 'vmap': {
        const lookup = this.#lookup(members, written);
        return lookup === undefined
          ? { kind: 'opaque-statement', text: written }
          : { kind: 'verdict-map', lookup };
      }
      case 'dnat':
      case 'snat': {
        const to = this.#natSource(members, written);
        const { family } = members;
        return family === 'ip' || family === 'ip6' ? { kind, family, to } : { kind, to };
      }
      case 'redirect':
      case 'masquerade':
        return { kind, to: this.#natSource(members, written) };
      case 'reject': {
        const reason = [members.type, members.expr].filter((part) => typeof part === 'string').join(' ');
        return reason === '' ? { kind: 'reject' } : { kind: 'reject', with: reason };
      }
      case 'queue': {
        // With the bypass it accepts when no program listens, which the rules do not show.
        const flags = Array.isArray(members.flags) ? members.flags : [members.flags];
        return flags.includes('bypass') ? { kind: 'opaque-statement', text: written } : { kind: 'queue' };
      }
      case 'notrack':
        return { kind: 'notrack' };
      case 'tproxy':
        return { kind: 'tproxy', text: written };
      case 'limit':
      case 'quota':
      case 'ct count':
      // These change nothing for the packet, but end the rule when a set is full, an element's own limit does not match, a flow
      // cannot be offloaded (nft_dynset_eval, nft_flow_offload_eval, nft_ct_expect_obj_eval).
      case 'set':
      case 'map':
      case 'meter':
      case 'flow':
      case 'ct expectation':
        return { kind: 'opaque-match', text: written };
      case 'log':
      case 'last':
      case 'ct helper':
      case 'ct timeout':
      case 'dup':
      case 'comment':
        return { kind: 'neutral', text: written };
      case 'xt':
        // A match of iptables-nft narrows what the rest of the rule is for; a target may be anything.
        return members.type === 'match'
          ? { kind: 'opaque-match', text: written }
          : { kind: 'opaque-statement', text: written };
      default:
        return { kind: 'opaque-statement', text: written };
    }
  }

  #match(body: JsonObject, written: string): Expression {
    const opaque: Expression = { kind: 'opaque-match', text: written, random: isRandom(body.left ?? null) };
    const { op, left, right } = body;
    if (left === undefined || right === undefined) return opaque;
    const flagged = flagComparison(left, right, op) ?? reversePath(left, right, op);
    if (flagged !== undefined) return flagged;
    if (op !== '==' && op !== '!=' && op !== 'in') return this.#ordered(op, left, right) ?? opaque;
    const key = readKey(left);
    if (key === undefined) return opaque;
    const isFlags = key.length === 1 && (key[0]!.field === 'ct-state' || key[0]!.field === 'ct-status');
    // Of other bit fields, `in` asks for any bit; of a status, equality asks for all.
    if (op === 'in' ? !isFlags : key[0]!.field === 'ct-status') return opaque;
    const set = this.#set(right, key);
    return set === undefined ? opaque : { kind: 'match', key, negated: op === '!=', set };
  }

  /** `<`, `<=`, `>`, `>=` of numbers. */
  #ordered(op: Json | undefined, left: Json, right: Json): Expression | undefined {
    const operand = readOperand(left);
    if (operand === undefined || operand.mask !== undefined || typeof right !== 'number') return undefined;
    const bounds: Record<string, [number, number]> = {
      '<': [0, right - 1],
      '<=': [0, right],
      '>': [right + 1, 0xffffffff],
      '>=': [right, 0xffffffff],
    };
    const found = entryOf(bounds, op);
    if (found === undefined) return undefined;
    const element: Element = { key: [{ kind: 'range', from: found[0], to: found[1] }], text: '' };
    return { kind: 'match', key: [operand], negated: false, set: { elements: [element] } };
  }

  /** A set by name, written out, or of a single value. */
  #set(json: Json, key: readonly Operand[]): ElementSet | undefined {
    if (typeof json === 'string' && json.startsWith('@')) return this.#named(json);
    let list: Json[] = [json];
    if (isObject(json) && Array.isArray(json.set)) list = json.set;
    else if (isObject(json) && json.set !== undefined) list = [json.set];
    else if (Array.isArray(json)) list = json;
    const set = readElements(
      list,
      key.map(({ field }) => field),
      'the rule',
    );
    return set.elements.length === 0 && set.opaque !== undefined ? undefined : set;
  }

  #named(reference: string): ElementSet {
    return (
      this.#table.sets.get(reference.slice(1)) ?? {
        name: reference.slice(1),
        elements: [],
        opaque: `${reference} is not listed`,
      }
    );
  }

  #lookup(body: JsonObject, written: string): Lookup | undefined {
    const { key: keyJson, data } = body;
    if (keyJson === undefined || data === undefined) return undefined;
    const random = isRandom(keyJson);
    const key = readKey(keyJson);
    let map: ElementSet;
    if (typeof data === 'string' && data.startsWith('@')) map = this.#named(data);
    else if (isObject(data) && Array.isArray(data.set)) {
      const fields = key?.map(({ field }) => field) ?? [random ? ('mark' as const) : undefined];
      map = readElements(data.set, fields, 'the rule');
    } else return undefined;
    return { key, random, map, text: written };
  }

  #natSource(body: JsonObject, written: string): NatSource {
    const source: NatSource = {};
    const literal: NatTarget = {};
    const { addr, port } = body;
    if (addr !== undefined) {
      const lookup = isObject(addr) && isObject(addr.map) ? this.#lookup(addr.map, written) : undefined;
      if (lookup !== undefined) source.address = lookup;
      else {
        const address = readAddresses(addr);
        if (address === undefined) return { opaque: written };
        literal.address = address;
      }
    }
    if (port !== undefined) {
      const lookup = isObject(port) && isObject(port.map) ? this.#lookup(port.map, written) : undefined;
      if (lookup !== undefined) source.port = lookup;
      else {
        const ports = readPorts(port);
        if (ports === undefined) return { opaque: written };
        literal.port = ports;
      }
    }
    if (literal.address !== undefined || literal.port !== undefined) source.literal = literal;
    return source;
  }

  #mangle(body: JsonObject, written: string): Expression[] {
    const target = readOperand(body.key ?? null);
    if (target?.field !== 'mark' && target?.field !== 'ct-mark') {
      const key = body.key ?? null;
      if (isZone(key)) {
        // A value that the packet lacks ends the rule (NFT_BREAK).
        const condition: Match[] = MAY_LACK.some((kind) => isRead(body.value ?? null, kind))
          ? [{ kind: 'opaque-match', text: written }]
          : [];
        return [...condition, { kind: 'set-zone', text: written, retracks: true }];
      }
      const rewritten: Statement = { kind: isHarmless(key) ? 'neutral' : 'opaque-statement', text: written };
      return [...impliedByRewrite(key), rewritten];
    }
    const of = target.field === 'mark' ? 'packet' : 'connection';
    const value = body.value ?? null;
    const lookup = isObject(value) && isObject(value.map) ? this.#lookup(value.map, written) : undefined;
    if (lookup !== undefined) return [{ kind: 'set-mark-from-map', of, lookup }];
    // A value that the packet lacks ends the rule (NFT_BREAK).
    const condition = isRead(value, 'ct') ? [HAS_CONNECTION] : [];
    const bits = linearBits(value, target.field, 0);
    if (bits !== undefined) {
      return [...condition, { kind: 'set-mark', of, clear: ~bits.keep >>> 0, flip: bits.flip }];
    }
    const from = readOperand(value);
    if (from?.field === (of === 'packet' ? 'ct-mark' : 'mark')) {
      const copy: Statement = { kind: 'copy-mark', to: of, mask: from.mask ?? 0xffffffff };
      // What the mask leaves out becomes 0.
      const rest: Statement[] =
        from.mask === undefined ? [] : [{ kind: 'set-mark', of, clear: 0xffffffff, flip: 0 }];
      return [...condition, ...rest, copy];
    }
    if (MAY_LACK.some((kind) => isRead(value, kind))) condition.push({ kind: 'opaque-match', text: written });
    return [...condition, { kind: 'opaque-mark', of, text: written }];
  }
}

/** nft leaves out of its listing what a statement implies: `meta l4proto tcp` of `reject with tcp reset`. */
function impliedByReject({ type }: JsonObject): FieldMatch[] {
  switch (type) {
    case 'tcp reset':
      return [equals('protocol', 6)];
    case 'icmp':
      return [equals('family', 'ip')];
    case 'icmpv6':
      return [equals('family', 'ip6')];
    default:
      return [];
  }
}

/** As {@link impliedByReject}: `meta nfproto ipv6` of `ip6 hoplimit set 1`. */
function impliedByRewrite(key: Json): FieldMatch[] {
  if (!isObject(key)) return [];
  const protocol = isObject(key.payload) ? key.payload.protocol : key['tcp option'] && 'tcp';
  if (protocol === 'ip' || protocol === 'ip6') return [equals('family', protocol)];
  const number = typeof protocol === 'string' ? protocolNumber(protocol) : undefined;
  return number === undefined ? [] : [equals('protocol', number)];
}

function equals(field: Field, value: number | string): FieldMatch {
  return {
    kind: 'match',
    key: [{ field }],
    negated: false,
    set: { elements: [{ key: [exact(value)], text: '' }] },
  };
}

/** Holds for a packet with a connection. */
const HAS_CONNECTION: Match = {
  kind: 'match',
  key: [{ field: 'ct-mark' }],
  negated: false,
  set: { elements: [{ key: [ANY], text: '' }] },
};

/** Expressions that read what a packet may not have, besides `ct`. */
const MAY_LACK = ['payload', 'exthdr', 'tcp option', 'fib', 'rt', 'socket', 'osf', 'ipsec', 'map'];

/** Whether a value is made of an expression of this kind, at any depth. */
function isRead(json: Json, kind: string, depth = 0): boolean {
  if (typeof json !== 'object' || json === null || depth > MAX_DEPTH) return false;
  if (Array.isArray(json)) return json.some((each) => isRead(each, kind, depth + 1));
  return Object.entries(json).some(([key, value]) => key === kind || isRead(value ?? null, kind, depth + 1));
}

/** What a packet may have rewritten and still goes where it went. Anything else may change its addresses, ports or kind. */
const HARMLESS: Readonly<Record<string, ReadonlySet<string>>> = {
  ip: new Set(['ttl', 'dscp', 'ecn', 'id', 'checksum']),
  ip6: new Set(['hoplimit', 'dscp', 'ecn', 'flowlabel']),
  meta: new Set(['priority', 'nftrace', 'secmark']),
  ct: new Set(['event', 'label', 'secmark', 'helper']),
};

function isZone(key: Json): boolean {
  return isObject(key) && isObject(key.ct) && key.ct.key === 'zone';
}

/** Whether what a rule writes is modelled by nobody because nothing depends on it. */
function isHarmless(key: Json): boolean {
  if (!isObject(key)) return false;
  if (isObject(key.payload)) {
    return entryOf(HARMLESS, key.payload.protocol)?.has(key.payload.field as string) === true;
  }
  if (isObject(key['tcp option'])) return true;
  return ['meta', 'ct'].some((kind) => {
    const body = key[kind];
    return isObject(body) && HARMLESS[kind]!.has(body.key as string);
  });
}

/** `ct status & dnat == dnat`, `!= 0`: a flag that is asked for by masking. */
function flagComparison(left: Json, right: Json, op: Json | undefined): Expression | undefined {
  if (!isObject(left) || !Array.isArray(left['&']) || left['&'].length !== 2) return undefined;
  const [inner, mask] = left['&'];
  const operand = readOperand(inner!);
  if (typeof mask !== 'string' || (operand?.field !== 'ct-status' && operand?.field !== 'ct-state')) {
    return undefined;
  }
  if (operand.field === 'ct-status' && mask !== 'dnat' && mask !== 'snat') return undefined;
  const set = right === mask ? true : right === 0 ? false : undefined;
  if (set === undefined || (op !== '==' && op !== '!=')) return undefined;
  const elements: Element[] = [{ key: [exact(mask)], text: mask }];
  return { kind: 'match', key: [operand], negated: (op === '==') !== set, set: { elements } };
}

/** A value as `(mark & keep) ^ flip`; undefined when it is of another form. */
function linearBits(json: Json, field: Field, depth: number): { keep: number; flip: number } | undefined {
  if (typeof json === 'number') return { keep: 0, flip: json >>> 0 };
  if (!isObject(json) || depth > MAX_DEPTH) return undefined;
  const operand = readOperand(json);
  if (operand !== undefined) {
    return operand.field === field ? { keep: operand.mask ?? 0xffffffff, flip: 0 } : undefined;
  }
  for (const op of ['&', '|', '^']) {
    const sides = json[op];
    if (!Array.isArray(sides) || sides.length !== 2 || typeof sides[1] !== 'number') continue;
    const inner = linearBits(sides[0]!, field, depth + 1);
    if (inner === undefined) return undefined;
    const value = sides[1];
    if (op === '&') return { keep: (inner.keep & value) >>> 0, flip: (inner.flip & value) >>> 0 };
    if (op === '^') return { keep: inner.keep, flip: (inner.flip ^ value) >>> 0 };
    return { keep: (inner.keep & ~value) >>> 0, flip: ((inner.flip & ~value) | value) >>> 0 };
  }
  return undefined;
}
