import { expect, test } from 'bun:test';
import { formatAge, parseDuration } from './duration.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

test.each([
  ['0', 0],
  ['0s', 0],
  ['-0s', 0],
  ['5s', 5 * SECOND],
  ['1m30s', 90 * SECOND],
  ['1.5h', 90 * MINUTE],
  ['.5s', 500],
  ['1.s', SECOND],
  ['300ms', 300],
  ['2h45m', 2 * HOUR + 45 * MINUTE],
  ['-10s', -10 * SECOND],
  ['+10s', 10 * SECOND],
  ['1us', 0.001],
  ['', undefined],
  ['5', undefined],
  ['s', undefined],
  ['1d', undefined],
  ['1 s', undefined],
  ['.s', undefined],
  ['--1s', undefined],
  ['1..5s', undefined],
] as [string, number | undefined][])('parseDuration(%p) is %p', (text, expected) => {
  expect(parseDuration(text)).toBe(expected as number);
});

test.each([
  [-2 * SECOND, '<invalid>'],
  [-1999, '0s'],
  [0, '0s'],
  [999, '0s'],
  [119 * SECOND, '119s'],
  [2 * MINUTE, '2m'],
  [4 * MINUTE + 19 * SECOND, '4m19s'],
  [10 * MINUTE + 30 * SECOND, '10m'],
  [179 * MINUTE, '179m'],
  [3 * HOUR, '3h'],
  [3 * HOUR + 20 * MINUTE, '3h20m'],
  [8 * HOUR + 5 * MINUTE, '8h'],
  [47 * HOUR, '47h'],
  [2 * DAY, '2d'],
  [2 * DAY + 4 * HOUR, '2d4h'],
  [8 * DAY + 4 * HOUR, '8d'],
  [729 * DAY, '729d'],
  [730 * DAY, '2y'],
  [(3 * 365 + 10) * DAY, '3y10d'],
  [(8 * 365 + 10) * DAY, '8y'],
])('formatAge(%p) is %p', (ms, expected) => {
  expect(formatAge(ms)).toBe(expected);
});
