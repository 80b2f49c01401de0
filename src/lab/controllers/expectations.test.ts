import { expect, test } from 'bun:test';
import { leapingNow } from '../../sys/clock.fake.ts';
import { Expectations } from './expectations.ts';

function setup() {
  let now = 0;
  const expectations = new Expectations({
    now: leapingNow(),
    monotonic: () => now,
    sleep: () => Promise.reject(new Error('never sleeps')),
  });
  return { expectations, advance: (ms: number) => (now += ms) };
}

test('nothing expected is satisfied', () => {
  expect(setup().expectations.satisfied('k')).toBe(true);
});

test('creations are waited for, one by one', () => {
  const { expectations } = setup();
  expectations.expectCreations('k', 2);
  expect(expectations.satisfied('k')).toBe(false);
  expectations.creationObserved('k');
  expect(expectations.satisfied('k')).toBe(false);
  expectations.creationObserved('k');
  expect(expectations.satisfied('k')).toBe(true);
  expect(expectations.satisfied('other')).toBe(true);
});

test('one too many seen does not count for the next time', () => {
  const { expectations } = setup();
  expectations.expectCreations('k', 1);
  expectations.creationObserved('k');
  expectations.creationObserved('k');
  expect(expectations.satisfied('k')).toBe(true);
  expectations.expectCreations('k', 1);
  expect(expectations.satisfied('k')).toBe(false);
});

test('deletions are known by uid, so that the same one seen twice counts once', () => {
  const { expectations } = setup();
  expectations.expectDeletion('k', 'a');
  expectations.expectDeletion('k', 'b');
  expectations.deletionObserved('k', 'a');
  expectations.deletionObserved('k', 'a');
  expect(expectations.satisfied('k')).toBe(false);
  expectations.deletionObserved('k', 'b');
  expect(expectations.satisfied('k')).toBe(true);
});

test('what was not seen after five minutes is not waited for', () => {
  const { expectations, advance } = setup();
  expectations.expectCreations('k', 1);
  advance(299_999);
  expect(expectations.satisfied('k')).toBe(false);
  advance(1);
  expect(expectations.satisfied('k')).toBe(true);
});

test('uncertainty stays until it is cleared', () => {
  const { expectations } = setup();
  expectations.markUncertain('k');
  expect(expectations.isUncertain('k')).toBe(true);
  expectations.clearUncertain('k');
  expect(expectations.isUncertain('k')).toBe(false);
});
