import { CNIS } from '../../path/source/cnis.ts';
import { KEPT_WORDS } from './kept-words.ts';

/** What a name is of; its stand-in begins with it. */
export type NameKind =
  | 'node'
  | 'namespace'
  | 'pod'
  | 'container'
  | 'image'
  | 'service'
  | 'policy'
  | 'owner'
  | 'object'
  | 'host'
  | 'label'
  | 'value'
  | 'port';

/** Namespaces that every cluster has, and those of well-known CNIs, by which their agents are recognised. */
const KEPT_NAMESPACES: ReadonlySet<string> = new Set([
  ...['default', 'kube-system', 'kube-public', 'kube-node-lease'],
  ...CNIS.flatMap(({ agent }) => agent?.namespaces ?? []),
]);

/**
 * Stand-ins for names: the same name of a kind has the same one everywhere, no stand-in is a name of the cluster, and those of a kind have the order of
 * what they stand for, in which a diagnosis looks at them. All names are added before the first stand-in is asked for; one that was not is given one when
 * it is met.
 */
export class NameStandIns {
  readonly #byKind = new Map<NameKind, Map<string, string>>();
  /** Names that texts may quote, by their first part (`web` of `web-7d9f.shop`), longest first. */
  #quoted: Map<string, [name: string, kind: NameKind][]> | undefined;
  readonly #names = new Map<string, NameKind>();
  readonly #kept = new Set<string>();
  readonly #ofKind = new Map<NameKind, Set<string>>();
  readonly #counts = new Map<NameKind, number>();

  /** Notes a name. Of one that is of several kinds, texts mean the first. */
  add(kind: NameKind, name: string | undefined): void {
    if (name === undefined || name === '' || isKept(kind, name)) return;
    const names = this.#ofKind.get(kind) ?? new Set<string>();
    this.#ofKind.set(kind, names.add(name));
    if (this.#names.has(name)) return;
    this.#names.set(name, kind);
    this.#quoted = undefined;
  }

  /** Notes a word that is the name of something else, such as a network or a device: it stays in texts. */
  keep(word: string): void {
    this.#kept.add(word);
  }

  /** The stand-in of a name. */
  of<T extends string | undefined>(kind: NameKind, name: T): T {
    if (name === undefined || name === '' || isKept(kind, name)) return name;
    const known = this.#standInsOf(kind);
    let standIn = known.get(name);
    if (standIn === undefined) {
      standIn = this.#next(kind);
      known.set(name, standIn);
    }
    return standIn as T;
  }

  #standInsOf(kind: NameKind): Map<string, string> {
    const known = this.#byKind.get(kind);
    if (known !== undefined) return known;
    const made = new Map<string, string>();
    this.#byKind.set(kind, made);
    for (const name of [...(this.#ofKind.get(kind) ?? [])].sort()) made.set(name, this.#next(kind));
    return made;
  }

  #next(kind: NameKind): string {
    const width = String(this.#ofKind.get(kind)?.size ?? 0).length;
    for (;;) {
      const count = (this.#counts.get(kind) ?? 0) + 1;
      this.#counts.set(kind, count);
      const standIn = `${kind}-${String(count).padStart(width, '0')}`;
      if (!this.#names.has(standIn)) return standIn;
    }
  }

  /** The stand-in of a word of a text, if all of it is a name; undefined if it is none. */
  ofWord(word: string): string | undefined {
    const kind = this.#names.get(word);
    if (kind === undefined || this.#isReserved(word)) return undefined;
    return this.of(kind, word);
  }

  /**
   * A word of a text with the names in it replaced that begin and end at its dots and hyphens: `web-7d9f.shop.svc`. Only names that cannot be
   * ordinary words, unless they stand between dots.
   */
  inWord(word: string): string {
    this.#quoted ??= this.#index();
    let replaced = '';
    let kept = 0;
    for (const { index, 0: part } of word.matchAll(/[A-Za-z0-9]+/g)) {
      if (index < kept) continue;
      const found = this.#quoted
        .get(part)
        ?.find(([name]) => word.startsWith(name, index) && this.#standsAlone(word, index, name));
      if (found === undefined) continue;
      const [name, kind] = found;
      replaced += word.slice(kept, index) + this.of(kind, name);
      kept = index + name.length;
    }
    return replaced + word.slice(kept);
  }

  #standsAlone(word: string, start: number, name: string): boolean {
    const [before, behind] = [word[start - 1], word[start + name.length]];
    if (behind !== undefined && /[A-Za-z0-9]/.test(behind)) return false;
    if (this.#isReserved(name)) return false;
    const isBetweenDots = (before ?? '.') === '.' && (behind ?? '.') === '.';
    return isBetweenDots || (name.length >= 4 && /[\d.-]/.test(name));
  }

  #isReserved(name: string): boolean {
    return this.#kept.has(name) || KEPT_WORDS.has(name);
  }

  #index(): Map<string, [string, NameKind][]> {
    const index = new Map<string, [string, NameKind][]>();
    for (const [name, kind] of this.#names) {
      const first = /[A-Za-z0-9]+/.exec(name)?.[0] ?? '';
      const of = index.get(first) ?? [];
      index.set(first, of);
      of.push([name, kind]);
    }
    for (const of of index.values()) of.sort(([a], [b]) => b.length - a.length);
    return index;
  }
}

function isKept(kind: NameKind, name: string): boolean {
  return kind === 'namespace' && KEPT_NAMESPACES.has(name);
}
