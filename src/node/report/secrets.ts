import { JsonMembers, type JsonNode, parseDocument } from '../../cni/json.ts';
import type { NodeReport } from '../../path/model/node-report.ts';
import type { Observed } from '../../path/model/observed.ts';
import { describeContent, isDescription } from './describe-content.ts';
import { rulesWithoutSecrets } from './rules-without-secrets.ts';
import { isSecretKey, isSecretName, LEFT_OUT, plainTextWithoutSecrets } from './secret-text.ts';

export { LEFT_OUT };

/** How deep documents in texts of documents are read. Each level at least doubles the backslashes, so real ones end long before. */
const MAX_TEXT_DEPTH = 32;

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
  const redacted = redact(node, 0);
  // The parsed document has all that the text has, keys that occur twice included: without a secret in it there is none in the text.
  return redacted === node ? text : written(redacted as JsonNode, text.includes('\n') ? '\n' : '');
}

/** A value with its secrets left out: values of fields that are called like secrets, and texts that look like them. */
export function documentWithoutSecrets<T>(document: T): T {
  return redact(document, 0) as T;
}

/**
 * A document with secrets left out of the texts that its fields of these names hold. Everything else (names, ids, labels, addresses) says what
 * the document is of, and stays as it is: two names that are both left out would look alike.
 */
export function messagesWithoutSecrets<T>(document: T, fields: readonly string[]): T {
  return messages(document, new Set(fields)) as T;
}

function messages(value: unknown, fields: ReadonlySet<string>): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map((item) => messages(item, fields));
  return Object.fromEntries(
    Object.entries(value).map(([key, field]) => {
      if (typeof field === 'string') return [key, fields.has(key) ? textWithoutSecrets(field) : field];
      return [key, FREE_KEYS.has(key) ? field : messages(field, fields)];
    }),
  );
}

/** Fields whose own fields are called as somebody likes: a label may be called `message`. */
const FREE_KEYS: ReadonlySet<string> = new Set(['labels', 'matchLabels', 'selector', 'nodeSelector']);

/** The fields of a report that hold free text: why something is not known, and what programs say. */
const MESSAGES = ['unknown', 'why', 'networkMessage', 'lastLoadError'] as const;

/**
 * A report with all secrets left out: what the readers of files do, done to a report that comes from elsewhere. One that has none is the
 * same afterwards. Only configurations, results, messages and texts in rules are looked through.
 */
export function reportWithoutSecrets(report: NodeReport): NodeReport {
  const { cni, runtime, netfilter, network, ...rest } = report;
  const { files, dropIns, attachments, ...about } = cni;
  // A setting may be called like a field of messages.
  const { sysctls, ...seen } = network;
  return {
    ...messagesWithoutSecrets(rest, MESSAGES),
    network: { ...messagesWithoutSecrets(seen, MESSAGES), sysctls: mapped(sysctls, (settings) => settings) },
    cni: {
      ...messagesWithoutSecrets(about, MESSAGES),
      files: confFilesWithoutSecrets(files),
      ...(dropIns && {
        dropIns: dropIns.map((entry) => ({ ...entry, files: confFilesWithoutSecrets(entry.files) })),
      }),
      attachments: mapped(attachments, (entries) =>
        entries.map(({ config, result, ...entry }) => ({
          ...entry,
          result: documentWithoutSecrets(result),
          config: withoutSecrets(config),
        })),
      ),
    },
    runtime: mapped(runtime, ({ loadedNetworks, ...of }) => ({
      ...messagesWithoutSecrets(of, MESSAGES),
      loadedNetworks: mapped(loadedNetworks, (networks) =>
        networks.map(({ config, plugins, ...network }) => ({
          ...network,
          config: withoutSecrets(config),
          ...(plugins && { plugins: plugins.map(withoutSecrets) }),
        })),
      ),
    })),
    netfilter: {
      ...netfilter,
      iptables: netfilter.iptables.map(({ text, ...of }) => ({
        ...of,
        text: mapped(text, rulesWithoutSecrets),
      })),
      nft: mapped(netfilter.nft, rulesWithoutSecrets),
    },
  };
}

function confFilesWithoutSecrets(files: NodeReport['cni']['files']): NodeReport['cni']['files'] {
  return mapped(files, (entries) =>
    entries.map(({ content, ...file }) => ({ ...file, content: mapped(content, withoutSecrets) })),
  );
}

function mapped<T>(observed: Observed<T>, change: (value: T) => T): Observed<T> {
  return 'value' in observed
    ? { value: change(observed.value) }
    : { unknown: textWithoutSecrets(observed.unknown) };
}

/** A part of a document; the value itself when it has no secret. `depth`: in how many texts it is. */
function redact(value: unknown, depth: number): unknown {
  if (typeof value === 'string') return textOfDocument(value, depth);
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) {
    const items = value.map((item, i) => argumentWithoutSecrets(value, i) ?? redact(item, depth));
    return items.every((item, i) => item === value[i]) ? value : items;
  }
  const isParsed = value instanceof JsonMembers;
  const entries = isParsed ? value.entries : Object.entries(value);
  const isSecret = secretFields(entries);
  const kept = entries.map(([key, field]): [string, unknown] => [
    textOfDocument(key, depth),
    isSecret(key) && canBeSecret(field) ? LEFT_OUT : redact(field, depth),
  ]);
  if (kept.every(([key, field], i) => key === entries[i]![0] && field === entries[i]![1])) return value;
  if (!isParsed) return Object.fromEntries(kept);
  const members = new JsonMembers();
  for (const entry of kept as typeof members.entries) members.entries.push(entry);
  return members;
}

/** Which fields of an object hold secrets: by their own names, or by the name that the object gives (`name` and `value`). */
function secretFields(entries: readonly (readonly [string, unknown])[]): (key: string) => boolean {
  const namesValue = entries.some(([key]) => /^(?:val(?:ue)?s?|operator|effect)$/i.test(key));
  const valueIsSecret = entries.some(
    ([key, field]) =>
      /^(?:name|key|header|variable|parameter|option|flag)$/i.test(key) &&
      typeof field === 'string' &&
      isSecretKey(field),
  );
  return (key) => {
    if (/^key$/i.test(key)) return !namesValue;
    return isSecretKey(key) || (valueIsSecret && /^(?:val(?:ue)?s?|data|content)$/i.test(key));
  };
}

/** What becomes of an entry of a list that belongs to the one before it: `["--token", "…"]`, `["-u", "user:…"]`, `["password", "…"]`. */
function argumentWithoutSecrets(list: readonly unknown[], i: number): string | undefined {
  const [name, value] = [list[i - 1], list[i]];
  if (typeof name !== 'string' || typeof value !== 'string' || value === '') return undefined;
  const isPair = list.length === 2 && /^[\w-]+$/.test(name);
  if ((isPair || /^-[\w-]+$/.test(name)) && isSecretName(name) && !value.startsWith('--')) return LEFT_OUT;
  const colon = value.indexOf(':');
  return USER_FLAG.test(name) && colon >= 0 && !/^\d+:\d+$/.test(value)
    ? `${value.slice(0, colon + 1)}${LEFT_OUT}`
    : undefined;
}

const USER_FLAG = /^(?:-u|--(?:proxy-)?user)$/;

/** A text in a document, which may be a document itself. */
function textOfDocument(text: string, depth: number): string {
  if (!/^\s*[{["]/.test(text)) return plainTextWithoutSecrets(text);
  if (depth === MAX_TEXT_DEPTH) return LEFT_OUT;
  let node: JsonNode;
  try {
    node = parseDocument(text, 'text');
  } catch {
    // It only begins like one.
    return plainTextWithoutSecrets(text);
  }
  const redacted = redact(node, depth + 1);
  return redacted === node ? text : written(redacted as JsonNode, '');
}

/** A value that can only be a setting is not a secret. */
function canBeSecret(value: unknown): boolean {
  return value !== null && value !== undefined && typeof value !== 'boolean';
}

/** A text with what looks like a secret left out, and with what is named as one. The rest of the text stays. */
export function textWithoutSecrets(text: string): string {
  return textOfDocument(text, 0);
}

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
