import { z } from 'zod';
import { boundedList, boundedText } from '../../util/bounded.ts';
import { FAMILIES } from '../../util/family.ts';
import { NODE_REPORT_VERSION } from './node-report-version.ts';
import { observed } from './observed.ts';

/**
 * Bounds far above what any node has. A report comes from a node, or as a file from anywhere: one that exceeds them is an error of this report and
 * does not affect others.
 */
const MAX_WORD = 4096;
const MAX_MESSAGE = 1024 * 1024;
const MAX_TEXT = 64 * 1024 * 1024;
const MAX_DOCUMENT = 8 * 1024 * 1024;

/** A name, path or address. */
const word = boundedText({ most: MAX_WORD });
/** What a program says, or the kernel of a setting. */
const message = boundedText({ most: MAX_MESSAGE });
const cniDocument = boundedText({ most: MAX_DOCUMENT });
/** What a tool lists. */
const listing = boundedText({ most: MAX_TEXT });
const listOf = <T extends z.ZodType>(item: T, most: number) => boundedList(item, { most: most });

const link = z.object({
  name: word,
  index: z.number(),
  up: z.boolean(),
  mtu: z.number(),
  /** `veth`, `bridge`, `vxlan`, … as `ip -d link` says; absent for plain devices. */
  kind: word.optional(),
  /** Name of the bridge or bond it belongs to. */
  master: word.optional(),
  /** The number of the table that a VRF looks routes up in. */
  vrfTable: z.number().optional(),
  /** Number of the XDP program that sees what comes in by it before everything else. */
  xdpProgram: z.number().optional(),
  mac: word.optional(),
  /** Name of the network namespace that its other end is in, as `ip netns` has it; absent when it has none, or no name. */
  peerNamespace: word.optional(),
});

const address = z.object({
  device: word,
  family: z.enum(FAMILIES),
  address: word,
  prefix: z.number(),
  scope: word,
});

const route = z.object({
  family: z.enum(FAMILIES),
  /** CIDR; `0.0.0.0/0` and `::/0` for the default. */
  destination: word,
  gateway: word.optional(),
  device: word.optional(),
  /** `main`, `local`, … or a number. */
  table: word,
  metric: z.number().optional(),
  source: word.optional(),
  /** `unicast`, `local`, `blackhole`, `unreachable`, `prohibit`, … */
  type: word,
});

/** A rule of policy routing; ip-rule(8). */
const policyRule = z.object({
  priority: z.number(),
  /** Applies to what the rest does not fit. */
  inverted: z.literal(true).optional(),
  /** CIDRs; absent for all. */
  source: word.optional(),
  destination: word.optional(),
  inputInterface: word.optional(),
  outputInterface: word.optional(),
  mark: z.object({ value: z.number(), mask: z.number() }).optional(),
  /** What else it goes by: `ipproto tcp`, `uidrange`, … */
  others: listOf(word, 64).optional(),
  /** The table that it looks in: `main`, `local`, … or a number. */
  table: word.optional(),
  /** Routes of the table with prefixes up to this length do not count. */
  suppressPrefixLength: z.number().optional(),
  /** What it does in place of looking: `blackhole`, `unreachable`, `prohibit`, `goto 32766`, `nop`, … */
  action: word.optional(),
});

const confFile = z.object({
  /** Name within the directory. */
  name: word,
  modified: word,
  changed: word,
  /** The link's target when it is a symbolic link. */
  target: word.optional(),
  /** Unknown for a file that is not a CNI configuration, or is elsewhere: only configurations are quoted. */
  content: observed(cniDocument),
  /** Present where the file could be read but is not a CNI configuration: then {@link content} says what is wrong with it. */
  broken: z.literal(true).optional(),
});

const pluginFile = z.object({
  name: word,
  directory: word,
  /** The link's target when it is a symbolic link; the rest is of what it leads to. */
  target: word.optional(),
  /** Permission bits, octal: `0755`. */
  mode: word,
  size: z.number(),
  /** `elf` with the machine of its header, `script` with its interpreter, `other`; `unreadable` for the user that took the report. */
  format: z.union([
    z.object({ kind: z.literal('elf'), machine: z.number(), bits: z.number() }),
    z.object({ kind: z.literal('script'), interpreter: word }),
    z.object({ kind: z.literal('other') }),
    z.object({ kind: z.literal('unreadable') }),
  ]),
  /** What `CNI_COMMAND=VERSION` returned; only for plugins that a configuration names. */
  versions: observed(listOf(word, 64)).optional(),
});

/** What a directory of the CNI, or a file in it that is a mount of its own, lies on; proc(5), mountinfo. */
const mountSeen = z.object({
  /** The directory or file. */
  path: word,
  /** Where its mount is. */
  point: word,
  /** Where it lies on the file system that is mounted: the place outside of the node, where that is a container. */
  origin: word,
  /** What the file system is of: a device, or its kind. */
  source: word,
  readOnly: z.boolean(),
  /** Present where no program on it can be run: `noexec`. */
  noExec: z.literal(true).optional(),
});

/** A mapping as a runtime gives it to the chain. */
const portMapping = z.object({
  hostPort: z.number(),
  containerPort: z.number(),
  protocol: word,
  hostIP: word.optional(),
});

/** An entry of libcni's result cache: the input of an attachment, and its result. */
const cachedAttachment = z.object({
  file: word,
  modified: word,
  networkName: word,
  containerId: word,
  ifName: word,
  netns: word.optional(),
  /** Whether that namespace is there; absent when the entry names none. */
  netnsExists: z.boolean().optional(),
  /** The configuration list as text, as it was when the chain ran. */
  config: cniDocument,
  portMappings: listOf(portMapping, 65_536),
  /** The result as it was cached. */
  result: z.record(word, z.unknown()),
});

const sandbox = z.object({
  id: word,
  name: word,
  namespace: word,
  uid: word,
  attempt: z.number(),
  ready: z.boolean(),
  createdAt: word,
  hostNetwork: z.boolean(),
  /** Path of its network namespace; absent when the runtime does not say. */
  netns: word.optional(),
  /** Whether that namespace is there. */
  netnsExists: z.boolean(),
  ips: listOf(word, 64),
  /** As the runtime was asked for them. */
  portMappings: listOf(portMapping, 65_536),
});

const runtime = z.object({
  /** `containerd`, `cri-o`. */
  name: word,
  version: word,
  networkReady: z.boolean(),
  networkMessage: message,
  confDir: word,
  binDirs: listOf(word, 64),
  /** The networks the runtime has loaded, as it reports them (containerd's verbose status); the first non-loopback is used. */
  loadedNetworks: observed(
    listOf(
      z.object({
        name: word,
        file: word.optional(),
        config: cniDocument,
        /** Each plugin as it is loaded, where they are others than those of `config`: with those of the drop-in directory. */
        plugins: listOf(cniDocument, 1000).optional(),
      }),
      1000,
    ),
  ),
  /** Error of the last attempt to load the configuration; empty when it went well. */
  lastLoadError: message,
});

/** One flow of the connection tracking table. */
export const flowSchema = z.object({
  protocol: word,
  state: word.optional(),
  source: word,
  sourcePort: z.number(),
  destination: word,
  destinationPort: z.number(),
  replySource: word,
  replySourcePort: z.number(),
  replyDestination: word,
  replyDestinationPort: z.number(),
  unreplied: z.boolean(),
});

const listener = z.object({
  protocol: z.enum(['tcp', 'udp', 'sctp']),
  /** `0.0.0.0` and `::` mean every address. */
  address: word,
  port: z.number(),
  process: word.optional(),
  pid: z.number().optional(),
});

const iptablesTables = z.object({
  variant: z.enum(['iptables-nft', 'iptables-legacy']),
  family: z.enum(FAMILIES),
  /** What `…-save -c` printed, every table. */
  text: observed(listing),
});

/** A chain of nft at devices (hooks ingress and egress). */
const chainDevices = z.object({ family: word, table: word, chain: word, devices: listOf(word, 10_000) });

const ciliumAgent = z.object({ pid: z.number().int(), watches: z.boolean() });

export type CiliumAgent = z.infer<typeof ciliumAgent>;

/** A hostPort that Cilium's agent maps itself, in eBPF. */
const ciliumMapping = z.object({
  /** `0.0.0.0` and `::` mean every address of the node. */
  address: word,
  port: z.number(),
  /** As the agent names it, `TCP`; absent in versions that do not tell protocols apart. */
  protocol: word.optional(),
  backends: listOf(z.object({ address: word, port: z.number() }), 10_000),
});

/** What Cilium's agent says of itself on its socket. */
const cilium = z.object({
  /** `1.20.2`. */
  version: word.optional(),
  /** Whether it maps hostPorts itself, which is a part of its kube-proxy replacement. */
  hostPorts: z.boolean(),
  /** Those that it maps. */
  mappings: listOf(ciliumMapping, 100_000),
});

/**
 * What one node looks like at one moment, as a document: everything that the stages from configured to forwarded are judged
 * by. `hostport node-report` takes it on the node, without changing anything there; secrets are not in it. Texts are those of
 * the node's own tools, so that a person can read them too and evidence can be quoted.
 */
export const nodeReportSchema = z.object({
  apiVersion: z.literal(NODE_REPORT_VERSION),
  kind: z.literal('NodeReport'),
  node: word,
  takenAt: word,
  /** The program that took it. */
  program: z.object({ version: word }).optional(),
  machine: z.object({
    kernel: word,
    architecture: word,
    elfMachine: z.number(),
    /** machine-id(5). */
    machineId: word.optional(),
    /** random(4), `boot_id`: which boot of which machine it was taken of. */
    bootId: word.optional(),
  }),
  network: z.object({
    links: observed(listOf(link, 100_000)),
    addresses: observed(listOf(address, 100_000)),
    routes: observed(listOf(route, 1_000_000)),
    /** Of each family, in the kernel's order. */
    rules: z
      .object({ ipv4: observed(listOf(policyRule, 100_000)), ipv6: observed(listOf(policyRule, 100_000)) })
      .optional(),
    /** `net.ipv4.ip_forward`, `net.ipv4.conf.<device>.rp_filter`, …: word to value. */
    sysctls: observed(z.record(word, message)),
    /** How many packets the reverse path filter has dropped since the node's network was created. */
    reversePathDrops: observed(z.number()).optional(),
    listeners: observed(listOf(listener, 1_000_000)),
    /** Only flows whose destination port is a hostPort of the node's pods, or whose reply comes from one of its pods. */
    flows: observed(listOf(flowSchema, 100_000)),
  }),
  cni: z.object({
    confDir: word,
    files: observed(listOf(confFile, 1000)),
    /** The files of the directories `<confDir>/<network name>/` whose plugins follow those of a list (CNI 1.1), of networks that have some. */
    dropIns: listOf(z.object({ network: word, files: observed(listOf(confFile, 1000)) }), 1000).optional(),
    binDirs: listOf(word, 64),
    plugins: observed(listOf(pluginFile, 100_000)),
    attachments: observed(listOf(cachedAttachment, 100_000)),
    /** The processes of Cilium's agent that could be seen, and whether each watches `confDir` and changes what others put there. */
    ciliumAgents: observed(listOf(ciliumAgent, 1000)).optional(),
    /** Of the directories above, and of each file in them that lies on another mount than its directory. */
    mounts: observed(listOf(mountSeen, 100_000)).optional(),
    /** Files in the cache that could not be read as attachments: nothing is known about them. */
    skipped: listOf(z.object({ file: word, why: message }), 100_000).default([]),
  }),
  /** Absent where no agent of Cilium runs. */
  cilium: observed(cilium).optional(),
  runtime: observed(runtime),
  sandboxes: observed(listOf(sandbox, 100_000)),
  netfilter: z.object({
    /** Path of each tool that is there: `nft`, `iptables`, `iptables-nft`, `iptables-legacy`, `ip6tables`, `conntrack`. */
    tools: z.record(word, message),
    /** The variant that the command `iptables` runs. */
    defaultVariant: z.enum(['iptables-nft', 'iptables-legacy']).optional(),
    iptables: listOf(iptablesTables, 16),
    /** What `nft -j list ruleset` printed. */
    nft: observed(listing),
    /** The devices of the chains at devices, which nft leaves out of what it prints as JSON; absent where there are no such chains. */
    chainDevices: observed(listOf(chainDevices, 10_000)).optional(),
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
export type Flow = z.infer<typeof flowSchema>;
export type Listener = z.infer<typeof listener>;
