import type { PageData } from '../../page/data.ts';
import type { TraceDocument } from '../../path/trace/document.ts';
import type { Difference } from '../difference.ts';
import type { Moment } from '../history.ts';
import type { LabOrder } from '../lab-door.ts';
import { ACTION_HEADER, type UiStart, type UiTopics } from '../protocol.ts';

/** Whether news comes: `lost` is tried again by the browser, `over` is not. */
export type Link = 'opening' | 'open' | 'lost' | 'over';

/** What a connection reports to the page. */
export interface Listener {
  link(link: Link): void;
  topic<K extends keyof UiTopics>(topic: K, value: UiTopics[K]): void;
}

/** The result of an order. */
export interface Answer {
  ok: boolean;
  text: string;
  trace?: TraceDocument;
}

const TOPICS = ['watch', 'moment', 'traffic', 'lab'] as const satisfies (keyof UiTopics)[];

/** Follows the events of the server until the result is called. A browser comes back by itself, with the ID of the last event. */
export function follow({ base }: UiStart, listener: Listener): () => void {
  const source = new EventSource(`${base}events`);
  source.onopen = () => listener.link('open');
  source.onerror = () => listener.link(source.readyState === EventSource.CLOSED ? 'over' : 'lost');
  for (const topic of TOPICS) {
    source.addEventListener(topic, ({ data }) => listener.topic(topic, JSON.parse(data)));
  }
  return () => source.close();
}

/** What the page shows of a moment. */
export function readMoment({ base }: UiStart, id: number): Promise<PageData> {
  return read(`${base}moments/${id}`);
}

/** All moments that are kept, oldest first. */
export function readMoments({ base }: UiStart): Promise<Moment[]> {
  return read(`${base}moments`);
}

export function readDifference({ base }: UiStart, from: number, to: number): Promise<Difference> {
  return read(`${base}difference?from=${from}&to=${to}`);
}

/** Has an order carried out; never rejects. */
export async function send(
  { base, action = '' }: UiStart,
  { do: what, ...order }: LabOrder,
): Promise<Answer> {
  try {
    const answer = await fetch(`${base}lab/${what}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', [ACTION_HEADER]: action },
      body: JSON.stringify(order),
    });
    if (answer.headers.get('content-type') === 'application/json') return await answer.json();
    return { ok: false, text: (await answer.text()).trim() };
  } catch (error) {
    return { ok: false, text: `cannot reach hostport ui: ${error instanceof Error ? error.message : error}` };
  }
}

async function read<T>(path: string): Promise<T> {
  const answer = await fetch(path);
  if (!answer.ok) throw new Error((await answer.text()).trim());
  return answer.json();
}
