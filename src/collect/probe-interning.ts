import type { ProbeResult } from '../path/model/probe.ts';

type Endpoint = ProbeResult['target'];

/** How many endpoints are compared with: those that the probes of one mapping have. */
const ENDPOINTS = 4;

/** Lets probes that were parsed share what they have in common. A large cluster has a million, of which each names its node, its pod and addresses. */
export class ProbeInterning {
  readonly #texts = new Map<string, string>();
  readonly #endpoints: Endpoint[] = [];

  /** The probe itself, its texts and endpoints replaced by the same ones of probes before it. */
  probe(probe: ProbeResult): ProbeResult {
    probe.vantage = this.#text(probe.vantage);
    probe.node = this.#text(probe.node);
    probe.podUid = this.#text(probe.podUid);
    probe.protocol = this.#text(probe.protocol);
    probe.outcome = this.#text(probe.outcome);
    probe.detail = this.#text(probe.detail);
    probe.target = this.#endpoint(probe.target);
    if (probe.from !== undefined) probe.from = this.#text(probe.from);
    if (probe.answeredBy !== undefined) probe.answeredBy = this.#endpoint(probe.answeredBy);
    if (probe.seenSource !== undefined) probe.seenSource = this.#text(probe.seenSource);
    return probe;
  }

  #text<T extends string>(text: T): T {
    const before = this.#texts.get(text);
    if (before !== undefined) return before as T;
    this.#texts.set(text, text);
    return text;
  }

  #endpoint(endpoint: Endpoint): Endpoint {
    for (const before of this.#endpoints) {
      if (before.port === endpoint.port && before.address === endpoint.address) return before;
    }
    endpoint.address = this.#text(endpoint.address);
    if (this.#endpoints.length === ENDPOINTS) this.#endpoints.shift();
    this.#endpoints.push(endpoint);
    return endpoint;
  }
}
