import { CniError, cniErrorCode, invalidConfig } from '../cni/errors.ts';
import type { Fields } from '../cni/json.ts';
import type { PluginConfig, PortMapping } from '../cni/types.ts';
import type { Family } from '../util/family.ts';
import { formatIp, isUnspecified, parseIp } from '../util/ip.ts';
import { validateConditions } from './conditions.ts';
import type { Conditions } from './disjoint.ts';
import { DEFAULT_MARK_BIT } from './layout.ts';
import { validateNftConditions } from './nftables-conditions.ts';

/** portmap's part of a network configuration, validated, with the reference's defaults filled in. */
export interface PortmapConfig {
  networkName: string;
  /** Where mappings go; undefined: iptables, or nftables where iptables cannot be used. */
  backend: 'iptables' | 'nftables' | undefined;
  /** Masquerade what would otherwise not find its way back: from 127.0.0.1 and from the pod to itself. */
  snat: boolean;
  /** Masquerade every mapped connection, not only those. */
  masqAll: boolean;
  /** Bit of the packet mark that asks for masquerade. */
  markMasqBit: number;
  /** A chain of another program that sets the mark, instead of ours. */
  externalSetMarkChain: string | undefined;
  conditionsV4: string[];
  conditionsV6: string[];
  /** Without those that another one before them covers. */
  portMappings: PortMapping[];
  /** A sentence for each mapping that was left out because an earlier one covers it. */
  repeated: string[];
  /** What has no effect is an error, not a warning. */
  strict: boolean;
}

/**
 * portmap's own keys, with Go's kinds in the reference's PortMapConf and PortMapEntry. `strict` is ours; `portMappings` is a common mistake,
 * which doubts.ts names.
 */
export const PORTMAP_FIELDS: Fields = {
  backend: 'nullable',
  snat: 'nullable',
  masqAll: 'scalar',
  markMasqBit: 'nullable',
  externalSetMarkChain: 'nullable',
  conditionsV4: 'nullable',
  conditionsV6: 'nullable',
  strict: 'scalar',
  portMappings: 'nullable',
  runtimeConfig: {
    struct: {
      portMappings: {
        list: {
          struct: { hostPort: 'scalar', containerPort: 'scalar', protocol: 'scalar', hostIP: 'scalar' },
        },
      },
    },
  },
};

/** XT_EXTENSION_MAXNAMELEN less its NUL. */
const MAX_CHAIN_NAME = 28;

/**
 * Reads and validates what was decoded by {@link PORTMAP_FIELDS}; error 7 names the field and the value seen, error 2 a backend that is not
 * there.
 */
export function parsePortmapConfig(config: PluginConfig): PortmapConfig {
  const chain = config.externalSetMarkChain ?? undefined;
  const markMasqBit = config.markMasqBit ?? undefined;
  if (chain !== undefined && markMasqBit !== undefined) {
    throw invalidConfig('externalSetMarkChain and markMasqBit cannot be used together');
  }
  if (chain !== undefined && (typeof chain !== 'string' || !isChainName(chain))) {
    throw invalidConfig(
      `externalSetMarkChain must be the name of an iptables chain, is ${JSON.stringify(chain)}`,
    );
  }
  if (markMasqBit !== undefined && !isIntegerIn(markMasqBit, 0, 31)) {
    throw invalidConfig(`markMasqBit must be between 0 and 31, is ${JSON.stringify(markMasqBit)}`);
  }
  const runtime = config.runtimeConfig ?? {};
  if (typeof runtime !== 'object' || Array.isArray(runtime)) {
    throw invalidConfig(`runtimeConfig must be an object, is ${JSON.stringify(runtime)}`);
  }
  const mappings = (runtime as Record<string, unknown>).portMappings ?? [];
  if (!Array.isArray(mappings)) throw invalidConfig('runtimeConfig.portMappings must be a list');
  const all = mappings.map((mapping, i) => parseMapping(mapping, `runtimeConfig.portMappings[${i}]`));
  const backend = chooseBackend(config);
  const conditions = backend === 'nftables' ? validateNftConditions : validateConditions;
  return {
    networkName: config.name,
    backend,
    snat: boolean(config.snat, 'snat', true),
    masqAll: boolean(config.masqAll, 'masqAll', false),
    markMasqBit: markMasqBit ?? DEFAULT_MARK_BIT,
    externalSetMarkChain: chain,
    conditionsV4: conditions(config.conditionsV4, 'conditionsV4'),
    conditionsV6: conditions(config.conditionsV6, 'conditionsV6'),
    ...withoutRepeated(all),
    strict: boolean(config.strict, 'strict', false),
  };
}

/** The conditions of a configuration's mappings in an address family. */
export function conditionsOf(config: PortmapConfig, family: Family): Conditions {
  return {
    language: config.backend ?? 'iptables',
    words: family === 'ipv4' ? config.conditionsV4 : config.conditionsV6,
  };
}

/**
 * The backend that a configuration asks for, or that its fields can only mean: `externalSetMarkChain` and conditions that begin with
 * `-` or `!` are iptables', other conditions nftables'. Fields of the other backend are an error, as in the reference.
 */
function chooseBackend(config: PluginConfig): PortmapConfig['backend'] {
  const asked = config.backend ?? undefined;
  if (asked !== undefined && asked !== 'iptables' && asked !== 'nftables') {
    throw new CniError(
      cniErrorCode.unsupportedField,
      `backend ${JSON.stringify(asked)} is not supported, only "iptables" and "nftables" are`,
    );
  }
  const meant = new Map<'iptables' | 'nftables', string>();
  if ((config.externalSetMarkChain ?? undefined) !== undefined) meant.set('iptables', 'externalSetMarkChain');
  for (const field of ['conditionsV4', 'conditionsV6']) {
    const first = Array.isArray(config[field]) ? config[field][0] : undefined;
    if (typeof first === 'string' && first !== '') {
      meant.set(/^[-!]/.test(first) ? 'iptables' : 'nftables', field);
    }
  }
  const backend = asked ?? [...meant.keys()][0];
  for (const [other, field] of meant) {
    if (other !== backend)
      throw invalidConfig(`${field} belongs to the ${other} backend, but the backend is ${backend}`);
  }
  return backend;
}

/**
 * A mapping of a port that an earlier one of the same request has on every address it asks for would never be used: rules are
 * looked at in order, here as in the reference plugin.
 */
function withoutRepeated(all: readonly PortMapping[]): Pick<PortmapConfig, 'portMappings' | 'repeated'> {
  const taken = new Map<string, Set<string>>();
  const portMappings: PortMapping[] = [];
  const repeated: string[] = [];
  for (const mapping of all) {
    const { protocol, hostPort, hostIP, containerPort } = mapping;
    const key = `${protocol} ${hostPort}`;
    const addresses = taken.get(key) ?? new Set();
    taken.set(key, addresses);
    const ip = hostIP === undefined ? undefined : parseIp(hostIP)!;
    const every = ip === undefined ? 'every' : `every ${ip.family}`;
    const own = ip === undefined || isUnspecified(ip) ? every : formatIp(ip);
    if (addresses.has('every') || addresses.has(every) || addresses.has(own)) {
      repeated.push(
        `${hostIP === undefined ? '' : `${hostIP} `}${key} to ${containerPort} has no effect: an earlier entry of the request maps it`,
      );
      continue;
    }
    addresses.add(own);
    portMappings.push(mapping);
  }
  return { portMappings, repeated };
}

function parseMapping(value: unknown, at: string): PortMapping {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw invalidConfig(`${at} must be an object, is ${JSON.stringify(value)}`);
  }
  const mapping = value as Record<string, unknown>;
  const protocol = String(mapping.protocol ?? 'tcp').toLowerCase() || 'tcp';
  if (protocol !== 'tcp' && protocol !== 'udp' && protocol !== 'sctp') {
    throw invalidConfig(`${at}.protocol must be tcp, udp or sctp, is ${JSON.stringify(mapping.protocol)}`);
  }
  const hostIP = mapping.hostIP ?? '';
  if (typeof hostIP !== 'string' || (hostIP !== '' && parseIp(hostIP) === undefined)) {
    throw invalidConfig(`${at}.hostIP must be an IP address, is ${JSON.stringify(hostIP)}`);
  }
  return {
    hostPort: port(mapping.hostPort, `${at}.hostPort`),
    containerPort: port(mapping.containerPort, `${at}.containerPort`),
    protocol,
    ...(hostIP === '' ? {} : { hostIP }),
  };
}

function port(value: unknown, at: string): number {
  if (!isIntegerIn(value, 1, 65535)) {
    throw invalidConfig(`${at} must be a port between 1 and 65535, is ${JSON.stringify(value)}`);
  }
  return value;
}

function boolean(value: unknown, at: string, otherwise: boolean): boolean {
  if (value === undefined || value === null) return otherwise;
  if (typeof value !== 'boolean')
    throw invalidConfig(`${at} must be true or false, is ${JSON.stringify(value)}`);
  return value;
}

function isIntegerIn(value: unknown, min: number, max: number): value is number {
  return Number.isInteger(value) && (value as number) >= min && (value as number) <= max;
}

function isChainName(text: string): boolean {
  return text.length <= MAX_CHAIN_NAME && /^[A-Za-z0-9_.][A-Za-z0-9_.:-]*$/.test(text);
}
