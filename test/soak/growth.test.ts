import { describe, expect, test } from 'bun:test';
import { type Growth, growthLimit, growthOf, growthText, type Sample } from './growth.ts';
import { soakSection } from './report.ts';

/** A sample a second of a process with this memory, in megabytes. */
const samplesOf = (...megabytes: number[]): Sample[] =>
  megabytes.map((memory, i) => ({ at: 1000 * i, memory: memory * 1e6, descriptors: 10 + i }));
const flat = (count: number) => Array.from({ length: count }, () => 50);

describe('growth', () => {
  test('is between the thirds of the second half', () => {
    const samples = samplesOf(...flat(12), ...flat(4), ...[90, 51, 52, 53], ...[60, 61, 62, 99]);
    expect(growthOf('agent', 400, samples)).toEqual({
      ...{ process: 'agent', seconds: 400, samples: 12 },
      ...{ memory: [50e6, 61.5e6], descriptors: [23.5, 31.5], apart: 8 },
    });
  });

  test('has no medians of few samples', () => {
    expect(growthOf('agent', 400, samplesOf(...flat(10)))).toEqual({
      ...{ process: 'agent', seconds: 400, samples: 5 },
    });
    expect(growthOf('agent', 400, samplesOf(...flat(12))).memory).toEqual([50e6, 50e6]);
  });
});

const GREW: Growth = {
  ...{ process: 'agent', seconds: 384, samples: 60, apart: 128 },
  ...{ memory: [50e6, 60e6], descriptors: [18, 18] },
};

test.each<[name: string, growth: Growth, problems: string[], row: string]>([
  [
    'more memory',
    GREW,
    ['agent: memory grew from 50.0 MB to 60.0 MB'],
    '50.0 MB then 60.0 MB; 18 then 18 descriptors; medians 128 seconds apart',
  ],
  [
    'more descriptors',
    { ...GREW, memory: [50e6, 55e6], descriptors: [10, 12] },
    ['agent: descriptors grew from 10 to 12'],
    '50.0 MB then 55.0 MB; 10 then 12 descriptors; medians 128 seconds apart',
  ],
  [
    'no more than may be',
    { ...GREW, memory: [50e6, 55e6] },
    [],
    '50.0 MB then 55.0 MB; 18 then 18 descriptors; medians 128 seconds apart',
  ],
  [
    'too short',
    { ...GREW, seconds: 83, apart: 28 },
    [],
    'not measured: fewer than 300 seconds; 50.0 MB then 60.0 MB; 18 then 18 descriptors; medians 28 seconds apart',
  ],
  [
    'too few samples',
    { process: 'agent', seconds: 384, samples: 5 },
    [],
    'not measured: 5 samples, 6 are needed',
  ],
])('growth that is judged, or not: %s', (_, growth, problems, row) => {
  expect(growthLimit(growth)).toEqual(problems);
  const counts = { seed: 1, seconds: 600, runs: 1, operations: {}, faults: {}, violations: [] };
  // Of several runs the longest is shown.
  const shorter = { ...GREW, seconds: 1, memory: [1e6, 2e6] as [number, number] };
  expect(
    soakSection({ ...counts, growth: [growth, shorter] })
      .split('\n')
      .at(-1),
  ).toBe(`| agent, over ${growth.seconds} seconds of pods that come and go | ${row} |`);
});

test('a growth of an earlier run shows what is known of it', () => {
  const { samples, apart, ...earlier } = GREW;
  expect(growthText(earlier)).toBe('50.0 MB then 60.0 MB; 18 then 18 descriptors');
});
