import {
  decodeStruct,
  type Fields,
  type JsonNode,
  marshalled,
  parseDocument,
  plain,
} from '../../cni/json.ts';
import { PORTMAP_FIELDS } from '../../portmap/config.ts';
import type { HealStep } from '../model/action.ts';
import type { ConfigFile, NodeView } from '../view/node-view.ts';
import { formatDocument, type ListDocument } from './list-document.ts';

/** The mode of a file with what is in another, whose mode is not known: many are readable to root alone, for what is in them. */
export const COPY_MODE = '0600';

/** A step that writes a configuration file of a node; without `mode` it keeps its own. */
export function writeConfig(
  node: NodeView,
  path: string,
  document: unknown,
  why: string,
  mode?: string,
): HealStep {
  const content = typeof document === 'string' ? document : formatDocument(document);
  const action = { do: 'write-file' as const, path, content, ...(mode === undefined ? {} : { mode }) };
  return { on: 'node', node: node.name, why, action };
}

/** A step that writes what is in a configuration file of a node, or has become of it, to one that is new: for root alone, as runtimes are. */
export function writeCopy(node: NodeView, path: string, document: unknown, why: string): HealStep {
  return writeConfig(node, path, document, why, COPY_MODE);
}

/** A step that gives a configuration file of a node another name in its directory. */
export function renameConfig(node: NodeView, path: string, name: string, why: string): HealStep {
  return {
    on: 'node',
    node: node.name,
    why,
    action: { do: 'rename-file', from: path, to: besideConfig(path, name) },
  };
}

/** The path of another file in the directory of a configuration file. */
export function besideConfig(path: string, name: string): string {
  return path.replace(/[^/]*$/, name);
}

/**
 * The document of a file that was read as a list; a single configuration becomes a list of one. It is unchanged except for the keys of portmap's
 * entry, which get their canonical spelling, so that a changed field is the only one of its name.
 */
export function listDocument(file: ConfigFile): ListDocument {
  const node = parseDocument(file.content, file.name);
  if (file.name.endsWith('.conflist')) {
    const document = plain(node) as ListDocument;
    // A list may have all of its plugins in its drop-in directory.
    const plugins = document.plugins?.map((entry) => readablePortmap(marshalled(entry)) ?? entry);
    return plugins === undefined ? document : { ...document, plugins };
  }
  const { name, cniVersion, ...plugin } = readablePortmap(node) ?? decodeStruct(node, ENTRY_FIELDS)!;
  return { ...(cniVersion === undefined ? {} : { cniVersion }), name, plugins: [plugin] };
}

const ENTRY_FIELDS: Fields = { name: 'scalar', cniVersion: 'scalar', type: 'scalar', capabilities: 'map' };

function readablePortmap(entry: JsonNode): Record<string, unknown> | undefined {
  const read = decodeStruct(entry, { ...ENTRY_FIELDS, ...PORTMAP_FIELDS });
  return read?.type === 'portmap' ? read : undefined;
}

/** A name for a list that a runtime takes before `other`: it takes the first by name, byte by byte. */
export function nameBefore(other: string, name: string): string {
  // `!` sorts before digits, letters and dashes, which more zeros do not.
  const names = [name, `00-${name}`];
  return names.find((each) => Buffer.compare(Buffer.from(each), Buffer.from(other)) < 0) ?? `!${name}`;
}

/** portmap's entry of a list that has none. */
export const PORTMAP_ENTRY = { type: 'portmap', capabilities: { portMappings: true } };
