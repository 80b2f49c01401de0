import { describe, expect, test } from 'bun:test';
import { tmpdir } from 'node:os';
import { findProcesses, killProcesses } from './processes.ts';

describe('processes', () => {
  test('are found by argument and directory, and those that are started while they are killed end, too', async () => {
    const mark = `hostport-processes-test-${process.pid}`;
    const parent = Bun.spawn(['sh', '-c', 'while :; do sleep 86413 & sleep 0.001; done', mark], {
      cwd: tmpdir(),
    });
    const marked = () => findProcesses(({ argv }) => argv.includes(mark)).map(({ pid }) => pid);
    expect(marked()).toContain(parent.pid);
    expect(findProcesses(({ argv, cwd }) => argv.includes(mark) && cwd() === tmpdir())).not.toEqual([]);
    expect(findProcesses(({ argv, cwd }) => argv.includes(mark) && cwd() === '/')).toEqual([]);
    const started = new Set<number>();
    await killProcesses('the test', () => {
      const found = findProcesses(
        ({ argv, cwd }) =>
          argv.includes(mark) || (argv[0] === 'sleep' && argv[1] === '86413' && cwd() === tmpdir()),
      ).map(({ pid }) => pid);
      for (const pid of found) started.add(pid);
      return found;
    });
    expect(started.size).toBeGreaterThan(1);
    expect(marked()).toEqual([]);
    await parent.exited;
  });

  test('that do not end are named past the deadline', async () => {
    const beyondAnyPid = 2 ** 30;
    await expect(killProcesses('nobody', () => [beyondAnyPid], 20)).rejects.toThrow(
      `waited 20 ms for nobody to end; last seen: processes ${beyondAnyPid}`,
    );
  });
});
