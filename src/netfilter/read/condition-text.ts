import { formatAddress } from '../../util/address.ts';
import { ADDRESS_BITS, formatCidr, networkRange } from '../../util/cidr.ts';
import type { AnyOfMatch, ElementSet, Field, FieldMatch, Operand, Pattern } from './model.ts';

/** Elements of a set that are written out. */
const MAX_ELEMENTS = 4;

const FIELDS: Partial<Record<Field, string>> = {
  source: 'from',
  'source-port': 'from port',
  'input-interface': 'by',
  mark: 'with mark',
  'ct-mark': 'with connection mark',
};

/** The packets that meet a condition, in words that follow "packets": `from 10.0.0.0/8`, `not by eth0`. */
export function conditionText(condition: FieldMatch | AnyOfMatch): string {
  if (condition.kind === 'match') return `${condition.negated ? 'not ' : ''}${fieldText(condition)}`;
  const texts = condition.matches.map(fieldText);
  return condition.negated ? `neither ${texts.join(' nor ')}` : texts.join(' or ');
}

function fieldText({ key, set }: FieldMatch): string {
  const fields = key.map(({ field }) => FIELDS[field] ?? `with ${field.replaceAll('-', ' ')}`);
  return `${fields.join(' and ')} ${setText(key, set)}`;
}

function setText(key: readonly Operand[], { name, elements, opaque }: ElementSet): string {
  if (elements.length === 0 || opaque !== undefined) return name === undefined ? 'in a set' : `@${name}`;
  const shown = elements
    .slice(0, MAX_ELEMENTS)
    .map((element) => element.key.map((pattern, i) => patternText(pattern, key[i])).join(' . '));
  const more = elements.length - shown.length;
  return more === 0 ? shown.join(', ') : `${shown.join(', ')} and ${more} more`;
}

function patternText(pattern: Pattern, operand: Operand | undefined): string {
  const value = (of: number | bigint) => valueText(of, operand);
  switch (pattern.kind) {
    case 'any':
      return 'any';
    case 'prefix':
      return `${pattern.text}*`;
    case 'exact':
      return typeof pattern.value === 'string' ? pattern.value : value(pattern.value);
    case 'range':
      return networkText(pattern, operand) ?? `${value(pattern.from)}-${value(pattern.to)}`;
  }
}

function valueText(value: number | bigint, { field, mask }: Partial<Operand> = {}): string {
  if (isAddress(field)) return formatAddress(value);
  if (field !== 'mark' && field !== 'ct-mark') return String(value);
  const bits = mask === undefined || mask >>> 0 === 0xffffffff ? '' : `/0x${(mask >>> 0).toString(16)}`;
  return `0x${value.toString(16)}${bits}`;
}

/** A range of addresses as a network; undefined where it is none. */
function networkText({ from, to }: Pattern & { kind: 'range' }, operand?: Operand): string | undefined {
  if (!isAddress(operand?.field)) return undefined;
  const bits = ADDRESS_BITS[typeof from === 'number' ? 'ipv4' : 'ipv6'];
  for (let prefix = 0; prefix <= bits; prefix++) {
    const network = networkRange(from, prefix);
    if (network?.from === from && network.to === to)
      return formatCidr({ address: formatAddress(from), prefix });
  }
  return undefined;
}

function isAddress(field: Field | undefined): boolean {
  return field === 'source' || field === 'destination' || field?.startsWith('ct-original-') === true;
}
