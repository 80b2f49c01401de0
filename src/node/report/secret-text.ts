/** Secrets in plain text, known by what stands before them or by how they look. All of it takes linear time. */

/** What replaces a secret. Code that writes a file refuses a text that contains it. */
export const LEFT_OUT = '(left out by hostport)';

/** What fields of secrets are called. */
const SECRET_WORD =
  /token|passw(?:or)?d|passphrase|secret|credential|authorization|private[-_]?key|api[-_]?key|access[-_]?key|key[-_]?data/i;
/** What their names end with. */
const SECRET_END = /(?:key|psk|cookies?|pass|pwd)$/i;
/** Names that end so and are of no secrets. */
const HARMLESS =
  /(?:public|pub|host|primary|foreign|sort|hot|cache|map|label|annotation|taint|topology|selector|lookup)[-_]?key$|(?:mon|tur|don)key$|(?:by|com|tres|sur)pass$/i;

/** Whether a field of this name in a document holds a secret. */
export function isSecretKey(key: string): boolean {
  return isSecretName(key) || /^(?:auths?|key)$/i.test(key);
}

/** Whether what follows this word in a text or in a list of arguments is a secret. `key` alone says too little there. */
export function isSecretName(word: string): boolean {
  if (SECRET_WORD.test(word)) return true;
  return SECRET_END.test(word) && !HARMLESS.test(word) && !/^-*key$/i.test(word);
}

/**
 * Secrets that are known by how they look: `Bearer …`, JSON Web Tokens, PEM in base64, AWS access keys, tokens of GitHub, GitLab, Slack and
 * k3s, keys of age. Tokens of kubeadm look like names of machines: only after the word `token`.
 */
const LOOKS_SECRET =
  /\b(?:bearer|Bearer|BEARER)\s{1,20}[\w+/=.~-]{12,}|LS0tLS1CRUdJTi[\w+/=]*(?:\r?\n[ \t]{0,100}[\w+/=]{16,}(?=[ \t]{0,100}(?:\r?\n|$)))*|(?<![\w-])(?:eyJ[\w-]{10}|AKIA[A-Z0-9]{16}|ASIA[A-Z0-9]{16}|(?:gh[pousr]_|github_pat_|glpat-|xox[abposr]-)[\w-]{10}|K10[0-9a-f]{16}|AGE-SECRET-KEY-)[^\s"'\\,;)\]}]*|(?<=\btokens?[\s"'\\=:(]{1,20})[a-z0-9]{6}\.[a-z0-9]{16}(?![\w.-])/g;

/** Whether a text could have a secret at all: for many short texts that have none. */
export function mayHoldSecret(text: string): boolean {
  return (
    SECRET_WORD.test(text) ||
    /key|psk|cookie|pass|pwd|:\/\/|-----BEGIN |bearer|LS0tLS1|eyJ|AKIA|ASIA|gh[pousr]_|github_pat_|glpat-|xox|K10|AGE-|-u|--user/i.test(
      text,
    )
  );
}

/** A text that is no document, with its secrets left out. */
export function plainTextWithoutSecrets(text: string): string {
  if (!mayHoldSecret(text)) return text;
  return withoutNamed(withoutUserinfo(withoutPem(text)))
    .replace(LOGIN, withoutPassword)
    .replace(NETRC, withoutValue)
    .replace(LOOKS_SECRET, LEFT_OUT);
}

/** `-u user:password`, as curl and others take it. */
const LOGIN =
  /((?<![\w-])(?:-u|--(?:proxy-)?user)(?:[\\"', \t=]{0,20}|\n[ \t]{0,50}- ))([^\s:"'\\,/]{1,256}):(?!\(left out by hostport\))([^\s"'\\]+)/g;

function withoutPassword(found: string, flag: string, user: string, password: string): string {
  // A user and a group by number, or the path of a socket.
  const isHarmless = (/^\d+$/.test(user) && /^\d+$/.test(password)) || password.startsWith('/');
  return isHarmless ? found : `${flag}${user}:${LEFT_OUT}`;
}

/** `machine h login u password p`, in either order and on several lines, as netrc(5) has it. */
const NETRC =
  /((?<![\w-])(?:machine[ \t\r\n]{1,20}\S{1,256}|default|login[ \t\r\n]{1,20}\S{1,256})[ \t\r\n]{1,20}(?:account[ \t\r\n]{1,20}\S{1,256}[ \t\r\n]{1,20})?password[ \t\r\n]{1,20})(?!\(left out by hostport\))("[^"]{1,1024}"|\S+)/g;

function withoutValue(_found: string, before: string): string {
  return `${before}${LEFT_OUT}`;
}

/** Where a value is in a text. */
interface Span {
  start: number;
  end: number;
}

/** A line of the text: where it begins, and its end. */
class Lines {
  start = 0;
  end: number;
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
    this.end = lineEnd(text, 0);
  }

  /** Continues to the line of a place, which is never before the last one. */
  goTo(at: number): void {
    while (this.end < at) {
      this.start = this.end + 1;
      this.end = lineEnd(this.#text, this.start);
    }
  }
}

function lineEnd(text: string, from: number): number {
  const end = text.indexOf('\n', from);
  return end < 0 ? text.length : end;
}

/** A text with the values left out that stand behind words for secrets: `password=…`, `"token": …`, `--token …`, and such a key in YAML. */
function withoutNamed(text: string): string {
  const word = /[\w-]+/g;
  const lines = new Lines(text);
  let kept = '';
  let from = 0;
  for (let found = word.exec(text); found !== null; found = word.exec(text)) {
    if (!isSecretName(found[0])) continue;
    const value = valueBehind(text, found.index, word.lastIndex, lines);
    if (value === undefined) continue;
    kept += `${text.slice(from, value.start)}${LEFT_OUT}`;
    from = value.end;
    word.lastIndex = value.end;
  }
  return kept + text.slice(from);
}

/** The value that belongs to a word; undefined when none does. */
function valueBehind(text: string, at: number, end: number, lines: Lines): Span | undefined {
  if (text[at - 1] === '<') return elementValue(text, end);
  if (isExplicitKey(text, at, lines)) {
    const colon = matchAt(/["']?[ \t]*(?:\r?\n[ \t]*:(?=\s)|$)/y, text, end);
    if (colon !== undefined) return explicitValue(text, end + colon.length, lines);
  }
  const assigned = matchAt(/[\\"' \t]*(?::=|=>|[=:])/y, text, end);
  if (assigned !== undefined)
    return assignedValue(text, at, end + assigned.length, lines, assigned.includes(':'));
  const valueKey = matchAt(/[\\"'\s,]*(?:value|val)[\\"' \t]*[:=]/iy, text, end);
  if (valueKey !== undefined) {
    const key = end + valueKey.search(/val/i);
    return assignedValue(text, key, end + valueKey.length, lines, valueKey.endsWith(':'));
  }
  if (text[at] !== '-') return undefined;
  const gap = matchAt(/[\\"']*\s*,\s*|\s+(?:-\s+)?/y, text, end);
  if (gap === undefined || text.startsWith('--', end + gap.length)) return undefined;
  return inlineValue(text, end + gap.length);
}

/** What an element of XML holds, up to the next one. */
function elementValue(text: string, nameEnd: number): Span | undefined {
  const opening = matchAt(/[^<>]{0,1000}>/y, text, nameEnd);
  if (opening === undefined || opening.endsWith('/>')) return undefined;
  const start = nameEnd + opening.length;
  const end = text.indexOf('<', start);
  return nonEmpty({ start, end: end < 0 ? text.length : end });
}

/** Whether a word is a key of YAML that is announced by a question mark: its value is on lines of its own. */
function isExplicitKey(text: string, at: number, lines: Lines): boolean {
  lines.goTo(at);
  return at - lines.start <= 200 && /^[ \t]*(?:- +)*\?[ \t]+["']?$/.test(text.slice(lines.start, at));
}

/** The value of such a key, from behind its colon: the rest of the line, and all lines that are indented more. */
function explicitValue(text: string, from: number, lines: Lines): Span | undefined {
  lines.goTo(from);
  const start = from + matchAt(/[ \t]*/y, text, from)!.length;
  const indent = matchAt(/[ \t]*/y, text, lines.start)!.length;
  return blockValue(text, start, lines.end, indent, false);
}

/** The value after `=` or `:`. At the beginning of a line it is what YAML says it is, elsewhere a word or what is quoted. */
function assignedValue(
  text: string,
  at: number,
  separatorEnd: number,
  lines: Lines,
  isColon: boolean,
): Span | undefined {
  lines.goTo(at);
  const start = separatorEnd + matchAt(/[ \t]*/y, text, separatorEnd)!.length;
  const isLast = start >= lines.end || text[start] === '\r';
  const prefix = at - lines.start <= 200 ? text.slice(lines.start, at) : 'x';
  const isKey = isColon && /^[ \t]*(?:- +)*["']?$/.test(prefix) && (start > separatorEnd || isLast);
  if (isKey || (isColon && isLast)) {
    const indent = isKey ? prefix.replace(/["']$/, '').length : matchAt(/[ \t]*/y, text, lines.start)!.length;
    return blockValue(text, start, lines.end, indent, isKey && /^[ \t]*["']?$/.test(prefix));
  }
  const quote = /(\\*)["']$/.exec(text.slice(Math.max(0, at - 64), at))?.[0];
  // The name is in quotes together with its value.
  if (quote !== undefined && !/["']/.test(text.slice(at, separatorEnd))) {
    return nonEmpty({ start, end: closingQuote(text, start, quote) });
  }
  return inlineValue(text, start);
}

/** What can only be a setting. */
const SETTING = /^(?:true|false|null|~)$/i;

/** How an error continues after a name, as in `network "my-token": failed to find plugin`: words by which a failure is known. */
const PROSE =
  /^(?:failed|failure|plugin|netplugin|network|errors?|rpc|cannot|could|unable|unexpected|unknown|invalid|missing|no|not|is|was|has|the|timed|timeout|context|secret|configmap|open|dial|connect|stat|exit|get|post)$/i;

/** The rest of a line and all lines that are indented more: a key's value in YAML, whatever its form. */
function blockValue(
  text: string,
  start: number,
  end: number,
  indent: number,
  listAtIndent: boolean,
): Span | undefined {
  const line = text.slice(start, end).trim();
  const takesList = listAtIndent && line === '';
  let last = end;
  while (last < text.length) {
    const next = lineEnd(text, last + 1);
    const spaces = matchAt(/[ \t\r]*/y, text, last + 1)!.length;
    const isBlank = last + 1 + spaces >= next;
    const isItem = takesList && spaces === indent && text.startsWith('- ', last + 1 + spaces);
    if (!isBlank && spaces <= indent && !isItem) break;
    last = next;
  }
  // The line breaks at the end are of no value.
  while (last > end && /\s/.test(text[last - 1]!)) last--;
  if (last <= end && (line === '' || SETTING.test(line))) return undefined;
  return { start: Math.min(start, end), end: Math.max(last, end) };
}

/** A word, with the name of its scheme, or what is in quotes. */
function inlineValue(text: string, start: number): Span | undefined {
  // An anchor and a tag of YAML are before the value.
  const properties = matchAt(/(?:[&!][^\s"']*[ \t]+)+/y, text, start);
  if (properties !== undefined) return inlineValue(text, start + properties.length);
  const quote = matchAt(/\\*["']/y, text, start);
  if (quote !== undefined) {
    const from = start + quote.length;
    return nonEmpty({ start: from, end: closingQuote(text, from, quote) });
  }
  if (text.startsWith(LEFT_OUT, start)) return { start, end: start + LEFT_OUT.length };
  const value = matchAt(/(?:(?:basic|bearer|digest|negotiate|token)[ \t]+)?\S+/iy, text, start);
  if (value === undefined || SETTING.test(value.slice(0, 16).replace(/\W+$/, ''))) return undefined;
  if (PROSE.test(value) && text[start + value.length] === ' ') return undefined;
  return { start, end: start + value.length };
}

function nonEmpty(span: Span): Span | undefined {
  return span.end > span.start ? span : undefined;
}

/** Where a quoted value ends: at the same quote with as many backslashes, or fewer, which end what it is in. Without one, at the end of the text. */
function closingQuote(text: string, from: number, quote: string): number {
  const mark = quote.at(-1)!;
  for (let at = text.indexOf(mark, from); at >= 0; at = text.indexOf(mark, at + 1)) {
    let escapes = 0;
    while (at - escapes > from && text[at - escapes - 1] === '\\') escapes++;
    if (escapes < quote.length) return at - escapes;
  }
  return text.length;
}

function matchAt(pattern: RegExp, text: string, at: number): string | undefined {
  pattern.lastIndex = at;
  return pattern.exec(text)?.[0];
}

function withoutPem(text: string): string {
  let kept = '';
  let from = 0;
  for (let at = text.indexOf(PEM_BEGIN); at >= 0; at = text.indexOf(PEM_BEGIN, from)) {
    kept += `${text.slice(from, at)}${LEFT_OUT}`;
    const end = text.indexOf(PEM_END, at);
    const closed = end < 0 ? -1 : text.indexOf('-----', end + PEM_END.length);
    if (closed < 0) return kept;
    from = closed + '-----'.length;
  }
  return kept + text.slice(from);
}

const PEM_BEGIN = '-----BEGIN ';
const PEM_END = '-----END ';

/** A text with what stands before the `@` of a URL left out. */
function withoutUserinfo(text: string): string {
  let kept = '';
  let from = 0;
  for (let at = text.indexOf('://'); at >= 0; at = text.indexOf('://', from)) {
    const start = at + '://'.length;
    URL_END.lastIndex = start;
    const end = URL_END.exec(text)?.index ?? text.length;
    const url = text.slice(start, end);
    const slash = url.indexOf('/');
    const authority = slash < 0 ? url : url.slice(0, slash);
    // A password with a slash in it should be escaped, and may not be.
    const sign = authority.includes('@')
      ? authority.lastIndexOf('@')
      : authority.includes(':')
        ? url.lastIndexOf('@')
        : -1;
    kept += text.slice(from, start);
    if (sign >= 0) kept += `${LEFT_OUT}${url.slice(sign)}`;
    else kept += url;
    from = end;
  }
  return kept + text.slice(from);
}

const URL_END = /[\s"'<>]/g;
