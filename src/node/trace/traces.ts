import { randomUUID } from 'node:crypto';
import type { FlowRecord, TracedFlow } from '../../path/model/flow-trace.ts';
import { realExec } from '../../sys/exec.ts';
import { whichProgram } from '../report/take.ts';
import { type Recording, startRecording } from './record.ts';

/** A trace that nobody ends is ended after this long, in milliseconds. */
const LONGEST_MS = 60_000;

/** The traces that a server of a node has under way. */
export class Traces {
  readonly #running = new Map<string, { recording: Recording; timer: ReturnType<typeof setTimeout> }>();
  readonly #start: (flow: TracedFlow) => Promise<Recording>;
  readonly #longestMs: number;
  /** Those that are being started or ended. */
  readonly #busy = new Set<Promise<unknown>>();
  #isClosed = false;

  constructor(
    start: (flow: TracedFlow) => Promise<Recording> = (flow) =>
      startRecording(flow, { exec: realExec, which: whichProgram }),
    longestMs = LONGEST_MS,
  ) {
    this.#start = start;
    this.#longestMs = longestMs;
  }

  /** Starts one; returns its name. */
  async start(flow: TracedFlow): Promise<string> {
    const recording = await this.#noted(this.#start(flow));
    const id = randomUUID();
    // What it recorded is lost with it: who asks so late has gone.
    const timer = setTimeout(() => void this.stop(id).catch(() => {}), this.#longestMs);
    this.#running.set(id, { recording, timer });
    if (this.#isClosed) await this.stop(id);
    return id;
  }

  /** Ends one; what it recorded. */
  async stop(id: string): Promise<FlowRecord> {
    const running = this.#running.get(id);
    if (running === undefined)
      throw new Error(
        `cannot end the trace: it has ended; a trace lasts ${this.#longestMs / 1000} s at most`,
      );
    this.#running.delete(id);
    clearTimeout(running.timer);
    return this.#noted(running.recording.stop());
  }

  /** Ends all, and waits until nothing of them is left on the node. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.allSettled([...this.#running.keys()].map((id) => this.stop(id)));
    while (this.#busy.size > 0) await Promise.allSettled(this.#busy);
  }

  #noted<T>(work: Promise<T>): Promise<T> {
    this.#busy.add(work);
    const forget = () => this.#busy.delete(work);
    work.then(forget, forget);
    return work;
  }
}
