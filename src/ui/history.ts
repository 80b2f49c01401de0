import { gunzipSync, gzipSync } from 'node:zlib';
import { countMappings } from '../path/diagnose/count-mappings.ts';
import type { Diagnosis } from '../path/model/finding.ts';
import { type Clock, realClock } from '../sys/clock.ts';
import { type Difference, differenceOf, verdictsOf } from './difference.ts';

/** Bounds of a history. */
export interface HistoryLimits {
  /** How long a moment is kept after it ended, in milliseconds. */
  ageMs: number;
  moments: number;
  /** Of all documents together, as they are kept: compressed. */
  bytes: number;
}

export const HISTORY_LIMITS: HistoryLimits = {
  ageMs: 60 * 60 * 1000,
  moments: 1000,
  bytes: 64 * 1024 * 1024,
};

/** A time during which all verdicts were the same. */
export interface Moment {
  id: number;
  /** How often its document was replaced by one with other evidence. */
  revision: number;
  /** The first and the last look that saw this (RFC 3339). */
  from: string;
  until: string;
  /** Mappings, each by the worst of its stages. */
  mappings: Record<'good' | 'risk' | 'broken' | 'unknown', number>;
}

interface Kept {
  moment: Moment;
  /** When it was last seen, by a clock that nobody sets. */
  seenAt: number;
  /** Digests of the verdicts, and of all that the page shows. */
  verdicts: string;
  content: string;
  /** What differences are made from, and what the page shows; compressed. */
  diagnosis: Uint8Array<ArrayBuffer>;
  page: Uint8Array<ArrayBuffer>;
}

/** What became of a diagnosis that was added. */
export type Added = 'moment' | 'evidence' | 'nothing';

/**
 * What a cluster looked like in the last hour: the diagnosis of each moment at which a verdict changed, compressed. The oldest make room for new
 * ones; the newest always stays.
 */
export class History {
  readonly #limits: HistoryLimits;
  readonly #clock: Pick<Clock, 'monotonic'>;
  readonly #kept: Kept[] = [];
  #nextId = 1;

  constructor(limits: HistoryLimits = HISTORY_LIMITS, clock: Pick<Clock, 'monotonic'> = realClock) {
    this.#limits = limits;
    this.#clock = clock;
  }

  /** Adds what was diagnosed now, and what the page shows of it; says what of it is new. */
  add(diagnosis: Diagnosis, page: object): Added {
    const { observedAt } = diagnosis;
    const verdicts = digest(verdictsOf(diagnosis));
    const content = digest(JSON.stringify({ ...page, observedAt: undefined }));
    const last = this.#kept.at(-1);
    const seenAt = this.#clock.monotonic();
    if (last?.verdicts === verdicts) {
      last.seenAt = seenAt;
      const isSame = last.content === content;
      const { moment } = last;
      last.moment = { ...moment, until: observedAt, revision: moment.revision + (isSame ? 0 : 1) };
      if (!isSame)
        Object.assign(last, {
          content,
          diagnosis: compressed(comparable(diagnosis)),
          page: compressed(page),
        });
      this.#forget(seenAt);
      return isSame ? 'nothing' : 'evidence';
    }
    this.#kept.push({
      ...{ verdicts, content, seenAt },
      diagnosis: compressed(comparable(diagnosis)),
      page: compressed(page),
      moment: {
        id: this.#nextId++,
        revision: 0,
        from: observedAt,
        until: observedAt,
        mappings: countMappings(diagnosis),
      },
    });
    this.#forget(seenAt);
    return 'moment';
  }

  /** Oldest first. */
  get moments(): readonly Moment[] {
    return this.#kept.map(({ moment }) => moment);
  }

  get last(): Moment | undefined {
    return this.#kept.at(-1)?.moment;
  }

  /** What the page shows of a moment, as JSON compressed by gzip; undefined when that moment is not kept any more. */
  page(id: number): Uint8Array<ArrayBuffer> | undefined {
    return this.#find(id)?.page;
  }

  /** What changed between two moments; undefined when one of them is not there any more. */
  difference(from: number, to: number): Difference | undefined {
    const [before, after] = [this.#find(from), this.#find(to)];
    return before === undefined || after === undefined ? undefined : differenceOf(read(before), read(after));
  }

  #find(id: number): Kept | undefined {
    return this.#kept.find(({ moment }) => moment.id === id);
  }

  #forget(now: number): void {
    const { ageMs, moments, bytes } = this.#limits;
    let size = this.#kept.reduce((sum, kept) => sum + bytesOf(kept), 0);
    while (this.#kept.length > 1) {
      const [first] = this.#kept as [Kept];
      const isOld = now - first.seenAt > ageMs;
      if (this.#kept.length <= moments && size <= bytes && !isOld) return;
      size -= bytesOf(first);
      this.#kept.shift();
    }
  }
}

function digest(text: string): string {
  return new Bun.CryptoHasher('sha256').update(text).digest('base64');
}

function bytesOf({ diagnosis, page }: Kept): number {
  return diagnosis.length + page.length;
}

/** A diagnosis without what no difference shows. */
function comparable({ findings, ...diagnosis }: Diagnosis): Diagnosis {
  return {
    ...diagnosis,
    findings: findings.map((finding) => ({ ...finding, evidence: [], explanation: '', remedy: '' })),
  };
}

function compressed(document: object): Uint8Array<ArrayBuffer> {
  return new Uint8Array(gzipSync(JSON.stringify(document), { level: 1 }));
}

function read({ diagnosis }: Kept): Diagnosis {
  return JSON.parse(gunzipSync(diagnosis).toString());
}
