import type { ApiClient } from '../../kube/client.ts';
import { Informer } from '../../kube/informer.ts';
import { nodeAddresses } from '../../kube/node-addresses.ts';
import { nodes } from '../../kube/resources.ts';
import type { Node } from '../../kube/types.ts';
import { type Clock, realClock } from '../../sys/clock.ts';
import type { Exec } from '../../sys/exec.ts';
import { formatIPv4, parseIPv4 } from '../../util/address.ts';
import { formatSubnet, parseSubnet, type Subnet } from '../../util/cidr.ts';
import { messageOf } from '../../util/errors.ts';
import { WorkQueue } from '../../util/work-queue.ts';
import { type ChainingMode, keepCniConfig } from './cni-config.ts';
import { type NodeRoute, nodeMtu, prepareDevices, syncNodeRoutes } from './devices.ts';
import { Endpoints } from './endpoints.ts';
import { installPlugins } from './install.ts';
import { type Allocation, Ipam } from './ipam.ts';
import { ipamFile } from './ipam-file.ts';
import { createNodeSet, syncNodeSet } from './node-set.ts';
import { workOffDeletions } from './queued-deletions.ts';
import { prepareRedirects, readRedirects } from './redirects.ts';
import { syncRules } from './rules.ts';
import { serveAgent } from './socket-server.ts';

export interface AgentOptions {
  client: ApiClient;
  exec: Exec;
  nodeName: string;
  /** Where the plugins come from, and the node's directories they and the configuration go to. */
  pluginSource: string;
  pluginTarget: string;
  configTarget: string;
  /** What the agent does with that directory: Cilium's settings of these names. */
  cniExclusive: boolean;
  cniChainingMode: ChainingMode;
  statePath: string;
  socket: string;
  /** The cluster's pods, to which packets go unmasqueraded: Cilium's `ipv4-native-routing-cidr`. */
  nativeCidr: string;
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
  #nodeSet = '';
  #complaint = '';

  constructor(options: AgentOptions) {
    this.#options = options;
    this.#clock = options.clock ?? realClock;
  }

  /** Runs until the signal aborts, and then stops giving addresses. What is in the kernel stays. */
  async run(signal: AbortSignal): Promise<void> {
    const { client, exec, log, socket, statePath } = this.#options;
    const changed = new WorkQueue({
      work: () => this.#syncNodes(informer.list()),
      onError: (_key, error) => log(`other nodes: ${messageOf(error)}`),
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
      const endpoints = await this.#prepare(subnet);
      const { ipam } = endpoints;
      changed.add(SYNC);
      const mtu = await nodeMtu(exec);
      const server = await workOffDeletions(socket, endpoints, log, signal, () =>
        serveAgent(socket, endpoints, mtu, log),
      );
      log(`ready: ${formatSubnet(subnet)}, ${ipam.list().length} addresses in use, listening on ${socket}`);
      try {
        await plugins;
        // A node that was deleted and created again may have another CIDR: a new agent then starts with no addresses in use.
        const other = this.#changedSubnet(assigned.promise, subnet);
        await Promise.race([this.#keepConfig(signal), this.#reconcile(endpoints, signal), other]);
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

  /** Everything in the kernel that a pod needs of its node, and the attachments that are there already. */
  async #prepare(subnet: Subnet): Promise<Endpoints> {
    const { exec, statePath, nativeCidr } = this.#options;
    const podCIDR = formatSubnet(subnet);
    const now = this.#clock.monotonic();
    const router = Ipam.routerOf(subnet);
    const mac = await prepareDevices(exec, router, podCIDR);
    await prepareRedirects(exec);
    const observed = (await readRedirects(exec)).map(
      ({ link, address }): Allocation => ({ link, address, containerId: '', ifName: '', at: now }),
    );
    const ipam = await Ipam.open(ipamFile(statePath), this.#clock, subnet, observed);
    await createNodeSet(exec);
    await syncRules(exec, { podCIDR, nativeCIDR: nativeCidr, router });
    const endpoints = new Endpoints(exec, ipam, subnet, mac);
    await endpoints.restore();
    return endpoints;
  }

  async #keepConfig(signal: AbortSignal): Promise<void> {
    const { configTarget: directory, cniExclusive: exclusive, cniChainingMode: chainingMode } = this.#options;
    await keepCniConfig({ directory, exclusive, chainingMode, log: this.#options.log }, signal);
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

  async #reconcile(endpoints: Endpoints, signal: AbortSignal): Promise<void> {
    for (;;) {
      for (const { address, link } of await endpoints.reconcile())
        this.#options.log(`released ${address}: ${link} is gone`);
      await this.#clock.sleep(RECONCILE_MS, signal);
    }
  }

  async #syncNodes(all: readonly Node[]): Promise<void> {
    const own = all.find((node) => node.metadata?.name === this.#options.nodeName);
    const subnet = own === undefined ? undefined : this.#ownSubnet(own);
    // Without our own node the list is not complete yet.
    if (subnet === undefined) return;
    await this.#syncNodeSet(all);
    for (const done of await syncNodeRoutes(this.#options.exec, this.#routes(all))) this.#options.log(done);
  }

  #routes(all: readonly Node[]): NodeRoute[] {
    return all.flatMap((node) => {
      if (node.metadata?.name === this.#options.nodeName) return [];
      const subnet = parseSubnet(node.spec?.podCIDR ?? '');
      // Its pods have IPv4 addresses, so the way to them is the node's IPv4 address, whichever of its two comes first.
      const [via] = ipv4Of(node);
      return subnet === undefined || via === undefined ? [] : [{ podCIDR: formatSubnet(subnet), via }];
    });
  }

  async #syncNodeSet(all: readonly Node[]): Promise<void> {
    const addresses = [...new Set(all.flatMap(ipv4Of))].sort();
    if (addresses.join() === this.#nodeSet) return;
    await syncNodeSet(this.#options.exec, addresses);
    this.#nodeSet = addresses.join();
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

/** A node's IPv4 addresses, the first the one that it is reached by. */
function ipv4Of(node: Node): string[] {
  return nodeAddresses(node).flatMap((text) => {
    const address = parseIPv4(text);
    return address === undefined ? [] : [formatIPv4(address)];
  });
}
