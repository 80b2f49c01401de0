import { loadNetworkFile } from '../../cni/config-files.ts';
import type { NetworkConfigList } from '../../cni/conflist.ts';
import { type CacheEntry, netnsOf, networkOf, ResultCache } from '../../cni/result-cache.ts';
import { CniRuntime } from '../../cni/runtime.ts';
import { isNamespace } from '../../cni/sandbox.ts';
import { compareVersions } from '../../cni/version.ts';
import type { NodeAction } from '../../path/model/action.ts';
import type { Sandbox } from '../../path/model/node-report.ts';
import { realClock } from '../../sys/clock.ts';
import { cniDirectories, readRuntime } from '../report/runtime.ts';
import type { ApplyContext } from './context.ts';
import type { Applied } from './result.ts';

type Action<Do extends NodeAction['do']> = Extract<NodeAction, { do: Do }>;

/** How long one call of a plugin may take, in milliseconds. */
const PLUGIN_DEADLINE_MS = 30_000;

/** The runtime's directories and sandboxes. */
interface Runtime {
  binDirs: string[];
  sandboxes: Sandbox[];
}

/**
 * The runtime's directories and sandboxes, or of these one alone: a node may have a hundred, and as many to be attached.
 * Throws when the runtime does not answer: attachments are changed only when it does.
 */
async function askRuntime(only?: string): Promise<Runtime> {
  const { runtime, sandboxes } = await readRuntime(undefined, only === undefined ? {} : { only });
  if ('unknown' in sandboxes) throw new Error(`cannot list the sandboxes: ${sandboxes.unknown}`);
  return { binDirs: cniDirectories(runtime).binDirs, sandboxes: sandboxes.value };
}

function cniRuntime(
  context: ApplyContext,
  path: readonly string[],
  cache: ResultCache,
  said: string[],
): CniRuntime {
  return new CniRuntime({
    exec: context.exec,
    clock: realClock,
    env: process.env,
    timeoutMs: PLUGIN_DEADLINE_MS,
    path,
    cache,
    onNotice: (message) => said.push(message),
    onStderr: (plugin, text) => said.push(`${plugin}: ${text.trim()}`),
  });
}

function telling(done: string, said: readonly string[]): string {
  return said.length === 0 ? done : `${done} (${said.join('; ')})`;
}

/**
 * Runs one plugin of a configuration's chain on a sandbox that was attached without it, with the cached result as prevResult. The
 * cache then has the attachment under this network's name: the runtime, which deletes by the network it has loaded, finds its
 * result there, and the entry of the previous network is removed.
 *
 * Nothing keeps the runtime from deleting the sandbox meanwhile, and its DEL may come before our ADD: then nobody would remove what
 * the ADD created. So the runtime is asked once more afterwards, and the plugin's DEL follows if the sandbox is no longer running.
 */
export async function attachAction(
  action: Action<'attach'>,
  context: ApplyContext,
  ask: (sandbox: string) => Promise<Runtime> = askRuntime,
  cache = new ResultCache(),
): Promise<Applied> {
  const list = loadNetworkFile(action.config);
  const plugin = list.plugins.find(({ type }) => type === action.plugin);
  if (plugin === undefined) throw new Error(`${action.config} has no plugin ${action.plugin}`);
  const { binDirs, sandboxes } = await ask(action.sandbox);
  const sandbox = runningSandbox(action.sandbox, sandboxes);
  if (sandbox === undefined) throw new Error(`sandbox ${action.sandbox.slice(0, 13)} is not running`);
  const entry = entryOf(cache, sandbox, list);
  const said: string[] = [];
  const path = action.own ? [context.ownPlugins, ...binDirs] : binDirs;
  const runtime = cniRuntime(context, path, cache, said);
  const backup = keepEntry(context, cache, entry);
  const attachment = {
    netns: sandbox.netns,
    capabilityArgs: { ...entry.capabilityArgs, portMappings: mappingsOf(entry, sandbox) },
  };
  await runtime.extend(entry, list, plugin, attachment);
  if (runningSandbox(action.sandbox, (await ask(action.sandbox)).sandboxes) === undefined) {
    const { containerId, ifName } = entry;
    await runtime.del({ ...list, plugins: [plugin] }, { containerId, ifName, ...attachment, netns: '' });
    // While the namespace exists, the runtime's DEL is still to come, and needs the cached entry.
    if (entry.networkName === list.name && isNamespace(sandbox.netns)) await cache.write(entry);
    throw new Error(
      telling(
        `sandbox ${sandbox.id.slice(0, 13)} terminated while ${action.plugin} was attached: undone`,
        said,
      ),
    );
  }
  if (entry.networkName !== list.name) cache.remove(entry);
  const done = `${action.plugin} of ${list.name} attached to sandbox ${sandbox.id.slice(0, 13)}`;
  return { changed: true, detail: telling(done, said), ...(backup && { backup }) };
}

/** The sandbox of that id when it runs and has its namespace. */
function runningSandbox(
  id: string,
  sandboxes: readonly Sandbox[],
): (Sandbox & { netns: string }) | undefined {
  const sandbox = sandboxes.find((entry) => entry.id === id);
  if (sandbox?.ready !== true || sandbox.netns === undefined || !isNamespace(sandbox.netns)) return undefined;
  return { ...sandbox, netns: sandbox.netns };
}

/** The cached entry of a sandbox's attachment: under this network's name, or under that of the network it was created with. */
function entryOf(cache: ResultCache, sandbox: Sandbox, list: NetworkConfigList): CacheEntry {
  const all = cache.list(sandbox.id).filter(({ ifName }) => ifName !== 'lo');
  // The pod's own network is that of eth0; other interfaces are further attachments, perhaps to the same network.
  const own = all.filter(({ ifName }) => ifName === 'eth0');
  const entries = own.length > 0 ? own : all;
  const entry = entries.find(({ networkName }) => networkName === list.name) ?? entries[0];
  if (entry === undefined) throw new Error(`no cached result of sandbox ${sandbox.id.slice(0, 13)}`);
  return entry;
}

/** The mappings as the runtime passed them, or as it was asked for them. */
function mappingsOf(entry: CacheEntry, sandbox: Sandbox): unknown {
  const cached = entry.capabilityArgs?.portMappings;
  return Array.isArray(cached) && cached.length > 0 ? cached : sandbox.portMappings;
}

function hasNamespace(entry: CacheEntry): boolean {
  const netns = netnsOf(entry);
  return netns !== undefined && isNamespace(netns);
}

function keepEntry(context: ApplyContext, cache: ResultCache, entry: CacheEntry): string | undefined {
  return context.backups.keepFile(cache.path(entry));
}

/**
 * Detaches a sandbox that is gone: by a DEL of the chain it was created with, which also removes its cache entry, or of portmap alone
 * when the cache has no entry.
 */
export async function detachAction(action: Action<'detach'>, context: ApplyContext): Promise<Applied> {
  const { networkName, containerId, ifName } = action;
  const cache = new ResultCache();
  const { binDirs, sandboxes } = await askRuntime();
  if (sandboxes.some(({ id, ready }) => id === containerId && ready)) {
    throw new Error(`sandbox ${containerId.slice(0, 13)} is running: its attachment is kept`);
  }
  const entry = cache.read(action);
  if (entry !== undefined && hasNamespace(entry)) {
    throw new Error(`${netnsOf(entry)} still exists: its attachment is kept`);
  }
  const said: string[] = [];
  const short = containerId.slice(0, 13);
  if (entry === undefined) {
    await cniRuntime(context, [context.ownPlugins], cache, said).del(portmapOnly(networkName), {
      containerId,
      netns: '',
      ifName,
    });
    return { changed: true, detail: telling(`portmap detached ${short} from ${networkName}`, said) };
  }
  const backup = keepEntry(context, cache, entry);
  await cniRuntime(context, binDirs, cache, said).del(networkOf(entry), { containerId, netns: '', ifName });
  return {
    changed: true,
    detail: telling(`detached ${short} from ${networkName}`, said),
    ...(backup && { backup }),
  };
}

/**
 * Removes what a network left behind for sandboxes that are gone: by DEL where the cache has an entry, by portmap's GC where only rules
 * are left. CNI versions before 1.1.0 have no GC, but our portmap does it for rules of any version.
 */
export async function collectAction(action: Action<'collect'>, context: ApplyContext): Promise<Applied> {
  const list = loadNetworkFile(action.config);
  const { binDirs, sandboxes } = await askRuntime();
  const cache = new ResultCache();
  const living = sandboxes.filter(({ ready, hostNetwork }) => ready && !hostNetwork);
  // Every attachment of a living sandbox is valid, on any interface.
  const interfaces = new Set(['eth0', ...cache.list().map(({ ifName }) => ifName)]);
  const valid = living.flatMap(({ id }) => [...interfaces].map((ifname) => ({ containerID: id, ifname })));
  // A runtime lists a sandbox only after its chain has run: an attachment whose namespace exists is not gone.
  for (const entry of cache.list()) {
    if (hasNamespace(entry)) valid.push({ containerID: entry.containerId, ifname: entry.ifName });
  }
  const said: string[] = [];
  await cniRuntime(context, binDirs, cache, said).gc(list, valid);
  if (compareVersions(list.cniVersion || '0.1.0', '1.1.0') < 0 && hasPortmap(list)) {
    await cniRuntime(context, [context.ownPlugins], cache, said).gc(portmapOnly(list.name), valid);
  }
  return { changed: true, detail: telling(`${list.name}: kept ${living.length} sandboxes`, said) };
}

function hasPortmap(list: NetworkConfigList): boolean {
  return list.plugins.some(({ type }) => type === 'portmap');
}

/** A network of portmap alone, in the version that has GC. */
function portmapOnly(name: string): NetworkConfigList {
  const fields = { type: 'portmap', capabilities: { portMappings: true } };
  const text = JSON.stringify({ cniVersion: '1.1.0', name, plugins: [fields] });
  return {
    name,
    cniVersion: '1.1.0',
    cniVersions: [],
    disableCheck: false,
    disableGC: false,
    plugins: [{ type: 'portmap', capabilities: fields.capabilities, fields }],
    text,
  };
}
