import { describe, expect, test } from 'bun:test';
import type { Finding } from '../path/model/finding.ts';
import type { FamilyName } from '../util/family.ts';
import { Ledger, type LedgerOptions } from './ledger.ts';

const OPTIONS: LedgerOptions = {
  retryMs: 1000,
  maxRetryMs: 5000,
  contestLimit: 3,
  contestWindowMs: 60_000,
  truceMs: 10_000,
  maxTruceMs: 30_000,
  forgetMs: 100_000,
};

function finding(code: string, pod = 'echo', uid = '1'): Finding {
  return {
    code,
    stage: 'translated',
    severity: 'broken',
    subject: { node: 'n', pod: { namespace: 'default', name: pod, uid } },
    message: '',
    args: {},
    evidence: [],
    explanation: '',
    remedy: '',
    restart: 'no',
    documentation: '',
  };
}

const A = finding('a');

describe('when failures are tried again', () => {
  // Times of failures, and until when each holds the finding back.
  const CASES: { name: string; at: number[]; until: number[] }[] = [
    { name: 'a first', at: [0], until: [1000] },
    { name: 'twice as long each time', at: [0, 1000, 3000], until: [1000, 3000, 7000] },
    { name: 'up to a limit', at: [0, 0, 0, 0, 0], until: [1000, 2000, 4000, 5000, 5000] },
  ];
  for (const { name, at, until } of CASES) {
    test(name, () => {
      const ledger = new Ledger(OPTIONS);
      ledger.add(A, 0);
      expect(at.map((now) => ledger.failed(A, now))).toEqual(until);
      expect(ledger.heldUntil(A)).toBe(until.at(-1)!);
      expect(ledger.heldUntil(finding('b'))).toBe(0);
    });
  }

  test('fixed once, the next failure counts as the first', () => {
    const ledger = new Ledger(OPTIONS);
    ledger.failed(A, 0);
    ledger.failed(A, 1000);
    ledger.healed(A, 3000);
    expect(ledger.failed(A, 5000)).toBe(6000);
  });
});

describe('when somebody undoes a fix', () => {
  // Times of healing, and what each says: kept, or how often within the window and until when it is left alone.
  const CASES: { name: string; at: number[]; want: (string | [number, number])[] }[] = [
    { name: 'twice is chance', at: [0, 1000], want: ['kept', 'kept'] },
    { name: 'three times are not', at: [0, 1000, 2000], want: ['kept', 'kept', [3, 12_000]] },
    {
      name: 'three times in more than a minute are',
      at: [0, 30_000, 60_000],
      want: ['kept', 'kept', 'kept'],
    },
    {
      name: 'who breaks the truce gets a longer one, up to a limit',
      at: [0, 1000, 2000, 70_000, 140_000, 210_000],
      want: ['kept', 'kept', [3, 12_000], [1, 90_000], [1, 170_000], [1, 240_000]],
    },
  ];
  for (const { name, at, want } of CASES) {
    test(name, () => {
      const ledger = new Ledger(OPTIONS);
      const seen = at.map((now) => {
        ledger.add(A, now);
        const verdict = ledger.healed(A, now);
        return verdict.contested ? [verdict.times, verdict.heldUntil] : 'kept';
      });
      expect(seen as unknown[]).toEqual(want);
    });
  }

  test('after long enough in peace it is forgotten', () => {
    const ledger = new Ledger(OPTIONS);
    for (const now of [0, 1, 2]) {
      ledger.add(A, now);
      ledger.healed(A, now);
    }
    const until = ledger.heldUntil(A);
    ledger.retain([], until + OPTIONS.forgetMs - 1);
    expect(ledger.heldUntil(A)).toBe(until);
    ledger.retain([], until + OPTIONS.forgetMs);
    expect(ledger.heldUntil(A)).toBe(0);
    expect(ledger.healed(A, until + OPTIONS.forgetMs)).toEqual({ contested: false });
  });
});

describe('what is there', () => {
  test('has been there since it appeared, and is reported and gone once', () => {
    const ledger = new Ledger(OPTIONS);
    for (const now of [5, 9]) ledger.add(A, now);
    expect(ledger.since(A, 20)).toBe(5);
    expect([ledger.announce(A, 20), ledger.announce(A, 21)]).toEqual([true, false]);
    expect(ledger.retain([A], 25)).toEqual([]);
    expect(ledger.retain([], 30)).toEqual([A]);
    expect(ledger.retain([], 40)).toEqual([]);
    expect(ledger.since(A, 50)).toBe(50);
    ledger.add(A, 60);
    expect(ledger.announce(A, 60)).toBe(true);
  });

  test('and was not reported is gone without a word', () => {
    const ledger = new Ledger(OPTIONS);
    ledger.add(A, 0);
    expect(ledger.retain([], 1)).toEqual([]);
  });

  test('and was fixed is not gone by itself, and is reported again when it is back', () => {
    const ledger = new Ledger(OPTIONS);
    ledger.add(A, 0);
    ledger.announce(A, 0);
    ledger.healed(A, 1);
    expect(ledger.retain([], 2)).toEqual([]);
    ledger.add(A, 3);
    expect(ledger.announce(A, 3)).toBe(true);
  });

  test('is the same for a pod recreated under its name, and not for another', () => {
    const ledger = new Ledger(OPTIONS);
    ledger.announce(A, 0);
    expect(ledger.announce(finding('a', 'echo', '2'), 1)).toBe(false);
    expect(ledger.announce(finding('a', 'other'), 1)).toBe(true);
    expect(ledger.announce(finding('b'), 1)).toBe(true);
  });

  test('is said once, until it is gone', () => {
    const ledger = new Ledger(OPTIONS);
    ledger.add(A, 0);
    expect([ledger.isNews(A, 'x'), ledger.isNews(A, 'x'), ledger.isNews(A, 'y')]).toEqual([
      true,
      false,
      true,
    ]);
    ledger.retain([], 1);
    ledger.add(A, 2);
    expect(ledger.isNews(A, 'y')).toBe(true);
  });
});

describe('what is found in more or fewer address families than before', () => {
  const ofFamily = (family?: FamilyName) => {
    const { subject, ...rest } = finding('a');
    return { ...rest, subject: family === undefined ? subject : { ...subject, family } };
  };
  const [BOTH, V4, V6] = [ofFamily(), ofFamily('IPv4'), ofFamily('IPv6')];

  test.each<[string, Finding, Finding]>([
    ['both, then one', BOTH, V6],
    ['one, then both', V4, BOTH],
  ])('is the same as before: %s', (_, before, after) => {
    const ledger = new Ledger(OPTIONS);
    ledger.add(before, 1);
    ledger.announce(before, 1);
    ledger.failed(before, 2);
    ledger.isNews(before, 'x');
    expect([ledger.since(after, 9), ledger.heldUntil(after)]).toEqual([1, 1002]);
    ledger.add(after, 10);
    expect(ledger.retain([after], 10)).toEqual([]);
    expect(ledger.announce(after, 10)).toBe(false);
    expect(ledger.isNews(after, 'x')).toBe(false);
    expect(ledger.since(after, 10)).toBe(1);
    // A second failure, not a first.
    expect(ledger.failed(after, 1010)).toBe(3010);
    expect(ledger.retain([], 3011)).toEqual([after]);
  });

  test('is one fight', () => {
    const ledger = new Ledger(OPTIONS);
    const verdicts = [BOTH, V6, BOTH].map((found, i) => {
      ledger.add(found, i * 10);
      ledger.retain([found], i * 10);
      return ledger.healed(found, i * 10 + 1).contested;
    });
    expect(verdicts).toEqual([false, false, true]);
    expect(ledger.heldUntil(V4)).toBe(10_021);
  });

  test('and was fixed in what was left of it is not gone by itself', () => {
    const ledger = new Ledger(OPTIONS);
    ledger.add(BOTH, 0);
    ledger.announce(BOTH, 0);
    ledger.announce(V6, 1);
    ledger.healed(V6, 2);
    expect(ledger.retain([], 3)).toEqual([]);
  });

  test('both halves, each on its own, are both the same as before; one is not the other', () => {
    const ledger = new Ledger(OPTIONS);
    ledger.add(BOTH, 0);
    ledger.announce(BOTH, 0);
    for (const half of [V4, V6]) ledger.add(half, 1);
    expect(ledger.retain([V4, V6], 1)).toEqual([]);
    expect([V4, V6].map((half) => ledger.announce(half, 1))).toEqual([false, false]);
    expect(ledger.retain([V6], 2)).toEqual([V4]);
    expect(ledger.since(V4, 3)).toBe(3);
  });
});
