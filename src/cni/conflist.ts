import { CniError, cniErrorCode } from './errors.ts';
import { validateNetworkName } from './names.ts';
import type { PluginConfig } from './types.ts';

/** A network as a runtime loads it: a chain of plugins. A single configuration is a chain of one. */
export interface NetworkConfigList {
  name: string;
  /** As written; empty stands for 0.1.0. */
  cniVersion: string;
  /** Versions that the runtime may choose from (1.1.0's `cniVersions`); empty when the file has none. */
  cniVersions: string[];
  disableCheck: boolean;
  disableGC: boolean;
  /** The plugins in order, each as in the file: name and version of the list are not in them yet. */
  plugins: PluginConfigInList[];
}

/** A plugin's part of a list. */
export interface PluginConfigInList {
  type: string;
  capabilities: Record<string, boolean>;
  /** Everything that the file says. */
  fields: Record<string, unknown>;
}

/**
 * The files of a configuration directory that a runtime looks at, in its order: `.conf`, `.conflist` and `.json`, by name, byte by
 * byte (libcni's ConfFiles over Go's sorted directory). containerd uses the first, and fails when that one is broken.
 */
export function configFileOrder(names: readonly string[]): string[] {
  return names
    .filter((name) => /\.(conf|conflist|json)$/.test(name))
    .sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
}

/** Reads the text of a configuration file; its name decides which kind it is. Error 6 or 7 says what is wrong with it. */
export function parseNetworkConfig(text: string, fileName: string): NetworkConfigList {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (cause) {
    throw new CniError(
      cniErrorCode.decodingFailure,
      `${fileName}: not JSON: ${(cause as Error).message}`,
      '',
      {
        cause,
      },
    );
  }
  const root = object(document, fileName);
  if (!fileName.endsWith('.conflist')) {
    const plugin = parsePlugin(root, fileName);
    return {
      name: validateNetworkName(root.name),
      cniVersion: version(root.cniVersion, `${fileName}: cniVersion`),
      cniVersions: [],
      disableCheck: false,
      disableGC: false,
      plugins: [plugin],
    };
  }
  if (!Array.isArray(root.plugins)) throw invalid(`${fileName}: plugins must be a list`);
  if (root.plugins.length === 0) throw invalid(`${fileName}: no plugins in list`);
  const versions = root.cniVersions ?? [];
  if (!Array.isArray(versions)) throw invalid(`${fileName}: cniVersions must be a list`);
  return {
    name: validateNetworkName(root.name),
    cniVersion: version(root.cniVersion, `${fileName}: cniVersion`),
    cniVersions: versions.map((entry, i) => version(entry, `${fileName}: cniVersions[${i}]`)),
    disableCheck: flag(root.disableCheck, `${fileName}: disableCheck`),
    disableGC: flag(root.disableGC, `${fileName}: disableGC`),
    plugins: root.plugins.map((plugin, i) => parsePlugin(plugin, `${fileName}: plugins[${i}]`)),
  };
}

/**
 * The document that a runtime writes to a plugin's standard input: the plugin's fields with name and version of the list, the
 * arguments of the capabilities that it declares, and the result of the plugin before it.
 */
export function pluginInput(
  list: Pick<NetworkConfigList, 'name' | 'cniVersion'>,
  plugin: PluginConfigInList,
  capabilityArgs: Readonly<Record<string, unknown>> = {},
  prevResult?: Record<string, unknown>,
): PluginConfig {
  const declared = Object.entries(capabilityArgs).filter(([name]) => plugin.capabilities[name] === true);
  return {
    ...plugin.fields,
    name: list.name,
    cniVersion: list.cniVersion,
    ...(declared.length > 0 ? { runtimeConfig: Object.fromEntries(declared) } : {}),
    ...(prevResult === undefined ? {} : { prevResult }),
  };
}

function parsePlugin(value: unknown, at: string): PluginConfigInList {
  const fields = object(value, at);
  const { type } = fields;
  if (typeof type !== 'string' || type === '') throw invalid(`${at}: missing type of the plugin`);
  // It is looked for in CNI_PATH, and must not lead out of it.
  if (type.includes('/') || type === '.' || type === '..')
    throw invalid(`${at}: type ${JSON.stringify(type)} is a path`);
  const capabilities = object(fields.capabilities ?? {}, `${at}.capabilities`);
  for (const [name, on] of Object.entries(capabilities)) {
    if (typeof on !== 'boolean') throw invalid(`${at}.capabilities.${name} must be true or false`);
  }
  return { type, capabilities: capabilities as Record<string, boolean>, fields };
}

function object(value: unknown, at: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw invalid(`${at} must be an object, is ${JSON.stringify(value)}`);
  }
  return value as Record<string, unknown>;
}

function version(value: unknown, at: string): string {
  if (value === undefined || value === null) return '';
  if (typeof value !== 'string') throw invalid(`${at} must be a string, is ${JSON.stringify(value)}`);
  return value;
}

/** libcni takes a string for a flag as well, as `strconv.ParseBool` does. */
function flag(value: unknown, at: string): boolean {
  if (value === undefined || value === null || value === false) return false;
  if (value === true) return true;
  if (typeof value === 'string') {
    if (/^(1|t|T|true|TRUE|True)$/.test(value)) return true;
    if (/^(0|f|F|false|FALSE|False)$/.test(value)) return false;
  }
  throw invalid(`${at} must be true or false, is ${JSON.stringify(value)}`);
}

function invalid(message: string): CniError {
  return new CniError(cniErrorCode.invalidNetworkConfig, message);
}
