import { z } from 'zod';
import type { NodeReport, PolicyRule } from '../../path/model/node-report.ts';
import { known } from '../../path/model/observed.ts';
import { type Exec, output } from '../../sys/exec.ts';
import { ADDRESS_BITS, EVERY_ADDRESS } from '../../util/cidr.ts';
import type { Family } from '../../util/family.ts';
import { parseJson } from '../../util/parse-json.ts';
import { observe } from './observe.ts';

type Value<O> = Extract<O, { value: unknown }>['value'];
type Network = NodeReport['network'];
type Links = Value<Network['links']>;
type Addresses = Value<Network['addresses']>;
type Routes = Value<Network['routes']>;

/** Links, addresses, routes of every table and the rules that choose between tables, as `ip -json` lists them. */
export async function readNetwork(
  exec: Exec,
): Promise<Pick<Network, 'links' | 'addresses' | 'routes' | 'rules'>> {
  const [devices, routes4, routes6, rules4, rules6] = await Promise.all([
    observe('ip address', async () => {
      const [shown, names] = await Promise.all([
        output(exec, ['ip', '-j', '-d', 'address', 'show']),
        // The namespace behind a device is optional information.
        output(exec, ['ip', '-j', 'netns', 'list-id']).catch(() => ''),
      ]);
      return parseIpAddress(shown, parseNamespaceIds(names));
    }),
    observe('ip route', async () => parseIpRoute('ipv4', await output(exec, routeArgv('-4')))),
    observe('ip -6 route', async () => parseIpRoute('ipv6', await output(exec, routeArgv('-6')))),
    observe('ip rule', async () => parseIpRule('ipv4', await output(exec, ruleArgv('-4')))),
    observe('ip -6 rule', async () => parseIpRule('ipv6', await output(exec, ruleArgv('-6')))),
  ]);
  const seen = known(devices);
  const both = [...(known(routes4) ?? []), ...(known(routes6) ?? [])];
  return {
    links: seen === undefined ? (devices as { unknown: string }) : { value: seen.links },
    addresses: seen === undefined ? (devices as { unknown: string }) : { value: seen.addresses },
    // A kernel without IPv6 has no IPv6 routes; without the IPv4 routes, the result is unknown.
    routes: 'unknown' in routes4 ? routes4 : { value: both },
    rules: { ipv4: rules4, ipv6: rules6 },
  };
}

function routeArgv(family: '-4' | '-6'): string[] {
  return ['ip', family, '-j', 'route', 'show', 'table', 'all'];
}

function ruleArgv(family: '-4' | '-6'): string[] {
  return ['ip', family, '-j', 'rule', 'show'];
}

const ipAddress = z.array(
  z.object({
    ifname: z.string().optional(),
    ifindex: z.number().optional(),
    flags: z.array(z.string()).optional(),
    mtu: z.number().optional(),
    master: z.string().optional(),
    address: z.string().optional(),
    link_netnsid: z.number().optional(),
    linkinfo: z
      .object({
        info_kind: z.string().optional(),
        info_data: z.object({ table: z.unknown() }).optional().catch(undefined),
      })
      .optional(),
    xdp: z
      .object({ prog: z.object({ id: z.number() }).optional() })
      .optional()
      .catch(undefined),
    addr_info: z
      .array(
        z.object({
          family: z.string().optional(),
          local: z.string().optional(),
          prefixlen: z.number().optional(),
          scope: z.string().optional(),
        }),
      )
      .optional(),
  }),
);

/** Reads what `ip -j netns list-id` prints: names by number, of those that have one. */
export function parseNamespaceIds(text: string): ReadonlyMap<number, string> {
  const ids = z.array(z.object({ nsid: z.number(), name: z.string().optional() })).parse(json(text));
  return new Map(ids.flatMap(({ nsid, name }) => (name === undefined ? [] : [[nsid, name] as const])));
}

/** Reads what `ip -j -d address show` prints. `namespaces`: names of the namespaces by their number here. */
export function parseIpAddress(
  text: string,
  namespaces: ReadonlyMap<number, string> = new Map(),
): { links: Links; addresses: Addresses } {
  // `ip -j` prints an empty object for an entry that it filtered out.
  const devices = ipAddress.parse(json(text)).filter(({ ifname }) => ifname !== undefined);
  return {
    links: devices.map((device) => ({
      name: device.ifname!,
      index: device.ifindex ?? 0,
      up: device.flags?.includes('UP') ?? false,
      mtu: device.mtu ?? 0,
      ...defined({
        kind: device.linkinfo?.info_kind,
        vrfTable: vrfTableOf(device.linkinfo),
        xdpProgram: device.xdp?.prog?.id,
        master: device.master,
        mac: device.address,
        peerNamespace: namespaces.get(device.link_netnsid ?? -1),
      }),
    })),
    addresses: devices.flatMap((device) =>
      (device.addr_info ?? []).flatMap(({ family, local, prefixlen, scope }) =>
        local === undefined || prefixlen === undefined
          ? []
          : [
              {
                device: device.ifname!,
                family: family === 'inet6' ? ('ipv6' as const) : ('ipv4' as const),
                address: local,
                prefix: prefixlen,
                scope: scope ?? 'global',
              },
            ],
      ),
    ),
  };
}

/** Other kinds of links have tables, too, which are something else. */
function vrfTableOf(info: z.infer<typeof ipAddress>[number]['linkinfo']): number | undefined {
  const table = info?.info_kind === 'vrf' ? info.info_data?.table : undefined;
  return typeof table === 'number' ? table : undefined;
}

const ipRoute = z.array(
  z.object({
    type: z.string().optional(),
    dst: z.string(),
    gateway: z.string().optional(),
    dev: z.string().optional(),
    table: z.string().optional(),
    metric: z.number().optional(),
    prefsrc: z.string().optional(),
  }),
);

/** Reads what `ip -j route show table all` prints for a family. */
export function parseIpRoute(family: Family, text: string): Routes {
  return ipRoute.parse(json(text)).map((route) => ({
    family,
    destination:
      route.dst === 'default'
        ? EVERY_ADDRESS[family]
        : route.dst.includes('/')
          ? route.dst
          : `${route.dst}/${ADDRESS_BITS[family]}`,
    table: route.table ?? 'main',
    type: route.type ?? 'unicast',
    ...defined({ gateway: route.gateway, device: route.dev, metric: route.metric, source: route.prefsrc }),
  }));
}

const ipRule = z.array(
  z.looseObject({
    priority: z.number(),
    not: z.null().optional(),
    src: z.string(),
    srclen: z.number().optional(),
    dst: z.string().optional(),
    dstlen: z.number().optional(),
    iif: z.string().optional(),
    oif: z.string().optional(),
    fwmark: z.string().optional(),
    fwmask: z.string().optional(),
    table: z.string().optional(),
    suppress_prefixlen: z.number().optional(),
    action: z.string().optional(),
    // "none" where the kernel gives no target.
    goto: z.union([z.number(), z.string()]).optional(),
    nop: z.null().optional(),
  }),
);

/** Fields of a rule that are not matches: whether its device exists, who created it. */
const ASIDES = ['iif_detached', 'oif_detached', 'protocol', 'unresolved'];

/** Reads what `ip -j rule show` prints for a family. Unknown matches of a rule are kept as words. */
export function parseIpRule(family: Family, text: string): PolicyRule[] {
  return ipRule.parse(json(text)).map((rule) => {
    const { priority, not, src, srclen, dst, dstlen, iif, oif, fwmark, fwmask, table, ...more } = rule;
    const { suppress_prefixlen, action, goto, nop, ...rest } = more;
    const network = (address: string | undefined, length: number | undefined) =>
      address === undefined || address === 'all' ? undefined : `${address}/${length ?? ADDRESS_BITS[family]}`;
    const others = Object.entries(rest)
      .filter(([name]) => !ASIDES.includes(name))
      .map(([name, value]) => (value === null ? name : `${name} ${String(value)}`));
    return {
      priority,
      ...defined({
        inverted: not === null ? (true as const) : undefined,
        source: network(src, srclen),
        destination: network(dst, dstlen),
        inputInterface: iif,
        outputInterface: oif,
        mark:
          fwmark === undefined ? undefined : { value: Number(fwmark), mask: Number(fwmask ?? 0xffffffff) },
        others: others.length === 0 ? undefined : others,
        table,
        suppressPrefixLength: suppress_prefixlen,
        action: actionOf(action, goto, nop) ?? (table === undefined ? LOOKUP_OTHER : undefined),
      }),
    };
  });
}

/** A rule without a table uses the table of the packet's device (l3mdev). */
const LOOKUP_OTHER = 'lookup [other]';

/** ip prints `goto` and `nop` under names of their own. */
function actionOf(
  action: string | undefined,
  goto: number | string | undefined,
  nop: null | undefined,
): string | undefined {
  if (goto !== undefined) return `goto ${goto}`;
  return nop === null ? 'nop' : action;
}

function json(text: string): unknown {
  return parseJson(text.trim() === '' ? '[]' : text, 'answer');
}

function defined<T extends object>(value: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(value).filter(([, field]) => field !== undefined)) as T;
}
