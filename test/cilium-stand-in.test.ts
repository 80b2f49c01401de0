/**
 * What the doctor sees of a node with the stand-in for Cilium is what it sees of one with Cilium 1.20.2: node reports of both, the how-to's
 * `kind-worker` recorded in the lab and a real node of the same set-up (test/doctor-real-cilium.test.ts, `c`), as facts without what differs
 * from node to node. Every difference is in the table of docs/cilium-stand-in.md, and every row of it that the doctor sees is a difference.
 */
import { describe, expect, test } from 'bun:test';
import { join } from 'node:path';
import { type NodeReport, nodeReportSchema } from '../src/path/model/node-report.ts';
import { known } from '../src/path/model/observed.ts';
import { moments } from './fixtures/moments.ts';

const FIXTURES = join(import.meta.dir, 'fixtures');
const DOCUMENT = join(import.meta.dir, '../docs/cilium-stand-in.md');

/** Where a node is: the same on no two nodes. */
interface Place {
  podCidr: string;
  clusterCidr: string;
  router: string;
}

/** The facts of a node of a cluster whose pods are in a network of its own; each node has a /24 of it. */
async function load(file: string, clusterCidr: string): Promise<Set<string>> {
  const report = nodeReportSchema.parse(await Bun.file(join(FIXTURES, file)).json());
  const router = known(report.network.addresses)!.find(({ device }) => device === 'cilium_host')!.address;
  const place = { router, clusterCidr, podCidr: router.replace(/\d+$/, '0/24') };
  return new Set(factsOf(report).flatMap((fact) => inGeneral(fact, place) ?? []));
}

/** The fact with names for what differs from node to node; undefined for what is not of the primary network at all. */
function inGeneral(fact: string, { podCidr, clusterCidr, router }: Place): string | undefined {
  const pods = new RegExp(`\\b${podCidr.replace(/0\/24$/, '').replaceAll('.', '\\.')}\\d+\\b`, 'g');
  const text = fact
    .replaceAll(podCidr, 'PODS')
    .replaceAll(clusterCidr, 'CLUSTER')
    .replace(new RegExp(`\\b${router.replaceAll('.', '\\.')}\\b(?!/24)`, 'g'), 'ROUTER')
    .replaceAll(pods, 'POD')
    .replaceAll(/\blxc[0-9a-f]{12}\b/g, 'lxc…');
  return /\b(?:eth0|lo|default)\b/.test(text) ? undefined : text;
}

/** The devices that the primary plugin has made, their settings, routes and rules, its files and the result of its ADD. */
function factsOf(report: NodeReport): string[] {
  const { network, cni, netfilter } = report;
  const own = (device: string | undefined) => /^(?:cilium_|lxc)/.test(device ?? '');
  return [
    ...known(network.links)!.map(
      ({ name, kind, up, mtu, peerNamespace }) =>
        `link ${name} ${kind} ${up ? 'up' : 'down'} mtu ${mtu}${peerNamespace === undefined ? '' : ' to a pod'}`,
    ),
    ...known(network.addresses)!
      .filter(({ family, device }) => family === 'ipv4' && own(device))
      .map(({ device, address, prefix, scope }) => `address ${device} ${address}/${prefix} ${scope}`),
    ...known(network.routes)!
      .filter(
        ({ family, device, destination }) =>
          family === 'ipv4' && (own(device) || destination.startsWith('10.77.')),
      )
      .map(
        ({ type, destination, gateway, device, source, table }) =>
          `route ${type} ${destination} via ${gateway} dev ${device} src ${source} table ${table}`,
      ),
    ...known(network.rules!.ipv4)!.map((rule) => `policy rule ${JSON.stringify(rule)}`),
    ...Object.entries(known(network.sysctls)!)
      .filter(([name]) => /\.(?:all|cilium_\w+|lxc\w+)\.(?:rp_filter|forwarding)$|ip_forward$/.test(name))
      .map(([name, value]) => `sysctl ${name} ${value}`),
    ...known(network.listeners)!
      .filter(({ process }) => process?.startsWith('cilium'))
      .map(({ protocol, port }) => `listener cilium-agent ${protocol} ${port}`),
    ...known(cni.files)!
      .filter(({ name }) => !name.endsWith('.cilium_bak'))
      .map(
        ({ name, content }) =>
          `file ${name} ${'value' in content ? content.value.replaceAll(/\s+/g, ' ') : '?'}`,
      ),
    ...known(cni.attachments)!
      .filter(({ networkName }) => networkName === 'cilium-portmap')
      .map(({ result }) => `result ${shapeOf(result)}`),
    ...netfilter.iptables
      .filter(({ family }) => family === 'ipv4')
      .flatMap(({ variant, text }) => rulesOf(known(text) ?? '').map((rule) => `${variant} ${rule}`)),
  ];
}

/** The rules of Cilium's chains and of what leads to them, and in which order a hook has them and portmap's. */
function rulesOf(saved: string): string[] {
  let table = '';
  const facts: string[] = [];
  const jumps = new Map<string, string[]>();
  for (const line of saved.split('\n').map((text) => text.replace(/^\[\d+:\d+\] /, ''))) {
    if (line.startsWith('*')) table = line.slice(1);
    const chain = /^:(CILIUM_\S+)/.exec(line)?.[1];
    if (chain !== undefined) facts.push(`${table} chain ${chain}`);
    if (line.startsWith('-A CILIUM_')) facts.push(`${table} ${line}`);
    const [, hook, target] = /^-A ([A-Z]+) .*-j ((?:CILIUM_|CNI-HOSTPORT)\S+)$/.exec(line) ?? [];
    if (hook !== undefined)
      jumps.set(`${table} ${hook}`, [...(jumps.get(`${table} ${hook}`) ?? []), target!]);
  }
  return [...facts, ...[...jumps].map(([hook, targets]) => `${hook} leads to ${targets.join(', ')}`)];
}

/** A result without what differs from pod to pod. */
function shapeOf(result: unknown): string {
  return JSON.stringify(result, (key, value) => (key === 'mac' || key === 'sandbox' ? '…' : value));
}

const real = load('real-cilium/c.json', '10.77.0.0/16');
const standIn = load(`bundles/${moments.at(-1)!.name}/nodes/kind-worker.json`, '192.168.0.0/16');

/** Facts that one of the two alone has, by the row of the document's table. */
const DIFFERENCES: Readonly<Record<string, readonly RegExp[]>> = {
  "agent's ports": [/^listener cilium-agent /],
};

const only = (a: Set<string>, b: Set<string>) => [...a.difference(b)];

describe('a node with the stand-in looks like one with Cilium', () => {
  test('both show what the doctor looks at', async () => {
    for (const facts of [await real, await standIn]) {
      for (const kind of [
        'link',
        'address',
        'route',
        'policy rule',
        'sysctl',
        'file',
        'result',
        'iptables-nft',
      ]) {
        expect([...facts].filter((fact) => fact.startsWith(kind))).not.toEqual([]);
      }
    }
  });

  test('but for what the document says', async () => {
    const patterns = Object.values(DIFFERENCES).flat();
    const unsaid = (facts: string[]) =>
      facts.filter((fact) => !patterns.some((pattern) => pattern.test(fact)));
    expect({
      standIn: unsaid(only(await standIn, await real)),
      real: unsaid(only(await real, await standIn)),
    }).toEqual({ standIn: [], real: [] });
  });

  test('and everything that it says is so', async () => {
    const differing = [...only(await standIn, await real), ...only(await real, await standIn)];
    for (const [row, patterns] of Object.entries(DIFFERENCES))
      for (const pattern of patterns)
        expect([row, differing.filter((fact) => pattern.test(fact)).length > 0]).toEqual([row, true]);
  });

  test('the table has these rows as those that the doctor sees', async () => {
    const rows = (await Bun.file(DOCUMENT).text())
      .split('\n')
      .filter((line) => /\| yes \|$/.test(line))
      .map((line) => line.split('|')[1]!.trim());
    expect(rows).toEqual(Object.keys(DIFFERENCES));
  });
});
