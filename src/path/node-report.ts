import { z } from 'zod';
import { observed } from './observed.ts';

/**
 * What one node looks like at one moment, as a document: everything that the stages from configured to forwarded are judged
 * by. `hostport node-report` takes it on the node, without changing anything there; secrets are not in it. Texts are those of
 * the node's own tools, so that a person can read them too and evidence can be quoted.
 */
export const NODE_REPORT_VERSION = 'hostport/v1';

const link = z.object({
  name: z.string(),
  index: z.number(),
  up: z.boolean(),
  mtu: z.number(),
  /** `veth`, `bridge`, `vxlan`, … as `ip -d link` says; absent for plain devices. */
  kind: z.string().optional(),
  /** Name of the bridge or bond it belongs to. */
  master: z.string().optional(),
  mac: z.string().optional(),
  /** Name of the network namespace that its other end is in, as `ip netns` has it; absent when it has none, or no name. */
  peerNamespace: z.string().optional(),
});

const address = z.object({
  device: z.string(),
  family: z.enum(['ipv4', 'ipv6']),
  address: z.string(),
  prefix: z.number(),
  scope: z.string(),
});

const route = z.object({
  family: z.enum(['ipv4', 'ipv6']),
  /** CIDR; `0.0.0.0/0` and `::/0` for the default. */
  destination: z.string(),
  gateway: z.string().optional(),
  device: z.string().optional(),
  /** `main`, `local`, … or a number. */
  table: z.string(),
  metric: z.number().optional(),
  source: z.string().optional(),
  /** `unicast`, `local`, `blackhole`, `unreachable`, `prohibit`, … */
  type: z.string(),
});

/** A rule of policy routing; ip-rule(8). */
const policyRule = z.object({
  priority: z.number(),
  /** Applies to what the rest does not fit. */
  inverted: z.literal(true).optional(),
  /** CIDRs; absent for all. */
  source: z.string().optional(),
  destination: z.string().optional(),
  inputInterface: z.string().optional(),
  outputInterface: z.string().optional(),
  mark: z.object({ value: z.number(), mask: z.number() }).optional(),
  /** What else it goes by: `ipproto tcp`, `uidrange`, … */
  others: z.array(z.string()).optional(),
  /** The table that it looks in: `main`, `local`, … or a number. */
  table: z.string().optional(),
  /** Routes of the table with prefixes up to this length do not count. */
  suppressPrefixLength: z.number().optional(),
  /** What it does in place of looking: `blackhole`, `unreachable`, `prohibit`, `goto 32766`, `nop`, … */
  action: z.string().optional(),
});

const confFile = z.object({
  /** Name within the directory. */
  name: z.string(),
  modified: z.string(),
  changed: z.string(),
  /** The link's target when it is a symbolic link. */
  target: z.string().optional(),
  content: observed(z.string()),
});

const pluginFile = z.object({
  name: z.string(),
  directory: z.string(),
  /** Permission bits, octal: `0755`. */
  mode: z.string(),
  size: z.number(),
  /** `elf` with the machine of its header, `script` with its interpreter, `other`; `unreadable` for whoever took the report. */
  format: z.union([
    z.object({ kind: z.literal('elf'), machine: z.number(), bits: z.number() }),
    z.object({ kind: z.literal('script'), interpreter: z.string() }),
    z.object({ kind: z.literal('other') }),
    z.object({ kind: z.literal('unreadable') }),
  ]),
  /** What `CNI_COMMAND=VERSION` told; asked only of plugins that a configuration names. */
  versions: observed(z.array(z.string())).optional(),
});

/** What a directory of the CNI, or a file in it that is a mount of its own, lies on; proc(5), mountinfo. */
const mountSeen = z.object({
  /** The directory or file. */
  path: z.string(),
  /** Where its mount is. */
  point: z.string(),
  /** Where it lies on the file system that is mounted: the place outside of the node, where that is a container. */
  origin: z.string(),
  /** What the file system is of: a device, or its kind. */
  source: z.string(),
  readOnly: z.boolean(),
});

/** A mapping as a runtime gives it to the chain. */
const portMapping = z.object({
  hostPort: z.number(),
  containerPort: z.number(),
  protocol: z.string(),
  hostIP: z.string().optional(),
});

/** An entry of libcni's result cache: what an attachment was made with, and what came of it. */
const cachedAttachment = z.object({
  file: z.string(),
  modified: z.string(),
  networkName: z.string(),
  containerId: z.string(),
  ifName: z.string(),
  netns: z.string().optional(),
  /** Whether that namespace is there; absent when the entry names none. */
  netnsExists: z.boolean().optional(),
  /** The configuration list as text, as it was when the chain ran. */
  config: z.string(),
  portMappings: z.array(portMapping),
  /** The result as it was cached. */
  result: z.record(z.string(), z.unknown()),
});

const sandbox = z.object({
  id: z.string(),
  name: z.string(),
  namespace: z.string(),
  uid: z.string(),
  attempt: z.number(),
  ready: z.boolean(),
  createdAt: z.string(),
  hostNetwork: z.boolean(),
  /** Path of its network namespace; absent when the runtime does not say. */
  netns: z.string().optional(),
  /** Whether that namespace is there. */
  netnsExists: z.boolean(),
  ips: z.array(z.string()),
  /** As the runtime was asked for them. */
  portMappings: z.array(portMapping),
});

const runtime = z.object({
  /** `containerd`, `cri-o`. */
  name: z.string(),
  version: z.string(),
  networkReady: z.boolean(),
  networkMessage: z.string(),
  confDir: z.string(),
  binDirs: z.array(z.string()),
  /** The networks the runtime has loaded, as it tells them (containerd's verbose status); the first non-loopback is used. */
  loadedNetworks: observed(
    z.array(
      z.object({
        name: z.string(),
        file: z.string().optional(),
        config: z.string(),
        /** Each plugin as it is loaded, where they are others than those of `config`: with those of the drop-in directory. */
        plugins: z.array(z.string()).optional(),
      }),
    ),
  ),
  /** Error of the last attempt to load the configuration; empty when it went well. */
  lastLoadError: z.string(),
});

/** One flow of the connection tracking table. */
const flow = z.object({
  protocol: z.string(),
  state: z.string().optional(),
  source: z.string(),
  sourcePort: z.number(),
  destination: z.string(),
  destinationPort: z.number(),
  replySource: z.string(),
  replySourcePort: z.number(),
  replyDestination: z.string(),
  replyDestinationPort: z.number(),
  unreplied: z.boolean(),
});

const listener = z.object({
  protocol: z.enum(['tcp', 'udp', 'sctp']),
  /** `0.0.0.0` and `::` stand for every address. */
  address: z.string(),
  port: z.number(),
  process: z.string().optional(),
  pid: z.number().optional(),
});

const iptablesTables = z.object({
  variant: z.enum(['iptables-nft', 'iptables-legacy']),
  family: z.enum(['ipv4', 'ipv6']),
  /** What `…-save -c` printed, every table. */
  text: observed(z.string()),
});

export const nodeReportSchema = z.object({
  apiVersion: z.literal(NODE_REPORT_VERSION),
  kind: z.literal('NodeReport'),
  node: z.string(),
  takenAt: z.string(),
  machine: z.object({ kernel: z.string(), architecture: z.string(), elfMachine: z.number() }),
  network: z.object({
    links: observed(z.array(link)),
    addresses: observed(z.array(address)),
    routes: observed(z.array(route)),
    /** Of each family, in the kernel's order. */
    rules: z.object({ ipv4: observed(z.array(policyRule)), ipv6: observed(z.array(policyRule)) }).optional(),
    /** `net.ipv4.ip_forward`, `net.ipv4.conf.<device>.rp_filter`, …: name to value. */
    sysctls: observed(z.record(z.string(), z.string())),
    /** How many packets the reverse path filter has dropped since the node's network was made. */
    reversePathDrops: observed(z.number()).optional(),
    listeners: observed(z.array(listener)),
    /** Only flows whose destination port is a hostPort of the node's pods, or whose reply comes from one of its pods. */
    flows: observed(z.array(flow)),
  }),
  cni: z.object({
    confDir: z.string(),
    files: observed(z.array(confFile)),
    /** The files of the directories `<confDir>/<network name>/` whose plugins follow those of a list (CNI 1.1), of networks that have some. */
    dropIns: z.array(z.object({ network: z.string(), files: observed(z.array(confFile)) })).optional(),
    binDirs: z.array(z.string()),
    plugins: observed(z.array(pluginFile)),
    attachments: observed(z.array(cachedAttachment)),
    /** Of the directories above, and of each file in them that lies on another mount than its directory. */
    mounts: observed(z.array(mountSeen)).optional(),
    /** What lies in the cache and is no attachment that could be read: nothing is known of it. */
    skipped: z.array(z.object({ file: z.string(), why: z.string() })).default([]),
  }),
  runtime: observed(runtime),
  sandboxes: observed(z.array(sandbox)),
  netfilter: z.object({
    /** Path of each tool that is there: `nft`, `iptables`, `iptables-nft`, `iptables-legacy`, `ip6tables`, `conntrack`. */
    tools: z.record(z.string(), z.string()),
    /** Which variant the plain name `iptables` stands for. */
    defaultVariant: z.enum(['iptables-nft', 'iptables-legacy']).optional(),
    iptables: z.array(iptablesTables),
    /** What `nft -j list ruleset` printed. */
    nft: observed(z.string()),
  }),
});

export type NodeReport = z.infer<typeof nodeReportSchema>;
export type CniConfFile = NodeReport['cni']['files'] extends infer O
  ? O extends { value: (infer F)[] }
    ? F
    : never
  : never;
export type PolicyRule = z.infer<typeof policyRule>;
export type MountSeen = z.infer<typeof mountSeen>;
export type PluginFile = z.infer<typeof pluginFile>;
export type CachedAttachment = z.infer<typeof cachedAttachment>;
export type Sandbox = z.infer<typeof sandbox>;
export type Flow = z.infer<typeof flow>;
export type Listener = z.infer<typeof listener>;
