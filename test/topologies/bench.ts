/**
 * A node in network namespaces, whose pod is attached by a real chain of plugins: outside (10.77.0.1, fd77::1) -- node (10.77.0.2, fd77::2) -- pod. Its
 * report, its probes and its connections are real; of the API and the runtime there is what they would say of it.
 */
import { join } from 'node:path';
import { z } from 'zod';
import { parseNetworkConfig } from '../../src/cni/conflist.ts';
import { ResultCache } from '../../src/cni/result-cache.ts';
import { CniRuntime } from '../../src/cni/runtime.ts';
import { parseReportDocument } from '../../src/collect/report.ts';
import type { Pod } from '../../src/kube/types.ts';
import { NodeServer } from '../../src/lab/doctor/node-server.ts';
import { askForProbes } from '../../src/node/probe/ask.ts';
import { type ProbeDoor, probeWorld } from '../../src/node/probe/probing.ts';
import { flowSchema, type NodeReport } from '../../src/path/model/node-report.ts';
import { known } from '../../src/path/model/observed.ts';
import type { World } from '../../src/path/model/world.ts';
import { confFile, pluginFile } from '../../src/path/testing/cni-node.ts';
import { podOn, smallWorld } from '../../src/path/testing/small-world.ts';
import { REFERENCE, Topology } from '../../src/portmap/testing/topology.ts';
import { realClock } from '../../src/sys/clock.ts';
import type { Exec } from '../../src/sys/exec.ts';
import { waitFor } from '../../src/sys/wait.ts';
import { type Attached, CONTAINER_PORT, HOST_PORT, NODE, OUTSIDE, type Plugins } from './cases.ts';

const MAIN = join(import.meta.dir, '../../src/cli/main.ts');
const RESPONDER = join(import.meta.dir, '../../src/portmap/testing/responder.ts');
const ASKED = { timeoutMs: 60_000 };
/** How long is waited for an answer that may not come: everything is on this machine. */
const PROBE_MS = 1500;
const NODE_NAME = 'n1';
const NETWORK = 'topology';

export class TopologyBench {
  readonly lab: Topology;
  readonly #servers: Record<'node' | 'outside', NodeServer>;
  readonly #cache: ResultCache;
  #serial = 0;
  /** The attachment that there is. */
  #id = '';

  private constructor(lab: Topology) {
    this.lab = lab;
    const server = (name: string) =>
      new NodeServer(async () => [
        'nsenter',
        `--net=${lab.path(name)}`,
        process.execPath,
        MAIN,
        'node-serve',
      ]);
    this.#servers = { node: server('node'), outside: server('outside') };
    this.#cache = new ResultCache(join(lab.scratch, 'cache'));
  }

  static async create(): Promise<TopologyBench> {
    const lab = await Topology.create();
    for (const name of ['outside', 'node']) await lab.namespace(name);
    await lab.join('outside', `${OUTSIDE.ipv4}/24`, 'node', `${NODE.ipv4}/24`);
    for (const [name, peer, address] of [
      ['outside', 'node', OUTSIDE.ipv6],
      ['node', 'outside', NODE.ipv6],
    ] as const) {
      await lab.ok(name, ['ip', 'address', 'add', `${address}/64`, 'dev', `to-${peer}`, 'nodad']);
    }
    // A node has a way to everywhere; what is there does not matter.
    await lab.ok('node', ['ip', 'route', 'add', 'default', 'via', OUTSIDE.ipv4]);
    await lab.ok('node', ['ip', '-6', 'route', 'add', 'default', 'via', OUTSIDE.ipv6]);
    await lab.ok('node', ['sysctl', '-qw', 'net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1']);
    return new TopologyBench(lab);
  }

  node(...argv: string[]): Promise<string> {
    return this.lab.ok('node', argv);
  }

  /** Creates a pod's namespace, attaches it by a chain, and lets its application listen. */
  async attach({ chain, plugins }: Attached): Promise<void> {
    const { lab } = this;
    await lab.namespace('pod');
    this.#id = `topology-${process.pid}-${++this.#serial}`;
    await this.#runtime(plugins).add(this.#list(chain), {
      ...this.#attachment(),
      capabilityArgs: {
        portMappings: [{ hostPort: HOST_PORT, containerPort: CONTAINER_PORT, protocol: 'tcp' }],
      },
    });
    await lab.start('pod', RESPONDER, ['pod', String(CONTAINER_PORT)]);
    // Nothing is answered from an address that may be another's, too.
    await waitFor(
      'addresses that are nobody else’s',
      async () => {
        const of = (name: string) => lab.ok(name, ['ip', '-6', 'address', 'show', 'tentative']);
        return (await Promise.all(['node', 'pod'].map(of))).every((text) => text === '');
      },
      { timeoutMs: 20_000, intervalMs: 100 },
    );
  }

  /** The node's end of the pod's link; empty where it has none of its own. */
  podPort(): string {
    const [entry] = this.#cache.list(this.#id);
    const { interfaces } = z
      .object({ interfaces: z.array(z.object({ name: z.string(), sandbox: z.string().optional() })) })
      .parse(entry!.result);
    const names = interfaces.filter(({ sandbox = '' }) => sandbox === '').map(({ name }) => name);
    return names.findLast((name) => name.startsWith('veth')) ?? '';
  }

  /** Undoes {@link attach}. */
  async detach({ chain, plugins }: Attached): Promise<void> {
    if (this.#id === '') return;
    await this.#runtime(plugins).del(this.#list(chain), this.#attachment());
    await this.lab.removeNamespace('pod');
    // A device that is gone may have answered for the node's address, too.
    await this.lab.ok('outside', ['ip', 'neighbour', 'flush', 'all']);
    this.#id = '';
  }

  /** What there is to see of the node and its pod; `probes`: probed from everywhere. */
  async world(attached: Attached, probes: boolean): Promise<World> {
    const report = this.#completed(await this.#report(), attached);
    const addresses = (of: typeof NODE) =>
      attached.families.map((family) => ({ type: 'InternalIP', address: of[family] }));
    const [sandbox] = known(report.sandboxes)!;
    const pod: Pod = {
      ...podOn(NODE_NAME, 'web'),
      spec: {
        nodeName: NODE_NAME,
        containers: [
          { name: 'web', ports: [{ hostPort: HOST_PORT, containerPort: CONTAINER_PORT, protocol: 'TCP' }] },
        ],
      },
      status: {
        phase: 'Running',
        podIP: sandbox!.ips[0]!,
        podIPs: sandbox!.ips.map((ip) => ({ ip })),
      },
    };
    const world = smallWorld([pod], {
      nodes: [
        { metadata: { name: NODE_NAME }, status: { addresses: addresses(NODE) } },
        { metadata: { name: 'n2' }, status: { addresses: addresses(OUTSIDE) } },
      ],
      observedAt: report.takenAt,
      reports: new Map([[NODE_NAME, { value: report }]]),
    });
    return probes ? { ...world, probes: await probeWorld(world, this.#door()) } : world;
  }

  async #report(): Promise<NodeReport> {
    const document = await this.#servers.node.ask({ do: 'report', node: NODE_NAME }, ASKED);
    const parsed = parseReportDocument(document, 'report');
    return known(parsed)!;
  }

  /** A report of the node's network, with what its runtime and its directories would be. */
  #completed(report: NodeReport, { chain, families }: Attached): NodeReport {
    const [entry] = this.#cache.list(this.#id);
    const ips = ((entry!.result as { ips?: { address: string }[] }).ips ?? []).map(
      ({ address }) => address.split('/')[0]!,
    );
    const config = this.#text(chain);
    const names = [...new Set(chain.map((plugin) => (plugin as { type: string }).type))];
    const portMappings = [{ hostPort: HOST_PORT, containerPort: CONTAINER_PORT, protocol: 'tcp' }];
    const at = '2026-01-01T00:00:00Z';
    return {
      ...report,
      cni: {
        confDir: '/etc/cni/net.d',
        files: { value: [confFile('10-topology.conflist', config)] },
        binDirs: ['/opt/cni/bin'],
        plugins: { value: names.map((name) => pluginFile(name)) },
        attachments: {
          value: [
            {
              ...{ file: '/var/lib/cni/results/topology', modified: at, networkName: NETWORK },
              ...{ containerId: this.#id, ifName: 'eth0', config, portMappings, result: entry!.result! },
            },
          ],
        },
        skipped: [],
      },
      runtime: {
        value: {
          ...{ name: 'containerd', version: '2.1.4', networkReady: true, networkMessage: '' },
          ...{ confDir: '/etc/cni/net.d', binDirs: ['/opt/cni/bin'], lastLoadError: '' },
          loadedNetworks: { value: [{ name: NETWORK, config }] },
        },
      },
      sandboxes: {
        value: [
          {
            ...{ id: this.#id, name: 'web', namespace: 'default', uid: 'uid-web', attempt: 0, ready: true },
            ...{ createdAt: at, hostNetwork: false, netns: this.lab.path('pod'), netnsExists: true },
            ips: ips.filter((ip) => families.includes(ip.includes(':') ? 'ipv6' : 'ipv4')),
            portMappings,
          },
        ],
      },
    };
  }

  #door(): ProbeDoor {
    const { node, outside } = this.#servers;
    return {
      send: (batches) => {
        const [{ stand }] = batches as [(typeof batches)[number]];
        const isHere = stand.at !== 'outside' && stand.node === NODE_NAME;
        return askForProbes(
          batches,
          {
            timeoutMs: PROBE_MS,
            placeOf: async (from) => ({
              path:
                from.at === 'pod'
                  ? from.netns
                  : this.lab.path(from.at === 'node' && from.node === NODE_NAME ? 'node' : 'outside'),
            }),
          },
          (request, timeoutMs) => (isHere ? node : outside).ask(request, { timeoutMs }),
        );
      },
      flows: async (_, sourcePorts) =>
        flowSchema.array().parse(await node.ask({ do: 'flows', sourcePorts }, ASKED)),
      reversePathDrops: async () =>
        z
          .number()
          .nullable()
          .parse(await node.ask({ do: 'reverse-path-drops' }, ASKED)) ?? undefined,
    };
  }

  #runtime(plugins: Plugins): CniRuntime {
    const { lab } = this;
    const exec: Exec = {
      run: (argv, options = {}) =>
        lab.run('node', [...argv], String(options.stdin), options.env as Record<string, string>),
    };
    return new CniRuntime({
      exec,
      clock: realClock,
      env: {},
      timeoutMs: 20_000,
      path: plugins === 'ours' ? [lab.plugins, REFERENCE] : [REFERENCE],
      cache: this.#cache,
      onStderr: () => {},
      onNotice: () => {},
    });
  }

  #text(chain: readonly object[]): string {
    return JSON.stringify({ cniVersion: '1.0.0', name: NETWORK, plugins: chain });
  }

  #list(chain: readonly object[]) {
    return parseNetworkConfig(this.#text(chain), '10-topology.conflist');
  }

  #attachment() {
    return { containerId: this.#id, netns: this.lab.path('pod'), ifName: 'eth0' };
  }

  async dispose(): Promise<void> {
    await Promise.all(Object.values(this.#servers).map((server) => server.close()));
    await this.lab.dispose();
  }
}
