import { afterEach, expect, test } from 'bun:test';
import { realExec } from '../sys/exec.ts';
import { UserError } from '../util/errors.ts';
import { interruptible } from './interruptible.ts';

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
  expect(error).toEqual(new UserError('interrupted by SIGINT', { exitCode: 130 }));
  expect((error as UserError).exitCode).toBe(130);
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
