import type { TraceDocument } from '../path/trace/document.ts';
import type { Clock } from '../sys/clock.ts';
import { InputError, messageOf, UserError } from '../util/errors.ts';
import type { LabDoor, LabOrder } from './lab-door.ts';
import type { LabState } from './protocol.ts';

/** What became of an order; `status` is that of HTTP. */
export type Outcome =
  | { status: 200; ok: true; text: string; trace?: TraceDocument }
  | { status: 400 | 409 | 422 | 500; ok: false; text: string };

export interface WorkshopOptions {
  door: LabDoor;
  clock: Clock;
  publish(state: LabState): void;
  /** Is called when something of the lab may have changed. */
  changed(): void;
  /** Is given why it could not be read what is injected after an order. */
  onError(error: unknown): void;
}

/** Carries out what the page asks of a lab, one order at a time, and publishes what is done. */
export class Workshop {
  readonly #options: WorkshopOptions;
  #state: LabState = { injected: [] };
  #running: Promise<unknown> | undefined;

  constructor(options: WorkshopOptions) {
    this.#options = options;
  }

  /** Reads what was injected, which a terminal may have done. */
  async refresh(): Promise<void> {
    const injected = await this.#options.door.injected();
    if (JSON.stringify(injected) === JSON.stringify(this.#state.injected)) return;
    this.#set({ injected });
  }

  /** Publishes the state as it is. */
  publish(): void {
    this.#options.publish(this.#state);
  }

  /** Carries out an order. Never rejects; one that comes while another is carried out is refused. */
  async carryOut(order: LabOrder, signal: AbortSignal): Promise<Outcome> {
    const { running } = this.#state;
    if (running !== undefined)
      return { status: 409, ok: false, text: `cannot ${order.do} now: ${running.what} is under way` };
    const what = wordsOf(order);
    this.#set({ running: { what, since: this.#now() } });
    const work = this.#do(order, signal);
    this.#running = work;
    const outcome = await work;
    const { ok, text } = outcome;
    this.#set({ running: undefined, last: { what, ok, text, at: this.#now() } });
    if (order.do !== 'trace') {
      this.#options.changed();
      try {
        await this.refresh();
      } catch (error) {
        // It is read again after the next look.
        this.#options.onError(error);
      }
    }
    return outcome;
  }

  /** What is being carried out. */
  get underWay(): string | undefined {
    return this.#state.running?.what;
  }

  /** Resolves when nothing is being carried out. */
  async idle(): Promise<void> {
    await this.#running;
  }

  async #do(order: LabOrder, signal: AbortSignal): Promise<Outcome> {
    const { door } = this.#options;
    try {
      switch (order.do) {
        case 'break':
          return { status: 200, ok: true, text: await door.break(order, signal) };
        case 'heal':
          return { status: 200, ok: true, text: await door.heal(order, signal) };
        case 'undo':
          return { status: 200, ok: true, text: await door.undo(order, signal) };
        case 'trace': {
          const trace = await door.trace(order, signal);
          return { status: 200, ok: true, text: trace.message, trace };
        }
      }
    } catch (error) {
      const status = error instanceof InputError ? 400 : error instanceof UserError ? 422 : 500;
      return { status, ok: false, text: messageOf(error) };
    }
  }

  #set(change: Partial<LabState>): void {
    this.#state = { ...this.#state, ...change };
    this.publish();
  }

  #now(): string {
    return new Date(this.#options.clock.now()).toISOString();
  }
}

function wordsOf(order: LabOrder): string {
  switch (order.do) {
    case 'break':
      return `break ${order.code}${order.node === undefined ? '' : ` on ${order.node}`}`;
    case 'heal':
      return order.restart ? 'heal, recreating pods' : 'heal';
    case 'undo':
      return `undo${order.code === undefined ? '' : ` ${order.code}`}${order.node === undefined ? '' : ` on ${order.node}`}`;
    case 'trace':
      return `trace ${order.node}:${order.port}`;
  }
}
