import { JsonMembers, type JsonNode, parseDocument } from '../../cni/json.ts';
import type { NodeReport } from '../../path/model/node-report.ts';
import type { Observed } from '../../path/model/observed.ts';
import { describeContent, isDescription } from './describe-content.ts';

/** What replaces a secret. Code that writes a file refuses a text that contains it. */
export const LEFT_OUT = '(left out by hostport)';

/** Names of fields that hold secrets. */
const SECRET_WORD =
  'token|passw(?:or)?d|passphrase|secret|credential|authorization|private[-_]?key|api[-_]?key|access[-_]?key';
const SECRET_KEY = new RegExp(`${SECRET_WORD}|key[-_]?data|^auths?$|(?:^|[-_])(?:pwd|pass)$`, 'i');

// All repetitions are bounded, so that each pattern takes linear time.
/** `password=…`, `"token": …`, however often its quotes are escaped; `Bearer …`. The first group is what may stay. */
const NAMED_SECRET = new RegExp(
  `((?:${SECRET_WORD}|key[-_]data)[\\w-]{0,30}[\\\\"'\\s]{0,20}[=:])[\\\\"'\\s]{0,20}[^\\\\"'\\s,}]|\\bbearer\\s{1,20}[\\w+/=.~-]{12}`,
  'i',
);
/**
 * Secrets that are known by how they look: JSON Web Tokens, PEM in base64, AWS access keys, tokens of GitHub, GitLab, Slack, k3s and kubeadm,
 * keys of age.
 */
const LOOKS_SECRET =
  /(?<![\w-])(?:eyJ[\w-]{10}|LS0tLS1CRUdJTi|(?:AKIA|ASIA)[A-Z0-9]{16}|(?:gh[pousr]_|github_pat_|glpat-|xox[abposr]-)[\w-]{10}|K10[0-9a-f]{16}|(?<![./])[a-z0-9]{6}\.[a-z0-9]{16}(?![\w.-])|AGE-SECRET-KEY-)/;

/**
 * A JSON document as text with its secrets left out; a description instead of a text that is not JSON, or too large to be read. A text
 * without secrets stays as it is.
 */
export function withoutSecrets(text: string): string {
  if (isDescription(text)) return text;
  let node: JsonNode;
  try {
    node = parseDocument(text, 'document');
  } catch {
    // Documents are only compared, so the place of the error does not matter. For configuration files it does: conf-files.ts.
    return `(${describeContent(text)})`;
  }
  return nodeWithoutSecrets(node, text);
}

/** The text of a document that was parsed, with its secrets left out. */
export function nodeWithoutSecrets(node: JsonNode, text: string): string {
  const redacted = redact(node, true);
  // The parsed document has all that the text has, keys that occur twice included: without a secret in it there is none in the text.
  return redacted === node ? text : written(redacted as JsonNode, text.includes('\n') ? '\n' : '');
}

/** A value with its secrets left out: values of fields that are called like secrets, and texts that look like them. */
export function documentWithoutSecrets<T>(document: T): T {
  return redact(document, true) as T;
}

/** A value with texts that look like secrets left out, whatever its fields are called: labels and selectors stay comparable. */
export function textsWithoutSecrets<T>(document: T): T {
  return redact(document, false) as T;
}

/**
 * A report with all secrets left out: what the readers of files do, done to a report that comes from elsewhere. One that has none is the
 * same afterwards.
 */
export function reportWithoutSecrets(report: NodeReport): NodeReport {
  const { cni, runtime, netfilter, ...rest } = report;
  const { files, dropIns, attachments, ...about } = cni;
  return {
    ...documentWithoutSecrets(rest),
    cni: {
      ...documentWithoutSecrets(about),
      files: confFilesWithoutSecrets(files),
      ...(dropIns && {
        dropIns: dropIns.map((entry) => ({ ...entry, files: confFilesWithoutSecrets(entry.files) })),
      }),
      attachments: mapped(attachments, (entries) =>
        entries.map(({ config, ...entry }) => ({
          ...documentWithoutSecrets(entry),
          config: withoutSecrets(config),
        })),
      ),
    },
    runtime: mapped(runtime, ({ loadedNetworks, ...of }) => ({
      ...documentWithoutSecrets(of),
      loadedNetworks: mapped(loadedNetworks, (networks) =>
        networks.map(({ config, plugins, ...network }) => ({
          ...documentWithoutSecrets(network),
          config: withoutSecrets(config),
          ...(plugins && { plugins: plugins.map(withoutSecrets) }),
        })),
      ),
    })),
    netfilter,
  };
}

function confFilesWithoutSecrets(files: NodeReport['cni']['files']): NodeReport['cni']['files'] {
  return mapped(files, (entries) =>
    entries.map(({ content, ...file }) => ({
      ...documentWithoutSecrets(file),
      content: mapped(content, withoutSecrets),
    })),
  );
}

function mapped<T>(observed: Observed<T>, change: (value: T) => T): Observed<T> {
  return 'value' in observed ? { value: change(observed.value) } : documentWithoutSecrets(observed);
}

/** The value itself when it has no secret. */
function redact(value: unknown, byKey: boolean): unknown {
  if (typeof value === 'string') return textWithoutSecrets(value);
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) {
    const items = value.map((item) => redact(item, byKey));
    return items.every((item, i) => item === value[i]) ? value : items;
  }
  const isParsed = value instanceof JsonMembers;
  const entries = isParsed ? value.entries : Object.entries(value);
  const kept = entries.map(([key, field]): [string, unknown] => [
    textWithoutSecrets(key),
    byKey && SECRET_KEY.test(key) && canBeSecret(field) ? LEFT_OUT : redact(field, byKey),
  ]);
  if (kept.every(([key, field], i) => key === entries[i]![0] && field === entries[i]![1])) return value;
  if (!isParsed) return Object.fromEntries(kept);
  const members = new JsonMembers();
  for (const entry of kept as typeof members.entries) members.entries.push(entry);
  return members;
}

/** A value that can only be a setting is not a secret. */
function canBeSecret(value: unknown): boolean {
  return value !== null && value !== undefined && typeof value !== 'boolean';
}

/** A text with what looks like a secret left out, up to the end of its line. */
export function textWithoutSecrets(text: string): string {
  return withoutUserinfo(withoutPem(text))
    .split('\n')
    .map((line) => {
      const named = NAMED_SECRET.exec(line);
      const looks = LOOKS_SECRET.exec(line);
      if (named === null && looks === null) return line;
      const ends = [
        named === null ? Infinity : named.index + (named[1]?.length ?? 0),
        looks === null ? Infinity : looks.index,
      ];
      return `${line.slice(0, Math.min(...ends))}${LEFT_OUT}`;
    })
    .join('\n');
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

/** A text with the part of URLs before the `@` left out. */
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

/** A document as JSON; with `line` a line for each of its parts. */
function written(node: JsonNode, line: '' | '\n'): string {
  const isObject = node instanceof JsonMembers;
  if (!isObject && !Array.isArray(node)) return JSON.stringify(node);
  const colon = line === '' ? ':' : ': ';
  const parts = isObject
    ? node.entries.map(([key, value]) => `${JSON.stringify(key)}${colon}${written(value, line)}`)
    : node.map((value) => written(value, line));
  const [open, close] = isObject ? '{}' : '[]';
  if (parts.length === 0) return `${open}${close}`;
  const indent = line === '' ? '' : '  ';
  const inner = parts.join(`,${line}`);
  return `${open}${line}${indent}${line === '' ? inner : inner.replaceAll('\n', `\n${indent}`)}${line}${close}`;
}
