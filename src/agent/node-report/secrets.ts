/** What stands in the place of a secret. Whoever writes a file refuses a text that has it. */
export const LEFT_OUT = '(left out by hostport)';

const SECRET = /token|password|passwd|secret|credential|private[-_]?key|api[-_]?key/i;

/** A JSON string that ends, and the colon that makes it a key. */
const KEY = /"(?:[^"\\]|\\.)*"\s*:\s*/gs;
/** One step of a value: a string (one that does not end goes to the end of the text), a bracket, or anything else. */
const PART = /"(?:[^"\\]|\\.)*(?:"|$)|[[{]|[\]}]|[^"[\]{}]/gsy;
const STRING = /"(?:[^"\\]|\\.)*(?:"|$)/sy;
const LITERAL = /[^\s,\]}]+/y;

/**
 * The JSON text with the values of fields that are called like secrets left out, whatever they are (strings, numbers, lists, objects; what
 * can only be a setting, `true`, `false` and `null`, stays); everything else stays as it is. The text may be broken or cut short, since
 * that is what a report is to show: a value without an end is left out to the end.
 */
export function withoutSecrets(text: string): string {
  let kept = '';
  let from = 0;
  KEY.lastIndex = 0;
  for (let match = KEY.exec(text); match !== null; match = KEY.exec(text)) {
    const value = match.index + match[0].length;
    if (!SECRET.test(unescaped(match[0]))) continue;
    const end = endOfValue(text, value);
    KEY.lastIndex = Math.max(end, value);
    if (end === value || /^(?:true|false|null)$/.test(text.slice(value, end))) continue;
    kept += `${text.slice(from, value)}"${LEFT_OUT}"`;
    from = end;
  }
  return kept + text.slice(from);
}

/** A document with its secrets left out in the same way. */
export function documentWithoutSecrets<T extends Record<string, unknown>>(document: T): T {
  return JSON.parse(withoutSecrets(JSON.stringify(document))) as T;
}

/** A key may be spelled with escapes: `"\u0074oken"`. */
function unescaped(key: string): string {
  return key.replace(/\\u([0-9a-f]{4})/gi, (_, digits: string) => String.fromCharCode(parseInt(digits, 16)));
}

function endOfValue(text: string, start: number): number {
  const first = text[start];
  if (first === '"') return matchEnd(STRING, text, start);
  if (first !== '{' && first !== '[') return matchEnd(LITERAL, text, start);
  let depth = 0;
  let at = start;
  while (at < text.length) {
    const part = text[at];
    at = matchEnd(PART, text, at);
    if (part === '{' || part === '[') depth++;
    else if ((part === '}' || part === ']') && --depth === 0) return at;
  }
  return text.length;
}

/** Where the match at exactly this place ends; the place itself when there is none. */
function matchEnd(pattern: RegExp, text: string, start: number): number {
  pattern.lastIndex = start;
  return pattern.test(text) ? pattern.lastIndex : start;
}
