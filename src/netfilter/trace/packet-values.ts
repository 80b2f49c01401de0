import { type AddressValue, formatAddress, isLoopback, parseAddress } from '../../util/address.ts';
import type { NftFamily } from '../../util/family.ts';
import { type BaseChain, type Expression, type Field, protocolNumber, type Ruleset } from '../read/model.ts';
import { type Branch, hasConnection, isTemplate, statusOf } from './branch.ts';
import { ABSENT, addressType, type FieldValue } from './evaluate.ts';
import type { Environment, Packet } from './trace-types.ts';

/** The two ends of a packet. */
interface Ends {
  source: AddressValue;
  destination: AddressValue;
}

const HAS_PORTS = new Set(['tcp', 'udp', 'sctp', 'dccp', 'udplite'].map((name) => protocolNumber(name)));

/** What the conditions of rules read: of the packet, of its connection, and of the node. */
export class PacketValues {
  /** The ends of the packet as it came. */
  readonly own: Ends;
  /** Those of its connection's first packet. */
  readonly original: Ends;
  readonly #ruleset: Ruleset;
  readonly #packet: Packet;
  readonly #environment: Environment;
  readonly #protocol: number;
  readonly #local = new Map<AddressValue, boolean>();
  #isTemplateWritten: boolean | undefined;
  // Where the packet is read.
  #branch!: Branch;
  #base!: BaseChain;
  readonly #read = (field: Field): FieldValue => this.#value(field);

  /** Throws when the packet's protocol is none, or an address of it is not of its family. */
  constructor(ruleset: Ruleset, packet: Packet, environment: Environment) {
    this.#ruleset = ruleset;
    this.#packet = packet;
    this.#environment = environment;
    const protocol = protocolNumber(packet.protocol);
    if (protocol === undefined) throw new Error(`packet: ${packet.protocol} is not a protocol`);
    this.#protocol = protocol;
    this.own = endsOf(packet, packet.family);
    this.original = packet.answers === undefined ? this.own : endsOf(packet.answers, packet.family);
  }

  /** What reads a field as the rules of a base chain do, of a branch; the next call changes what it reads. */
  at(branch: Branch, base: BaseChain): (field: Field) => FieldValue {
    this.#branch = branch;
    this.#base = base;
    return this.#read;
  }

  #value(field: Field): FieldValue {
    const branch = this.#branch;
    switch (field) {
      case 'family':
        return this.#packet.family;
      case 'protocol':
        return this.#protocol;
      case 'source':
        return branch.source;
      case 'destination':
        return branch.destination;
      case 'source-port':
        return HAS_PORTS.has(this.#protocol) ? branch.sourcePort : undefined;
      case 'destination-port':
        return HAS_PORTS.has(this.#protocol) ? branch.destinationPort : undefined;
      // Where there is none, its name is empty.
      case 'input-interface':
        return branch.inputInterface ?? '';
      case 'output-interface':
        return branch.outputInterface ?? '';
      case 'mark':
        return branch.mark;
      case 'source-type':
        return branch.source === undefined ? undefined : this.#addressType(branch.source);
      case 'destination-type':
        if (branch.redirected) return 'local';
        return branch.destination === undefined ? undefined : this.#addressType(branch.destination);
      case 'reverse-path':
        return this.#reversePath(0);
      case 'reverse-path-by-mark':
        return this.#reversePath(branch.mark);
      default:
        return this.#connectionValue(field);
    }
  }

  /** Where the route back to the source leads, as a packet of the node itself to it would go (rpfilter_lookup_reverse). */
  #reversePath(mark: number | undefined): FieldValue {
    const { source, destination, inputInterface } = this.#branch;
    if (inputInterface === undefined || inputInterface === 'lo') return 'kept';
    if (source === undefined || destination === undefined) return undefined;
    const { family } = this.#packet;
    const route = this.#environment.route({
      family,
      source: formatAddress(destination),
      destination: formatAddress(source),
      inputInterface: undefined,
      mark,
    });
    if (route.kind === 'unknown') return undefined;
    if (route.kind !== 'forward') return 'none';
    if (route.outputInterface === inputInterface) return 'kept';
    // Of IPv6 the kernel looks among the routes of the interface alone, of which there may be a less specific one.
    return family === 'ip' ? 'other' : undefined;
  }

  #connectionValue(field: Field): FieldValue {
    const branch = this.#branch;
    const state = this.#packet.ctState ?? 'new';
    const connected = hasConnection(branch, this.#packet);
    if (isTemplate(branch)) return this.#templateValue(field);
    if (field === 'ct-state') {
      if (branch.tracking === 'untracked') return 'untracked';
      return connected ? [state, ...statusOf(branch)] : 'invalid';
    }
    if (!connected) return ABSENT;
    switch (field) {
      case 'ct-status':
        return statusOf(branch);
      case 'ct-mark':
        return branch.connectionMark;
      case 'ct-direction':
        if (this.#packet.answers !== undefined) return 'reply';
        return state === 'new' ? 'original' : undefined;
      case 'ct-original-source':
        return this.original.source;
      case 'ct-original-destination':
        return this.original.destination;
      case 'ct-original-destination-port':
        return HAS_PORTS.has(this.#protocol)
          ? (this.#packet.answers ?? this.#packet).destinationPort
          : undefined;
      default:
        return undefined;
    }
  }

  /**
   * Of the template that stands for a connection: it is new. nft reads nothing else of it (nft_ct_get_eval); to iptables it is a connection whose ends
   * and mark are 0 (xt_conntrack, xt_connmark).
   */
  #templateValue(field: Field): FieldValue {
    if (field === 'ct-state') return 'new';
    if (this.#base.backend === 'nft') return ABSENT;
    switch (field) {
      case 'ct-direction':
        return 'original';
      case 'ct-mark':
        return this.templateMark();
      case 'ct-original-destination-port':
        return 0;
      case 'ct-original-source':
      case 'ct-original-destination':
        return this.#packet.family === 'ip' ? 0 : 0n;
      default:
        return ABSENT;
    }
  }

  /** The mark of the template. One template serves all packets: what a rule of iptables writes into its mark stays there. */
  templateMark(): number | undefined {
    this.#isTemplateWritten ??= this.#ruleset.tables.some(
      ({ backend, name, chains }) =>
        backend !== 'nft' &&
        name === 'raw' &&
        [...chains.values()].some(({ rules }) =>
          rules.some(({ expressions }) => expressions.some(writesConnectionMark)),
        ),
    );
    return this.#isTemplateWritten ? undefined : 0;
  }

  #addressType(value: AddressValue): string {
    const type = addressType(value, this.isLocal(value));
    // Of IPv4 what has no route is unicast all the same (inet_addr_type), of IPv6 it is not (nft_fib6_eval_type).
    return type === 'unicast' && typeof value === 'bigint' && this.#isUnroutable(value)
      ? 'unreachable'
      : type;
  }

  #isUnroutable(value: AddressValue): boolean {
    const { family } = this.#packet;
    const [source, destination] = [formatAddress(this.own.source), formatAddress(value)];
    const { inputInterface, mark } = this.#branch;
    return (
      this.#environment.route({ family, source, destination, inputInterface, mark }).kind === 'unroutable'
    );
  }

  /** Whether an address is the node's own. */
  isLocal(value: AddressValue): boolean {
    let local = this.#local.get(value);
    if (local === undefined) {
      local = isLoopback(value) || this.#environment.isLocal(formatAddress(value));
      this.#local.set(value, local);
    }
    return local;
  }
}

function endsOf({ source, destination }: { source: string; destination: string }, family: NftFamily): Ends {
  return { source: addressOf(source, family), destination: addressOf(destination, family) };
}

function addressOf(text: string, family: NftFamily): AddressValue {
  const value = parseAddress(text);
  if (value === undefined || (typeof value === 'number') !== (family === 'ip')) {
    throw new Error(`${JSON.stringify(text)} is not an ${family} address`);
  }
  return value;
}

function writesConnectionMark(expression: Expression): boolean {
  switch (expression.kind) {
    case 'set-mark':
    case 'set-mark-from-map':
    case 'opaque-mark':
      return expression.of === 'connection';
    case 'copy-mark':
      return expression.to === 'connection';
    default:
      return false;
  }
}
