import { expect, test } from 'bun:test';
import { asCalled } from './as-called.ts';

test.each([
  ['hostport heal --only x', '/opt/$&/hostport heal --context a --only x'],
  [
    'run hostport heal, or hostport doctor -o html',
    'run /opt/$&/hostport heal --context a, or /opt/$&/hostport doctor --context a -o html',
  ],
  // What only explains is about no cluster.
  ['hostport doctor --explain x', '/opt/$&/hostport doctor --explain x'],
  ["hostport healed it; hostport's own", "hostport healed it; hostport's own"],
])('%s', (text, typed) => {
  expect(asCalled(text, '/opt/$&/hostport', ' --context a')).toBe(typed);
});
