import { afterEach, expect, test } from 'bun:test';
import { DeadlineError } from '../../sys/exec.ts';
import { waitFor } from '../../sys/wait.ts';
import { messageOf } from '../../util/errors.ts';
import { NodeServer } from './node-server.ts';

/** A server in a few lines: `run` is answered with its argv, unless the first word says otherwise. */
const SERVER = `
  process.stderr.write('to be quoted');
  let answered = 0;
  for await (const line of console) {
    const { id, request } = JSON.parse(line);
    const [word] = request.argv;
    if (word === 'end') process.exit(7);
    else if (word === 'garble') console.log('no answer');
    else if (word === 'later') setTimeout(() => console.log(JSON.stringify({ id, value: [request.argv, ++answered, process.pid] })), 300);
    else if (word === 'fail') console.log(JSON.stringify({ id, error: 'it did not work' }));
    else if (word !== 'hang') console.log(JSON.stringify({ id, value: [request.argv, ++answered, process.pid] }));
  }
`;

let server: NodeServer | undefined;
afterEach(() => server?.close());

function started(argv: readonly string[] = [process.execPath, '-e', SERVER]) {
  const opened = new NodeServer(async () => argv);
  server = opened;
  return (word: string, options: { timeoutMs?: number; signal?: AbortSignal } = {}) =>
    opened.ask({ do: 'run', argv: [word] }, { timeoutMs: 10_000, ...options }) as Promise<
      [argv: string[], answered: number, pid: number]
    >;
}

const isRunning = (pid: number) => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};

test('one process answers all requests, and has ended when it is closed', async () => {
  const ask = started();
  const [first, second] = await Promise.all([ask('one'), ask('two')]);
  expect(first.slice(0, 2)).toEqual([['one'], 1]);
  expect(second.slice(0, 2)).toEqual([['two'], 2]);
  const [, third, pid] = await ask('three');
  expect([third, pid]).toEqual([3, first[2]]);
  await server!.close();
  expect(isRunning(pid)).toBe(false);
});

test('why there is no answer is the error, and the process stays', async () => {
  const ask = started();
  await expect(ask('fail')).rejects.toThrow('it did not work');
  expect((await ask('one')).slice(0, 2)).toEqual([['one'], 1]);
});

test.each([
  ['end', /ended with exit status 7: to be quoted$/],
  ['garble', /answered what is no answer, killed: answer: not JSON/],
])('after "%s" nobody waits, and the next request starts another', async (word, message) => {
  const ask = started();
  const [, , pid] = await ask('one');
  for (const end of await Promise.allSettled([ask('hang'), ask(word)])) {
    expect(end).toEqual({
      status: 'rejected',
      reason: expect.objectContaining({ message: expect.stringMatching(message) }),
    });
  }
  const [, answered, next] = await ask('one');
  expect(answered).toBe(1);
  expect(next).not.toBe(pid);
});

test('what does not answer in time is killed', async () => {
  const ask = started();
  const [, , pid] = await ask('one');
  const late = ask('hang', { timeoutMs: 50 });
  await expect(late).rejects.toThrow(/no answer within 50 ms/);
  await expect(late).rejects.toBeInstanceOf(DeadlineError);
  await ask('one');
  expect(isRunning(pid)).toBe(false);
});

test('what does not answer one in time is killed when it has answered the others', async () => {
  const ask = started();
  const [, , pid] = await ask('one');
  const [late, other] = [ask('hang', { timeoutMs: 50 }), ask('later')];
  await expect(late).rejects.toBeInstanceOf(DeadlineError);
  expect(isRunning(pid)).toBe(true);
  const [, , next] = await ask('one');
  expect(next).not.toBe(pid);
  expect((await other)[2]).toBe(pid);
  await waitFor('its end', () => !isRunning(pid), { timeoutMs: 5000 });
  await server!.close();
  expect(isRunning(next)).toBe(false);
});

test('closing ends also one that has missed a deadline', async () => {
  const ask = started();
  const [, , pid] = await ask('one');
  const late = ask('hang', { timeoutMs: 50 });
  const other = ask('hang').catch(messageOf);
  await expect(late).rejects.toBeInstanceOf(DeadlineError);
  await server!.close();
  expect(isRunning(pid)).toBe(false);
  expect(await other).toContain('ended with exit status');
});

test('a request that is cancelled is not waited for, and the process stays', async () => {
  const ask = started();
  const [, , pid] = await ask('one');
  const cancelled = new AbortController();
  const waiting = ask('hang', { signal: cancelled.signal });
  cancelled.abort(new Error('enough'));
  await expect(waiting).rejects.toThrow('enough');
  await expect(ask('one', { signal: cancelled.signal })).rejects.toThrow('enough');
  expect((await ask('one'))[2]).toBe(pid);
});

test('what cannot be started says so each time', async () => {
  const ask = started(['/nonexistent/program']);
  await expect(ask('one')).rejects.toThrow('could not start');
  await expect(ask('one')).rejects.toThrow('could not start');
});

test('one that was never asked is closed at once', async () => {
  started();
  await server!.close();
});
