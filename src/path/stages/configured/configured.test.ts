import { describe, expect, test } from 'bun:test';
import { diagnose } from '../../diagnose/diagnose.ts';
import { CHAINED, cniNode, listOf } from '../../testing/cni-node.ts';
import { podOn, smallWorld } from '../../testing/small-world.ts';

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
  return foundIn(files, listOf(loaded));
}

function foundIn(files: Record<string, string>, loaded: string, pods = [podOn('n1', 'a', 80)]): string[] {
  const report = cniNode(files, { loaded });
  const world = smallWorld(pods, { reports: new Map([['n1', { value: report }]]) });
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
    ['has not seen the order change', REVERSED, CHAINED, [], ['risk plugin-order-wrong']],
    ['has seen the order change', REVERSED, REVERSED, [], ['broken plugin-order-wrong']],
    ['has not seen it come right', CHAINED, REVERSED, [], ['broken conflist-not-loaded']],
    ['has not seen another file come before it', CHAINED, CHAINED, ALONE, ['risk conflist-shadowed']],
    ['has seen another file come before it', CHAINED, ALONE, ALONE, ['broken conflist-shadowed']],
  ])('%s', (_, onDisk, loaded, before, findings) => {
    expect(found(onDisk, loaded, before)).toEqual(findings);
  });
});

// Writing the file again would have the runtime load it.
test.each<[string, readonly object[], string[]]>([
  ['portmap', ALONE, []],
  ['capability', UNTOLD, ['risk capability-missing']],
])(
  'a file without %s that is not loaded is no fault of the runtime, also where nobody has a hostPort',
  (_, onDisk, findings) => {
    expect(foundIn({ '10-net.conflist': listOf(onDisk) }, listOf(CHAINED), [])).toEqual(findings);
  },
);

describe('a runtime that has loaded another document than is on disk', () => {
  const right = listOf(CHAINED);
  const tooNew = listOf(CHAINED, { cniVersion: '1.9.0' });
  const file = (content: string) => ({ '10-net.conflist': content });
  test.each<[string, Record<string, string>, string, string[]]>([
    ['has not seen a version that nobody speaks', file(tooNew), right, ['risk cni-version-unsupported']],
    ['has seen it', file(tooNew), tooNew, ['broken cni-version-unsupported']],
    [
      'has not seen it go',
      file(listOf([...CHAINED, { type: 'tuning' }])),
      tooNew,
      ['broken conflist-not-loaded'],
    ],
    ['has not seen the file break', file('{'), right, ['risk conflist-invalid']],
    [
      'has not seen a file renamed',
      { '10-net.conflist': listOf(ALONE), '20-net.conflist.cilium_bak': right },
      right,
      ['risk conflist-renamed'],
    ],
  ])('%s', (_, files, loaded, findings) => {
    expect(foundIn(files, loaded)).toEqual(findings);
  });
});
