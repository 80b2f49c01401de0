import { CniError, cniErrorCode, invalidConfig } from './errors.ts';
import { decodeStruct, type Fields, marshalled } from './json.ts';
import type { Dns, Interface, IpConfig, Result, Route } from './types.ts';
import { type CniVersion, isAtLeast, isCniVersion } from './version.ts';

type Json = Record<string, unknown>;

const ROUTE: Fields = {
  dst: 'scalar',
  gw: 'scalar',
  mtu: 'scalar',
  advmss: 'scalar',
  priority: 'scalar',
  table: 'nullable',
  scope: 'nullable',
};
const BY_FAMILY: Fields = { ip: 'scalar', gateway: 'scalar', routes: { list: { struct: ROUTE } } };

/** The fields of a result in any version. Source: libcni's types/020, 040 and 100. */
export const RESULT_FIELDS: Fields = {
  cniVersion: 'scalar',
  interfaces: {
    list: {
      struct: {
        name: 'scalar',
        mac: 'scalar',
        mtu: 'scalar',
        sandbox: 'scalar',
        socketPath: 'scalar',
        pciID: 'scalar',
      },
    },
  },
  ips: {
    list: { struct: { version: 'scalar', address: 'scalar', gateway: 'scalar', interface: 'nullable' } },
  },
  routes: { list: { struct: ROUTE } },
  dns: {
    struct: {
      nameservers: { list: 'scalar' },
      domain: 'scalar',
      search: { list: 'scalar' },
      options: { list: 'scalar' },
    },
  },
  ip4: { struct: BY_FAMILY, nullable: true },
  ip6: { struct: BY_FAMILY, nullable: true },
};

/** The fields of an entry of the runtime's cache, and of the bare result that older runtimes kept. Source: libcni's cachedInfo. */
export const CACHED_FIELDS: Fields = {
  ...RESULT_FIELDS,
  kind: 'scalar',
  containerId: 'scalar',
  config: 'scalar',
  ifName: 'scalar',
  networkName: 'scalar',
  netns: 'scalar',
  cniArgs: { list: { list: 'scalar' } },
  capabilityArgs: 'map',
  result: 'map',
};

/**
 * The fields of a result document by their names, whatever their spelling in it. Nothing is validated: a document of a wrong shape
 * has what it has. Undefined for what is no object.
 */
export function resultFields(document: unknown): Json | undefined {
  return decodeStruct(marshalled(document), RESULT_FIELDS);
}

/**
 * Reads a result document of any version: 0.1.0 and 0.2.0 have `ip4`/`ip6`, 0.3.x and 0.4.0 lists with a `version` in each
 * address, 1.0.0 and 1.1.0 lists without it. The version is the document's own; `fallback` is for one that names none, as plugins
 * before 1.0.0 may (cni#895). Keys are read whatever their case, as in libcni. A document of a wrong shape is error 6 and names the field.
 */
export function parseResult(document: unknown, fallback: CniVersion): Result {
  const root = resultFields(document) ?? object(document, 'result');
  const result: Result = { interfaces: [], ips: [], routes: [], dns: parseDns(root.dns) };
  if (isAtLeast(resultVersion(root, fallback), '0.3.0')) {
    result.interfaces = list(root.interfaces, 'interfaces').map(parseInterface);
    result.ips = list(root.ips, 'ips').map(parseIp);
    result.routes = list(root.routes, 'routes').map((route, i) => parseRoute(route, `routes[${i}]`));
    return result;
  }
  for (const family of ['ip4', 'ip6']) {
    if (root[family] === undefined || root[family] === null) continue;
    const config = object(root[family], family);
    result.ips.push(
      defined({
        address: string(config.ip, `${family}.ip`),
        gateway: optionalString(config.gateway, `${family}.gateway`),
      }),
    );
    const routes = list(config.routes, `${family}.routes`);
    result.routes.push(...routes.map((route, i) => parseRoute(route, `${family}.routes[${i}]`)));
  }
  return result;
}

/** The version a result document says it has, or `fallback`; an unknown version is error 1. */
export function resultVersion(document: Json, fallback: CniVersion): CniVersion {
  const declared = optionalString(document.cniVersion, 'cniVersion');
  if (declared === undefined) return fallback;
  if (isCniVersion(declared)) return declared;
  throw new CniError(
    cniErrorCode.incompatibleVersion,
    `unsupported CNI result version ${JSON.stringify(declared)}`,
  );
}

/**
 * The JSON document of `result` in the given version. What a version has no words for is lost, as in libcni:
 *
 * - 1.0.0 and 1.1.0 say everything: readers that do not know the newer fields ignore them;
 * - 0.3.0 to 0.4.0 lose `mtu`, `socketPath` and `pciID` of interfaces;
 * - 0.1.0 and 0.2.0 keep the first address of each family, and of routes `dst` and `gw` for a family that has an address;
 *   interfaces are lost. A result without addresses cannot be written in them: error 7.
 */
export function formatResult(result: Result, version: CniVersion): Json {
  const dns = Object.values(result.dns).some((value) => value !== undefined && value.length > 0)
    ? { dns: result.dns }
    : {};
  if (!isAtLeast(version, '0.3.0')) return { cniVersion: version, ...formatByFamily(result), ...dns };
  const current = isAtLeast(version, '1.0.0');
  const interfaces = current
    ? result.interfaces
    : result.interfaces.map(({ name, mac, sandbox }) => defined({ name, mac, sandbox }));
  const ips = current
    ? result.ips
    : result.ips.map((ip) => ({ version: isV6(ip.address) ? '6' : '4', ...ip }));
  return {
    cniVersion: version,
    ...(interfaces.length > 0 ? { interfaces } : {}),
    ...(ips.length > 0 ? { ips } : {}),
    ...(result.routes.length > 0 ? { routes: result.routes } : {}),
    ...dns,
  };
}

/**
 * A result document in another version. One that is already in it is returned unchanged, with unknown fields; `fallback` is
 * the version of a document that names none.
 */
export function convertResult(document: unknown, to: CniVersion, fallback: CniVersion = to): Json {
  const root = object(document, 'result');
  const parsed = parseResult(root, fallback);
  return resultVersion(root, fallback) === to ? { ...root, cniVersion: to } : formatResult(parsed, to);
}

function formatByFamily(result: Result): Json {
  const byFamily: Json = {};
  for (const [key, v6] of [
    ['ip4', false],
    ['ip6', true],
  ] as const) {
    const ip = result.ips.find((candidate) => isV6(candidate.address) === v6);
    if (ip === undefined) continue;
    const routes = result.routes
      .filter((route) => isV6(route.dst) === v6)
      .map(({ dst, gw }) => defined({ dst, gw }));
    byFamily[key] = defined({
      ip: ip.address,
      gateway: ip.gateway,
      routes: routes.length > 0 ? routes : undefined,
    });
  }
  if (Object.keys(byFamily).length === 0) {
    throw invalidConfig('a result without addresses cannot be written in CNI 0.1.0 or 0.2.0');
  }
  return byFamily;
}

function parseInterface(value: unknown, index: number): Interface {
  const at = `interfaces[${index}]`;
  const entry = object(value, at);
  return defined({
    name: string(entry.name, `${at}.name`),
    mac: optionalString(entry.mac, `${at}.mac`),
    mtu: optionalInteger(entry.mtu, `${at}.mtu`),
    sandbox: optionalString(entry.sandbox, `${at}.sandbox`),
    socketPath: optionalString(entry.socketPath, `${at}.socketPath`),
    pciID: optionalString(entry.pciID, `${at}.pciID`),
  });
}

function parseIp(value: unknown, index: number): IpConfig {
  const at = `ips[${index}]`;
  const entry = object(value, at);
  return defined({
    address: string(entry.address, `${at}.address`),
    gateway: optionalString(entry.gateway, `${at}.gateway`),
    interface: optionalInteger(entry.interface, `${at}.interface`),
  });
}

function parseRoute(value: unknown, at: string): Route {
  const entry = object(value, at);
  return defined({
    dst: string(entry.dst, `${at}.dst`),
    gw: optionalString(entry.gw, `${at}.gw`),
    mtu: optionalInteger(entry.mtu, `${at}.mtu`),
    advmss: optionalInteger(entry.advmss, `${at}.advmss`),
    priority: optionalInteger(entry.priority, `${at}.priority`),
    table: optionalInteger(entry.table, `${at}.table`),
    scope: optionalInteger(entry.scope, `${at}.scope`),
  });
}

function parseDns(value: unknown): Dns {
  if (value === undefined || value === null) return {};
  const entry = object(value, 'dns');
  const strings = (key: string) =>
    entry[key] === undefined || entry[key] === null
      ? undefined
      : list(entry[key], `dns.${key}`).map((item, i) => string(item, `dns.${key}[${i}]`));
  return defined({
    nameservers: strings('nameservers'),
    domain: optionalString(entry.domain, 'dns.domain'),
    search: strings('search'),
    options: strings('options'),
  });
}

/** The object without its undefined fields: JSON of a result must not depend on how it was made. */
function defined<T extends object>(value: T): T {
  return Object.fromEntries(Object.entries(value).filter(([, field]) => field !== undefined)) as T;
}

function isV6(address: string): boolean {
  return address.includes(':');
}

function malformed(at: string, wanted: string, seen: unknown): CniError {
  return new CniError(
    cniErrorCode.decodingFailure,
    `malformed result: ${at} must be ${wanted}, is ${JSON.stringify(seen)}`,
  );
}

function object(value: unknown, at: string): Json {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw malformed(at, 'an object', value);
  }
  return value as Json;
}

function list(value: unknown, at: string): unknown[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw malformed(at, 'a list', value);
  return value;
}

function string(value: unknown, at: string): string {
  if (typeof value !== 'string') throw malformed(at, 'a string', value);
  return value;
}

function optionalString(value: unknown, at: string): string | undefined {
  return value === undefined || value === null || value === '' ? undefined : string(value, at);
}

function optionalInteger(value: unknown, at: string): number | undefined {
  if (value === undefined || value === null) return undefined;
  if (!Number.isSafeInteger(value)) throw malformed(at, 'an integer', value);
  return value as number;
}
