import { type CniArgs, formatCniArgs } from './args.ts';
import { gcInput, type NetworkConfigList, type PluginConfigInList, pluginInput } from './conflist.ts';
import { CniError, cniErrorCode, cniErrorText } from './errors.ts';
import { decodeResult, findPlugin, invokePlugin, type PluginHost } from './invoke.ts';
import { decodeStruct, type Fields, type JsonNode, parseDocument } from './json.ts';
import { validateContainerId, validateInterfaceName, validateNetworkName } from './names.ts';
import { convertResult } from './result.ts';
import { type AttachmentKey, type CacheEntry, netnsOf, type ResultCache } from './result-cache.ts';
import type { ValidAttachment } from './types.ts';
import { type CniVersion, compareVersions, currentCniVersion, isCniVersion } from './version.ts';

/** What a runtime knows of an attachment besides its network. */
export interface Attachment {
  containerId: string;
  /** Path of the network namespace. In a CHECK or DEL that of the ADD when it is left out; empty in a DEL for none. */
  netns?: string;
  ifName: string;
  /** CNI_ARGS. In a CHECK or DEL those of the ADD, from the cache, when they are left out. */
  args?: CniArgs;
  /** What `runtimeConfig` is made of, by capability. In a CHECK or DEL that of the ADD when it is left out. */
  capabilityArgs?: Readonly<Record<string, unknown>>;
}

/** A result document in the version of its network. */
export type ResultDocument = Record<string, unknown>;

export interface RuntimeOptions extends PluginHost {
  /** Directories to look for plugins in, in order: CNI_PATH. */
  path: readonly string[];
  cache: ResultCache;
  /**
   * What happens to a verb that is newer than the network's version. `libcni`: CHECK below 0.4.0 is an error; below 1.1.0 STATUS
   * is skipped, and GC does no more than DEL what is stale. `skip` skips CHECK, too; `refuse` makes all three errors (code 1).
   */
  tooOld?: 'libcni' | 'skip' | 'refuse';
  /** Called with what was skipped, and why. */
  onNotice(message: string): void;
}

/** What every plugin of a CHECK or DEL is given. */
interface AttachmentInputs extends Attachment {
  prevResult: ResultDocument | undefined;
}

type Verb = 'ADD' | 'CHECK' | 'DEL' | 'GC' | 'STATUS';

/** The version that brought a verb. */
const SINCE: Partial<Record<Verb, CniVersion>> = { CHECK: '0.4.0', GC: '1.1.0', STATUS: '1.1.0' };

/** What a plugin's failure is called in errors, in libcni's words. */
const WORDS: Readonly<Record<Verb, string>> = {
  ADD: 'add',
  CHECK: 'check',
  DEL: 'delete',
  GC: 'gc',
  STATUS: 'status',
};

/**
 * Runs chains of plugins as the specification's section 3 says and as libcni does, with libcni's result cache. Plugins run in the
 * network namespace that this process is in. https://www.cni.dev/docs/spec/#section-3-execution-of-network-configurations
 */
export class CniRuntime {
  readonly #options: RuntimeOptions;

  constructor(options: RuntimeOptions) {
    this.#options = options;
  }

  /**
   * Attaches a container: every plugin in order, each with the result of the one before. Resolves with the last result, which is
   * remembered for the DEL. When a plugin fails nothing is undone: the caller has to DEL (specification, "ADD"). Unlike libcni
   * it looks for all plugins before it runs the first, so that a missing one leaves nothing half made.
   */
  async add(list: NetworkConfigList, attachment: Attachment): Promise<ResultDocument> {
    const key = keyOf(list, attachment);
    const version = knownVersion(list);
    for (const plugin of list.plugins) await this.#named('ADD', plugin, async () => this.#find(plugin));
    let result: ResultDocument | undefined;
    for (const plugin of list.plugins) {
      result = await this.#add(list, plugin, version, attachment, result);
    }
    const { netns, args, capabilityArgs } = attachment;
    await this.#remember({ ...key, config: list.text, netns, cniArgs: args, capabilityArgs, result });
    // A list has at least one plugin, and each has a result.
    return result!;
  }

  /**
   * Asks every plugin, in order, whether the attachment is as it should be, each with the final result of the ADD. The first that
   * says no ends it. Nothing is asked of a network with `disableCheck`.
   */
  async check(list: NetworkConfigList, attachment: Attachment): Promise<void> {
    const key = keyOf(list, attachment);
    const version = knownVersion(list);
    if (!this.#isNewEnough(list, 'CHECK')) return;
    if (list.disableCheck) return this.#options.onNotice(`CHECK skipped: ${list.name} has disableCheck`);
    const entry = this.#options.cache.read(key);
    const input = inputsOf(entry, attachment, version);
    for (const plugin of list.plugins) await this.#run('CHECK', list, plugin, input);
  }

  /**
   * Detaches a container: every plugin in reverse order, each with the final result of the ADD from 0.4.0 on. The first failure
   * ends it, as the specification says, and the attachment stays remembered: a DEL is to be repeated until it succeeds, and every
   * plugin's DEL may be. An entry of the cache that cannot be read does not prevent it.
   */
  async del(list: NetworkConfigList, attachment: Attachment): Promise<void> {
    const key = keyOf(list, attachment);
    const version = knownVersion(list);
    const input = this.#inputsLeniently(key, attachment, version);
    if (compareVersions(version, '0.4.0') < 0) input.prevResult = undefined;
    for (const plugin of list.plugins.toReversed()) await this.#run('DEL', list, plugin, input);
    this.#options.cache.remove(key);
  }

  /**
   * Clears up after attachments of this network that are not in `valid`: a DEL of each that the cache remembers, then, from 1.1.0
   * on, a GC of every plugin. Failures do not end it; they come together at the end. Nothing is done for a network with
   * `disableGC`.
   */
  async gc(list: NetworkConfigList, valid: readonly ValidAttachment[]): Promise<void> {
    knownVersion(list);
    if (list.disableGC) return this.#options.onNotice(`GC skipped: ${list.name} has disableGC`);
    const failures: unknown[] = [];
    const attempt = async (work: () => Promise<void>) => {
      try {
        await work();
      } catch (failure) {
        this.#options.signal?.throwIfAborted();
        failures.push(failure);
      }
    };
    const isValid = (entry: CacheEntry) =>
      valid.some(({ containerID, ifname }) => containerID === entry.containerId && ifname === entry.ifName);
    const pluginsToo = this.#isNewEnough(list, 'GC');
    for (const entry of this.#options.cache.list()) {
      if (entry.networkName !== list.name || isValid(entry)) continue;
      const what = `failed to delete stale attachment ${entry.containerId} ${entry.ifName}`;
      await attempt(() => this.del(list, attachmentOf(entry)).catch(wrapping(what)));
    }
    for (const plugin of pluginsToo ? list.plugins : []) {
      await attempt(() =>
        this.#named('GC', plugin, async () => {
          await this.#invoke('GC', plugin, {}, gcInput(list, plugin, valid));
        }),
      );
    }
    if (failures.length === 1) throw failures[0];
    if (failures.length > 1) {
      throw new CniError(codeOf(failures[0]), failures.map(cniErrorText).join('; '), '', {
        cause: new AggregateError(failures),
      });
    }
  }

  /** Asks every plugin whether it could serve an ADD now; the first that says no ends it, with its code (50, 51). */
  async status(list: NetworkConfigList): Promise<void> {
    knownVersion(list);
    if (!this.#isNewEnough(list, 'STATUS')) return;
    for (const plugin of list.plugins) {
      await this.#named('STATUS', plugin, async () => {
        await this.#invoke('STATUS', plugin, {}, pluginInput(list, plugin));
      });
    }
  }

  /** The versions that a plugin says it speaks. One too old to be asked speaks 0.1.0 (libcni's GetVersionInfo). */
  async versions(type: string): Promise<string[]> {
    const { path } = this.#options;
    const file = findPlugin(type, path);
    const variables = {
      CNI_COMMAND: 'VERSION',
      // Plugins of old skeletons ask for these before they look at the command.
      CNI_NETNS: 'dummy',
      CNI_IFNAME: 'dummy',
      CNI_PATH: 'dummy',
      CNI_CONTAINERID: '',
      CNI_ARGS: '',
    };
    let text: string;
    try {
      text = await invokePlugin(this.#options, file, variables, { cniVersion: currentCniVersion });
    } catch (error) {
      if (error instanceof CniError && error.message === 'unknown CNI_COMMAND: VERSION') return ['0.1.0'];
      throw error;
    }
    return parseVersions(text, type);
  }

  /**
   * Checks, without attaching, whether an attachment to the network can work: every plugin is installed and supports the version.
   * Resolves with the capabilities that its plugins declare; an error names every plugin that has a problem.
   */
  async validate(list: NetworkConfigList): Promise<string[]> {
    const wanted = knownVersion(list);
    const problems: CniError[] = [];
    for (const { type } of list.plugins) {
      try {
        const spoken = await this.versions(type);
        if (!spoken.includes(wanted)) {
          problems.push(
            new CniError(
              cniErrorCode.incompatibleVersion,
              `plugin ${type} does not support config version ${JSON.stringify(wanted)}`,
            ),
          );
        }
      } catch (error) {
        if (!(error instanceof CniError)) throw error;
        problems.push(error);
      }
    }
    if (problems.length > 0) {
      throw new CniError(problems[0]!.code, problems.map((problem) => cniErrorText(problem)).join('; '), '', {
        cause: new AggregateError(problems),
      });
    }
    const declared = list.plugins.flatMap(({ capabilities }) =>
      Object.keys(capabilities).filter((name) => capabilities[name]),
    );
    return [...new Set(declared)];
  }

  /**
   * Runs the ADD of one plugin of `list` on an attachment that exists, with its result as `prevResult`, and makes the cache say
   * that the attachment is one of `list`, so that a DEL finds a result under that name, and a runtime that deletes by the cached
   * configuration runs this plugin, too. Resolves with the new entry.
   *
   * The cache is written first: killed in between, a DEL of what was never added is harmless, and an ADD that no DEL follows is
   * not. When the plugin fails its DEL runs and the cache is as before. The entry of another network's name stays as it is.
   *
   * `overrides` are for what the entry does not know (the namespace, in entries of older runtimes) or what has changed.
   */
  async extend(
    entry: CacheEntry,
    list: NetworkConfigList,
    plugin: PluginConfigInList,
    overrides: Partial<Pick<Attachment, 'netns' | 'args' | 'capabilityArgs'>> = {},
  ): Promise<CacheEntry> {
    const { cache } = this.#options;
    const version = knownVersion(list);
    const attachment = { ...attachmentOf(entry), ...overrides };
    const key = keyOf(list, attachment);
    const prevResult = entry.result === undefined ? undefined : convertResult(entry.result, version);
    const { netns, args, capabilityArgs } = attachment;
    const extended: CacheEntry = {
      ...key,
      config: list.text,
      netns,
      cniArgs: args,
      capabilityArgs,
      result: prevResult,
    };
    const before = cache.read(key);
    await this.#remember(extended);
    try {
      extended.result = await this.#add(list, plugin, version, attachment, prevResult);
    } catch (failure) {
      // Also when it was the signal that ended the ADD.
      await new CniRuntime({ ...this.#options, signal: undefined })
        .#run('DEL', list, plugin, { ...attachment, prevResult })
        .catch((error) => this.#options.onNotice(`cannot clean up: ${cniErrorText(error)}`));
      if (before === undefined) cache.remove(key);
      else await this.#remember(before);
      throw failure;
    }
    await this.#remember(extended);
    return extended;
  }

  async #add(
    list: NetworkConfigList,
    plugin: PluginConfigInList,
    version: CniVersion,
    attachment: Attachment,
    prevResult: ResultDocument | undefined,
  ): Promise<ResultDocument> {
    return this.#named('ADD', plugin, async () => {
      const input = pluginInput(list, plugin, attachment.capabilityArgs, prevResult);
      return convertResult(decodeResult(await this.#invoke('ADD', plugin, attachment, input)), version);
    });
  }

  async #run(
    verb: 'CHECK' | 'DEL',
    list: NetworkConfigList,
    plugin: PluginConfigInList,
    { prevResult, ...attachment }: AttachmentInputs,
  ): Promise<void> {
    await this.#named(verb, plugin, async () => {
      const input = pluginInput(list, plugin, attachment.capabilityArgs, prevResult);
      await this.#invoke(verb, plugin, attachment, input);
    });
  }

  #invoke(
    verb: Verb,
    plugin: PluginConfigInList,
    attachment: Partial<Attachment>,
    input: unknown,
  ): Promise<string> {
    const variables = {
      CNI_COMMAND: verb,
      CNI_CONTAINERID: attachment.containerId ?? '',
      CNI_NETNS: attachment.netns ?? '',
      CNI_IFNAME: attachment.ifName ?? '',
      CNI_ARGS: formatCniArgs(attachment.args ?? []),
      CNI_PATH: this.#options.path.join(':'),
    };
    return invokePlugin(this.#options, this.#find(plugin), variables, input);
  }

  #find({ type }: PluginConfigInList): string {
    return findPlugin(type, this.#options.path);
  }

  /** A failure with the plugin's description before it, as libcni has it: `plugin type="portmap" failed (add): …`. */
  async #named<T>(verb: Verb, plugin: PluginConfigInList, work: () => Promise<T>): Promise<T> {
    const name = typeof plugin.fields.name === 'string' ? ` name=${JSON.stringify(plugin.fields.name)}` : '';
    const what = `plugin type=${JSON.stringify(plugin.type)}${name} failed (${WORDS[verb]})`;
    try {
      return await work();
    } catch (error) {
      // An error that is not a plugin's answer (the caller's signal, say) does not name the plugin.
      if (!(error instanceof CniError)) throw error;
      return wrapping(what)(error);
    }
  }

  async #remember(entry: CacheEntry): Promise<void> {
    await this.#options.cache
      .write(entry)
      .catch(wrapping(`failed to set network ${JSON.stringify(entry.networkName)} cached result`));
  }

  /** A DEL must not fail because of a broken cache: the container could never be deleted. */
  #inputsLeniently(key: AttachmentKey, attachment: Attachment, version: CniVersion): AttachmentInputs {
    try {
      return inputsOf(this.#options.cache.read(key), attachment, version);
    } catch (error) {
      this.#options.onNotice(`DEL without a previous result: ${cniErrorText(error)}`);
      return inputsOf(undefined, attachment, version);
    }
  }

  /** Whether the network's version has the verb, by {@link RuntimeOptions.tooOld}. */
  #isNewEnough(list: NetworkConfigList, verb: Verb): boolean {
    const since = SINCE[verb];
    if (since === undefined || compareVersions(list.cniVersion, since) >= 0) return true;
    const { tooOld = 'libcni', onNotice } = this.#options;
    const message = `configuration version ${JSON.stringify(list.cniVersion)} does not support the ${verb} command`;
    if (tooOld === 'refuse' || (tooOld === 'libcni' && verb === 'CHECK')) {
      throw new CniError(cniErrorCode.incompatibleVersion, message);
    }
    onNotice(`${verb} of the plugins skipped: ${message}`);
    return false;
  }
}

/** The attachment that an entry of the cache describes, for a CHECK, a DEL or {@link CniRuntime.extend}. */
export function attachmentOf(entry: CacheEntry): Attachment {
  const { containerId, ifName, cniArgs, capabilityArgs } = entry;
  return { containerId, ifName, netns: netnsOf(entry), args: cniArgs, capabilityArgs };
}

/** Arguments of the ADD for whatever the caller leaves out, and its result: "the same attachment parameters" (specification). */
function inputsOf(
  entry: CacheEntry | undefined,
  attachment: Attachment,
  version: CniVersion,
): AttachmentInputs {
  return {
    ...attachment,
    netns: attachment.netns ?? (entry === undefined ? undefined : netnsOf(entry)),
    args: attachment.args ?? entry?.cniArgs,
    capabilityArgs: attachment.capabilityArgs ?? entry?.capabilityArgs,
    prevResult: entry?.result === undefined ? undefined : convertResult(entry.result, version),
  };
}

function keyOf(list: NetworkConfigList, { containerId, ifName }: Attachment): AttachmentKey {
  validateNetworkName(list.name);
  validateContainerId(containerId);
  validateInterfaceName(ifName);
  return { networkName: list.name, containerId, ifName };
}

/** The network's version, which must be one that we can read the results of; error 1 before anything has run. */
function knownVersion(list: NetworkConfigList): CniVersion {
  const version = list.cniVersion === '' ? '0.1.0' : list.cniVersion;
  if (isCniVersion(version)) return version;
  throw new CniError(
    cniErrorCode.incompatibleVersion,
    `network ${list.name}: unsupported CNI version ${JSON.stringify(version)}, the newest supported is ${currentCniVersion}`,
  );
}

/** The fields of what a plugin prints for VERSION. Source: libcni's version.PluginDecoder. */
const VERSION_FIELDS: Fields = { cniVersion: 'scalar', supportedVersions: { list: 'scalar' } };

function parseVersions(text: string, type: string): string[] {
  const bad = (what: string, cause?: unknown) =>
    new CniError(cniErrorCode.decodingFailure, `plugin ${type}: decoding version info: ${what}`, '', {
      cause,
    });
  let node: JsonNode;
  try {
    node = parseDocument(text, 'version');
  } catch (cause) {
    throw bad((cause as Error).message, cause);
  }
  const { cniVersion, supportedVersions } = decodeStruct(node, VERSION_FIELDS) ?? {};
  if (typeof cniVersion !== 'string' || cniVersion === '') throw bad('missing field cniVersion');
  if (Array.isArray(supportedVersions) && supportedVersions.length > 0) return supportedVersions.map(String);
  // The first plugins that had a VERSION had no list.
  if (cniVersion === '0.2.0') return ['0.1.0', '0.2.0'];
  throw bad('missing field supportedVersions');
}

/** Puts what was attempted before an error, and keeps its code: `<what>: <message>; <details>`. */
function wrapping(what: string): (error: unknown) => never {
  return (error) => {
    throw new CniError(codeOf(error), `${what}: ${cniErrorText(error)}`, '', { cause: error });
  };
}

function codeOf(error: unknown): number {
  return error instanceof CniError ? error.code : cniErrorCode.internal;
}
