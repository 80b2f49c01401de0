import { describe, expect, test } from 'bun:test';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { findProcesses, killProcesses } from './processes.ts';

describe('processes', () => {
  test('are found by argument and directory, and those that are started while they are killed end, too', async () => {
    const mark = `hostport-processes-test-${process.pid}`;
    const parent = Bun.spawn(['sh', '-c', 'while :; do sleep 86413 & sleep 0.001; done', mark], {
      cwd: tmpdir(),
      stdio: ['ignore', 'ignore', 'ignore'],
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

  test('are found from the moment they are started', async () => {
    const missed: number[] = [];
    for (let round = 0; round < 50; round++) {
      const mark = `hostport-processes-test-${process.pid}-${round}`;
      const child = spawn('sh', ['-c', 'sleep 86413; :', mark], { detached: true, stdio: 'ignore' });
      const ended = once(child, 'exit');
      if (findProcesses(({ argv }) => argv.includes(mark)).length === 0) missed.push(round);
      process.kill(-child.pid!, 'SIGKILL');
      await ended;
    }
    expect(missed).toEqual([]);
  });
});
