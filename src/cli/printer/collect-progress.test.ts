import { expect, test } from 'bun:test';
import { collectProgress } from './collect-progress.ts';

function shown(isTTY: boolean) {
  const written: string[] = [];
  const time = { now: 0 };
  const stream = { isTTY, columns: 60, write: (text: string) => written.push(text) };
  return {
    written,
    time,
    progress: collectProgress(stream, 'Cluster https://x, context "p\u001b[2J"', () => time.now),
  };
}

test('the first line names the cluster before anything is asked', () => {
  expect(shown(false).written).toEqual(shown(true).written);
  expect(shown(false).written).toHaveLength(1);
});

test('in a log, a line for what begins, and later ones only after a pause', () => {
  const { written, time, progress } = shown(false);
  progress.show({ phase: 'preflight' });
  progress.show({ phase: 'reports', done: 0, total: 5, waitingFor: ['a'] });
  time.now = 1000;
  progress.show({ phase: 'reports', done: 1, total: 5, waitingFor: ['b'] });
  time.now = 7000;
  progress.show({ phase: 'reports', done: 2, total: 5, waitingFor: ['b', 'c\u001b[2J', 'd', 'e', 'f'] });
  progress.end();
  expect(written).toEqual([
    'Cluster https://x, context "p\\x1b[2J": examining it\n',
    'checking what you may do\n',
    'examining nodes 0/5: waiting for a\n',
    'examining nodes 2/5: waiting for b, c\\x1b[2J, d and 2 more\n',
  ]);
});

test('on a terminal one line, which is written over and is gone at the end', () => {
  const { written, progress } = shown(true);
  progress.show({ phase: 'reports', done: 0, total: 5, waitingFor: ['n'.repeat(80)] });
  progress.end();
  expect(written).toEqual([
    'Cluster https://x, context "p\\x1b[2J": examining it\n',
    `\r\u001b[K${`examining nodes 0/5: waiting for ${'n'.repeat(80)}`.slice(0, 59)}`,
    '\r\u001b[K',
  ]);
});
