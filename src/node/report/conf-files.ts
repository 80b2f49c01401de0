import { lstatSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { parseNetworkConfig, parsePlugin, WrongValueError } from '../../cni/conflist.ts';
import { JsonMembers, type JsonNode, parseDocument, plain, TooLargeError } from '../../cni/json.ts';
import type { CniConfFile } from '../../path/model/node-report.ts';
import { isBelow, leadsOut, localPaths, namesOfAtMost, readBelow } from '../../sys/bounded-file.ts';
import { unlessMissing } from '../../sys/errno.ts';
import { messageOf } from '../../util/errors.ts';
import { describeContent } from './describe-content.ts';
import { nodeWithoutSecrets } from './secrets.ts';

/** A configuration list has a few kilobytes; a much longer file is not a configuration. */
const MAX_BYTES = 256 * 1024;
const MAX_FILES = 200;

/** What the files of a directory are: configurations of networks, or of plugins that follow those of a list. */
type Kind = 'network' | 'plugin';

/**
 * The files of a configuration directory, also those that no runtime reads; none when there is no directory. Only what is a configuration is quoted,
 * and no link is followed that leads out of the directory, which may be a link itself.
 */
export function readConfFiles(directory: string): CniConfFile[] {
  return readFiles(directory, 'network', directory);
}

/** The files of the drop-in directory of a network, which lies in a configuration directory. */
export function readDropIns(confDir: string, network: string): CniConfFile[] {
  return readFiles(join(confDir, network), 'plugin', confDir);
}

function readFiles(directory: string, kind: Kind, within: string): CniConfFile[] {
  const resolve = localPaths();
  const real = unlessMissing(() => resolve(directory));
  if (real === undefined) return [];
  const root = resolve(within);
  if (real !== root && !isBelow(root, real)) throw leadsOut(directory, real);
  return namesOfAtMost(real, MAX_FILES).flatMap((name) => {
    const path = join(directory, name);
    const stat = lstatSync(path, { throwIfNoEntry: false });
    if (stat === undefined || stat.isDirectory()) return [];
    return [
      {
        name,
        modified: stat.mtime.toISOString(),
        changed: stat.ctime.toISOString(),
        ...(stat.isSymbolicLink() ? { target: readlinkSync(path) } : {}),
        ...readContent({ root, resolve }, path, name, kind),
      },
    ];
  });
}

function readContent(
  { root, resolve }: { root: string; resolve: (path: string) => string },
  path: string,
  name: string,
  kind: Kind,
): Pick<CniConfFile, 'content' | 'broken'> {
  let bytes: Buffer;
  try {
    ({ bytes } = readBelow(root, path, MAX_BYTES, resolve));
  } catch (cause) {
    return { content: { unknown: messageOf(cause) } };
  }
  const text = bytes.toString('utf8');
  try {
    const node = parseDocument(text, name);
    checkConfiguration(node, text, name, kind);
    return { content: { value: nodeWithoutSecrets(node, text) } };
  } catch (cause) {
    const content = { unknown: `${messageOf(cause)} (${describeContent(bytes)})` };
    // What is larger than this reader takes may be fine for the runtime.
    return cause instanceof TooLargeError ? { content } : { content, broken: true };
  }
}

/** Throws an error that says what is wrong with a configuration, and quotes nothing of it. */
function checkConfiguration(node: JsonNode, text: string, name: string, kind: Kind): void {
  try {
    parseAs(node, text, name, kind);
  } catch (cause) {
    if (cause instanceof TooLargeError) throw cause;
    throw new Error(problemOf(node, name, kind));
  }
}

/** What is wrong with it: the parser's message for a document of the same form without its words. */
function problemOf(node: JsonNode, name: string, kind: Kind): string {
  const masked = mask(node);
  try {
    parseAs(masked, JSON.stringify(plain(masked)), name, kind);
  } catch (cause) {
    const problem = cause instanceof WrongValueError ? cause.problem : messageOf(cause);
    return problem.startsWith(name) ? problem : `${name}: ${problem}`;
  }
  return `${name}: a name or version has characters that it must not have`;
}

function parseAs(node: JsonNode, text: string, name: string, kind: Kind): void {
  if (kind === 'plugin') parsePlugin(node, name);
  // A list is one under another name, too: a copy, or one that Cilium has put aside. Its plugins may all be in its drop-in directory.
  else if (name.endsWith('.conflist')) parseNetworkConfig(text, name, () => [DROPPED_IN]);
  else parseNetworkConfig(text, hasPlugins(node) ? `${name}.conflist` : name);
}

const DROPPED_IN = { name: 'dropped-in.conf', text: '{"type":"x"}' };

function hasPlugins(node: JsonNode): boolean {
  return (
    node instanceof JsonMembers &&
    node.entries.some(([key, value]) => key === 'plugins' && Array.isArray(value))
  );
}

/** The keys of a configuration that the parser's messages may name. */
const KEYS =
  /^(?:name|type|capabilities|cniVersions?|plugins|disableCheck|disableGC|loadOnlyInlinedPlugins|portMappings)$/i;

/** A document of the same form without any word of the original. */
function mask(node: JsonNode): JsonNode {
  if (typeof node === 'string') return node.slice(0, 16).replace(/[^./]/g, 'x');
  if (typeof node === 'number') return 0;
  if (Array.isArray(node)) return node.map(mask);
  if (!(node instanceof JsonMembers)) return node;
  const members = new JsonMembers();
  for (const [key, value] of node.entries) members.entries.push([KEYS.test(key) ? key : 'x', mask(value)]);
  return members;
}
