import { describe, expect, test } from 'bun:test';
import { diagnose } from '../../path/diagnose/diagnose.ts';
import type { Diagnosis } from '../../path/model/finding.ts';
import { failureOn, podOn, smallWorld } from '../../path/testing/small-world.ts';
import { changesBetween } from './changes.ts';
import { watched } from './watched.ts';

/** A diagnosis of these pods at a second of some minute, of which some have a failure. */
function diagnosed(second: number, pods: readonly string[], failing: readonly string[]): Diagnosis {
  const failure = failureOn(
    ({ paths }) => paths.flatMap(({ subject }) => (failing.includes(subject.pod!.name) ? [subject] : [])),
    { code: 'some-failure', stage: 'configured' },
  );
  const world = smallWorld(pods.map((name, i) => podOn('n1', name, 80 + i)));
  const { diagnosis } = diagnose(world, [failure]);
  return { ...diagnosis, observedAt: new Date(2026, 0, 1, 12, 0, second).toISOString() };
}

test('what is different: findings and mappings that are new, gone, better or worse', () => {
  const before = diagnosed(0, ['a', 'b'], ['a']);
  expect(changesBetween(before, before)).toEqual([]);
  expect(changesBetween(before, diagnosed(1, ['a', 'c'], ['c']))).toEqual([
    '+ some-failure pod c TCP 81 on n1',
    '- some-failure pod a TCP 80 on n1',
    '+ n1 c TCP 81: broken',
    'n1 a TCP 80: broken, now unknown',
    '- n1 b TCP 81',
  ]);
});

test('a pod that was recreated with the same failure is no change', () => {
  const before = diagnosed(0, ['a'], ['a']);
  const again = JSON.parse(JSON.stringify(before).replaceAll('"uid":"', '"uid":"new-')) as Diagnosis;
  expect(again).not.toEqual(before);
  expect(changesBetween(before, again)).toEqual([]);
});

/** What is written for some diagnoses, one after the other. */
function shown(
  stream: { isTTY?: boolean; rows?: number },
  diagnoses: readonly Diagnosis[],
  text = 'the table\n',
) {
  const written: string[] = [];
  const show = watched({ ...stream, columns: 80, write: (part) => written.push(part) }, 2000, {});
  for (const diagnosis of diagnoses) show(diagnosis, text);
  return written;
}

const ROUNDS = [diagnosed(1, ['a'], []), diagnosed(3, ['a'], ['a']), diagnosed(5, ['a'], ['a'])];

describe('on a terminal', () => {
  test('it is cleared once, then every line is written over, with the time and the last change', () => {
    const [first, second, third] = shown({ isTTY: true, rows: 40 }, ROUNDS);
    const end = '\u001b[K\n';
    expect(first).toBe(
      `\u001b[2J\u001b[H12:00:01, every 2 s; no change yet${end}${end}the table${end}\u001b[J`,
    );
    const news = `  + some-failure pod a TCP 80 on n1${end}  n1 a TCP 80: unknown, now broken${end}`;
    const rest = `${news}${end}the table${end}\u001b[J`;
    expect(second).toBe(`\u001b[H12:00:03, every 2 s; last change 12:00:03${end}${rest}`);
    // What has changed stays until something else does.
    expect(third).toBe(`\u001b[H12:00:05, every 2 s; last change 12:00:03${end}${rest}`);
  });

  test('what has no room is counted, and nothing scrolls', () => {
    const long = Array.from({ length: 50 }, (_, i) => `line ${i}\n`).join('');
    const [first] = shown({ isTTY: true, rows: 10 }, ROUNDS.slice(0, 1), long);
    expect(first!.match(/\n/g)).toHaveLength(9);
    expect(first).toContain('line 5\u001b[K\n… 44 more lines');
  });
});

test('elsewhere one follows the other, without escapes, and a change is said once', () => {
  expect(shown({}, ROUNDS)).toEqual([
    '12:00:01, every 2 s; no change yet\n\nthe table\n\n',
    '12:00:03, every 2 s; last change 12:00:03\n  + some-failure pod a TCP 80 on n1\n  n1 a TCP 80: unknown, now broken\n\nthe table\n\n',
    '12:00:05, every 2 s; last change 12:00:03\n\nthe table\n\n',
  ]);
});
