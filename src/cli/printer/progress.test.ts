import { describe, expect, test } from 'bun:test';
import type { Progress } from '../../lab/cluster/progress.ts';
import { terminalProgress } from './progress.ts';

const CLEAR = '\r\u001b[K';

/** Progress with a stream that remembers, a clock that stands still and a spinner that turns when the test says so. */
function watched(options: { isTTY?: boolean; columns?: number; env?: Record<string, string> } = {}) {
  let written = '';
  let time = 0;
  const ticks = new Set<() => void>();
  const progress = terminalProgress(
    {
      isTTY: options.isTTY,
      columns: options.columns,
      write: (text) => {
        written += text;
      },
    },
    {
      env: options.env ?? {},
      now: () => time,
      every: (_ms, tick) => {
        ticks.add(tick);
        return () => ticks.delete(tick);
      },
    },
  );
  return {
    progress,
    spinners: ticks,
    take: () => {
      const text = written;
      written = '';
      return text;
    },
    pass: (ms: number) => {
      time += ms;
    },
    turn: () => {
      for (const tick of ticks) tick();
    },
  };
}

/** A step that ends when the test says so. */
function open(progress: Progress, title: string): { end: () => Promise<void> } {
  const { promise, resolve } = Promise.withResolvers<void>();
  const step = progress.step(title, () => promise);
  return {
    end: () => {
      resolve();
      return step;
    },
  };
}

describe('terminalProgress off a terminal', () => {
  for (const [name, options] of [
    ['a pipe', {}],
    ['a dumb terminal', { isTTY: true, env: { TERM: 'dumb' } }],
  ] as const) {
    test(`${name}: one plain line a step, when it has ended`, async () => {
      const { progress, take, pass, spinners } = watched(options);
      const result = await progress.step('Preparing nodes 📦', async () => {
        expect(take()).toBe('');
        expect(spinners.size).toBe(0);
        pass(345);
        return 4;
      });
      expect(result).toBe(4);
      expect(take()).toBe(' ✓ Preparing nodes 📦 0.3s\n');
    });
  }

  test('a step that throws gets a cross, and the error is thrown again', async () => {
    const { progress, take, pass } = watched();
    const failing = progress.step('Starting control-plane', async () => {
      pass(2000);
      throw new Error('no etcd');
    });
    await expect(failing).rejects.toThrow('no etcd');
    expect(take()).toBe(' ✗ Starting control-plane 2.0s\n');
  });

  test('a note is printed line by line, escaped', () => {
    const { progress, take } = watched();
    progress.note('warning: \u001b[2J\n\nnext');
    expect(take()).toBe('warning: \\x1b[2J\n\nnext\n');
  });
});

describe('terminalProgress on a terminal', () => {
  test('spins in place, then leaves a coloured tick and no timer', async () => {
    const { progress, take, pass, turn, spinners } = watched({ isTTY: true });
    const step = open(progress, 'Preparing nodes 📦');
    expect(take()).toBe(`${CLEAR} ⠋ Preparing nodes 📦 `);
    turn();
    expect(take()).toBe(`${CLEAR} ⠙ Preparing nodes 📦 `);
    pass(1250);
    await step.end();
    expect(take()).toBe(`${CLEAR} \u001b[32m✓\u001b[0m Preparing nodes 📦 1.3s\n`);
    expect(spinners.size).toBe(0);
  });

  test('shows how far its work is when the spinner turns, and not when it has ended', async () => {
    const { progress, take, turn } = watched({ isTTY: true, env: { NO_COLOR: '1' } });
    await progress.step('Fetching kubelet', async (say) => {
      take();
      say('1 of 58 MB');
      say('2 of 58 MB\u001b[2J');
      expect(take()).toBe('');
      turn();
      expect(take()).toBe(`${CLEAR} ⠙ Fetching kubelet 2 of 58 MB\\x1b[2J`);
    });
    expect(take()).toBe(`${CLEAR} ✓ Fetching kubelet 0.0s\n`);
  });

  for (const [value, mark] of [
    ['1', '✓'],
    ['', '\u001b[32m✓\u001b[0m'],
  ] as const) {
    test(`NO_COLOR=${JSON.stringify(value)}`, async () => {
      const { progress, take } = watched({ isTTY: true, env: { NO_COLOR: value } });
      await progress.step('x', async () => take());
      expect(take()).toBe(`${CLEAR} ${mark} x 0.0s\n`);
    });
  }

  test('a note goes above the spinner', async () => {
    const { progress, take } = watched({ isTTY: true });
    const step = open(progress, 'x');
    take();
    progress.note('careful');
    expect(take()).toBe(`${CLEAR}careful\n${CLEAR} ⠋ x `);
    await step.end();
  });

  test('of overlapping steps the last one begun is shown, and every one gets its line', async () => {
    const { progress, take, spinners } = watched({ isTTY: true, env: { NO_COLOR: '1' } });
    const first = open(progress, 'first');
    const second = open(progress, 'second');
    expect(spinners.size).toBe(1);
    take();
    await first.end();
    expect(take()).toBe(`${CLEAR}${CLEAR} ✓ first 0.0s\n${CLEAR} ⠋ second `);
    await second.end();
    expect(take()).toBe(`${CLEAR} ✓ second 0.0s\n`);
    expect(spinners.size).toBe(0);
  });

  test('a title wider than the terminal is cut, so that the line can be cleared again', () => {
    const { progress, take } = watched({ isTTY: true, columns: 10 });
    open(progress, '日本語日本語');
    expect(take()).toBe(`${CLEAR} ⠋ 日本語`);
  });
});
