import { expect, test } from 'bun:test';
import { realExec } from '../sys/exec.ts';
import { UserError } from '../util/errors.ts';
import { interruptible } from './interruptible.ts';

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
