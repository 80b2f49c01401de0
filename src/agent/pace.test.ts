import { describe, expect, test } from 'bun:test';
import { Pace, type PaceOptions } from './pace.ts';

const OPTIONS: PaceOptions = {
  debounceMs: 30,
  maxDebounceMs: 150,
  resyncMs: 30_000,
  burst: 2,
  spacingMs: 1000,
  spacingFactor: 10,
};

/** Something that happens at a time: a change, something put off until then, or a look that begins and ends. */
type Step = { at: number } & ({ change: true } | { due: number } | { look: number });

interface Case {
  name: string;
  steps: Step[];
  /** When the next look is to begin, asked at the time of the last step. */
  next: number;
}

/** The first look, over at 100. */
const first: Step = { at: 0, look: 100 };

const CASES: Case[] = [
  { name: 'the first look is due at once', steps: [], next: 0 },
  { name: 'nothing happens: the regular look', steps: [first], next: 30_100 },
  { name: 'a change: when nothing more comes', steps: [first, { at: 500, change: true }], next: 530 },
  {
    name: 'changes in a row are waited out',
    steps: [first, { at: 500, change: true }, { at: 520, change: true }, { at: 545, change: true }],
    next: 575,
  },
  {
    name: 'but not for ever',
    steps: [first, ...[500, 525, 550, 575, 600, 625, 640].map((at): Step => ({ at, change: true }))],
    next: 650,
  },
  { name: 'something put off', steps: [first, { at: 100, due: 2000 }], next: 2000 },
  {
    name: 'the earliest of what was put off',
    steps: [first, { at: 100, due: 5000 }, { at: 100, due: 3000 }, { at: 100, due: 4000 }],
    next: 3000,
  },
  { name: 'put off beyond the regular look', steps: [first, { at: 100, due: 90_000 }], next: 30_100 },
  { name: 'never', steps: [first, { at: 100, due: Number.POSITIVE_INFINITY }], next: 30_100 },
  {
    name: 'a look settles what was put off before it',
    steps: [first, { at: 100, due: 500 }, { at: 500, look: 100 }],
    next: 30_600,
  },
  {
    name: 'a look sees the changes before it',
    steps: [first, { at: 500, change: true }, { at: 530, look: 100 }],
    next: 30_630,
  },
  {
    name: 'a change during a look is looked at after it',
    steps: [first, { at: 500, change: true }, { at: 530, look: 100 }, { at: 600, change: true }],
    next: 630,
  },
  {
    name: 'after as many as may follow closely they come one by one',
    steps: [
      first,
      { at: 500, change: true },
      { at: 530, look: 10 },
      { at: 550, change: true },
      { at: 580, look: 10 },
      { at: 590, change: true },
    ],
    next: 590 + 1000 - 60,
  },
  {
    name: 'and the slower, the longer a look takes',
    steps: [
      first,
      { at: 500, change: true },
      { at: 530, look: 500 },
      { at: 1050, change: true },
      { at: 1080, look: 500 },
      { at: 1600, change: true },
    ],
    next: 1600 + 5000 - 1070,
  },
  {
    name: 'quiet gives the close ones back',
    steps: [
      first,
      { at: 500, change: true },
      { at: 530, look: 10 },
      { at: 550, change: true },
      { at: 580, look: 10 },
      { at: 5000, change: true },
    ],
    next: 5030,
  },
  {
    name: 'regular looks are not counted among them',
    steps: [
      first,
      { at: 500, look: 10 },
      { at: 600, look: 10 },
      { at: 700, look: 10 },
      { at: 800, change: true },
    ],
    next: 830,
  },
];

describe('the pace of looks', () => {
  for (const { name, steps, next } of CASES) {
    test(name, () => {
      const pace = new Pace(0, OPTIONS);
      let now = 0;
      for (const step of steps) {
        now = step.at;
        if ('change' in step) pace.changed(now);
        else if ('due' in step) pace.due(step.due);
        else {
          pace.began(now);
          now += step.look;
          pace.ended(now, step.look);
        }
      }
      // A change may come while a look is under way: then the clock is where the later of the two is.
      expect(Math.round(pace.nextAt(now))).toBe(next);
    });
  }

  test('only the first change since a look is news', () => {
    const pace = new Pace(0, OPTIONS);
    expect([pace.changed(1), pace.changed(2)]).toEqual([true, false]);
    pace.began(3);
    expect(pace.changed(4)).toBe(true);
  });

  test('changes without an end leave most of the time to others', () => {
    const pace = new Pace(0, OPTIONS);
    let looking = 0;
    for (let now = 0; now < 60_000; ) {
      pace.changed(now);
      const next = Math.max(now, Math.ceil(pace.nextAt(now)));
      if (next > now) {
        now++;
        continue;
      }
      pace.began(now);
      now += 100;
      looking += 100;
      pace.ended(now, 100);
    }
    expect(looking).toBeGreaterThan(4000);
    expect(looking / 60_000).toBeLessThan(0.12);
  });
});
