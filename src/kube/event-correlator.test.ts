import { expect, test } from 'bun:test';
import { liveObjects } from '../sys/testing/live-objects.ts';
import { EventCorrelator } from './event-correlator.ts';

test('what pods said that came and went is held while it matters for combining and for cutting short', async () => {
  const correlator = new EventCorrelator();
  let second = 0;
  /** Has a pod come and go each second until this one, and counts what is held then. */
  const heldAt = async (end: number) => {
    for (; second < end; second++) {
      const object = { kind: 'Pod', namespace: 'default', name: `p${second}`, uid: `u${second}` };
      const said = { object, type: 'Normal', reason: 'Started', message: 'started' } as const;
      correlator.correlate(said, second * 1000);
    }
    const { Object: plain = 0, Array: arrays = 0, Set: sets = 0 } = await liveObjects();
    return plain + arrays + sets;
  };
  const before = await heldAt(1000);
  const pods = 3000;
  const grown = (await heldAt(1000 + pods)) - before;
  // Of each pod that is held there are at least two.
  expect(grown).toBeLessThan(pods / 2);
  // It is in use until now.
  expect(correlator.correlate({ object: {}, type: 'Normal', reason: '', message: '' }, 0)).toBeDefined();
});
