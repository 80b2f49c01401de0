/**
 * A map that makes a value each time it is asked for one, and keeps none: for values that are not all to be in memory at once. Whoever goes through it
 * has one at a time.
 */
export class LazyMap<K, V> implements ReadonlyMap<K, V> {
  readonly #keys: ReadonlySet<K>;
  readonly #make: (key: K) => V;

  /** `make` is called with one of the keys. */
  constructor(keys: Iterable<K>, make: (key: K) => V) {
    this.#keys = new Set(keys);
    this.#make = make;
  }

  get size(): number {
    return this.#keys.size;
  }

  has(key: K): boolean {
    return this.#keys.has(key);
  }

  get(key: K): V | undefined {
    return this.#keys.has(key) ? this.#make(key) : undefined;
  }

  forEach(use: (value: V, key: K, map: ReadonlyMap<K, V>) => void): void {
    for (const [key, value] of this) use(value, key, this);
  }

  keys() {
    return this.#keys.values();
  }

  values() {
    return this.keys().map((key) => this.#make(key));
  }

  entries() {
    return this.keys().map((key): [K, V] => [key, this.#make(key)]);
  }

  [Symbol.iterator]() {
    return this.entries();
  }
}
