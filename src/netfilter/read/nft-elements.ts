import { parseAddress } from '../../util/address.ts';
import { NFT_FAMILY } from '../../util/family.ts';
import { entryOf, isObject, type Json, type JsonObject } from '../../util/json.ts';
import { ANY, exact, interfacePattern, network, range } from './match-builders.ts';
import {
  type Counters,
  type Element,
  type Field,
  type NatTarget,
  type Pattern,
  protocolNumber,
  type Verdict,
} from './model.ts';
import { elementText } from './nft-text.ts';

// What nft prints of values: elements of sets and maps, patterns, verdicts, what a translation writes.

/** The elements of a set or map whose keys are of these fields; `opaque` says that not all of them are understood. */
export function readElements(
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

/** The numbers of packets and bytes of a counter; undefined when it has none. */
export function readCounters(json: Json | undefined): Counters | undefined {
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

/** One address, or a range or network of them. */
export function readAddresses(json: Json): NatTarget['address'] {
  const pattern = readPattern(json, 'source');
  if (pattern?.kind === 'exact' && typeof pattern.value !== 'string') {
    return { from: pattern.value, to: pattern.value };
  }
  return pattern?.kind === 'range' ? { from: pattern.from, to: pattern.to } : undefined;
}

/** One port, or a range of them. */
export function readPorts(json: Json): NatTarget['port'] {
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

/** The verdict that a statement or element is; undefined when it is none. */
export function readVerdict(json: JsonObject): Verdict | undefined {
  for (const kind of Object.keys(json)) {
    if (VERDICTS.has(kind)) return { kind: kind as 'accept' | 'drop' | 'return' | 'continue' };
    if (kind === 'jump' || kind === 'goto') {
      const body = json[kind];
      if (isObject(body) && typeof body.target === 'string') return { kind, chain: body.target };
    }
  }
  return undefined;
}
