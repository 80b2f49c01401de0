import { expect, test } from 'bun:test';
import { abortableExec } from './abortable-exec.ts';
import { ExecError, realExec } from './exec.ts';

async function thrownBy(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    () => undefined,
    (error) => error,
  );
}

test('a command under way is ended, and none begins afterwards: the error is the reason', async () => {
  const controller = new AbortController();
  const exec = abortableExec(realExec, controller.signal);
  const reason = new Error('enough');
  const running = thrownBy(exec.run(['sleep', '1000']));
  controller.abort(reason);
  expect(await running).toBe(reason);
  expect(await thrownBy(exec.run(['/no/such/program']))).toBe(reason);
});

test('as long as nobody aborts it is the exec it was made from', async () => {
  const exec = abortableExec(realExec, new AbortController().signal);
  expect(await exec.run(['cat'], { stdin: 'text' })).toEqual({ code: 0, stdout: 'text', stderr: '' });
  expect(await thrownBy(exec.run(['/no/such/program']))).toBeInstanceOf(ExecError);
});
