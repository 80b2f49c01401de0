import { describe, expect, test } from 'bun:test';
import { type Growth, growthOf, growthProblems, growthText, type Sample } from './growth.ts';

/** A sample each ten seconds, of a process that has so many megabytes after each collection and up to 30 more between them. */
const sawtooth = (count: number, floor: (i: number) => number): Sample[] =>
  Array.from({ length: count }, (_, i) => ({
    at: 10_000 * i,
    memory: (floor(i) + (i % 4) * 10) * 1e6,
    descriptors: 20 + (i % 3),
  }));

describe('growth', () => {
  test('is of what collections leave, whatever is garbage between them', () => {
    expect(
      growthOf(
        'agent',
        sawtooth(48, () => 50),
      ),
    ).toEqual({
      ...{ process: 'agent', seconds: 470 },
      ...{ memory: [50e6, 50e6], descriptors: [20, 20] },
    });
    expect(
      growthOf(
        'agent',
        sawtooth(48, (i) => 50 + i),
      ).memory,
    ).toEqual([50e6, 82e6]);
  });

  test('of a process that keeps what it opens is seen', () => {
    const samples = sawtooth(48, () => 50).map((sample, i) => ({
      ...sample,
      descriptors: 20 + Math.floor(i / 8),
    }));
    expect(growthOf('agent', samples).descriptors).toEqual([20, 24]);
  });

  test('is not judged by few samples', () => {
    expect(
      growthOf(
        'agent',
        sawtooth(29, () => 50),
      ),
    ).toEqual({ process: 'agent', seconds: 280 });
    expect(growthOf('agent', [])).toEqual({ process: 'agent', seconds: 0 });
  });
});

const GREW: Growth = { process: 'agent', seconds: 348, memory: [50e6, 60e6], descriptors: [18, 18] };

test.each<[name: string, growth: Growth, problems: string[], text: string]>([
  [
    'more memory',
    GREW,
    ['agent: memory grew from 50.0 MB to 60.0 MB'],
    '348 s: 50.0 MB, then 60.0 MB; 18, then 18 descriptors',
  ],
  [
    'more descriptors',
    { ...GREW, memory: [50e6, 55e6], descriptors: [10, 12] },
    ['agent: descriptors grew from 10 to 12'],
    '348 s: 50.0 MB, then 55.0 MB; 10, then 12 descriptors',
  ],
  [
    'no more than may be',
    { ...GREW, memory: [50e6, 55e6], descriptors: [20, 22] },
    [],
    '348 s: 50.0 MB, then 55.0 MB; 20, then 22 descriptors',
  ],
  [
    'too short',
    { ...GREW, memory: [50e6, 50e6], seconds: 299 },
    ['agent: its growth was measured for 299 seconds, 300 are needed'],
    '299 s: 50.0 MB, then 50.0 MB; 18, then 18 descriptors',
  ],
  [
    'too few samples',
    { process: 'agent', seconds: 384 },
    ['agent: its growth was measured for 384 seconds, 300 are needed'],
    '384 s: too few samples',
  ],
])('growth that is judged: %s', (_, growth, problems, text) => {
  expect(growthProblems(growth)).toEqual(problems);
  expect(growthText(growth)).toBe(text);
});
