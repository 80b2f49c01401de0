import { pageData } from '../../src/page/model.ts';
import type { Diagnosis } from '../../src/path/model/finding.ts';
import { realClock } from '../../src/sys/clock.ts';
import { HISTORY_LIMITS, History } from '../../src/ui/history.ts';
import { newKeys } from '../../src/ui/keys.ts';
import type { LabOrder } from '../../src/ui/lab-door.ts';
import { liveDocument } from '../../src/ui/live-document.ts';
import type { UiStart, UiTopics } from '../../src/ui/protocol.ts';
import { serveUi, type UiServer } from '../../src/ui/server.ts';
import { Topics } from '../../src/ui/topics.ts';
import type { Outcome } from '../../src/ui/workshop.ts';
import type { PageCluster } from './clusters.ts';

/** The server of the live page with made-up clusters, which a test shows one after another. */
export class LiveServer {
  /** How many clusters were shown: ten seconds of their own time each. */
  #time = 0;
  readonly history = new History(HISTORY_LIMITS, { monotonic: () => 10_000 * this.#time });
  readonly topics: Topics<UiTopics>;
  readonly orders: LabOrder[] = [];
  readonly #kind: UiStart['kind'];
  readonly #title: string;
  readonly #keys = newKeys();
  #server: UiServer;
  /** What becomes of an order. */
  answer: (order: LabOrder) => Outcome | Promise<Outcome> = () => ({ status: 200, ok: true, text: 'done' });

  constructor(kind: UiStart['kind'], port: number, title = 'Cluster "kind" of the lab') {
    this.#kind = kind;
    this.#title = title;
    this.topics = new Topics('run', realClock);
    this.#server = this.#serve(port);
    this.topics.publish('watch', { state: 'waiting', lookedAt: new Date().toISOString(), changed: 0 });
  }

  get url(): string {
    return this.#server.url;
  }

  get origin(): string {
    return new URL(this.url).origin;
  }

  get port(): number {
    return this.#server.port;
  }

  /** Shows a cluster, as a look at it that has just ended. */
  show({ diagnosis, ways }: PageCluster): void {
    const observedAt = new Date(Date.parse('2030-01-01T12:00:00Z') + 10_000 * this.#time++).toISOString();
    const seen: Diagnosis = { ...diagnosis, observedAt };
    this.history.add(seen, pageData({ diagnosis: seen, ways, title: this.#title, version: '1.2.3' }));
    this.topics.publish('moment', this.history.last!);
  }

  /** Lets so many milliseconds pass, also as the clusters date themselves. */
  pass(ms: number): void {
    this.#time += ms / 10_000;
  }

  stop(): Promise<void> {
    return this.#server.stop();
  }

  /** Serves again, on the same port and with the same keys. */
  restart(): void {
    this.#server = this.#serve(this.#server.port);
  }

  #serve(port: number): UiServer {
    const start: UiStart = {
      title: this.#title,
      kind: this.#kind,
      version: '1.2.3',
      base: this.#keys.base,
      ...(this.#kind === 'lab' && { action: this.#keys.action, faults: FAULTS }),
    };
    return serveUi({
      port,
      keys: this.#keys,
      page: liveDocument(start),
      history: this.history,
      topics: this.topics,
      onError: (error) => {
        throw error;
      },
      ...(this.#kind === 'lab' && {
        carryOut: async (order: LabOrder) => {
          this.orders.push(order);
          return this.answer(order);
        },
      }),
    });
  }
}

const FAULTS: NonNullable<UiStart['faults']> = [
  {
    code: 'plugin-missing',
    stage: 'installed',
    title: 'a plugin of the chain is not installed',
    does: 'removes portmap from /opt/cni/bin',
  },
  {
    code: 'mapping-missing',
    stage: 'translated',
    title: "the pod's mapping is missing from the node's rules",
    does: 'flushes CNI-HOSTPORT-DNAT, as a firewall that reloads does',
  },
];
