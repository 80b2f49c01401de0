import { CniError, cniErrorCode } from '../cni/errors.ts';
import { type NftChange, type NftElement, type NftTable, NftUnavailable } from '../netfilter/nft/nft.ts';
import { formatEndpoint } from '../util/endpoint.ts';
import type { Family } from '../util/family.ts';
import { canonicalAddress } from '../util/ip.ts';
import { type Attached, inWords, isSuperseded } from './attached.ts';
import type { Attachments, HostPort } from './attachments.ts';
import { type Backend, HOST_PORT_TAKEN, taken } from './backend.ts';
import type { PortmapConfig } from './config.ts';
import { areDisjoint, type Conditions } from './disjoint.ts';
import { chainOf, networkWord, type Owner, ownerWord } from './layout.ts';
import {
  ADDRESSES_ONLY,
  attachmentElement,
  basicLayout,
  claimKeys,
  claimMaps,
  DNAT_PRIORITY,
  FURTHER_LAYERS,
  layerMaps,
  layerMarker,
  mapIn,
  mayNoteOwnAddress,
  type NftPlan,
  nftMaps,
  ownerOfElement,
  planNft,
} from './nftables-layout.ts';
import { type MappedPacket, takenBefore } from './nftables-precedence.ts';
import type { InstalledMapping, PodAddress } from './rules.ts';

/** How often a transaction is planned, when something else changes the table at the same time. */
const MAX_ATTEMPTS = 4;

/** A claim with what goes with it, as the kernel has it. */
interface Installed {
  claim: NftElement;
  target: NftElement | undefined;
  own: NftElement | undefined;
}

/** Mappings in maps of a table of our own, both address families in one transaction. */
export class NftablesBackend implements Backend {
  readonly name = 'nftables';
  readonly #table: NftTable;
  readonly #attachments: Attachments;
  readonly #warn: (message: string) => void;

  constructor(table: NftTable, attachments: Attachments, warn: (message: string) => void) {
    this.#table = table;
    this.#attachments = attachments;
    this.#warn = warn;
  }

  /**
   * On the common path this is a look at chains and rules and one transaction that only creates, whatever the number of mappings: a
   * collision makes the transaction fail. Only then it looks up what is in the way.
   */
  async add(config: PortmapConfig, attached: Attached, pods: readonly PodAddress[]): Promise<Set<string>> {
    return usable(async () => {
      const first = planNft(config, attached, pods);
      let plan = first;
      let last = '';
      let refused = false;
      for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
        const layers = await this.#layers();
        const isFree = attempt === 0 && layers.length === 1;
        const { rivals, layer } = isFree ? { rivals: [], layer: 0 } : await this.#rivals(first, layers);
        plan = layer === 0 ? first : planNft(config, attached, pods, layer);
        if ((await this.#table.fault(plan.layout)) !== undefined) await this.#table.install(plan.layout);
        const clearing = isFree ? nothing : await this.#clear(plan, attached, rivals);
        if (clearing === 'present') return new Set();
        const outcome = await this.#table.apply([...clearing.changes, ...creationsOf(plan)]);
        if (outcome.applied) {
          for (const warning of clearing.warnings) this.#warn(warning);
          return clearing.gone;
        }
        last = outcome.reason;
        // What nft refuses now it refuses later, too: a condition that only looks right.
        refused = outcome.why === 'refused';
        if (refused) break;
      }
      throw new CniError(
        // Only the conditions come from the configuration.
        refused && plan.chains.length > 0 ? cniErrorCode.invalidNetworkConfig : cniErrorCode.internal,
        `cannot map ports of container ${attached.containerId} (nftables)`,
        last,
      );
    });
  }

  async giveWay(
    config: PortmapConfig,
    attached: Attached,
    pods: readonly PodAddress[],
  ): Promise<ReadonlySet<string>> {
    return usable(async () => {
      const plan = planNft(config, attached, pods);
      let last = '';
      for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
        // One look for each port, at a table that usually does not exist.
        const layers = await this.#layers();
        const wanted = [...plan.claims, ...plan.reservations];
        const found = await this.#table.look(
          layers.flatMap((layer) => wanted.map(({ map, key }) => ({ map: mapIn(map, layer), key }))),
        );
        if (found.every((element) => element === undefined)) return new Set();
        const { rivals } = await this.#rivals(plan, layers);
        const { gone, leaving, warnings, staying } = await this.#evict(rivals, attached, plan);
        const entries = await this.#table.look([...gone.keys()].map(attachmentElement));
        const outcome = await this.#table.apply(
          deletionsOf(leaving, [...entries, ...(await this.#unreserved(leaving))], staying),
        );
        if (outcome.applied) {
          for (const warning of warnings) this.#warn(warning);
          return new Set(gone.values());
        }
        last = outcome.reason;
      }
      throw new CniError(
        cniErrorCode.internal,
        `cannot remove stale mappings of the ports of container ${attached.containerId} (nftables)`,
        last,
      );
    });
  }

  /** Whose mappings, in words, come before those that the other backend makes of this configuration: ours are looked at first. */
  async shadows(config: PortmapConfig, attached: Attached, pods: readonly PodAddress[]): Promise<string[]> {
    return usable(async () => {
      const { rivals } = await this.#rivals(planNft(config, attached, pods), await this.#layers());
      return rivals.map((rival) => this.#inWords(rival, attached));
    });
  }

  async check(config: PortmapConfig, attached: Attached, pods: readonly PodAddress[]): Promise<void> {
    return usable(async () => {
      const plan = await this.#planOfInstalled(config, attached, pods);
      const { maps, chains } = plan.layout;
      const fault = await this.#table.fault({ maps, chains: [...chains, ...plan.chains] });
      if (fault !== undefined) throw missing(fault);
      const wanted = [plan.attachment, ...plan.claims, ...plan.rest, ...plan.reservations];
      const there = await this.#table.look(wanted);
      for (const [i, element] of wanted.entries()) {
        const found = there[i];
        if (found === undefined) throw missing(`no element ${describeElement(element)}`);
        // A pod's own address may be noted by an attachment that had it before.
        const foreign = element.comment !== found.comment && !element.map.startsWith('own');
        if (found.value !== element.value || foreign) {
          throw missing(`${describeElement(element)} is ${describeElement(found)}`);
        }
      }
      const ahead = await this.#table.ahead(DNAT_PRIORITY);
      for (const claim of ahead === undefined ? [] : plan.claims) {
        const taker = takenBefore(ahead!, DNAT_PRIORITY, packetOf(claim));
        if (taker !== undefined) {
          throw new CniError(
            cniErrorCode.internal,
            `mapping shadowed: an earlier rule takes ${portOf(claim.key).replace(' . ', ' ')} (nftables)`,
            taker,
          );
        }
      }
    });
  }

  async mapped(owner: Owner): Promise<InstalledMapping[]> {
    return usable(async () => {
      const word = ownerWord(owner);
      const [entry] = await this.#table.look([attachmentElement(word)]);
      if (entry === undefined) return [];
      return (await this.#claimed(word, this.#attachments.portsOf(chainOf(owner)))).flatMap(mappingOf);
    });
  }

  async remove(owners: readonly Owner[]): Promise<InstalledMapping[]> {
    return usable(async () => {
      const words = owners.map(ownerWord);
      return this.#remove(`container ${owners[0]!.containerId}`, async () => {
        const entries = await this.#table.look(words.map(attachmentElement));
        // Every attachment with mappings has an entry: without one there is nothing to remove, as for most pods.
        if (entries.every((entry) => entry === undefined)) return undefined;
        const installed: Installed[] = [];
        for (const [i, owner] of owners.entries()) {
          if (entries[i] === undefined) continue;
          installed.push(...(await this.#claimed(words[i]!, this.#attachments.portsOf(chainOf(owner)))));
        }
        return { entries: entries.filter((entry) => entry !== undefined), installed };
      });
    });
  }

  async collect(networkName: string, kept: readonly Owner[]): Promise<InstalledMapping[]> {
    return usable(async () => {
      const keep = new Set(kept.map(ownerWord));
      const prefix = `${networkWord(networkName)}/`;
      const isStale = (comment: string) => comment.startsWith(prefix) && !keep.has(comment);
      return this.#remove(`network ${networkName}`, async () => {
        // Also elements whose claim another attachment took: this looks through every map, which a DEL need not do.
        const layers = await this.#layers();
        const maps = [...nftMaps, ...layers.flatMap((layer) => (layer === 0 ? [] : layerMaps(layer)))];
        const lists = await Promise.all(maps.map(({ name }) => this.#table.list(name, prefix)));
        const stale = lists.flat().filter(({ comment = '' }) => isStale(comment));
        const claiming = layers.flatMap((layer) => claimMaps.map((map) => mapIn(map, layer)));
        const claims = stale.filter(({ map }) => claiming.includes(map));
        return { entries: stale, installed: await this.#withRest(claims) };
      });
    });
  }

  async probe(): Promise<void> {
    return usable(() => this.#table.probe(basicLayout));
  }

  async #remove(
    what: string,
    select: () => Promise<{ entries: NftElement[]; installed: Installed[] } | undefined>,
  ): Promise<InstalledMapping[]> {
    let last = '';
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const selected = await select();
      if (selected === undefined) return [];
      const { installed, entries } = selected;
      const unreserved = await this.#unreserved(installed);
      const outcome = await this.#table
        .apply(deletionsOf(installed, [...entries, ...unreserved]))
        .catch((cause: Error) => {
          // It was found, so it still exists: unlike on a machine that cannot have mappings in nftables.
          if (!(cause instanceof NftUnavailable)) throw cause;
          const remain = `port mappings of ${what} remain in table inet hostport`;
          throw new CniError(cniErrorCode.internal, remain, cause.message, { cause });
        });
      if (outcome.applied) return installed.flatMap(mappingOf);
      last = outcome.reason;
    }
    throw new CniError(cniErrorCode.internal, `cannot remove port mappings of ${what} (nftables)`, last);
  }

  /**
   * The mappings of an attachment, asked for by the ports it is remembered to have: the same work whatever the number of mappings.
   * When none is remembered, or none of those belongs to it, it looks through all mappings.
   */
  async #claimed(owner: string, ports: readonly HostPort[] | undefined): Promise<Installed[]> {
    const keys = (ports ?? []).flatMap(claimKeys);
    const layers = keys.length === 0 ? [0] : await this.#layers();
    const found = await this.#table.look(
      layers.flatMap((layer) => keys.map(({ map, key }) => ({ map: mapIn(map, layer), key }))),
    );
    const claims = found.flatMap((element) => (element?.comment === owner ? [element] : []));
    if (claims.length > 0) return this.#withRest(claims);
    return this.#installed(owner, (comment) => comment === owner);
  }

  /** The mappings whose comment is wanted; `mark` occurs in each of them. */
  async #installed(mark: string, isWanted: (comment: string) => boolean): Promise<Installed[]> {
    const claims = await this.#allClaims(mark);
    return this.#withRest(claims.filter(({ comment = '' }) => isWanted(comment)));
  }

  /** The claims of every layer, with `mark` those in whose comment it occurs. */
  async #allClaims(mark?: string): Promise<NftElement[]> {
    const layers = await this.#layers();
    const maps = layers.flatMap((layer) => claimMaps.map((map) => mapIn(map, layer)));
    return (await Promise.all(maps.map((map) => this.#table.list(map, mark)))).flat();
  }

  /** The layers that exist. */
  async #layers(): Promise<number[]> {
    const layers = [0];
    // One question in the usual case: a layer is made after those before it.
    for (const layer of FURTHER_LAYERS) {
      const [found] = await this.#table.look([layerMarker(layer)]);
      if (found === undefined) break;
      layers.push(layer);
    }
    return layers;
  }

  /** The plan of an attachment for the layer in which it has its first claim. */
  async #planOfInstalled(
    config: PortmapConfig,
    attached: Attached,
    pods: readonly PodAddress[],
  ): Promise<NftPlan> {
    const plan = planNft(config, attached, pods);
    const [claim] = plan.claims;
    if (claim === undefined) return plan;
    const layers = await this.#layers();
    const found = await this.#table.look(
      layers.map((layer) => ({ map: mapIn(claim.map, layer), key: claim.key })),
    );
    const at = found.findIndex((element) => element?.comment === plan.owner);
    return at <= 0 ? plan : planNft(config, attached, pods, layers[at]);
  }

  /** The other elements of these claims, as far as they have the same owner. */
  async #withRest(claims: readonly NftElement[]): Promise<Installed[]> {
    const targets = await this.#table.look(claims.map(({ map, key }) => ({ map: `${map}_targets`, key })));
    // Most pods' verdicts say that nothing is noted of their own address.
    const owns = new Map<number, NftElement | undefined>();
    const noted = claims.flatMap(({ value }, i) => (mayNoteOwnAddress(value) ? [i] : []));
    const found = await this.#table.look(
      noted.map((i) => {
        const { map, key } = claims[i]!;
        const address = targets[i]?.value?.split(' . ')[0] ?? (map.endsWith('4') ? '0.0.0.0' : NO_IPV6);
        return { map: `own${map.slice(-1)}`, key: `${address} . ${portOf(key)}` };
      }),
    );
    for (const [at, i] of noted.entries()) owns.set(i, found[at]);
    const seen = new Set<string>();
    return claims.map((claim, i) => {
      const [target, own] = [targets[i], owns.get(i)].map((element) => {
        const id = `${element?.map} ${element?.key}`;
        if (element === undefined || element.comment !== claim.comment || seen.has(id)) return undefined;
        seen.add(id);
        return element;
      });
      return { claim, target, own };
    });
  }

  /**
   * What must be removed before the plan can be carried out: what the attachment had, and mappings of others on its ports that may be
   * replaced. `present` when everything is already in place.
   */
  async #clear(
    plan: NftPlan,
    attached: Attached,
    rivals: readonly Installed[],
  ): Promise<Clearing | 'present'> {
    const before = await this.#installed(plan.owner, (comment) => comment === plan.owner);
    if (rivals.length === 0 && (await this.#isPresent(plan, before))) return 'present';
    const { gone, warnings, leaving: evicted, staying } = await this.#evict(rivals, attached, plan);
    const leaving = [...before, ...evicted];
    const shared = await this.#table.look([plan.attachment, ...[...gone.keys()].map(attachmentElement)]);
    // What is left of reservations for single addresses where we want every one.
    const freed = await this.#table.look(plan.claims.filter(({ map }) => map.startsWith('any')));
    const reserved = freed.filter((element) => element?.value === ADDRESSES_ONLY);
    const unreserved = await this.#unreserved(leaving);
    // A target whose claim was removed by hand belongs to no attachment.
    const orphans = await this.#table.look(plan.rest.filter(({ map }) => !map.startsWith('own')));
    return {
      changes: deletionsOf(leaving, [...shared, ...reserved, ...unreserved, ...orphans], staying),
      gone: new Set(gone.values()),
      warnings,
    };
  }

  /** What is removed with these rivals, and by which name; one whose sandbox still exists is error {@link HOST_PORT_TAKEN}. */
  async #evict(rivals: readonly Installed[], attached: Attached, plan: NftPlan): Promise<Eviction> {
    const gone = new Map<string, string>();
    const warnings: string[] = [];
    const displaced: Installed[] = [];
    for (const rival of rivals) {
      const owner = ownerOfElement(rival.claim.comment);
      const state =
        owner === undefined
          ? 'unknown'
          : isSuperseded(owner, attached)
            ? 'gone'
            : this.#attachments.sandboxState(owner.chain, owner);
      if (state === 'alive') {
        const family = familyOf(rival.claim);
        const there = this.#conditionsOf(rival.claim, family)?.map(({ words }) => words);
        throw taken(this.#inWords(rival, attached), plan.conditions[family].words, there?.at(-1));
      }
      if (state === 'gone') gone.set(rival.claim.comment!, owner!.chain);
      else {
        displaced.push(rival);
        warnings.push(
          `${this.#inWords(rival, attached)}: cannot determine whether its sandbox still exists; the new mapping replaces it`,
        );
      }
    }
    const dead = await Promise.all(
      [...gone.keys()].map((owner) => this.#installed(owner, (comment) => comment === owner)),
    );
    return {
      ...{ gone, warnings, leaving: [...dead.flat(), ...displaced] },
      staying: await this.#chainsStaying(displaced),
    };
  }

  /** Chains with the conditions of attachments that lose some of their mappings only: the others still lead there. */
  async #chainsStaying(displaced: readonly Installed[]): Promise<Set<string>> {
    const staying = new Set<string>();
    for (const { claim } of displaced) {
      const chain = conditionsChain(claim);
      if (chain === undefined || staying.has(chain)) continue;
      const isDisplaced = ({ map, key }: NftElement) =>
        displaced.some((one) => one.claim.map === map && one.claim.key === key);
      const isLedTo = (await this.#allClaims()).some(
        (one) => conditionsChain(one) === chain && !isDisplaced(one),
      );
      if (isLedTo) staying.add(chain);
    }
    return staying;
  }

  /** The reservations that nothing needs once these mappings have left. */
  async #unreserved(leaving: readonly Installed[]): Promise<NftElement[]> {
    const single = leaving.map(({ claim }) => claim).filter(({ map }) => map.startsWith('one'));
    const keys = new Map<string, { map: string; key: string }>();
    for (const { map, key } of single) {
      const port = portOf(key);
      const staying = (await this.#table.list(map)).some(
        (other) =>
          portOf(other.key) === port && !single.some((one) => one.map === map && one.key === other.key),
      );
      if (!staying) keys.set(`${map} ${port}`, { map: map.replace('one', 'any'), key: port });
    }
    const found = await this.#table.look([...keys.values()]);
    return found.flatMap((element) => (element?.value === ADDRESSES_ONLY ? [element] : []));
  }

  /**
   * Claims of others in the way: of the same key, or of every address where we want one, or of one where we want every, unless no packet
   * meets both conditions; and the first layer that no claim of the latter kind occupies.
   */
  async #rivals(first: NftPlan, layers: readonly number[]): Promise<{ rivals: Installed[]; layer: number }> {
    const isForeign = ({ comment, value }: NftElement) => comment !== first.owner && value !== ADDRESSES_ONLY;
    const rivals: NftElement[] = [];
    const occupied = new Set<number>();
    for (const layer of layers) {
      const wanted = [...first.claims, ...first.reservations];
      const keys = wanted.map(({ map, key }) => ({ map: mapIn(map, layer), key }));
      const claims = (await this.#table.look(keys)).flatMap((element) =>
        element !== undefined && isForeign(element) ? [element] : [],
      );
      for (const f of ['4', '6']) {
        const ports = first.claims.filter(({ map }) => map === `any${f}`).map(({ key }) => key);
        if (ports.length === 0) continue;
        const single = await this.#table.list(mapIn(`one${f}`, layer));
        claims.push(...single.filter((element) => isForeign(element) && ports.includes(portOf(element.key))));
      }
      const seen = new Set<string>();
      for (const claim of claims) {
        const id = `${claim.map} ${claim.key}`;
        if (seen.has(id)) continue;
        seen.add(id);
        if (this.#isApart(first, claim)) occupied.add(layer);
        else rivals.push(claim);
      }
    }
    const layer = [0, ...FURTHER_LAYERS].find((one) => !occupied.has(one));
    if (layer === undefined) {
      const most = FURTHER_LAYERS.length + 1;
      throw new CniError(
        HOST_PORT_TAKEN,
        `host port is already in use: ${most} pods with other conditions have it`,
        `more than ${most} on one port are not possible with nftables`,
      );
    }
    return { rivals: await this.#withRest(rivals), layer };
  }

  /** Whether no packet meets the conditions of a plan and those of a claim. */
  #isApart(plan: NftPlan, claim: NftElement): boolean {
    const family = familyOf(claim);
    const others = this.#conditionsOf(claim, family) ?? [];
    return others.length > 0 && others.every((other) => areDisjoint(plan.conditions[family], other));
  }

  /** What the mapping of a claim may ask of a packet: none when it has no chain of conditions; undefined when it is not remembered. */
  #conditionsOf(claim: NftElement, family: Family): Conditions[] | undefined {
    if (conditionsChain(claim) === undefined) return [];
    const owner = ownerOfElement(claim.comment);
    if (owner === undefined) return undefined;
    return this.#attachments.conditionsOf(owner.chain)?.map((one) => one[family]);
  }

  #inWords(installed: Installed, attached: Attached): string {
    const [mapping] = mappingOf(installed);
    const owner = ownerOfElement(installed.claim.comment);
    const who = owner === undefined ? 'an unknown owner' : inWords(owner, attached, this.#attachments);
    const where = mapping?.hostIP === undefined ? '' : `${mapping.hostIP} `;
    const what = installed.claim.key.split(' . ').slice(-2).join(' ');
    return `${where}${what} of ${who} at ${mapping?.target ?? 'an unknown address'}`;
  }

  async #isPresent(plan: NftPlan, before: readonly Installed[]): Promise<boolean> {
    const wanted = [plan.attachment, ...plan.claims, ...plan.rest, ...plan.reservations];
    const there = await this.#table.look(wanted);
    if (!wanted.every(({ value }, i) => there[i] !== undefined && there[i].value === value)) return false;
    if (before.length !== plan.claims.length) return false;
    return (await this.#table.fault({ maps: [], chains: plan.chains })) === undefined;
  }
}

interface Clearing {
  changes: NftChange[];
  /** Attachments, by the name of their chain, that lose all. */
  gone: Set<string>;
  warnings: string[];
}

interface Eviction {
  /** Names of the chains of attachments that lose all, by their owner's word. */
  gone: Map<string, string>;
  leaving: Installed[];
  /** Chains that claims lead to which do not leave. */
  staying: Set<string>;
  warnings: string[];
}

const nothing: Clearing = { changes: [], gone: new Set(), warnings: [] };
const NO_IPV6 = '0:0:0:0:0:0:0:0';

function creationsOf(plan: NftPlan): NftChange[] {
  return [
    ...plan.chains.map((chain): NftChange => ({ verb: 'put-chain', chain })),
    { verb: 'create', ...plan.attachment },
    ...plan.claims.map((element): NftChange => ({ verb: 'create', ...element })),
    // The pod's own address may be recorded already, by an earlier attachment: it is not a claim, so it cannot collide.
    ...byMap(plan.rest).map(
      (element): NftChange => ({
        verb: element.map.startsWith('own') ? 'add' : 'create',
        ...element,
      }),
    ),
    ...plan.reservations.map((element): NftChange => ({ verb: 'add', ...element })),
  ];
}

function deletionsOf(
  installed: readonly Installed[],
  others: readonly (NftElement | undefined)[],
  staying: ReadonlySet<string> = new Set(),
): NftChange[] {
  const elements = new Map<string, Extract<NftChange, { verb: 'delete' }>>();
  const chains = new Map<string, NftChange>();
  const leaving = installed.flatMap(({ claim, target, own }) => [claim, target, own]);
  for (const element of [...leaving, ...others]) {
    if (element === undefined) continue;
    const { map, key } = element;
    elements.set(`${map} ${key}`, { verb: 'delete', map, key });
  }
  for (const { claim } of installed) {
    const chain = conditionsChain(claim);
    if (chain !== undefined && !staying.has(chain)) chains.set(chain, { verb: 'delete-chain', name: chain });
  }
  return [...byMap([...elements.values()]), ...chains.values()];
}

/** The elements of a map after one another: they go to the kernel in one message. */
function byMap<T extends { map: string }>(elements: readonly T[]): T[] {
  return [...Map.groupBy(elements, ({ map }) => map).values()].flat();
}

/** The chain with the conditions of a claim's attachment. */
function conditionsChain({ value }: NftElement): string | undefined {
  return /^goto (.+)$/.exec(value ?? '')?.[1];
}

/** Protocol and port of a key, with or without an address before them. */
function portOf(key: string): string {
  return key.split(' . ').slice(-2).join(' . ');
}

function mappingOf({ claim, target }: Installed): InstalledMapping[] {
  return mappingsIn(claim, target);
}

/** What a claim and its target say; nothing without a target. */
export function mappingsIn(claim: NftElement, target: NftElement | undefined): InstalledMapping[] {
  const parts = claim.key.split(' . ');
  const [protocol = '', port = ''] = parts.slice(-2);
  const [address, containerPort] = target?.value?.split(' . ') ?? [];
  if (address === undefined) return [];
  return [
    {
      protocol,
      hostPort: Number(port),
      hostIP: parts.length === 3 ? canonicalAddress(parts[0]!) : undefined,
      target: formatEndpoint({ address: canonicalAddress(address), port: containerPort! }),
    },
  ];
}

function familyOf({ map }: NftElement): Family {
  return map.endsWith('4') ? 'ipv4' : 'ipv6';
}

function packetOf(claim: NftElement): MappedPacket {
  const parts = claim.key.split(' . ');
  const [protocol = '', port = ''] = parts.slice(-2);
  return {
    family: familyOf(claim),
    protocol,
    port: Number(port),
    address: parts.length === 3 ? canonicalAddress(parts[0]!) : undefined,
  };
}

function describeElement({ map, key, value, comment }: NftElement): string {
  return `${map} { ${key}${value === undefined ? '' : ` : ${value}`} }${comment === undefined ? '' : ` of ${comment}`}`;
}

function missing(what: string): CniError {
  return new CniError(cniErrorCode.internal, 'nftables rule missing in table inet hostport', what);
}

/** Turns nftables being unusable into error 50. */
async function usable<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    if (!(cause instanceof NftUnavailable)) throw cause;
    throw new CniError(cniErrorCode.pluginNotAvailable, 'nftables cannot be used', cause.message, { cause });
  }
}
