import { describe, expect, test } from 'bun:test';
import { diagnose } from '../diagnose.ts';
import { CHAINED, cniNode, listOf } from '../testing/cni-node.ts';
import { podOn, smallWorld } from '../testing/small-world.ts';

const UNTOLD = [{ type: 'cilium-cni' }, { type: 'portmap' }];
const ALONE = [{ type: 'cilium-cni' }];
const REVERSED = [...CHAINED].reverse();

/** What is found of the configuration of a node where the runtime has loaded one list and another is on disk. */
function found(
  onDisk: readonly object[],
  loaded: readonly object[],
  before: readonly object[] = [],
): string[] {
  const files = {
    ...(before.length > 0 ? { '00-before.conflist': listOf(before) } : {}),
    '10-net.conflist': listOf(onDisk),
  };
  const report = cniNode(files, { loaded: listOf(loaded) });
  const world = smallWorld([podOn('n1', 'a', 80)], { reports: new Map([['n1', { value: report }]]) });
  return diagnose(world)
    .diagnosis.findings.filter(({ stage }) => stage === 'configured')
    .map(({ code, severity }) => `${severity} ${code}`);
}

describe('a runtime that has not loaded the file on disk', () => {
  test.each<[string, readonly object[], readonly object[], readonly object[], string[]]>([
    ['has what is there', CHAINED, CHAINED, [], []],
    ['misses the right one', CHAINED, ALONE, [], ['broken conflist-not-loaded']],
    [
      'misses another that chains portmap, too',
      [...CHAINED, { type: 'tuning' }],
      CHAINED,
      [],
      ['risk conflist-not-loaded'],
    ],
    // One edit, one finding: the file is what is wrong, and what is loaded still works.
    ['has not seen the capability go', UNTOLD, CHAINED, [], ['risk capability-missing']],
    ['has not seen portmap go', ALONE, CHAINED, [], ['risk portmap-not-chained']],
    ['never had the capability', UNTOLD, ALONE, [], ['broken capability-missing']],
    ['has not seen the order change', REVERSED, CHAINED, [], ['broken plugin-order-wrong']],
    ['has not seen another file come before it', CHAINED, CHAINED, ALONE, ['broken conflist-shadowed']],
  ])('%s', (_, onDisk, loaded, before, findings) => {
    expect(found(onDisk, loaded, before)).toEqual(findings);
  });
});
