import { fileProblem } from '../sys/file-problem.ts';
import { andMore } from '../util/and-more.ts';
import { messageOf } from '../util/errors.ts';
import { CniError, cniErrorCode } from './errors.ts';
import { decodeStruct, type Fields, parseDocument, type Shape } from './json.ts';
import { validateContainerId, validateInterfaceName, validateNetworkName } from './names.ts';
import { formatResult, parseResult } from './result.ts';
import type { PluginConfig, Result } from './types.ts';
import { type CniVersion, currentCniVersion, isAtLeast, negotiateVersion } from './version.ts';

/** The process a plugin runs in, injected so that a test is one. */
export interface PluginIo {
  env: Readonly<Record<string, string | undefined>>;
  /** Whether a path is the network namespace this process is in; false for a path that is not a network namespace. */
  isOwnNetns(path: string): boolean;
  readStdin(): Promise<string>;
  /** Standard output takes one JSON document, nothing else. Throws what the system reports. */
  writeStdout(text: string): void;
  /** For people. Throws what the system reports. */
  writeStderr(text: string): void;
}

/** What the runtime asked for, decoded and validated. */
export interface PluginRequest {
  containerId: string;
  /** Path of the network namespace; empty in a DEL after the namespace is gone. */
  netns: string;
  ifName: string;
  /** CNI_ARGS as it came: `KEY=VALUE;…`. */
  args: string;
  /** CNI_PATH, split. */
  path: string[];
  config: PluginConfig;
  cniVersion: CniVersion;
  /** Result of the plugins before this one; undefined for the first, and in a DEL for which the runtime has none. */
  prevResult: Result | undefined;
  /** Writes one warning to standard error, where runtimes log it. */
  warn(message: string): void;
}

/** A plugin: its name and what it does for each verb. `gc` and `status` are 1.1.0's. */
export interface Plugin {
  name: string;
  supportedVersions: readonly CniVersion[];
  /** What its configuration may say beside what every plugin's may; other keys are a warning. */
  fields: Fields;
  add(request: PluginRequest): Promise<Result>;
  check(request: PluginRequest): Promise<void>;
  del(request: PluginRequest): Promise<void>;
  gc(request: PluginRequest): Promise<void>;
  status(request: PluginRequest): Promise<void>;
}

const verbs = ['ADD', 'CHECK', 'DEL', 'GC', 'STATUS', 'VERSION'] as const;
type Verb = (typeof verbs)[number];

/** Source: libcni's types.GCAttachment. */
const ATTACHMENT: Shape = { struct: { containerID: 'scalar', ifname: 'scalar' } };

/** What every plugin's configuration may say (specification, "Plugin configuration objects" and section 2, "GC"; `args`: CONVENTIONS.md). */
const COMMON_FIELDS: Fields = {
  cniVersion: 'scalar',
  name: 'scalar',
  type: 'scalar',
  capabilities: 'map',
  ipam: 'map',
  dns: 'map',
  args: 'map',
  prevResult: 'map',
  runtimeConfig: 'map',
  'cni.dev/valid-attachments': { list: ATTACHMENT },
  'cni.dev/attachments': { list: ATTACHMENT },
};

/** Which variables each verb cannot do without (specification, "CNI operations"). */
const required: Record<Verb, readonly string[]> = {
  ADD: ['CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME', 'CNI_PATH'],
  CHECK: ['CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME', 'CNI_PATH'],
  DEL: ['CNI_CONTAINERID', 'CNI_IFNAME', 'CNI_PATH'],
  GC: ['CNI_PATH'],
  STATUS: ['CNI_PATH'],
  VERSION: [],
};

/** The version that brought each verb; a configuration that is older must not be asked for it. */
const since: Partial<Record<Verb, CniVersion>> = { CHECK: '0.4.0', GC: '1.1.0', STATUS: '1.1.0' };

/**
 * Runs one call of a plugin: reads environment and configuration, negotiates the version, calls the verb and prints the
 * result or the error as JSON. Returns the exit status. Called without CNI_COMMAND it says what it is on standard error. Where standard
 * output takes nothing, the error is on standard error.
 */
export async function runPlugin(plugin: Plugin, io: PluginIo): Promise<number> {
  let version: CniVersion | undefined;
  const note = noteOn(io);
  try {
    const command = io.env.CNI_COMMAND ?? '';
    if (command === '') {
      note(
        `CNI plugin ${plugin.name}\nCNI protocol versions supported: ${plugin.supportedVersions.join(', ')}\n`,
      );
      return 0;
    }
    const verb = verbs.find((known) => known === command);
    if (verb === undefined) {
      throw new CniError(cniErrorCode.invalidEnvironment, `unknown CNI_COMMAND: ${command}`);
    }
    if (verb === 'VERSION') {
      print(io, { cniVersion: currentCniVersion, supportedVersions: plugin.supportedVersions });
      return 0;
    }
    checkEnvironment(verb, io.env);
    const warn = (message: string) => note(`${plugin.name}: ${message}\n`);
    const config = decodeConfig(await readConfig(io), plugin.fields, warn);
    version = negotiateVersion(config.cniVersion, plugin.supportedVersions);
    const minimum = since[verb];
    if (minimum !== undefined && !isAtLeast(version, minimum)) {
      throw new CniError(
        cniErrorCode.incompatibleVersion,
        `config version does not allow ${verb}`,
        `config is "${version}", ${verb} needs at least "${minimum}"`,
      );
    }
    const request = toRequest(io, config, version, warn);
    // Asked before the call: a plugin may move itself into the sandbox.
    const misplaced = (verb === 'ADD' || verb === 'DEL') && isMisplaced(io);
    if (verb === 'ADD') {
      if (misplaced) throw ownNetns(request.netns);
      const result = await plugin.add(request);
      print(io, formatResult(result, version));
    } else {
      await call(plugin, verb, request);
      if (misplaced) throw ownNetns(request.netns);
    }
    return 0;
  } catch (thrown) {
    const document = asCniError(thrown).toDocument(version);
    try {
      print(io, document);
    } catch (cause) {
      if (!(cause instanceof NotPrinted)) throw cause;
      note(`${JSON.stringify(document)}\n`);
    }
    return 1;
  }
}

/** Standard output did not take the document. */
class NotPrinted extends CniError {}

function print({ writeStdout }: PluginIo, document: object): void {
  try {
    writeStdout(JSON.stringify(document));
  } catch (cause) {
    const problem = fileProblem(cause) ?? messageOf(cause);
    throw new NotPrinted(cniErrorCode.ioFailure, `cannot write to standard output: ${problem}`, '', {
      cause,
    });
  }
}

async function readConfig({ readStdin }: PluginIo): Promise<string> {
  try {
    return await readStdin();
  } catch (cause) {
    const problem = fileProblem(cause) ?? messageOf(cause);
    throw new CniError(
      cniErrorCode.ioFailure,
      `cannot read the network configuration from standard input: ${problem}`,
      '',
      { cause },
    );
  }
}

/** Writes for people. A call does not fail because nobody reads its warnings. */
function noteOn({ writeStderr }: PluginIo): (text: string) => void {
  return (text) => {
    try {
      writeStderr(text);
    } catch (cause) {
      if (fileProblem(cause) === undefined) throw cause;
    }
  };
}

/**
 * Whether the sandbox is the host's own namespace, which is hardly meant: a container's network would be made in the host.
 * CNI_NETNS_OVERRIDE says that it is meant, for a runtime inside a container that runs plugins with its own namespace
 * (libcni's skeleton since 1.1.0). The skeleton there looks when the ADD is done; here nothing is made first.
 */
function isMisplaced({ env, isOwnNetns }: PluginIo): boolean {
  const override = (env.CNI_NETNS_OVERRIDE ?? '').toUpperCase();
  if (override === '1' || override === 'TRUE') return false;
  const path = env.CNI_NETNS ?? '';
  return path !== '' && isOwnNetns(path);
}

function ownNetns(path: string): CniError {
  return new CniError(
    cniErrorCode.invalidNetns,
    "plugin's netns and netns from CNI_NETNS should not be the same",
    path,
  );
}

function call(plugin: Plugin, verb: Exclude<Verb, 'ADD' | 'VERSION'>, request: PluginRequest): Promise<void> {
  switch (verb) {
    case 'CHECK':
      return plugin.check(request);
    case 'DEL':
      return plugin.del(request);
    case 'GC':
      return plugin.gc(request);
    case 'STATUS':
      return plugin.status(request);
  }
}

function checkEnvironment(verb: Verb, env: PluginIo['env']): void {
  const missing = required[verb].filter((name) => (env[name] ?? '') === '');
  if (missing.length > 0) {
    throw new CniError(
      cniErrorCode.invalidEnvironment,
      `required env variables [${missing.join(',')}] missing`,
    );
  }
  if (required[verb].includes('CNI_CONTAINERID')) validateContainerId(env.CNI_CONTAINERID ?? '');
  if (required[verb].includes('CNI_IFNAME')) validateInterfaceName(env.CNI_IFNAME ?? '');
}

function decodeConfig(text: string, own: Fields, warn: (message: string) => void): PluginConfig {
  const unknown: (readonly string[])[] = [];
  const config = decodeStruct(
    parseDocument(text, 'network configuration'),
    { ...COMMON_FIELDS, ...own },
    (path) => unknown.push(path),
  );
  if (config === undefined) {
    throw new CniError(cniErrorCode.decodingFailure, 'network configuration is not a JSON object');
  }
  const name = validateNetworkName(config.name);
  const declared = config.capabilities ?? {};
  // A runtime passes what is declared, whether the plugin uses it or not.
  const unexpected = unknown.filter(
    (path) => path[0] !== 'runtimeConfig' || path.length > 2 || !Object.hasOwn(declared, path[1]!),
  );
  if (unexpected.length > 0) {
    const keys = [...new Set(unexpected.map((path) => JSON.stringify(path.join('.').slice(0, KEY_LENGTH))))];
    warn(
      `configuration of network ${name}: ignored unknown ${keys.length === 1 ? 'key' : 'keys'} ${andMore(keys, NAMED_KEYS)}`,
    );
  }
  return { ...config, name };
}

/** Keys that one warning names, and characters of each. */
const NAMED_KEYS = 5;
const KEY_LENGTH = 64;

function toRequest(
  { env }: PluginIo,
  config: PluginConfig,
  cniVersion: CniVersion,
  warn: PluginRequest['warn'],
): PluginRequest {
  const prev = config.prevResult;
  return {
    containerId: env.CNI_CONTAINERID ?? '',
    netns: env.CNI_NETNS ?? '',
    ifName: env.CNI_IFNAME ?? '',
    args: env.CNI_ARGS ?? '',
    path: (env.CNI_PATH ?? '').split(':').filter((dir) => dir !== ''),
    config,
    cniVersion,
    prevResult: prev === undefined || prev === null ? undefined : parseResult(prev, cniVersion),
    warn,
  };
}

function asCniError(thrown: unknown): CniError {
  if (thrown instanceof CniError) return thrown;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new CniError(cniErrorCode.internal, message, '', { cause: thrown });
}
