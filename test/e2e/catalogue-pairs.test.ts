/** Two failures at once, thirty times over: both causes are found, and healing comes to an end with nothing wrong. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { requireRecord } from '../../src/lab/cluster/record.ts';
import { LabPlaces } from '../../src/lab/doctor/places.ts';
import { catalogue } from '../../src/path/stages/index.ts';
import { type Findings, storeFigures, sumOf } from '../figures.ts';
import { createCatalogueCluster } from './catalogue/cluster.ts';
import { makeLanes } from './catalogue/lane.ts';
import { exclusive, randomPairs } from './catalogue/pairs.ts';
import { provePair, untilHealthy } from './catalogue/prove.ts';
import { Lab, labMissing, PROGRAM } from './lab.ts';

const LANES = 3;
const PAIRS = 30;
const SEED = 4;
const missing = labMissing();
const pairs = randomPairs(catalogue, PAIRS, SEED);

describe('pairs', () => {
  test('are the same for the same seed, and others for another', () => {
    const names = (seed: number) =>
      randomPairs(catalogue, PAIRS, seed).map((pair) => pair.map(({ code }) => code));
    expect(names(SEED)).toEqual(names(SEED));
    expect(names(SEED)).not.toEqual(names(SEED + 1));
  });

  test('are excluded by failures that there are', () => {
    const codes = catalogue.map(({ code }) => code);
    expect(
      exclusive.flatMap(({ one, other }) => [...one, ...other]).filter((code) => !codes.includes(code)),
    ).toEqual([]);
  });
});

describe.skipIf(missing !== undefined)(`two failures at once${missing ? ` (${missing})` : ''}`, () => {
  const lab = new Lab('pairs');
  const interrupted = new AbortController();
  const outcomes = pairs.map(() => Promise.withResolvers<string[]>());
  let running: Promise<unknown> = Promise.resolve();
  let places: LabPlaces | undefined;
  const done: { wrong: string[]; seen: Findings }[] = [];

  beforeAll(async () => {
    // One that nobody waits for yet must not end the process.
    for (const { promise } of outcomes) promise.catch(() => {});
    const nodes = await createCatalogueCluster(lab, LANES);
    places = new LabPlaces(await requireRecord(lab.name), PROGRAM);
    const lanes = await makeLanes(places, lab, nodes, interrupted.signal);
    let next = 0;
    const run = async (lane: (typeof lanes)[number]) => {
      let healthy = await untilHealthy(lane);
      while (next < pairs.length) {
        const index = next++;
        try {
          const outcome = await provePair(lane, pairs[index]!, healthy);
          healthy = outcome.healthy;
          done.push(outcome);
          outcomes[index]!.resolve(outcome.wrong);
        } catch (error) {
          // A lane that does not get healthy again proves nothing more; the others continue.
          outcomes[index]!.reject(error);
          return;
        }
      }
    };
    running = Promise.allSettled(lanes.map(run)).then((ends) => {
      const end = ends.find((each) => each.status === 'rejected');
      for (const outcome of outcomes.slice(next)) {
        outcome.reject(end?.reason ?? new Error('no lane was left to prove it'));
      }
    });
  });

  afterAll(async () => {
    interrupted.abort(new Error('the test is over'));
    await running;
    await places?.[Symbol.asyncDispose]();
    if (done.length === pairs.length) {
      storeFigures('pairs', () => ({
        cases: done.length,
        right: done.filter(({ wrong }) => wrong.length === 0).length,
        ...sumOf(done.map(({ seen }) => seen)),
      }));
    }
    await lab.delete();
  });

  for (const [index, pair] of pairs.entries()) {
    test(pair.map(({ code }) => code).join(' and '), async () => {
      expect(await outcomes[index]!.promise).toEqual([]);
    });
  }
});
