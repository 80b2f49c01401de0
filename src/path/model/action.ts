import { z } from 'zod';
import { boundedList } from '../../util/bounded.ts';
import { FAMILIES } from '../../util/family.ts';

/** A path that begins at a node's root. */
export const absolutePath = z.string().regex(/^\/[^\0\n]*$/, 'must be an absolute path');
const fileMode = z.string().regex(/^0[0-7]{3}$/, 'must be permission bits like 0755');

/** Name of a plugin or of a configuration file: one step of a path. */
const fileName = z.string().regex(/^(?!\.{1,2}$)[A-Za-z0-9._-]{1,255}$/, 'must be a plain file name');

const family = z.enum(FAMILIES);

/**
 * A change on one node, as data: planned by a failure's file, shown to the user, sent to the node and done there
 * (`hostport node-serve`). Every action is idempotent; what replaces or removes something keeps a copy of it first.
 */
export const nodeActionSchema = z.discriminatedUnion('do', [
  z.object({
    do: z.literal('write-file'),
    path: absolutePath,
    content: z.string(),
    mode: fileMode.optional(),
  }),
  z.object({ do: z.literal('rename-file'), from: absolutePath, to: absolutePath }),
  z.object({ do: z.literal('set-mode'), path: absolutePath, mode: fileMode }),
  /** Writes the configuration file again in place, so that a runtime which missed its arrival sees it. */
  z.object({ do: z.literal('rewrite-file'), path: absolutePath }),
  /** Puts the plugin that `hostport` brings along (portmap, loopback) into a plugin directory. */
  z.object({ do: z.literal('install-plugin'), name: fileName, directory: absolutePath }),
  z.object({
    do: z.literal('set-sysctl'),
    name: z.string().regex(/^[a-z0-9_.\-/@:]+$/i),
    value: z.string().regex(/^-?\d+$/),
  }),
  /**
   * Runs chained plugins of a configuration list, portmap among them, that a sandbox was created without, on the running sandbox, with
   * the cached result as prevResult; and writes the cache entry so that the runtime's later DEL calls them too.
   */
  z.object({
    do: z.literal('attach'),
    sandbox: z.string(),
    /** The configuration file whose list to use. */
    config: absolutePath,
    /** Type of the plugin in the list to run; the rest of the chain stays as it is. */
    plugin: fileName,
    /** Run the one that this program brings along, whichever the runtime would run. */
    own: z.literal(true).optional(),
  }),
  /** Runs portmap's DEL for an attachment whose sandbox is gone, and forgets its cache entry. */
  z.object({ do: z.literal('detach'), networkName: z.string(), containerId: z.string(), ifName: z.string() }),
  /** Runs GC of the list of a configuration file with the sandboxes that live. */
  z.object({ do: z.literal('collect'), config: absolutePath }),
  /** One `iptables-restore --noflush` transaction in one table. Each command is an argv: `['-D', 'FORWARD', '-j', 'DROP']`. */
  z.object({
    do: z.literal('iptables'),
    variant: z.enum(['iptables-nft', 'iptables-legacy']),
    family,
    table: z.enum(['raw', 'mangle', 'nat', 'filter']),
    commands: boundedList(boundedList(z.string().regex(/^[^\n\0]*$/), { least: 2 }), { least: 1 }),
  }),
  z.object({
    do: z.literal('delete-nft-rule'),
    family: z.enum(['ip', 'ip6', 'inet']),
    table: z.string(),
    chain: z.string(),
    /** `nft -a` handle. */
    handle: z.number().int(),
  }),
  z.object({
    do: z.literal('delete-flow'),
    protocol: z.enum(['tcp', 'udp', 'sctp']),
    family,
    source: z.string(),
    sourcePort: z.number().int(),
    destination: z.string(),
    destinationPort: z.number().int(),
  }),
  z.object({
    do: z.literal('replace-route'),
    family,
    destination: z.string(),
    device: z.string().optional(),
    gateway: z.string().optional(),
  }),
]);

export type NodeAction = z.infer<typeof nodeActionSchema>;

/** A change to the cluster's objects. */
export type ClusterAction =
  /** Deletes a pod, which its owner recreates. Only with the user's consent. */
  { do: 'delete-pod'; namespace: string; name: string; uid: string };

/** A step of healing: an action with its place, and why. */
export type HealStep = { why: string } & (
  | { on: 'node'; node: string; action: NodeAction }
  | { on: 'cluster'; action: ClusterAction }
);
