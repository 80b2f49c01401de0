/** How the end-to-end catalogue compares what the lab prints with what the pages in docs/failures show. */
import { describe, expect, test } from 'bun:test';
import { firstDifference, inNamesOfHowTo } from './e2e/catalogue/capture.ts';

describe('what is printed is what is stored', () => {
  const long = 'x'.repeat(80);
  test.each<[what: string, stored: string, printed: string, isSame: boolean]>([
    ['the same', 'a\nb\n', 'a\nb\n', true],
    ['another word', 'it leads away', 'it leads nowhere', false],
    ['a line more', 'a\n', 'a\nb\n', false],
    ['a line less', 'a\nb\n', 'a\n', false],
    ['another node and address', 'of kind-worker2 at 10.0.0.2', 'of kind-worker at 10.0.13.255', true],
    ['another sandbox', 'run on sandbox 1f8842419244d', 'run on sandbox 006ccfd17e3c2', true],
    ['another moment', 'created 2026-11-21T07:52:48Z', 'created 2027-01-01T00:00:00.123Z', true],
    ['another link address', 'mac 12:68:f6:77:69:e0', 'mac ee:ff:00:11:22:33', true],
    ['no number', 'tracks 5 flows', 'tracks flows', false],
    ['cut elsewhere', `saw ${long} and the re…`, `saw ${long} and…`, true],
    ['no longer cut', `saw ${long} and the re…`, `saw ${long} and the rest`, true],
    ['a line where the rest was left out', '           …', '           file x: y', false],
    ['another beginning of what is cut', `saw ${long}-a and…`, `saw ${long}-b and…`, false],
    [
      'the words of an event',
      '  evidence event pod default/a: FailedKillPod: x',
      '  evidence event pod default/a: Unhealthy: y',
      true,
    ],
    [
      'a translation that connection tracking shows',
      '           probe node to 10.0.0.1:80: timeout: no answer',
      '           probe node to 10.0.0.1:80: timeout: no answer, translated to 10.0.0.2:8080',
      true,
    ],
    [
      'the lines of an event',
      '  evidence event pod a: Failed: x\n           file b: c',
      '  evidence event pod a: Failed:\n             x\n             y\n           file b: c',
      true,
    ],
    [
      'the lines of a file',
      '  evidence file a:\n             x\n             y',
      '  evidence file a:\n             x\n             z',
      false,
    ],
    [
      'an event of another pod',
      '  evidence event pod default/a: x',
      '  evidence event pod default/b: x',
      false,
    ],
  ])('%s', (_, stored, printed, isSame) => {
    expect(firstDifference(stored, printed) === undefined).toBe(isSame);
  });
});

test.each<[string, string]>([
  ['pod on-c-worker2/echo TCP 80 on c-worker2', 'pod echo-kind-worker2 TCP 80 on kind-worker2'],
  ['pod on-c-worker2/same-port on c-worker2', 'pod same-port on kind-worker2'],
  ['event pod on-c-worker2/echo: Failed', 'event pod default/echo-kind-worker2: Failed'],
  ['mark packets of echo by bit 12', 'mark packets of echo-kind-worker2 by bit 12'],
  ['container echo: running; echo-server (pid 3)', 'container echo: running; echo-server (pid 3)'],
  ['probe other-node (c-control-plane)', 'probe other-node (kind-control-plane)'],
])('%s, in the names of the how-to', (printed, shown) => {
  expect(inNamesOfHowTo(printed, 'c-worker2')).toBe(shown);
});
