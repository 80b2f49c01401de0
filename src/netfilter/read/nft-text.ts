import { formatEndpoint } from '../../util/endpoint.ts';
import { isObject, type Json } from '../../util/json.ts';

/** Writes expressions of nft's JSON (libnftables-json(5)) in the way a person would, for evidence. Never read again. */

/** Expressions within expressions that are read and written out; nft itself nests far less. */
export const MAX_DEPTH = 24;
/** Elements of a set that are written out. */
const MAX_ELEMENTS = 16;

/** A rule without its counters' numbers. */
export function ruleText(expressions: readonly Json[], comment: string | undefined): string {
  const words = expressions.map((expression) => expressionText(expression));
  if (comment !== undefined) words.push(`comment ${JSON.stringify(comment)}`);
  return words.join(' ');
}

/** An element of a set, or a pair of a map. */
export function elementText(key: Json, data: Json | undefined): string {
  const text = expressionText(key);
  return data === undefined ? text : `${text} : ${expressionText(data)}`;
}

/** One statement or expression. What has no form of its own is written as JSON. */
export function expressionText(json: Json): string {
  return write(json, 0);
}

/** As JSON.stringify writes it, whose time grows with the square of the depth. */
function jsonText(json: Json, depth: number): string {
  if (typeof json !== 'object' || json === null) return JSON.stringify(json);
  if (depth > MAX_DEPTH) return '…';
  if (Array.isArray(json)) return `[${json.map((item) => jsonText(item, depth + 1)).join(',')}]`;
  const members = Object.entries(json).map(
    ([key, value]) => `${JSON.stringify(key)}:${jsonText(value, depth + 1)}`,
  );
  return `{${members.join(',')}}`;
}

function write(json: Json, depth: number): string {
  if (depth > MAX_DEPTH) return '…';
  if (typeof json === 'string') return json;
  if (Array.isArray(json)) return json.map((item) => write(item, depth + 1)).join(',');
  if (!isObject(json)) return json === false ? 'missing' : json === true ? 'exists' : String(json);
  const kind = Object.keys(json)[0];
  if (kind === undefined) return '{}';
  return writeKind(kind, json[kind]!, depth + 1);
}

function writeKind(kind: string, body: Json, depth: number): string {
  // Each part once: written twice at each level, what is nested takes twice as long with each.
  const written = new Map<string, string>();
  const at = (key: string): string => {
    if (!isObject(body) || body[key] === undefined) return '';
    const text = written.get(key) ?? write(body[key], depth);
    written.set(key, text);
    return text;
  };
  const words = (...parts: string[]) => parts.filter((part) => part !== '').join(' ');
  switch (kind) {
    case 'match': {
      const op = at('op');
      const masked = isObject(body) && isObject(body.left) && body.left['&'] !== undefined;
      return words(at('left'), (op === '==' && !masked) || op === 'in' ? '' : op, at('right'));
    }
    case 'meta':
      // The names that need no keyword are never written with it.
      return /^[io]if(name)?$/.test(at('key')) ? at('key') : words('meta', at('key'));
    case 'payload':
      return words(at('protocol'), at('field'));
    case 'fib':
      return words(
        'fib',
        isObject(body) && Array.isArray(body.flags) ? body.flags.join(' . ') : '',
        at('result'),
      );
    case 'ct':
      return words('ct', at('dir'), at('key'));
    case 'prefix':
      return `${at('addr')}/${at('len')}`;
    case 'range':
      return Array.isArray(body) ? body.map((end) => write(end, depth)).join('-') : write(body, depth);
    case 'concat':
      return Array.isArray(body) ? body.map((part) => write(part, depth)).join(' . ') : write(body, depth);
    case 'set':
      return Array.isArray(body) ? setText(body, depth) : words(at('op'), at('set'), `{ ${at('elem')} }`);
    case 'elem':
      return isObject(body) && body.comment !== undefined
        ? `${at('val')} comment ${jsonText(body.comment, depth)}`
        : at('val');
    case 'map':
      return words(at('key'), 'map', at('data'));
    case 'vmap':
      return words(at('key'), 'vmap', at('data'));
    case 'jump':
    case 'goto':
      return words(kind, at('target'));
    case 'dnat':
    case 'snat':
    case 'redirect':
    case 'masquerade': {
      const [address, port] = [at('addr'), at('port')];
      const target = port === '' ? address : formatEndpoint({ address, port });
      return words(kind, at('family'), target === '' ? '' : 'to', target, at('flags'));
    }
    case 'mangle':
      return words(at('key'), 'set', at('value'));
    case 'counter':
    case 'accept':
    case 'drop':
    case 'return':
    case 'continue':
    case 'notrack':
      return kind;
    case 'log':
      return words(
        'log',
        isObject(body) && body.prefix !== undefined ? `prefix ${jsonText(body.prefix, depth)}` : '',
      );
    case 'limit':
      return words('limit rate', `${at('rate')}/${at('per')}`);
    case 'reject':
      return words('reject', at('type'), at('expr'));
    case 'xt':
      return words('xt', at('type'), at('name'));
    case '&':
    case '|':
    case '^':
      return Array.isArray(body)
        ? body.map((side) => write(side, depth)).join(` ${kind} `)
        : write(body, depth);
    default:
      return body === null ? kind : `${kind} ${jsonText(body, depth)}`;
  }
}

function setText(elements: readonly Json[], depth: number): string {
  const shown = elements.slice(0, MAX_ELEMENTS).map((element) => {
    if (!Array.isArray(element)) return write(element, depth);
    return element.map((side) => write(side, depth)).join(' : ');
  });
  const more = elements.length > shown.length ? [`… ${elements.length - shown.length} more`] : [];
  return `{ ${[...shown, ...more].join(', ')} }`;
}
