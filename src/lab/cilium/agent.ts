import type { ApiClient } from '../../kube/client.ts';
import { Informer } from '../../kube/informer.ts';
import { nodeAddresses } from '../../kube/node-addresses.ts';
import { nodes } from '../../kube/resources.ts';
import type { Node } from '../../kube/types.ts';
import { interfaceExists } from '../../net/sysctl.ts';
import { IptablesNat } from '../../netfilter/iptables/iptables.ts';
import { type Clock, realClock } from '../../sys/clock.ts';
import type { Exec } from '../../sys/exec.ts';
import { formatIPv4, parseIPv4 } from '../../util/address.ts';
import { formatSubnet, parseSubnet, type Subnet } from '../../util/cidr.ts';
import { messageOf } from '../../util/errors.ts';
import { WorkQueue } from '../../util/work-queue.ts';
import {
  type NodeRoute,
  nodeMtu,
  observeAttachments,
  prepareNode,
  syncMasquerade,
  syncNodeRoutes,
} from './datapath.ts';
import { installPlugins, writeCniConfig } from './install.ts';
import { Ipam } from './ipam.ts';
import { ipamFile } from './ipam-file.ts';
import { serveIpam } from './socket-server.ts';

export interface AgentOptions {
  client: ApiClient;
  exec: Exec;
  nodeName: string;
  /** Where the plugins come from, and the node's directories they and the configuration go to. */
  pluginSource: string;
  pluginTarget: string;
  configTarget: string;
  statePath: string;
  socket: string;
  /** The cluster's pods, to which packets go unmasqueraded. Without it the pod CIDRs of the nodes that are known. */
  nativeCidr?: string;
  log(line: string): void;
  clock?: Clock;
}

/** How often the addresses are compared with what exists, in milliseconds. */
const RECONCILE_MS = 10_000;
const SYNC = 'nodes';

/**
 * The stand-in for Cilium's agent on one node: addresses from the node's pod CIDR, routes to the pods of other nodes,
 * masquerade, and the files that make the runtime call the plugin. Everything is adopted if it is there already.
 */
export class Agent {
  readonly #options: AgentOptions;
  readonly #clock: Clock;
  readonly #nat: IptablesNat;
  #masqueraded = '';
  #complaint = '';

  constructor(options: AgentOptions) {
    this.#options = options;
    this.#clock = options.clock ?? realClock;
    this.#nat = new IptablesNat(options.exec, 'ipv4');
  }

  /** Runs until the signal aborts, and then stops giving addresses. What is in the kernel stays. */
  async run(signal: AbortSignal): Promise<void> {
    const { client, exec, log, socket, statePath } = this.#options;
    const changed = new WorkQueue({
      work: () => this.#syncNodes(informer.list()),
      onError: (_key, error) => log(`routes to other nodes: ${messageOf(error)}`),
    });
    const assigned = Promise.withResolvers<Subnet>();
    const seen = (node: Node) => {
      const subnet = this.#ownSubnet(node);
      if (subnet !== undefined) assigned.resolve(subnet);
      changed.add(SYNC);
    };
    const informer = new Informer(client, nodes, { onError: (error) => this.#complain(error) }).handle({
      onAdd: seen,
      onUpdate: seen,
      onDelete: () => changed.add(SYNC),
    });
    const watching = informer.run(signal);
    // A hundred megabytes, which need neither an address nor a rule: they are on their way while those are waited for.
    const plugins = this.#installPlugins(signal);
    plugins.catch(() => {});
    // Nobody waits for it when the kept state serves.
    assigned.promise.catch(() => {});
    signal.addEventListener('abort', () => assigned.reject(signal.reason), { once: true });
    try {
      // A restarted agent serves at once, also while the API server is away: a node keeps its CIDR as long as it lives.
      const kept = parseSubnet((await ipamFile(statePath).load())?.podCIDR ?? '');
      if (kept === undefined) log(`waiting for spec.podCIDR of node ${this.#options.nodeName}`);
      const subnet = kept ?? (await assigned.promise);
      const now = this.#clock.now();
      const ipam = await Ipam.open(
        ipamFile(statePath),
        this.#clock,
        subnet,
        await observeAttachments(exec, now),
      );
      await prepareNode(exec, ipam.router, formatSubnet(subnet));
      await this.#masquerade(subnet, informer.list());
      changed.add(SYNC);
      const server = serveIpam(socket, ipam, await nodeMtu(exec), log);
      log(`ready: ${formatSubnet(subnet)}, ${ipam.list().length} addresses in use, listening on ${socket}`);
      try {
        await plugins;
        await this.#writeConfig();
        // A node that was deleted and created again may have another CIDR: a new agent then starts with no addresses in use.
        const other = this.#changedSubnet(assigned.promise, subnet);
        await Promise.race([this.#reconcile(ipam, signal), other]);
      } finally {
        await server.stop();
      }
    } catch (error) {
      if (!signal.aborted) throw error;
    } finally {
      changed.stop();
    }
    // Given up, it removes what it has not finished.
    await plugins.catch(() => {});
    await watching;
  }

  async #installPlugins(signal: AbortSignal): Promise<void> {
    const { pluginSource, pluginTarget, log } = this.#options;
    for (const name of await installPlugins(pluginSource, pluginTarget, signal))
      log(`installed ${name} in ${pluginTarget}`);
  }

  async #writeConfig(): Promise<void> {
    const { configTarget, log } = this.#options;
    if (await writeCniConfig(configTarget)) log(`wrote 05-cilium.conf in ${configTarget}`);
  }

  async #changedSubnet(assigned: Promise<Subnet>, current: Subnet): Promise<never> {
    const subnet = await assigned;
    if (formatSubnet(subnet) !== formatSubnet(current)) {
      throw new Error(
        `spec.podCIDR is ${formatSubnet(subnet)}, the addresses in use are of ${formatSubnet(current)}: ` +
          `drain the node and remove ${this.#options.statePath}`,
      );
    }
    return new Promise<never>(() => {});
  }

  async #reconcile(ipam: Ipam, signal: AbortSignal): Promise<void> {
    for (;;) {
      const gone = await ipam.reconcile(({ link }) => interfaceExists(link));
      for (const { address, link } of gone) this.#options.log(`released ${address}: ${link} is gone`);
      await this.#clock.sleep(RECONCILE_MS, signal);
    }
  }

  async #syncNodes(all: readonly Node[]): Promise<void> {
    const own = all.find((node) => node.metadata?.name === this.#options.nodeName);
    const subnet = own === undefined ? undefined : this.#ownSubnet(own);
    // Without our own node the list is not complete yet.
    if (subnet === undefined) return;
    await this.#masquerade(subnet, all);
    for (const done of await syncNodeRoutes(this.#options.exec, this.#routes(all))) this.#options.log(done);
  }

  #routes(all: readonly Node[]): NodeRoute[] {
    return all.flatMap((node) => {
      if (node.metadata?.name === this.#options.nodeName) return [];
      const subnet = parseSubnet(node.spec?.podCIDR ?? '');
      // Its pods have IPv4 addresses, so the way to them is the node's IPv4 address, whichever of its two comes first.
      const via = nodeAddresses(node)
        .map(parseIPv4)
        .find((address) => address !== undefined);
      return subnet === undefined || via === undefined
        ? []
        : [{ podCIDR: formatSubnet(subnet), via: formatIPv4(via) }];
    });
  }

  async #masquerade(subnet: Subnet, all: readonly Node[]): Promise<void> {
    const { nativeCidr } = this.#options;
    const known = all.flatMap((node) => parseSubnet(node.spec?.podCIDR ?? '') ?? []);
    const native =
      nativeCidr === undefined ? [...new Set([subnet, ...known].map(formatSubnet))].sort() : [nativeCidr];
    const wanted = `${formatSubnet(subnet)} ${native.join(' ')}`;
    if (wanted === this.#masqueraded) return;
    await syncMasquerade(this.#nat, formatSubnet(subnet), native);
    this.#masqueraded = wanted;
  }

  #ownSubnet(node: Node): Subnet | undefined {
    if (node.metadata?.name !== this.#options.nodeName) return undefined;
    return parseSubnet(node.spec?.podCIDR ?? '');
  }

  /** While the API server is away every attempt fails: the same words are logged once. */
  #complain(error: unknown): void {
    const message = messageOf(error);
    if (message !== this.#complaint) this.#options.log(message);
    this.#complaint = message;
  }
}
