import { describe, expect, test } from 'bun:test';
import type { Finding, Restart } from '../model/finding.ts';
import { catalogue } from '../stages/index.ts';
import { adviceOn, restartMeanings, restartText } from './advice.ts';

const finding: Finding = {
  code: 'some-failure',
  stage: 'configured',
  severity: 'broken',
  subject: { node: 'n1' },
  message: 'it is so',
  args: {},
  evidence: [],
  explanation: 'It happens.',
  remedy: 'Do this; then run hostport heal for the rest.',
  command: 'hostport heal --only some-failure',
  restart: 'avoided',
  documentation: 'docs/failures/some-failure.md',
};

test('the advice on a finding is in words that its reader can type', () => {
  expect(adviceOn(finding, (text) => text.replaceAll('hostport ', 'bin/hostport '))).toEqual({
    why: 'It happens.',
    remedy: 'Do this; then run bin/hostport heal for the rest.',
    restart: 'not needed, though often done: bin/hostport heal fixes it while the pod runs',
    fix: 'bin/hostport heal --only some-failure',
    read: 'bin/hostport doctor --explain some-failure',
  });
  const { command: _, ...byHand } = finding;
  expect(adviceOn(byHand, (text) => text).fix).toBeUndefined();
});

describe('whether pods must be recreated', () => {
  test.each<[Restart, boolean, string]>([
    ['no', true, 'not needed'],
    ['needed', false, 'needed: the pod must be recreated, since its ports cannot be changed'],
    ['avoided', true, 'not needed, though often done: hostport heal fixes it while the pod runs'],
    ['avoided', false, 'not needed: after the remedy, hostport heal fixes what is left while the pod runs'],
  ])('%s, fixed by heal: %p', (restart, isFixed, text) => {
    expect(restartText({ restart, restartReason: 'its ports cannot be changed' }, isFixed)).toBe(text);
  });

  test('has its reason for every failure that needs it or is often fixed so', () => {
    for (const failure of catalogue.filter(({ restart }) => restart !== 'no'))
      expect(restartText(failure, true)).toMatch(/, since \w|, though often done: hostport heal fixes/);
    expect(Object.keys(restartMeanings)).toEqual(['no', 'avoided', 'needed']);
  });
});
