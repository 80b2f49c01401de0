import { expect, test } from 'bun:test';
import { parseOwner } from './layout.ts';

test('an owner is only what has its form', () => {
  const nat = { family: 'ip', name: 'nat' };
  const own = { family: 'inet', name: 'hostport' };
  const owner = { networkName: 'n', containerId: 'i' };
  expect(parseOwner('dnat name: "n" id: "i"', nat)).toEqual(owner);
  expect(parseOwner('n/i', own)).toEqual(owner);
  const further = { ...owner, ifName: 'net1' };
  expect(parseOwner('dnat name: "n" id: "i" if: "net1"', nat)).toEqual(further);
  expect(parseOwner('n/i/net1', own)).toEqual(further);
  for (const comment of ['', 'n i', 'n/i', 'dnat name: "n" id: "i" more']) {
    expect(parseOwner(comment, nat)).toBeUndefined();
  }
  for (const comment of ['', 'n', 'n/', '/i', 'n/i more', 'n/i/', 'n/i/j/k'])
    expect(parseOwner(comment, own)).toBeUndefined();
});
