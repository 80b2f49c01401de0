import { CniError, cniErrorCode } from './errors.ts';
import type { Dns, Interface, IpConfig, Result, Route } from './types.ts';
import { type CniVersion, isAtLeast } from './version.ts';

type Json = Record<string, unknown>;

/**
 * Reads a result document of any version: 0.1.0 and 0.2.0 have `ip4`/`ip6`, 0.3.x and 0.4.0 lists with a `version` in each
 * address, 1.0.0 lists without it. A document of a wrong shape is error 6 and names the field.
 */
export function parseResult(document: unknown, version: CniVersion): Result {
  const root = object(document, 'result');
  const result: Result = { interfaces: [], ips: [], routes: [], dns: parseDns(root.dns) };
  if (isAtLeast(version, '0.3.0')) {
    result.interfaces = list(root.interfaces, 'interfaces').map(parseInterface);
    result.ips = list(root.ips, 'ips').map(parseIp);
    result.routes = list(root.routes, 'routes').map((route, i) => parseRoute(route, `routes[${i}]`));
    for (const [i, ip] of result.ips.entries()) {
      if (ip.interface !== undefined && !(ip.interface >= 0 && ip.interface < result.interfaces.length)) {
        throw malformed(`ips[${i}].interface`, 'an index into interfaces', ip.interface);
      }
    }
    return result;
  }
  for (const family of ['ip4', 'ip6']) {
    if (root[family] === undefined || root[family] === null) continue;
    const config = object(root[family], family);
    const gateway = optionalString(config.gateway, `${family}.gateway`);
    result.ips.push({
      address: string(config.ip, `${family}.ip`),
      ...(gateway === undefined ? {} : { gateway }),
    });
    for (const [i, route] of list(config.routes, `${family}.routes`).entries()) {
      const parsed = parseRoute(route, `${family}.routes[${i}]`);
      // Up to 0.2.0 a route without a gateway takes that of its address.
      result.routes.push(
        parsed.gw === undefined && gateway !== undefined ? { ...parsed, gw: gateway } : parsed,
      );
    }
  }
  return result;
}

/** The JSON document of `result` in the given version. 0.1.0 and 0.2.0 keep the first address of each family only. */
export function formatResult(result: Result, version: CniVersion): Json {
  const dns = Object.values(result.dns).some((value) => value !== undefined && value.length > 0)
    ? { dns: result.dns }
    : {};
  if (!isAtLeast(version, '0.3.0')) return { cniVersion: version, ...formatByFamily(result), ...dns };
  const rich = isAtLeast(version, '1.1.0');
  const interfaces = rich
    ? result.interfaces
    : result.interfaces.map(({ name, mac, sandbox }) => defined({ name, mac, sandbox }));
  const routes = rich ? result.routes : result.routes.map(({ dst, gw }) => defined({ dst, gw }));
  const ips = isAtLeast(version, '1.0.0')
    ? result.ips
    : result.ips.map((ip) => ({ version: isV6(ip.address) ? '6' : '4', ...ip }));
  return {
    cniVersion: version,
    ...(interfaces.length > 0 ? { interfaces } : {}),
    ...(ips.length > 0 ? { ips } : {}),
    ...(routes.length > 0 ? { routes } : {}),
    ...dns,
  };
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
    throw new CniError(
      cniErrorCode.invalidNetworkConfig,
      'a result without addresses cannot be written in CNI 0.1.0 or 0.2.0',
    );
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
