/** A place in which two answers differ: `body.metadata.name`, with `*` for the number in a list. */
export interface Difference {
  path: string;
  own: unknown;
  real: unknown;
}

const TIME = /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z/g;
const UID = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g;
/** Suffixes that a server makes up, behind names that the operations give. */
const GENERATED = /\b(generated-|kube-api-access-)[a-z0-9]{5}\b/g;
/** Fields whose value only one server can have: its own counters, addresses and texts that nobody else understands. */
const OWN: Readonly<Record<string, string>> = {
  resourceVersion: 'version',
  continue: 'continue token',
  token: 'token',
};

/** Lists in whatever order a server's map gives them at the moment. */
const UNORDERED = new Set(['resourceRules', 'nonResourceRules', 'nonResourceURLs']);

function byText(a: unknown, b: unknown): number {
  return JSON.stringify(a) < JSON.stringify(b) ? -1 : 1;
}

/** An answer with what must differ between two servers replaced by what it is. */
export function normalise(value: unknown, field = ''): unknown {
  if (typeof value === 'string') {
    if (OWN[field] !== undefined && value !== '') return `<${OWN[field]}>`;
    return value
      .replaceAll(UID, '<uid>')
      .replaceAll(TIME, '<time>')
      .replaceAll(GENERATED, '$1<suffix>')
      .replaceAll(/in record \(\d+\)/g, 'in record (<version>)')
      .replaceAll(/^\d+s$/g, '<age>')
      .replaceAll(/\b80:3(?!0080)\d{4}\/TCP/g, '80:<port>/TCP')
      .replaceAll(/\b10\.96\.0\.(?!1\b|77\b)\d+/g, '<address>');
  }
  if (field === 'nodePort' && value !== 30080) return '<port>';
  if (Array.isArray(value)) {
    const items = value.map((item) => normalise(item));
    return UNORDERED.has(field) ? items.sort(byText) : items;
  }
  if (typeof value !== 'object' || value === null) return value;
  // Sorted, so that equal objects have equal texts.
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(
    entries.map(([name, item]) => [
      name.replaceAll(UID, '<uid>').replaceAll(GENERATED, '$1<suffix>'),
      normalise(item, name),
    ]),
  );
}

/** Every place where two normalised values differ. */
export function differences(own: unknown, real: unknown, path = ''): Difference[] {
  if (Array.isArray(own) && Array.isArray(real) && own.length === real.length) {
    return own.flatMap((item, at) => differences(item, real[at], below(path, '*')));
  }
  if (isObject(own) && isObject(real)) {
    const names = new Set([...Object.keys(own), ...Object.keys(real)]);
    return [...names].flatMap((name) => differences(own[name], real[name], below(path, name)));
  }
  return JSON.stringify(own) === JSON.stringify(real) ? [] : [{ path, own, real }];
}

function below(path: string, name: string): string {
  return path === '' ? name : `${path}.${name}`;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
