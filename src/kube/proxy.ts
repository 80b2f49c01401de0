import { isLoopback } from '../util/address.ts';
import { contains, parseCidr } from '../util/cidr.ts';
import { UserError } from '../util/errors.ts';
import { type IpAddress, numberOf, parseIp } from '../util/ip.ts';
import { hasReadableUser } from '../util/url-user.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** Kinds of proxies, by their scheme. A SOCKS proxy resolves names itself, under either name, as with kubectl. */
const SCHEMES = ['http:', 'https:', 'socks5:', 'socks5h:'];

/** What is wrong with a URL whose user cannot be decoded. */
export const UNREADABLE_USER = 'has a user or a password that is not percent-encoded UTF-8';

/** Whether a URL names a proxy of a known kind. */
export function isProxy(url: URL): boolean {
  return SCHEMES.includes(url.protocol) && url.hostname !== '';
}

/**
 * The proxy for `server`: the `configured` one, whatever NO_PROXY says; none when that is false; else the environment's.
 * @throws UserError when the environment's is of an unknown kind, or its user cannot be decoded.
 */
export function proxyFor(
  configured: string | false | undefined,
  server: URL,
  env: Environment,
): URL | undefined {
  if (configured === false) return undefined;
  if (configured !== undefined) return new URL(configured);
  const proxy = proxyFromEnvironment(env, server);
  if (proxy === undefined) return undefined;
  const fail = (problem: string): never => {
    throw new UserError(
      `cannot use the proxy for ${server.origin}: ${problem}; see HTTPS_PROXY, HTTP_PROXY and NO_PROXY`,
    );
  };
  if (!isProxy(proxy)) {
    fail(`its scheme is ${proxy.protocol.slice(0, -1)}, and must be http, https or socks5`);
  }
  if (!hasReadableUser(proxy)) fail(`its URL ${UNREADABLE_USER}`);
  return proxy;
}

/**
 * The proxy that the environment names for requests to `server`, as kubectl chooses it: `HTTPS_PROXY` or `HTTP_PROXY` by the scheme of
 * `server`, capitals before small letters, unless `NO_PROXY` excludes the host. Loopback never has a proxy. Undefined when there is none.
 * Source: golang.org/x/net/http/httpproxy.
 */
export function proxyFromEnvironment(env: Environment, server: URL): URL | undefined {
  const name = server.protocol === 'https:' ? 'HTTPS_PROXY' : 'HTTP_PROXY';
  const proxy = parseProxy(either(env, name));
  if (proxy === undefined) return undefined;
  const host = server.hostname.replace(/^\[(.*)\]$/, '$1').toLowerCase();
  const ip = parseIp(host);
  if (host === 'localhost' || (ip !== undefined && isLoopback(numberOf(ip)))) return undefined;
  const port = server.port || (server.protocol === 'https:' ? '443' : '80');
  return either(env, 'NO_PROXY')
    .split(',')
    .some((entry) => excludes(entry.trim().toLowerCase(), { host, port, ip }))
    ? undefined
    : proxy;
}

function either(env: Environment, name: string): string {
  return env[name] || env[name.toLowerCase()] || '';
}

/** A proxy's address without a scheme is that of an HTTP proxy. What is no URL even then is no proxy. */
function parseProxy(text: string): URL | undefined {
  if (text === '') return undefined;
  const url = URL.parse(text);
  return url !== null && url.host !== '' ? url : (URL.parse(`http://${text}`) ?? undefined);
}

/** Whether one entry of NO_PROXY excludes a host: `*`, CIDR, address or domain, the latter two also with a port. */
function excludes(
  entry: string,
  { host, port, ip }: { host: string; port: string; ip?: IpAddress },
): boolean {
  if (entry === '*') return true;
  const cidr = parseCidr(entry);
  if (cidr !== undefined) return ip !== undefined && contains(cidr, ip);
  const { name, only } = splitPort(entry);
  if (name === '' || (only !== undefined && only !== port)) return false;
  const address = parseIp(name);
  if (address !== undefined) return ip !== undefined && numberOf(address) === numberOf(ip);
  const domain = name.replace(/^\*(?=\.)/, '');
  return domain.startsWith('.') ? host.endsWith(domain) : host === domain || host.endsWith(`.${domain}`);
}

/** `host:port` and `[address]:port`; an IPv6 address without brackets has no port. */
function splitPort(entry: string): { name: string; only?: string } {
  const match = /^(?:\[([^\]]*)\]|([^:]*)):(\d*)$/.exec(entry);
  if (match === null) return { name: entry };
  const [, bracketed, plain, only] = match;
  return { name: bracketed ?? plain ?? '', ...(only ? { only } : {}) };
}
