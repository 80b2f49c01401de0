import { afterEach, describe, expect, test } from 'bun:test';
import { realExec } from '../sys/exec.ts';
import { UserError } from '../util/errors.ts';
import { interruptible, untilInterrupted } from './interruptible.ts';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
afterEach(() => {
  for (const name of SIGNALS) process.removeAllListeners(name);
});

test('an interruption is its own error, also when it kills a program that was running', async () => {
  const work = interruptible(async (signal) => {
    const running = realExec.run(['sleep', '60'], { signal });
    process.emit('SIGINT', 'SIGINT');
    await running;
  });
  const error = await work.catch((cause: unknown) => cause);
  expect(error).toBeInstanceOf(UserError);
  expect(error).toMatchObject({ message: 'interrupted by SIGINT', exitCode: 130 });
});

test('another error stays as it is', async () => {
  const error = new UserError('no');
  expect(await interruptible(() => Promise.reject(error)).catch((cause: unknown) => cause)).toBe(error);
});

test('a second signal cannot end the process before it has reported the first', async () => {
  await interruptible(async () => process.emit('SIGTERM', 'SIGTERM'));
  for (const name of SIGNALS) expect(process.listenerCount(name)).toBe(1);
});

test('signals do what they did before when the work has ended', async () => {
  await interruptible(async () => 'done');
  for (const name of SIGNALS) expect(process.listenerCount(name)).toBe(0);
});

describe('what runs until it is interrupted', () => {
  afterEach(() => {
    process.exitCode = 0;
  });

  test.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const)('ends by %s without an error, and with the status of it', async (name, status) => {
    await untilInterrupted(async (signal) => {
      process.emit(name, name);
      signal.throwIfAborted();
    });
    expect(process.exitCode).toBe(status);
  });

  test('fails as what it runs, also once it is interrupted', async () => {
    const error = new UserError('cannot remove what was created');
    const failing = untilInterrupted(async () => {
      process.emit('SIGINT', 'SIGINT');
      throw error;
    });
    expect(await failing.catch((cause: unknown) => cause)).toBe(error);
  });
});
