import { findingKey } from '../path/heal/plan.ts';
import type { Finding } from '../path/model/finding.ts';
import { FAMILY_NAME } from '../util/family.ts';

/** Times in milliseconds. */
export interface LedgerOptions {
  /** The first wait after a fix failed; it doubles up to {@link maxRetryMs}. */
  retryMs: number;
  maxRetryMs: number;
  /** A finding fixed so often within {@link contestWindowMs} is contested: somebody keeps breaking it. */
  contestLimit: number;
  contestWindowMs: number;
  /** How long a contested finding is first left alone; it doubles up to {@link maxTruceMs}. */
  truceMs: number;
  maxTruceMs: number;
  /** A finding that has been gone for so long is forgotten, with its failures and contests. */
  forgetMs: number;
}

export const LEDGER: LedgerOptions = {
  retryMs: 500,
  maxRetryMs: 300_000,
  contestLimit: 5,
  contestWindowMs: 60_000,
  truceMs: 60_000,
  maxTruceMs: 900_000,
  forgetMs: 600_000,
};

interface Entry {
  finding: Finding;
  /** Since when it has been seen without a gap; undefined while it is not seen. */
  since: number | undefined;
  lastSeen: number;
  healedAt: number[];
  failures: number;
  truces: number;
  heldUntil: number;
  isTold: boolean;
  /** What was last reported about it besides. */
  reported: string | undefined;
}

/** The outcome of a fix: not contested; or somebody undid it again and again, and it is left alone for a while. */
export type Verdict = { contested: false } | { contested: true; times: number; heldUntil: number };

/**
 * What is remembered of findings from one look to the next: since when each has been there, how often it was fixed, and until when
 * it is left alone, because the fix failed or because somebody keeps undoing it. Pure: times come in as arguments.
 */
export class Ledger {
  readonly #options: LedgerOptions;
  readonly #entries = new Map<string, Entry>();

  constructor(options: LedgerOptions = LEDGER) {
    this.#options = options;
  }

  /** Records that a finding is there. */
  add(finding: Finding, now: number): void {
    const entry = this.#entry(finding, now);
    entry.finding = finding;
    entry.lastSeen = now;
    entry.since ??= now;
  }

  /** Whether a finding has not been reported yet; it counts as reported from now on, until it is gone. */
  announce(finding: Finding, now: number): boolean {
    const entry = this.#entry(finding, now);
    if (entry.isTold) return false;
    entry.isTold = true;
    return true;
  }

  /** Records that only these findings are there. Returns those that were reported and are gone. */
  retain(findings: readonly Finding[], now: number): Finding[] {
    const there = new Set(findings.map(findingKey));
    const superseded = new Set(findings.flatMap(otherKeys));
    const gone: Finding[] = [];
    for (const [key, entry] of this.#entries) {
      if (there.has(key)) continue;
      if (superseded.has(key)) {
        this.#entries.delete(key);
        continue;
      }
      if (entry.since !== undefined) {
        if (entry.isTold) gone.push(entry.finding);
        forgetSighting(entry);
      }
      const quietSince = Math.max(entry.lastSeen, entry.heldUntil);
      if (now - quietSince >= this.#options.forgetMs) this.#entries.delete(key);
    }
    return gone;
  }

  /** Since when a finding has been seen; `now` when it is new. */
  since(finding: Finding, now: number): number {
    return this.#find(finding)?.since ?? now;
  }

  /** Until when a finding is left alone; 0 when it is not. */
  heldUntil(finding: Finding): number {
    return this.#find(finding)?.heldUntil ?? 0;
  }

  /** A finding was fixed. */
  healed(finding: Finding, now: number): Verdict {
    const { contestLimit, contestWindowMs, truceMs, maxTruceMs } = this.#options;
    const entry = this.#entry(finding, now);
    forgetSighting(entry);
    for (const key of otherKeys(finding)) {
      const other = this.#entries.get(key);
      if (other !== undefined) forgetSighting(other);
    }
    entry.lastSeen = now;
    entry.failures = 0;
    entry.healedAt = [...entry.healedAt.filter((at) => now - at < contestWindowMs), now];
    // After a pause, a single repeat shows that somebody still undoes it.
    const isContested = entry.truces > 0 || entry.healedAt.length >= contestLimit;
    if (!isContested) return { contested: false };
    entry.heldUntil = now + Math.min(truceMs * 2 ** entry.truces, maxTruceMs);
    entry.truces++;
    return { contested: true, times: entry.healedAt.length, heldUntil: entry.heldUntil };
  }

  /** Fixing a finding failed. Returns when it is tried again. */
  failed(finding: Finding, now: number): number {
    const { retryMs, maxRetryMs } = this.#options;
    const entry = this.#entry(finding, now);
    entry.heldUntil = now + Math.min(retryMs * 2 ** entry.failures, maxRetryMs);
    entry.failures++;
    return entry.heldUntil;
  }

  /** Whether this has not been reported about a finding yet; it counts as reported from now on, until the finding is gone. */
  isNews(finding: Finding, what: string): boolean {
    const entry = this.#find(finding);
    if (entry === undefined || entry.reported === what) return false;
    entry.reported = what;
    return true;
  }

  /** What is remembered of a finding: under its own families, else under those that it was found in before. */
  #find(finding: Finding): Entry | undefined {
    const own = this.#entries.get(findingKey(finding));
    if (own !== undefined) return own;
    const others = otherKeys(finding).flatMap((key) => this.#entries.get(key) ?? []);
    return others.sort((a, b) => b.heldUntil - a.heldUntil || b.lastSeen - a.lastSeen)[0];
  }

  #entry(finding: Finding, now: number): Entry {
    const key = findingKey(finding);
    let entry = this.#entries.get(key);
    if (entry === undefined) {
      entry = {
        since: undefined,
        lastSeen: now,
        healedAt: [],
        failures: 0,
        truces: 0,
        heldUntil: 0,
        isTold: false,
        reported: undefined,
        ...this.#find(finding),
        finding,
      };
      this.#entries.set(key, entry);
    }
    return entry;
  }
}

/**
 * The keys of the same finding in more or fewer address families: that of both for one, those of each for both. When only the families
 * change, the finding is neither new nor gone.
 */
function otherKeys(finding: Finding): string[] {
  const { family, ...subject } = finding.subject;
  if (family !== undefined) return [findingKey({ ...finding, subject })];
  return Object.values(FAMILY_NAME).map((one) =>
    findingKey({ ...finding, subject: { ...subject, family: one } }),
  );
}

function forgetSighting(entry: Entry): void {
  entry.since = undefined;
  entry.isTold = false;
  entry.reported = undefined;
}
