import { CniError, cniErrorCode, invalidConfig } from './errors.ts';
import {
  decodeStruct,
  type Fields,
  type JsonNode,
  marshalled,
  parseDocument,
  plain,
  TooLargeError,
} from './json.ts';
import { validateNetworkName } from './names.ts';
import type { PluginConfig, ValidAttachment } from './types.ts';
import { compareVersions, currentCniVersion } from './version.ts';

/** A network as a runtime loads it: a chain of plugins. A single configuration is a chain of one. */
export interface NetworkConfigList {
  name: string;
  /**
   * The version to speak: the highest of the file's `cniVersion` and `cniVersions` that is not newer than ours, `cniVersion` as
   * written when none is. Empty stands for 0.1.0; it need not be a version that exists.
   */
  cniVersion: string;
  /** `cniVersions` as written (1.1.0); empty when the file has none. */
  cniVersions: string[];
  disableCheck: boolean;
  disableGC: boolean;
  /** The plugins in order, each as in the file: name and version of the list are not in them yet. */
  plugins: PluginConfigInList[];
  /** The list as a document of its own, plugins of the drop-in directory included: what a result cache keeps. */
  text: string;
}

/** A file of configuration: its name and what is in it. */
export interface ConfigFile {
  name: string;
  text: string;
}

/** A plugin's part of a list. */
export interface PluginConfigInList {
  type: string;
  capabilities: Record<string, boolean>;
  /** Everything that the file says, with its spelling of the keys; {@link pluginFields} reads it as the plugin does. */
  fields: Record<string, unknown>;
}

/** A field of a configuration with a value that it must not have. Code 7. */
export class WrongValueError extends CniError {
  /** What is wrong, without the value. */
  readonly problem: string;

  constructor(problem: string, value: unknown) {
    super(cniErrorCode.invalidNetworkConfig, `${problem}, is ${JSON.stringify(value)}`);
    this.name = 'WrongValueError';
    this.problem = problem;
  }
}

/** What libcni itself reads of a plugin's part. Source: types.PluginConf. */
const PLUGIN_FIELDS: Fields = {
  cniVersion: 'scalar',
  name: 'scalar',
  type: 'scalar',
  capabilities: 'map',
};

/** Plugins of a list that are read; real lists have up to ten. */
const MAX_PLUGINS = 100;

/**
 * The files of a configuration directory that a runtime looks at, in its order: `.conf`, `.conflist` and `.json`, by name, byte by
 * byte (libcni's ConfFiles over Go's sorted directory). containerd uses the first, and fails when that one is broken.
 */
export function configFileOrder(names: readonly string[]): string[] {
  return names
    .filter((name) => /\.(conf|conflist|json)$/.test(name))
    .sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
}

/** Which files of the drop-in directory `<configuration directory>/<network name>/` a runtime reads: `.conf`, by name. */
export function dropInOrder(names: readonly string[]): string[] {
  return configFileOrder(names).filter((name) => name.endsWith('.conf'));
}

/**
 * Reads the text of a configuration file; its name decides which kind it is. `dropIns` gives the files of the drop-in directory
 * of a network, in order (see {@link dropInOrder}): their plugins follow those of a list, unless that says
 * `loadOnlyInlinedPlugins` (1.1.0). Error 6 or 7 says what is wrong with which file.
 *
 * As in libcni, the keys of a list are read as they are written, and those of its plugins whatever their case.
 */
export function parseNetworkConfig(
  text: string,
  fileName: string,
  dropIns: (networkName: string) => readonly ConfigFile[] = () => [],
): NetworkConfigList {
  const document = parseDocument(text, fileName);
  const root = object(plain(document), fileName);
  if (!fileName.endsWith('.conflist')) return singleNetwork(document, root, fileName);
  const name = validateNetworkName(root.name);
  const inlinedOnly = flag(root.loadOnlyInlinedPlugins, `${fileName}: loadOnlyInlinedPlugins`);
  if (root.plugins === undefined && inlinedOnly) {
    throw invalidConfig(`${fileName}: loadOnlyInlinedPlugins is true, and there are no plugins`);
  }
  if (root.plugins !== undefined && !Array.isArray(root.plugins)) {
    throw invalidConfig(`${fileName}: plugins must be a list`);
  }
  if (root.plugins?.length === 0) throw invalidConfig(`${fileName}: no plugins in list`);
  checkCount(root.plugins?.length ?? 0, fileName);
  const inlined = (root.plugins ?? []).map((plugin, i) =>
    parsePlugin(marshalled(plugin), `${fileName}: plugins[${i}]`),
  );
  const added = (inlinedOnly ? [] : dropIns(name)).map((file) =>
    parsePlugin(parseDocument(file.text, file.name), file.name),
  );
  checkCount(inlined.length + added.length, fileName);
  const plugins = [...inlined, ...added];
  if (plugins.length === 0) throw invalidConfig(`${fileName}: no plugin configs found`);
  const cniVersions = versionList(root.cniVersions, `${fileName}: cniVersions`);
  return {
    name,
    cniVersion: chooseVersion(version(root.cniVersion, `${fileName}: cniVersion`), cniVersions),
    cniVersions,
    disableCheck: flag(root.disableCheck, `${fileName}: disableCheck`),
    disableGC: flag(root.disableGC, `${fileName}: disableGC`),
    plugins,
    text:
      added.length === 0
        ? text
        : JSON.stringify({
            ...root,
            loadOnlyInlinedPlugins: true,
            plugins: plugins.map(({ fields }) => fields),
          }),
  };
}

/** A single configuration as a list of one, as libcni's ConfListFromConf makes it. */
function singleNetwork(
  document: JsonNode,
  root: Record<string, unknown>,
  fileName: string,
): NetworkConfigList {
  const fields = decodeStruct(document, PLUGIN_FIELDS) ?? {};
  if (fields.type === undefined && Array.isArray(root.plugins)) {
    throw invalidConfig(
      `${fileName}: missing type of the plugin; a list of plugins must be in a .conflist file`,
    );
  }
  const plugin = parsePlugin(marshalled(root), fileName);
  const name = validateNetworkName(fields.name);
  const cniVersion = version(fields.cniVersion, `${fileName}: cniVersion`);
  return {
    name,
    cniVersion,
    cniVersions: [],
    disableCheck: false,
    disableGC: false,
    plugins: [plugin],
    text: JSON.stringify({ name, cniVersion, plugins: [root] }),
  };
}

/** The rule of {@link NetworkConfigList.cniVersion}. Versions are compared as numbers; an invalid version is error 7. */
function chooseVersion(declared: string, offered: readonly string[]): string {
  if (offered.length === 0) return declared;
  const usable = [...offered, ...(declared === '' ? [] : [declared])]
    .filter((candidate) => compareVersions(candidate, currentCniVersion) <= 0)
    .sort(compareVersions);
  return usable.at(-1) ?? declared;
}

/** A plugin's part of a list as the plugin reads it: see {@link decodeStruct}. */
export function pluginFields(plugin: PluginConfigInList, fields: Fields): Record<string, unknown> {
  return decodeStruct(marshalled(plugin.fields), fields) ?? {};
}

/**
 * The document that a runtime writes to a plugin's standard input: the plugin's fields with name and version of the list, the
 * arguments of the capabilities that it declares, and the result of the plugin before it. Its keys are sorted, as libcni writes them:
 * which of several spellings of a key the plugin sees last does not depend on their order in the file.
 */
export function pluginInput(
  list: Pick<NetworkConfigList, 'name' | 'cniVersion'>,
  plugin: PluginConfigInList,
  capabilityArgs: Readonly<Record<string, unknown>> = {},
  prevResult?: Record<string, unknown>,
): PluginConfig {
  const declared = Object.entries(capabilityArgs).filter(([name]) => plugin.capabilities[name] === true);
  return sorted({
    ...plugin.fields,
    name: list.name,
    cniVersion: list.cniVersion,
    ...(declared.length > 0 ? { runtimeConfig: Object.fromEntries(declared) } : {}),
    ...(prevResult === undefined ? {} : { prevResult }),
  });
}

/**
 * What a plugin reads for a GC: no attachment, and the attachments to keep, under the name of the specification and under the one
 * that it had by mistake (cni#1101), as libcni passes them.
 */
export function gcInput(
  list: Pick<NetworkConfigList, 'name' | 'cniVersion'>,
  plugin: PluginConfigInList,
  valid: readonly ValidAttachment[],
): PluginConfig {
  return sorted({
    ...pluginInput(list, plugin),
    'cni.dev/valid-attachments': valid,
    'cni.dev/attachments': valid,
  });
}

function sorted(input: PluginConfig): PluginConfig {
  return plain(marshalled(input)) as PluginConfig;
}

function checkCount(plugins: number, fileName: string): void {
  if (plugins > MAX_PLUGINS)
    throw new TooLargeError(`${fileName}: ${plugins} plugins, more than ${MAX_PLUGINS}`);
}

/** Reads a plugin's part; error 7 when it names no plugin, or one that no runtime would look for. */
export function parsePlugin(node: JsonNode, at: string): PluginConfigInList {
  const fields = object(plain(node), at);
  const { type, capabilities: declared } = decodeStruct(node, PLUGIN_FIELDS) ?? {};
  if (typeof type !== 'string' || type === '') throw invalidConfig(`${at}: missing type of the plugin`);
  // It is looked for in CNI_PATH, and must not lead out of it.
  if (type.includes('/') || type === '.' || type === '..')
    throw invalidConfig(`${at}: type ${JSON.stringify(type)} is a path`);
  const capabilities: Record<string, boolean> = {};
  for (const [name, on] of Object.entries(object(declared ?? {}, `${at}.capabilities`))) {
    // Go reads null as false.
    if (typeof on !== 'boolean' && on !== null)
      throw invalidConfig(`${at}.capabilities.${name} must be true or false`);
    capabilities[name] = on === true;
  }
  return { type, capabilities, fields };
}

function object(value: unknown, at: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new WrongValueError(`${at} must be an object`, value);
  }
  return value as Record<string, unknown>;
}

function version(value: unknown, at: string): string {
  if (value === undefined || value === null) return '';
  if (typeof value !== 'string') throw new WrongValueError(`${at} must be a string`, value);
  return value;
}

/** libcni takes "true" and "false" as strings, too, in whatever case. */
function flag(value: unknown, at: string): boolean {
  if (value === undefined) return false;
  const meaning = typeof value === 'string' ? value.toLowerCase() : value;
  if (meaning === true || meaning === 'true') return true;
  if (meaning === false || meaning === 'false') return false;
  throw new WrongValueError(`${at} must be true or false`, value);
}

function versionList(value: unknown, at: string): string[] {
  if (value === undefined) return [];
  if (!Array.isArray(value)) throw invalidConfig(`${at} must be a list`);
  return value.map((entry, i) => version(entry, `${at}[${i}]`));
}
