import { describe, expect, test } from 'bun:test';
import { failedExecStatus } from './runc.ts';

const entry = (level: string, msg: string) => JSON.stringify({ level, msg, time: '2026-01-01T00:00:00Z' });
const START = 'exec failed: unable to start container process: ';

// As runc 1.1 logs them.
const CASES: readonly (readonly [name: string, log: string, status: number | undefined])[] = [
  ['nothing went wrong', '', undefined],
  ['a warning', `${entry('warning', 'unable to get oom kill count')}\n`, undefined],
  ['not on PATH', `${entry('error', `${START}exec: "x": executable file not found in $PATH`)}\n`, 127],
  [
    'a path that is not there',
    `${entry('error', `${START}exec: "/x": stat /x: no such file or directory`)}\n`,
    127,
  ],
  ['no executable', `${entry('error', `${START}exec: "/etc/passwd": permission denied`)}\n`, 126],
  [
    'no such directory to start in',
    `${entry('error', `${START}chdir to cwd ("/x") set in config.json failed: no such file or directory`)}\n`,
    1,
  ],
  ['a stopped node', `${entry('error', 'cannot exec in a stopped container')}\n`, 1],
  [
    'an error after a warning',
    `${entry('warning', 'w')}\n${entry('error', `${START}exec: "x": executable file not found in $PATH`)}\n`,
    127,
  ],
];

describe('the exit status of a command that runc could not start', () => {
  for (const [name, log, status] of CASES) {
    test(name, () => expect(failedExecStatus(log)).toBe(status as never));
  }
});
