import { expect, test } from 'bun:test';
import { FakeDrops } from './drops.fake.ts';
import { ownPid } from './own-pid.ts';

test('the number of this thread is what the kernel writes beside its mark', () => {
  const drops = new FakeDrops();
  expect(ownPid(drops)).toBe(4711);
  expect(drops.running).toEqual(new Set());
});

test('without tracefs it is not known', () => {
  const drops = new FakeDrops();
  drops.unavailable = 'no tracefs here';
  expect(ownPid(drops)).toBeUndefined();
});
