import {
  configFileOrder,
  type NetworkConfigList,
  type PluginConfigInList,
  parseNetworkConfig,
  pluginFields,
} from '../../cni/conflist.ts';
import { TooLargeError } from '../../cni/json.ts';
import { type RuleBudget, type Ruleset, readRuleset } from '../../netfilter/index.ts';
import { PORTMAP_FIELDS } from '../../portmap/config.ts';
import { isLoopbackText } from '../../util/address.ts';
import { byText } from '../../util/by-text.ts';
import { messageOf } from '../../util/errors.ts';
import { familyOf, NFT_FAMILY } from '../../util/family.ts';
import { canonicalAddress } from '../../util/ip.ts';
import type { CachedAttachment, MountSeen, NodeReport, PluginFile, Sandbox } from '../model/node-report.ts';
import { known, type Observed } from '../model/observed.ts';
import { type Delegate, delegateOf } from './delegates.ts';
import { type DropIn, dropInsOf } from './drop-ins.ts';
import { type Memory, memoKey, remembered } from './memory.ts';

/**
 * Rules that are looked at for all mappings of a node together: some seconds. A node with hundreds of mappings and thousands of rules needs a tenth;
 * where it is not enough, what the rules do to the other mappings is unknown.
 */
const MAX_RULES = 10_000_000;

const DELEGATE = memoKey<Observed<Delegate> | undefined>();

/** A configuration file as a runtime would read it. */
export interface ConfigFile {
  name: string;
  path: string;
  /** Empty when it could not be opened, too: see {@link readable}. Of a file that is no configuration, what is known of it. */
  content: string;
  /** Whether the file could be read; what is in it may still be broken. */
  readable: boolean;
  list: Observed<NetworkConfigList>;
  /** Names of the files of its drop-in directory whose plugins are in {@link list}. */
  dropIns: readonly string[];
}

/** A node as its report shows it, with what follows from the report worked out once, when it is asked for. */
export class NodeView {
  readonly name: string;
  /** What was worked out from the report elsewhere. */
  readonly memory: Memory = new Map();
  /** What may still be looked at of its rules for its mappings. */
  readonly budget: RuleBudget = { rules: MAX_RULES };
  readonly #read: () => Observed<NodeReport>;
  #report: Observed<NodeReport> | undefined;
  #configs: ConfigFile[] | undefined;
  /** The node's own addresses, and what was asked of others before. */
  #local: Map<string, boolean> | undefined;
  #ruleset: Observed<Ruleset> | undefined;

  /** `report`: it, or how to read it, which is done when it is first asked for and again after a {@link release}. */
  constructor(name: string, report: Observed<NodeReport> | (() => Observed<NodeReport>)) {
    this.name = name;
    this.#read = typeof report === 'function' ? report : () => report;
  }

  get report(): Observed<NodeReport> {
    this.#report ??= this.#read();
    return this.#report;
  }

  /** The report, or undefined when there is none. */
  get seen(): NodeReport | undefined {
    return known(this.report);
  }

  /** The files that a runtime considers, in its order; undefined when the directory could not be read. */
  get configs(): readonly ConfigFile[] | undefined {
    const report = this.seen;
    const files = known(report?.cni.files);
    if (files === undefined) return undefined;
    if (this.#configs === undefined) {
      const byName = new Map(files.map((file) => [file.name, file]));
      this.#configs = configFileOrder([...byName.keys()]).map((name) => {
        const { content, broken } = byName.get(name)!;
        const path = `${report!.cni.confDir}/${name}`;
        if ('unknown' in content) {
          const shown = broken ? content.unknown : '';
          return { name, path, content: shown, readable: broken === true, list: content, dropIns: [] };
        }
        return { name, path, content: content.value, ...readList(report!, name, content.value) };
      });
    }
    return this.#configs;
  }

  /** The file that a runtime which reads the directory now would use: the first, whether or not it can be read. */
  get active(): ConfigFile | undefined {
    return this.configs?.[0];
  }

  /** The chain of {@link active}, when it can be read. */
  get chain(): readonly PluginConfigInList[] | undefined {
    return known(this.active?.list)?.plugins;
  }

  /** The chain that {@link active} leaves the pod's own network to; undefined where it leaves it to none. */
  get delegate(): Observed<Delegate> | undefined {
    const list = known(this.active?.list);
    return list === undefined ? undefined : remembered(this, DELEGATE, () => delegateOf(list, this.seen!));
  }

  /** The chain that maps the ports of pods: {@link chain}, or that which it delegates to. Undefined when that is not known. */
  get mappingChain(): readonly PluginConfigInList[] | undefined {
    const { delegate } = this;
    return delegate === undefined ? this.chain : known(delegate)?.plugins;
  }

  /** The plugin executables of one name, in the order in which a runtime looks for them; undefined when that is not known. */
  plugin(name: string): readonly PluginFile[] | undefined {
    const report = this.seen;
    const plugins = known(report?.cni.plugins);
    if (plugins === undefined) return undefined;
    return report!.cni.binDirs.flatMap((directory) =>
      plugins.filter((file) => file.directory === directory && file.name === name),
    );
  }

  /** What a file or directory of the CNI lies on; undefined when that was not seen. */
  mountOf(path: string): MountSeen | undefined {
    const mounts = known(this.seen?.cni.mounts);
    const directory = path.slice(0, path.lastIndexOf('/'));
    return mounts?.find((mount) => mount.path === path) ?? mounts?.find((mount) => mount.path === directory);
  }

  get sandboxes(): readonly Sandbox[] | undefined {
    return known(this.seen?.sandboxes);
  }

  get attachments(): readonly CachedAttachment[] | undefined {
    return known(this.seen?.cni.attachments);
  }

  /** The node's netfilter rules; unknown when one of the tools that are there did not tell its part. */
  get ruleset(): Observed<Ruleset> {
    this.#ruleset ??= this.#readRuleset();
    return this.#ruleset;
  }

  /** Forgets the report and what was worked out from it. */
  release(): void {
    this.#report = undefined;
    this.#configs = undefined;
    this.#local = undefined;
    this.#ruleset = undefined;
    this.budget.rules = MAX_RULES;
    this.memory.clear();
  }

  sysctl(name: string): string | undefined {
    return known(this.seen?.network.sysctls)?.[name];
  }

  /** Whether an address is one of the node's own; undefined when its addresses are not known. */
  isLocal(address: string): boolean | undefined {
    const addresses = known(this.seen?.network.addresses);
    if (addresses === undefined) return undefined;
    this.#local ??= new Map(addresses.map((entry) => [canonicalAddress(entry.address), true]));
    const before = this.#local.get(address);
    if (before !== undefined) return before;
    const isLocal =
      (familyOf(address) === 'ipv4' && isLoopbackText(address)) ||
      this.#local.get(canonicalAddress(address)) === true;
    this.#local.set(address, isLocal);
    return isLocal;
  }

  #readRuleset(): Observed<Ruleset> {
    if ('unknown' in this.report) return this.report;
    const { iptables, nft, chainDevices } = this.report.value.netfilter;
    const untold = [...iptables.map(({ text }) => text), nft].find((part) => 'unknown' in part);
    if (untold !== undefined) return untold;
    try {
      return {
        value: readRuleset({
          iptables: iptables.map(({ variant, family, text }) => ({
            backend: variant,
            family: NFT_FAMILY[family],
            text: known(text)!,
          })),
          nft: known(nft)!,
          chainDevices: known(chainDevices),
        }),
      };
    } catch (cause) {
      return { unknown: messageOf(cause) };
    }
  }
}

/** A list with the plugins of its drop-in directory (CNI 1.1), where the runtime reads them; unknown where there are some and whether it does is. */
function readList(report: NodeReport, name: string, content: string): ReadList {
  // Of a node without such directories it depends on nothing else, and thousands of nodes have the same file.
  return (report.cni.dropIns ?? []).length === 0
    ? readAlone(`${name}\0${content}`)
    : readListOf(name, content, (network) => dropInsOf(report, network));
}

type ReadList = Pick<ConfigFile, 'list' | 'dropIns' | 'readable'>;

/** A list without drop-ins, by its name, which has no NUL, and its content. */
const readAlone = byText((file) => {
  const end = file.indexOf('\0');
  return readListOf(file.slice(0, end), file.slice(end + 1), () => ({ value: [] }));
});

function readListOf(
  name: string,
  content: string,
  dropInsIn: (network: string) => Observed<DropIn[]>,
): ReadList {
  // Assigned in a callback, which the type checker does not follow.
  let dropIns = { value: [] } as Observed<DropIn[]>;
  try {
    const value = parseNetworkConfig(content, name, (network) => {
      dropIns = dropInsIn(network);
      const files = known(dropIns) ?? [];
      const refused = files.find(({ broken }) => broken !== undefined)?.broken;
      if (refused !== undefined) throw new Error(refused);
      return files;
    });
    if ('unknown' in dropIns) return { list: dropIns, dropIns: [], readable: false };
    return { list: { value }, dropIns: namesOf(dropIns), readable: true };
  } catch (cause) {
    // The runtime may read what is too large to be read here.
    const readable = !(cause instanceof TooLargeError);
    return { list: { unknown: messageOf(cause) }, dropIns: namesOf(dropIns), readable };
  }
}

function namesOf(files: Observed<{ name: string }[]>): string[] {
  return (known(files) ?? []).map(({ name }) => name);
}

/** By entry of a chain, which is asked for again by every failure for every mapping. */
const readEntries = new WeakMap<PluginConfigInList, PluginConfigInList>();

/** The entry of a chain that is portmap, its fields as portmap reads them; undefined when there is none. */
export function portmapIn(chain: readonly PluginConfigInList[] | undefined): PluginConfigInList | undefined {
  const entry = chain?.find(({ type }) => type === 'portmap');
  if (entry === undefined) return undefined;
  let read = readEntries.get(entry);
  if (read === undefined) {
    read = { ...entry, fields: pluginFields(entry, PORTMAP_FIELDS) };
    readEntries.set(entry, read);
  }
  return read;
}
