import type { NameStandIns } from './names.ts';
import type { TextStandIns } from './texts.ts';

/** Keys of labels that say what kind of node it is, with values that everybody has. */
const KEPT_VALUES =
  /^(?:beta\.)?kubernetes\.io\/(?:os|arch)$|^node\.kubernetes\.io\/[a-z-]+$|^node-role\.kubernetes\.io\//;
/** Keys that are known to everybody. */
const KEPT_KEYS =
  /^(?:(?:[a-z0-9-]+\.)*(?:kubernetes|k8s)\.io\/[\w./-]+|app|k8s-app|name|component|tier|release|version|role)$/;
/** By which k3s' load balancer says whose port its pods have. */
const K3S_SERVICE = 'svccontroller.k3s.cattle.io/svcname';
const K3S_NAMESPACE = 'svccontroller.k3s.cattle.io/svcnamespace';

/**
 * Stand-ins for labels, selectors and taints: what selected something selects its stand-in. Well-known keys stay, and so do their values where everybody
 * has the same.
 */
export class LabelStandIns {
  readonly #names: NameStandIns;
  readonly #texts: TextStandIns;

  constructor(names: NameStandIns, texts: TextStandIns) {
    this.#names = names;
    this.#texts = texts;
  }

  labels(labels: Readonly<Record<string, string>>): Record<string, string> {
    return Object.fromEntries(
      Object.entries(labels).map(([key, value]) => [this.#key(key), this.#value(key, value)]),
    );
  }

  /** An entry of `matchExpressions`. */
  requirement(requirement: object): object {
    const { key, values, ...rest } = requirement as { key?: unknown; values?: unknown };
    if (typeof key !== 'string') return {};
    return {
      key: this.#key(key),
      ...rest,
      ...(Array.isArray(values) && { values: values.map((value) => this.#value(key, String(value))) }),
    };
  }

  taint<T extends { key: string; value?: string | undefined }>(taint: T): T {
    const { key, value } = taint;
    return { ...taint, key: this.#key(key), ...(value !== undefined && { value: this.#value(key, value) }) };
  }

  #key(key: string): string {
    if (key === K3S_SERVICE || key === K3S_NAMESPACE) return key;
    return KEPT_KEYS.test(key) || KEPT_VALUES.test(key) ? key : this.#names.of('label', key);
  }

  #value(key: string, value: string): string {
    if (value === '' || KEPT_VALUES.test(key)) return value;
    if (key === K3S_SERVICE) return this.#names.of('service', value);
    if (key === 'kubernetes.io/metadata.name' || key === K3S_NAMESPACE)
      return this.#names.of('namespace', value);
    if (key === 'kubernetes.io/hostname') return this.#texts.host(value);
    return this.#names.of('value', value);
  }
}
