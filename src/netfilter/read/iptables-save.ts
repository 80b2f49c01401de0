import { parseAddress } from '../../util/address.ts';
import { FAMILY_OF_NFT, iptablesProgram, type NftFamily } from '../../util/family.ts';
import { entryOf } from '../../util/json.ts';
import { splitWords } from '../iptables/rule-text.ts';
import { exact, fieldMatch, interfacePattern, parseNetwork, range } from './match-builders.ts';
import {
  type Backend,
  type BaseHook,
  type Chain,
  type Counters,
  type Expression,
  type Hook,
  type Match,
  type NatSource,
  type Operand,
  type Pattern,
  protocolNumber,
  type Rule,
  RulesetParseError,
  type Statement,
  type Table,
} from './model.ts';
import { parseNatTarget, portEnds } from './nat-target.ts';

/** Longest document and line, in characters: no node prints more, and a broken one must not take all memory. */
const MAX_DOCUMENT = 64 * 1024 * 1024;
const MAX_LINE = 64 * 1024;

/** What an iptables-save document says. */
export interface IptablesDocument {
  tables: Table[];
  /** Tables that the nft variant found but does not manage (`Table ... is incompatible, use 'nft' tool`). */
  incompatible: string[];
}

/** Hooks and priorities of the built-in chains (NF_IP_PRI_* in the kernel's netfilter_ipv4.h, the same for IPv6). */
const PRIORITIES: Record<string, number> = { raw: -300, mangle: -150, filter: 0, security: 50 };
const BUILT_IN: Record<string, Hook> = {
  PREROUTING: 'prerouting',
  INPUT: 'input',
  FORWARD: 'forward',
  OUTPUT: 'output',
  POSTROUTING: 'postrouting',
};

/**
 * Parses what `iptables-save -c`, `iptables-nft-save -c`, their ip6 forms and `iptables -S`-like dumps with tables print. Counters are
 * optional. Throws {@link RulesetParseError} with the line for text that is cut off or is not their output; what is only unknown
 * (a match, a target) becomes opaque.
 */
export function parseIptablesSave(
  text: string,
  origin: { backend: Backend; family: NftFamily },
): IptablesDocument {
  const reader = new Reader(origin.backend, origin.family);
  if (text.length > MAX_DOCUMENT) throw reader.error(1, `is longer than ${MAX_DOCUMENT} characters`);
  let start = 0;
  for (let number = 1; start < text.length; number++) {
    let end = text.indexOf('\n', start);
    if (end < 0) end = text.length;
    if (end - start > MAX_LINE) throw reader.error(number, `is longer than ${MAX_LINE} characters`);
    reader.line(text.slice(start, end), number);
    start = end + 1;
  }
  return reader.finish();
}

interface OpenChain {
  base: BaseHook | undefined;
  counters: Counters | undefined;
  rules: Rule[];
}

class Reader {
  readonly #backend: Backend;
  readonly #family: NftFamily;
  readonly #tables = new Map<string, Table>();
  readonly #incompatible: string[] = [];
  #table: string | undefined;
  #opened = 0;
  #chains = new Map<string, OpenChain>();
  /** Rules wait for the end of their table: only then is it known which targets are chains. */
  #waiting: {
    text: string;
    chain: OpenChain;
    chainName: string;
    counters: Counters | undefined;
    line: number;
  }[] = [];

  constructor(backend: Backend, family: NftFamily) {
    this.#backend = backend;
    this.#family = family;
  }

  error(line: number, problem: string): RulesetParseError {
    const program = iptablesProgram('iptables-save', FAMILY_OF_NFT[this.#family]);
    return new RulesetParseError(`${program} (${this.#backend}), line ${line}`, problem);
  }

  line(text: string, number: number): void {
    const line = text.trimEnd();
    if (line === '') return;
    switch (line[0]) {
      case '#': {
        const table = /^# Table [`'](\S+?)' is incompatible/.exec(line)?.[1];
        if (table !== undefined) this.#incompatible.push(table);
        return;
      }
      case '*':
        if (this.#table !== undefined)
          throw this.error(number, `table ${quote(line)} inside table ${this.#table}`);
        if (!/^\*[\w.-]{1,64}$/.test(line)) throw this.error(number, `${quote(line)} does not name a table`);
        this.#table = line.slice(1);
        this.#opened = number;
        return;
      case ':':
        this.#declare(line, number);
        return;
      case '[':
      case '-':
        this.#rule(line, number);
        return;
    }
    if (line !== 'COMMIT') throw this.error(number, `${quote(line)} is not a line of iptables-save`);
    if (this.#table === undefined) throw this.error(number, 'COMMIT outside a table');
    this.#commit(this.#table);
  }

  finish(): IptablesDocument {
    if (this.#table !== undefined) {
      throw this.error(this.#opened, `table ${this.#table} has no COMMIT: the document is cut off`);
    }
    return { tables: [...this.#tables.values()], incompatible: this.#incompatible };
  }

  #declare(line: string, number: number): void {
    const match = /^:(\S{1,64}) (\S+)(?: \[(\d+):(\d+)\])?$/.exec(line);
    if (match === null || this.#table === undefined) {
      throw this.error(number, `${quote(line)} does not declare a chain of a table`);
    }
    const [, name, policy, packets, bytes] = match;
    const hook = policy === '-' ? undefined : entryOf(BUILT_IN, name);
    this.#chains.set(name!, {
      base: hook === undefined ? undefined : baseHook(this.#table, hook, policy!),
      counters: packets === undefined ? undefined : { packets: Number(packets), bytes: Number(bytes) },
      rules: [],
    });
  }

  #rule(line: string, number: number): void {
    let text = line;
    let counters: Counters | undefined;
    if (line[0] === '[') {
      const end = line.indexOf('] ');
      const colon = line.indexOf(':');
      const packets = Number(line.slice(1, colon));
      const bytes = Number(line.slice(colon + 1, end));
      if (colon < 2 || end < colon + 2 || !Number.isInteger(packets) || !Number.isInteger(bytes)) {
        throw this.error(number, `${quote(line)} has no counters before its rule`);
      }
      counters = { packets, bytes };
      text = line.slice(end + 2);
    }
    const space = text.indexOf(' ', 3);
    const chainName = text.slice(3, space < 0 ? undefined : space);
    if (!text.startsWith('-A ') || this.#table === undefined) {
      throw this.error(number, `${quote(line)} does not append a rule to a chain of a table`);
    }
    const chain = this.#chains.get(chainName);
    if (chain === undefined) throw this.error(number, `chain ${quote(chainName)} is not declared`);
    this.#waiting.push({ text, chain, chainName, counters, line: number });
  }

  #commit(table: string): void {
    for (const { text, chain, chainName, counters, line } of this.#waiting) {
      const words = splitWords(text);
      let parsed: { expressions: Expression[]; comment: string | undefined };
      try {
        parsed = parseRuleWords(words.slice(2), this.#family, (name) => this.#chains.has(name));
      } catch (cause) {
        throw this.error(line, (cause as Error).message);
      }
      chain.rules.push({
        location: {
          backend: this.#backend,
          family: this.#family,
          table,
          chain: chainName,
          index: chain.rules.length,
        },
        expressions: parsed.expressions,
        comment: parsed.comment,
        counters,
        text,
      });
    }
    const chains = new Map<string, Chain>();
    for (const [name, { base, counters, rules }] of this.#chains) {
      chains.set(name, { backend: this.#backend, family: this.#family, table, name, base, counters, rules });
    }
    this.#tables.set(table, {
      backend: this.#backend,
      family: this.#family,
      name: table,
      chains,
      sets: new Map(),
    });
    this.#table = undefined;
    this.#chains = new Map();
    this.#waiting = [];
  }
}

function baseHook(table: string, hook: Hook, policy: string): BaseHook | undefined {
  const common = { hook, policy: policy === 'DROP' ? ('drop' as const) : ('accept' as const) };
  if (table === 'nat') {
    const source = hook === 'postrouting' || hook === 'input';
    return { type: 'nat', priority: source ? 100 : -100, ...common };
  }
  const priority = entryOf(PRIORITIES, table);
  if (priority === undefined) return undefined;
  return { type: table === 'mangle' && hook === 'output' ? 'route' : 'filter', priority, ...common };
}

function quote(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 77)}...` : text);
}

/** Options whose next word is theirs, whatever it looks like. */
const TAKES_ANY_WORD = new Set([
  '--comment',
  '--string',
  '--hex-string',
  '--log-prefix',
  '--nflog-prefix',
  '--ulog-prefix',
  '--helper',
  '--name',
  '--bytecode',
  '--u32',
]);

interface Option {
  negated: boolean;
  name: string;
  args: string[];
}

interface Segment {
  kind: 'base' | 'module' | 'target';
  /** Name of the module or target. */
  name: string;
  goto: boolean;
  options: Option[];
  words: string[];
}

/** Parses the words of a rule after its chain. */
export function parseRuleWords(
  words: readonly string[],
  family: NftFamily,
  isChain: (name: string) => boolean,
): { expressions: Expression[]; comment: string | undefined } {
  const expressions: Expression[] = [];
  let comment: string | undefined;
  for (const segment of segmentsOf(words)) {
    if (segment.kind === 'target') expressions.push(targetOf(segment, isChain));
    else if (segment.kind === 'base') {
      for (const option of segment.options) expressions.push(baseMatch(option, family));
    } else if (segment.name === 'comment') comment = segment.options[0]?.args[0];
    else expressions.push(...moduleMatches(segment, family));
  }
  return { expressions, comment };
}

function segmentsOf(words: readonly string[]): Segment[] {
  let segment: Segment = { kind: 'base', name: '', goto: false, options: [], words: [] };
  const segments = [segment];
  let option: Option | undefined;
  let negated = false;
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!;
    if (option !== undefined && option.args.length === 0 && TAKES_ANY_WORD.has(option.name)) {
      option.args.push(word);
      segment.words.push(word);
    } else if (word === '!') {
      negated = true;
    } else if (word === '-m' || word === '-j' || word === '-g') {
      const name = words[++i];
      if (name === undefined) throw new Error(`${word} at the end of the rule`);
      segment = {
        kind: word === '-m' ? 'module' : 'target',
        name,
        goto: word === '-g',
        options: [],
        words: [],
      };
      segments.push(segment);
      option = undefined;
      negated = false;
    } else if (isOption(word)) {
      if (negated) segment.words.push('!');
      option = { negated, name: word, args: [] };
      segment.options.push(option);
      segment.words.push(word);
      negated = false;
    } else {
      if (option === undefined) throw new Error(`${quote(word)} does not belong to an option`);
      option.args.push(word);
      segment.words.push(word);
    }
  }
  return segments;
}

/** Whether a word is an option: a negative number is none. */
function isOption(word: string): boolean {
  const next = word.charCodeAt(1);
  return word[0] === '-' && !(next >= DIGIT_0 && next <= DIGIT_9);
}

const DIGIT_0 = 0x30;
const DIGIT_9 = 0x39;

const PROTOCOL: Operand = { field: 'protocol' };
const SOURCE: Operand = { field: 'source' };
const DESTINATION: Operand = { field: 'destination' };
const SOURCE_PORT: Operand = { field: 'source-port' };
const DESTINATION_PORT: Operand = { field: 'destination-port' };
const INPUT_INTERFACE: Operand = { field: 'input-interface' };
const OUTPUT_INTERFACE: Operand = { field: 'output-interface' };

function baseMatch(option: Option, family: NftFamily): Match {
  return understoodMatch(option, family) ?? { kind: 'opaque-match', text: optionText(option) };
}

function understoodMatch(option: Option, family: NftFamily): Match | undefined {
  const [value] = option.args;
  if (value === undefined || option.args.length > 1) return undefined;
  switch (option.name) {
    case '-s':
    case '-d': {
      const pattern = parseNetwork(value);
      if (pattern === undefined || isV6(pattern) !== (family === 'ip6')) return undefined;
      return fieldMatch(option.name === '-s' ? SOURCE : DESTINATION, [pattern], option.negated);
    }
    case '-i':
      return fieldMatch(INPUT_INTERFACE, [interfacePattern(value, '+')], option.negated);
    case '-o':
      return fieldMatch(OUTPUT_INTERFACE, [interfacePattern(value, '+')], option.negated);
    case '-p': {
      const number = protocolNumber(value);
      return number === undefined ? undefined : fieldMatch(PROTOCOL, [exact(number)], option.negated);
    }
    default:
      return undefined;
  }
}

function isV6(pattern: Pattern): boolean {
  if (pattern.kind === 'exact') return typeof pattern.value === 'bigint';
  return pattern.kind === 'range' && typeof pattern.from === 'bigint';
}

function optionText(option: Option): string {
  return `${option.negated ? '! ' : ''}${[option.name, ...option.args].join(' ')}`;
}

/**
 * Of IPv6 the kernel reads the address where it asks the routing table of IPv4, and several types must all be right (match_type6):
 * what is not multicast is unicast, local addresses included.
 */
function addressType(
  field: 'source-type' | 'destination-type',
  types: readonly string[],
  negated: boolean,
  family: NftFamily,
): Match | undefined {
  if (family === 'ip') return fieldMatch({ field }, types.map(exact), negated);
  const [only] = types;
  if (types.length > 1) return undefined;
  if (only === 'unicast') return fieldMatch({ field }, [exact('multicast')], !negated);
  return only === 'local' || only === 'multicast' ? fieldMatch({ field }, [exact(only)], negated) : undefined;
}

/** Whether the route back to the source leads out by the interface that a packet came in by, or with `--loose` by any (xt_rpfilter). */
function reversePath({ options }: Segment): Match | undefined {
  const names = options.map(({ name }) => name);
  const has = (name: string) => names.includes(name);
  // With --accept-local the node's own addresses pass, too.
  const isKnown = names.every((name) => ['--loose', '--validmark', '--invert'].includes(name));
  if (!isKnown || options.some(({ args, negated }) => args.length > 0 || negated)) return undefined;
  const field = has('--validmark') ? 'reverse-path-by-mark' : 'reverse-path';
  return fieldMatch({ field }, (has('--loose') ? ['kept', 'other'] : ['kept']).map(exact), has('--invert'));
}

function moduleMatches(segment: Segment, family: NftFamily): Match[] {
  if (segment.name === 'rpfilter') return [reversePath(segment) ?? opaqueModule(segment)];
  const matches: Match[] = [];
  for (const option of segment.options) {
    const match = moduleMatch(segment.name, option, family);
    // One option that is not understood makes the whole match opaque: they may depend on each other.
    if (match === undefined) return [opaqueModule(segment)];
    matches.push(match);
  }
  // `-m tcp` alone adds nothing to `-p tcp`; any other module without options is not understood.
  if (segment.options.length === 0 && !BARE_MODULES.has(segment.name)) return [opaqueModule(segment)];
  return matches;
}

const BARE_MODULES = new Set(['tcp', 'udp', 'udplite', 'sctp', 'dccp', 'icmp', 'icmp6']);

function opaqueModule({ name, words }: Segment): Match {
  const text = ['-m', name, ...words].join(' ');
  return name === 'statistic' ? { kind: 'opaque-match', text, random: true } : { kind: 'opaque-match', text };
}

function moduleMatch(module: string, { name, args, negated }: Option, family: NftFamily): Match | undefined {
  const [value] = args;
  if (value === undefined || args.length > 1) return undefined;
  switch (module) {
    case 'tcp':
    case 'udp':
    case 'udplite':
    case 'sctp':
    case 'dccp': {
      const pattern = portRange(value, ':');
      if (pattern === undefined) return undefined;
      if (name === '--sport') return fieldMatch(SOURCE_PORT, [pattern], negated);
      return name === '--dport' ? fieldMatch(DESTINATION_PORT, [pattern], negated) : undefined;
    }
    case 'multiport':
      return multiport(name, value, negated);
    case 'addrtype': {
      const field =
        name === '--src-type' ? 'source-type' : name === '--dst-type' ? 'destination-type' : undefined;
      return field && addressType(field, value.toLowerCase().split(','), negated, family);
    }
    case 'mark':
    case 'connmark': {
      const mark = markAndMask(value);
      if (name !== '--mark' || mark === undefined) return undefined;
      const field = module === 'mark' ? 'mark' : 'ct-mark';
      return fieldMatch({ field, mask: mark.mask }, [exact(mark.value)], negated);
    }
    case 'iprange': {
      const dash = value.indexOf('-');
      const from = parseAddress(value.slice(0, dash));
      const to = parseAddress(value.slice(dash + 1));
      if (from === undefined || to === undefined || typeof from !== typeof to) return undefined;
      if (name === '--src-range') return fieldMatch(SOURCE, [range(from, to)], negated);
      return name === '--dst-range' ? fieldMatch(DESTINATION, [range(from, to)], negated) : undefined;
    }
    case 'conntrack':
    case 'state':
      return conntrackMatch(name, value, negated);
    default:
      return undefined;
  }
}

function multiport(name: string, value: string, negated: boolean): Match | undefined {
  const patterns: Pattern[] = [];
  for (const part of value.split(',')) {
    const pattern = portRange(part, ':');
    if (pattern === undefined) return undefined;
    patterns.push(pattern);
  }
  if (name === '--dports') return fieldMatch(DESTINATION_PORT, patterns, negated);
  if (name === '--sports') return fieldMatch(SOURCE_PORT, patterns, negated);
  if (name !== '--ports') return undefined;
  return {
    kind: 'any-of',
    negated,
    matches: [fieldMatch(SOURCE_PORT, patterns), fieldMatch(DESTINATION_PORT, patterns)],
  };
}

function conntrackMatch(name: string, value: string, negated: boolean): Match | undefined {
  const words = value.toLowerCase().split(',');
  switch (name) {
    case '--state':
    case '--ctstate':
      // SNAT and DNAT are states here too: what the status bits say (xt_conntrack).
      return fieldMatch({ field: 'ct-state' }, words.map(exact), negated);
    case '--ctdir':
      return fieldMatch({ field: 'ct-direction' }, [exact(words[0]!)], negated);
    case '--ctorigsrc':
    case '--ctorigdst': {
      const pattern = parseNetwork(value);
      if (pattern === undefined) return undefined;
      const field = name === '--ctorigsrc' ? 'ct-original-source' : 'ct-original-destination';
      return fieldMatch({ field }, [pattern], negated);
    }
    case '--ctorigdstport': {
      const pattern = portRange(value, ':');
      return pattern && fieldMatch({ field: 'ct-original-destination-port' }, [pattern], negated);
    }
    default:
      return undefined;
  }
}

/** `80`, `80:90`, `:90`, `80:`. */
function portRange(text: string, separator: ':' | '-'): Pattern | undefined {
  const ends = portEnds(text, separator);
  return ends && range(ends.from, ends.to);
}

/** `0x4000/0x4000` or `0x4000`. */
function markAndMask(text: string): { value: number; mask: number } | undefined {
  const slash = text.indexOf('/');
  const value = number32(slash < 0 ? text : text.slice(0, slash));
  const mask = slash < 0 ? 0xffffffff : number32(text.slice(slash + 1));
  return value === undefined || mask === undefined ? undefined : { value, mask };
}

function number32(text: string): number | undefined {
  if (!/^(0x[0-9a-fA-F]{1,8}|\d{1,10})$/.test(text)) return undefined;
  const value = Number(text);
  return value <= 0xffffffff ? value : undefined;
}

/** Targets after which the packet continues, with nothing changed that is modelled. */
const NEUTRAL_TARGETS = new Set([
  ...[
    'AUDIT',
    'CHECKSUM',
    'CLASSIFY',
    'CONNSECMARK',
    'DSCP',
    'ECN',
    'HL',
    'IDLETIMER',
    'LED',
    'LOG',
    'NFLOG',
  ],
  ...['RATEEST', 'SECMARK', 'SET', 'TCPMSS', 'TCPOPTSTRIP', 'TEE', 'TOS', 'TRACE', 'TTL', 'ULOG'],
]);

function targetOf(segment: Segment, isChain: (name: string) => boolean): Statement {
  const { name, options } = segment;
  if (isChain(name)) return { kind: segment.goto ? 'goto' : 'jump', chain: name };
  switch (name) {
    case 'ACCEPT':
      return { kind: 'accept' };
    case 'DROP':
      return { kind: 'drop' };
    case 'RETURN':
      return { kind: 'return' };
  }
  const value = (option: string) => options.find((each) => each.name === option)?.args[0];
  const has = (option: string) => options.some((each) => each.name === option);
  const text = ['-j', name, ...segment.words].join(' ');
  switch (name) {
    case 'REJECT':
      return { kind: 'reject', with: value('--reject-with') };
    case 'QUEUE':
      return { kind: 'queue' };
    case 'NFQUEUE':
      // With the bypass it accepts when no program listens, which the rules do not show.
      return has('--queue-bypass') ? { kind: 'opaque-statement', text } : { kind: 'queue' };
    case 'DNAT':
      return { kind: 'dnat', to: natSource(value('--to-destination'), text) };
    case 'SNAT':
      return { kind: 'snat', to: natSource(value('--to-source'), text) };
    case 'REDIRECT':
      return { kind: 'redirect', to: portsSource(value('--to-ports'), text) };
    case 'MASQUERADE':
      return { kind: 'masquerade', to: portsSource(value('--to-ports'), text) };
    case 'NETMAP':
      // Which end it maps depends on the hook; the trace sees to that by where it stands.
      return { kind: 'opaque-statement', text };
    case 'MARK':
    case 'CONNMARK':
      return markTarget(name === 'MARK' ? 'packet' : 'connection', value, has, text);
    case 'HMARK':
      return { kind: 'opaque-mark', of: 'packet', text };
    case 'NOTRACK':
      return { kind: 'notrack' };
    case 'CT':
      if (has('--notrack')) return { kind: 'notrack' };
      if (['--zone', '--zone-orig', '--zone-reply'].some(has))
        return { kind: 'set-zone', text, retracks: false };
      return { kind: 'neutral', text };
    case 'TPROXY':
      return { kind: 'tproxy', text };
    default:
      return { kind: NEUTRAL_TARGETS.has(name) ? 'neutral' : 'opaque-statement', text };
  }
}

function markTarget(
  of: 'packet' | 'connection',
  value: (option: string) => string | undefined,
  has: (option: string) => boolean,
  text: string,
): Statement {
  const opaque: Statement = { kind: 'opaque-mark', of, text };
  const xmark = value('--set-xmark');
  const parsed = markAndMask(xmark ?? value('--set-mark') ?? '');
  if (parsed !== undefined) {
    // --set-mark clears the bits of the value as well as those of the mask; --set-xmark flips where the mask is not.
    const clear = xmark === undefined ? (parsed.mask | parsed.value) >>> 0 : parsed.mask;
    return { kind: 'set-mark', of, clear, flip: parsed.value };
  }
  if (of === 'packet') return opaque;
  const [nfmask, ctmask] = [
    number32(value('--nfmask') ?? '0xffffffff'),
    number32(value('--ctmask') ?? '0xffffffff'),
  ];
  const mask = number32(value('--mask') ?? '0xffffffff');
  if (nfmask !== ctmask || nfmask === undefined || mask === undefined) return opaque;
  const bits = (nfmask & mask) >>> 0;
  if (has('--save-mark')) return { kind: 'copy-mark', to: 'connection', mask: bits };
  if (has('--restore-mark')) return { kind: 'copy-mark', to: 'packet', mask: bits };
  return opaque;
}

function portsSource(ports: string | undefined, text: string): NatSource {
  if (ports === undefined) return {};
  const port = portEnds(ports, '-');
  return port === undefined ? { opaque: text } : { literal: { port } };
}

/** `10.0.0.1`, `10.0.0.1-10.0.0.5:80-90`, `:80`, `fd00::1`, `[fd00::1]:80`. */
function natSource(text: string | undefined, whole: string): NatSource {
  const target = text === undefined ? undefined : parseNatTarget(text);
  return target === undefined ? { opaque: whole } : { literal: target };
}
