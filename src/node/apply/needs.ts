import type { NodeAction } from '../../path/model/action.ts';

/** A place on a node that must be writable: a directory, or a single file. */
export interface WrittenPlace {
  path: string;
  is: 'directory' | 'file';
}

/** What a process needs on a node to do some actions, and nothing more. */
export interface ActionNeeds {
  /** Sorted, none inside another. */
  writes: readonly WrittenPlace[];
  /** Of Linux, without `CAP_`; sorted. */
  capabilities: readonly string[];
  /** Whether the plugins that belong to this program are run, or installed. */
  plugins: boolean;
}

/** Where copies of what is replaced are kept, and what was done. */
export const RECORDS = '/var/lib/hostport';

/** Entering the node's root directory, and reading configurations that only their owner may read. */
const ALWAYS = ['DAC_READ_SEARCH', 'SYS_CHROOT'];
/** Directories and files of plugins belong to whoever unpacked them. */
const WRITING = ['DAC_OVERRIDE'];
const RULES = ['NET_ADMIN', 'NET_RAW'];
/** A plugin enters the network namespace of the pod. */
const PLUGINS = ['DAC_OVERRIDE', 'NET_ADMIN', 'NET_RAW', 'SYS_ADMIN'];

/** The lock of iptables. */
const RULES_LOCK: WrittenPlace = { path: '/run/xtables.lock', is: 'file' };
/** Settings of the network of the process that writes: the node's. */
const SETTINGS = directory('/proc/sys/net');
/** Results of chains, and the addresses that host-local has assigned. */
const CHAIN_STATE = directory('/var/lib/cni');
/** What our portmap remembers. */
const PORTMAP_STATE = directory('/run/hostport');

/**
 * What the actions of a plan need on their node.
 * @throws for what is in the root directory.
 */
export function needsOf(actions: readonly NodeAction[]): ActionNeeds {
  return needs(
    [directory(RECORDS), ...actions.flatMap((action) => needsOfAction(action).writes)],
    [...ALWAYS, ...actions.flatMap((action) => needsOfAction(action).capabilities)],
    actions.some(usesOwnPlugins),
  );
}

/** What putting files back needs. Throws as {@link needsOf}. */
export function needsOfFiles(paths: readonly string[]): ActionNeeds {
  return needs(
    [directory(RECORDS), ...paths.map(directoryOf)],
    [...ALWAYS, ...WRITING, 'CHOWN', 'FOWNER'],
    false,
  );
}

/** Whether what needs `wanted` can be done by who has `given`. */
export function areMet(wanted: ActionNeeds, given: ActionNeeds): boolean {
  return (
    wanted.writes.every((place) => given.writes.some((other) => isWithin(place, other))) &&
    wanted.capabilities.every((capability) => given.capabilities.includes(capability)) &&
    (given.plugins || !wanted.plugins)
  );
}

function needs(
  writes: readonly WrittenPlace[],
  capabilities: readonly string[],
  plugins: boolean,
): ActionNeeds {
  if (writes.some(({ path }) => path === '/')) {
    throw new Error("cannot change what is in the node's root directory: all of the node would be writable");
  }
  const places = [...new Map(writes.map((place) => [place.path, place])).values()];
  return {
    writes: places
      .filter((place) => !places.some((other) => other !== place && isWithin(place, other)))
      .sort((a, b) => (a.path < b.path ? -1 : 1)),
    capabilities: [...new Set(capabilities)].sort(),
    plugins,
  };
}

/** Whether an action runs or installs plugins that belong to this program. */
function usesOwnPlugins(action: NodeAction): boolean {
  if (action.do === 'attach') return action.own === true;
  return action.do === 'detach' || action.do === 'collect' || action.do === 'install-plugin';
}

function needsOfAction(action: NodeAction): Omit<ActionNeeds, 'plugins'> {
  switch (action.do) {
    case 'write-file':
    case 'rewrite-file':
      return { writes: [directoryOf(action.path)], capabilities: WRITING };
    case 'rename-file':
      return { writes: [action.from, action.to].map(directoryOf), capabilities: WRITING };
    case 'set-mode':
      return { writes: [directoryOf(action.path)], capabilities: [...WRITING, 'FOWNER'] };
    case 'install-plugin':
      return { writes: [directory(action.directory)], capabilities: WRITING };
    case 'set-sysctl':
      return { writes: [SETTINGS], capabilities: ['NET_ADMIN'] };
    case 'attach':
      return { writes: [CHAIN_STATE, PORTMAP_STATE, RULES_LOCK, SETTINGS], capabilities: PLUGINS };
    // The whole chain runs, and where its other plugins keep sockets, locks and queues is theirs to say.
    case 'detach':
    case 'collect':
      return { writes: [CHAIN_STATE, directory('/run'), SETTINGS], capabilities: PLUGINS };
    case 'iptables':
      return { writes: action.variant === 'iptables-legacy' ? [RULES_LOCK] : [], capabilities: RULES };
    case 'delete-nft-rule':
    case 'delete-flow':
    case 'replace-route':
      return { writes: [], capabilities: ['NET_ADMIN'] };
  }
}

function directory(path: string): WrittenPlace {
  return { path: path.replace(/\/+$/, '') || '/', is: 'directory' };
}

function directoryOf(path: string): WrittenPlace {
  return directory(path.replace(/\/[^/]*$/, ''));
}

function isWithin(place: WrittenPlace, other: WrittenPlace): boolean {
  if (place.path === other.path) return true;
  return other.is === 'directory' && (other.path === '/' || place.path.startsWith(`${other.path}/`));
}
