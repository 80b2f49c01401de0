import type { AddressStandIns } from './addresses.ts';
import type { NameStandIns } from './names.ts';

/** Endings that make a word with dots a file, not a host. */
const FILE_ENDING =
  /\.(?:conf(?:list)?|json|ya?ml|toml|sock|socket|log|lock|pid|tmp|service|slice|scope|mount|timer|target|so|sh|go|py|txt|db|pem|crt|key|tar|gz|bin|d|old|bak|orig|disabled|env|kubeconfig)$/i;
/** Beginnings of what has dots and is no host: sysctls, plugins of containerd. */
const NO_HOST = /^(?:net|kernel|fs|vm|io|in|arpa)\.[a-z]/i;
/** Domains of projects and of what every cluster has. A name below them may be a cluster's own. */
const PUBLIC_HOST =
  /^(?:docker\.io|registry\.k8s\.io|k8s\.gcr\.io|quay\.io|ghcr\.io|gcr\.io|mcr\.microsoft\.com|public\.ecr\.aws|github\.com|kubernetes\.io|k8s\.io|cluster\.local|svc\.cluster\.local|[a-z.-]+\.k(?:8s|ubernetes)\.io)$/i;

/** A run of characters that may be an image, a URL, an address with its port, or words between slashes and colons. */
const RUN = /[\w.:/@%[\]-]+/g;
/** The parts of a run, each looked at once: an IPv4 address, a link-layer address, an IPv6 address, a word. */
const PART =
  /(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?:\/\d{1,3})?(?![\w]|\.\w)|(?<![\w:])(?:[0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}(?![\w:])|(?<![\w:.])[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:]*:?[0-9A-Fa-f.:]*(?:\/\d{1,3})?(?![\w])|[A-Za-z0-9]+(?:[.-]+[A-Za-z0-9]+)*/g;
const MAC = /^(?:[0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}$/;

/** Texts with names, hosts and addresses replaced. */
export class TextStandIns {
  readonly #addresses: AddressStandIns;
  readonly #names: NameStandIns;
  readonly #links = new Map<string, string>();

  constructor(addresses: AddressStandIns, names: NameStandIns) {
    this.#addresses = addresses;
    this.#names = names;
  }

  /** What a program or a person wrote. */
  text(text: string): string {
    return text
      .replace(
        /\b([Ii]mage\s+\\?")([^"\\]+)/g,
        (_, before: string, image: string) => `${before}${this.#names.of('image', image)}`,
      )
      .replace(RUN, (run) => this.#run(run));
  }

  /** A text of which only addresses are replaced: the rest are names that belong to one another. */
  addresses(text: string): string {
    if (!/\d\.\d|:/.test(text)) return text;
    return text.replace(PART, (part) => this.#address(part) ?? part);
  }

  /** The name of a host. */
  host(name: string): string {
    return this.#address(name) ?? this.#names.ofWord(name) ?? this.#hostAlone(name);
  }

  #run(run: string): string {
    const [, image = '', end = ''] = /^(.*?)([.:,/-]*)$/.exec(run) ?? [];
    const whole = image.includes('/') || image.includes(':') ? this.#names.ofWord(image) : undefined;
    if (whole !== undefined) return `${whole}${end}`;
    const scheme = /^[a-z][a-z0-9+.-]*:\/\//i.exec(run)?.[0];
    if (scheme === undefined) return this.#parts(run);
    const host = /^(?:[^/@]*@)?(\[[^\]]*\]|[^/:]*)/.exec(run.slice(scheme.length))!;
    const rest = run.slice(scheme.length + host[0].length);
    const isAddress = this.#address(host[1]!.replace(/^\[|\]$/g, '')) !== undefined;
    const replaced = isAddress || host[1] === '' ? this.#parts(host[0]) : this.host(host[1]!);
    return `${scheme}${replaced}${this.#parts(rest)}`;
  }

  #parts(text: string): string {
    return text.replace(PART, (part) => this.#address(part) ?? this.#word(part));
  }

  #address(part: string): string | undefined {
    if (MAC.test(part)) return this.#link(part);
    const found = this.#addresses.of(part);
    if (found !== undefined) return found;
    // What follows an address is not always its end: `10.0.0.1/` of a path, `fd00::1:`.
    const [, address = '', end = ''] = /^(.*?)([:/.]\d{0,3})$/.exec(part) ?? [];
    const inner = address === '' ? undefined : this.#addresses.of(address);
    return inner === undefined ? undefined : `${inner}${end}`;
  }

  /** A stand-in of a link-layer address, which is one that nobody gives out (IEEE 802, locally administered). */
  #link(address: string): string {
    const key = address.toLowerCase();
    // Of no device, and of all.
    if (/^(?:00:){5}00$|^(?:ff:){5}ff$/.test(key)) return address;
    const known = this.#links.get(key);
    if (known !== undefined) return known;
    const number = (this.#links.size + 1).toString(16).padStart(8, '0');
    const standIn = `02:00:${number.match(/../g)!.join(':')}`;
    this.#links.set(key, standIn);
    return standIn;
  }

  #word(word: string): string {
    if (!/^[A-Za-z0-9]+(?:[.-]+[A-Za-z0-9]+)*$/.test(word)) {
      return word.replace(/[A-Za-z0-9]+(?:[.-]+[A-Za-z0-9]+)*/g, (inner) => this.#word(inner));
    }
    const whole = this.#names.ofWord(word);
    if (whole !== undefined) return whole;
    const replaced = this.#names.inWord(word);
    return isHost(replaced) ? this.#hostAlone(replaced) : replaced;
  }

  #hostAlone(name: string): string {
    return name === 'localhost' || PUBLIC_HOST.test(name) ? name : this.#names.of('host', name);
  }
}

/** Whether a word is the name of a host and not of a file or a setting. */
function isHost(word: string): boolean {
  if (!/^[a-z0-9-]+(?:\.[a-z0-9-]+)*\.[a-z]{2,24}$/i.test(word)) return false;
  return !FILE_ENDING.test(word) && !NO_HOST.test(word);
}
