import { randomInt } from 'node:crypto';
import { type AddressValue, formatAddress, parseAddress } from '../../util/address.ts';
import { networkRange, parseCidr } from '../../util/cidr.ts';
import { numberOf } from '../../util/ip.ts';

/** Networks whose addresses say nothing of a cluster, or have a meaning of their own: they stay as they are. */
const KEPT = ['0.0.0.0/8', '127.0.0.0/8', '169.254.0.0/16', '224.0.0.0/3', '::/96', 'ff00::/8'];
/** Networks that an address stays in: private ones stay private, and link-local ones link-local. */
const CLASSES = [
  ...['10.0.0.0/8', '100.64.0.0/10', '172.16.0.0/12', '192.168.0.0/16'],
  ...['fe80::/64', 'fd00::/8', '2000::/3', '64:ff9b::/96'],
];

interface Network {
  bits: number;
  value: bigint;
  prefix: number;
}

/**
 * Stand-ins for addresses, such that two of them have as many leading bits in common as what they stand for: networks stay networks, and what is in one
 * stays in it. No address stands for itself but those of {@link KEPT}. How it is done is forgotten with this object.
 */
export class AddressStandIns {
  readonly #coin: () => boolean;
  /** By family and leading bits: whether the next bit is turned. */
  readonly #turned = new Map<string, boolean>();
  readonly #known = new Map<string, string>();
  readonly #kept: Network[];
  /** By family and leading bits: the places of a tree of addresses below which all classes and kept networks are on one side. */
  readonly #fixed = new Set<string>();

  /** @param coin what decides; random unless given. */
  constructor(coin: () => boolean = () => randomInt(2) === 1) {
    this.#coin = coin;
    this.#kept = KEPT.map(networkOfText);
    for (const network of [...this.#kept, ...CLASSES.map(networkOfText)]) this.#fix(network);
  }

  /**
   * Keeps the order of the addresses from one to the other, both included: what is between them stays between them. A range that is too wide to be
   * hidden that way is not kept. To be called before any address is replaced.
   */
  keepOrder(from: string, to: string): void {
    const [a, b] = [parseAddress(from), parseAddress(to)];
    if (a === undefined || b === undefined || typeof a !== typeof b) return;
    const bits = typeof a === 'number' ? 32 : 128;
    let prefix = bits;
    while (prefix > 0 && firstOf(a, prefix) !== firstOf(b, prefix)) prefix--;
    const value = BigInt(firstOf(a, prefix));
    // Where no bit before it can be turned, all of the network would stand for itself.
    const word = value.toString(2).padStart(bits, '0');
    const isHidden = Array.from({ length: prefix }, (_, i) => `${bits} ${word.slice(0, i)}`).some(
      (place) => !this.#fixed.has(place),
    );
    if (isHidden) this.#kept.push({ bits, value, prefix });
  }

  /** The replacement of an address, of `address/prefix` or of `::ffff:a.b.c.d`; undefined for any other text. */
  of(text: string): string | undefined {
    const seen = this.#known.get(text);
    if (seen !== undefined) return seen;
    const made = this.#make(text);
    if (made !== undefined) this.#known.set(text, made);
    return made;
  }

  #make(text: string): string | undefined {
    const slash = text.indexOf('/');
    if (slash < 0) {
      const value = parseAddress(text);
      return value === undefined ? undefined : formatAddress(this.#turn(value));
    }
    const cidr = parseCidr(text);
    const address = parseAddress(text.slice(0, slash));
    if (cidr === undefined || address === undefined) return undefined;
    const turned = this.#turn(address);
    // A network stays written as one. The family of a mapped address is not that of its prefix.
    const prefix = Number(text.slice(slash + 1));
    const isNetwork = networkRange(address, prefix)?.from === address;
    return `${formatAddress(isNetwork ? networkRange(turned, prefix)!.from : turned)}/${prefix}`;
  }

  #turn(address: AddressValue): AddressValue {
    // An IPv4 address that is mapped into IPv6 is the same address.
    if (typeof address === 'bigint' && address >> 32n === 0xffffn) {
      return (0xffffn << 32n) | BigInt(this.#turn(Number(address & 0xffffffffn)));
    }
    const bits = typeof address === 'number' ? 32 : 128;
    const value = BigInt(address);
    const keptFrom = Math.min(
      ...this.#kept
        .filter((network) => network.bits === bits && isIn(value, network))
        .map(({ prefix }) => prefix),
      bits,
    );
    const word = value.toString(2).padStart(bits, '0');
    let turned = '';
    let isMoved = false;
    for (let i = 0; i < bits; i++) {
      const turns: boolean = i < keptFrom && this.#turnsAt(`${bits} ${word.slice(0, i)}`, isMoved);
      isMoved ||= turns;
      turned += turns === (word[i] === '0') ? '1' : '0';
    }
    const result = BigInt(`0b${turned}`);
    return typeof address === 'number' ? Number(result) : result;
  }

  /** Whether the bit behind these ones is turned. The first that can be is, so that nothing stands for itself. */
  #turnsAt(place: string, isMoved: boolean): boolean {
    if (this.#fixed.has(place)) return false;
    const known = this.#turned.get(place);
    if (known !== undefined) return known;
    const turns = isMoved ? this.#coin() : true;
    this.#turned.set(place, turns);
    return turns;
  }

  #fix({ bits, value, prefix }: Network): void {
    const word = value.toString(2).padStart(bits, '0');
    for (let i = 0; i < prefix; i++) this.#fixed.add(`${bits} ${word.slice(0, i)}`);
  }
}

function networkOfText(text: string): Network {
  const cidr = parseCidr(text)!;
  return {
    bits: cidr.ip.family === 'ipv4' ? 32 : 128,
    value: BigInt(numberOf(cidr.ip)),
    prefix: cidr.prefix,
  };
}

function isIn(value: bigint, network: Network): boolean {
  const host = BigInt(network.bits - network.prefix);
  return value >> host === network.value >> host;
}

function firstOf(address: AddressValue, prefix: number): AddressValue {
  return networkRange(address, prefix)!.from;
}
