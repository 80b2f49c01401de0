import { expect, test } from 'bun:test';
import { PassThrough, Writable } from 'node:stream';
import { streamTable } from './quiz.ts';

const never = new AbortController().signal;

function tableOf() {
  const input = new PassThrough();
  const written: string[] = [];
  const output = new Writable({
    write(chunk, _, done) {
      written.push(String(chunk));
      done();
    },
  });
  return { input, table: streamTable(input, output), said: () => written.join('') };
}

test('lines that come before they are asked for are kept, then there are no more', async () => {
  const { input, table, said } = tableOf();
  input.end('2\nhint\n');
  expect([await table.answer(never), await table.answer(never), await table.answer(never)]).toEqual([
    '2',
    'hint',
    undefined,
  ]);
  // What was typed is in the transcript, which no terminal has echoed.
  expect(said()).toBe('> 2\n> hint\n> \n');
});

test('a line that comes later is waited for', async () => {
  const { input, table } = tableOf();
  const asked = table.answer(never);
  input.write('check\n');
  expect(await asked).toBe('check');
  table.close();
});

test('an interruption ends the wait', async () => {
  const { table } = tableOf();
  const controller = new AbortController();
  const asked = table.answer(controller.signal);
  controller.abort(new Error('enough'));
  await expect(asked).rejects.toThrow('enough');
  await expect(table.answer(controller.signal)).rejects.toThrow('enough');
  table.close();
});

test('what is said and typed does nothing to the terminal', async () => {
  const { input, table, said } = tableOf();
  table.say('evidence:\n  \u001b[2J');
  input.end('\u001b[2J\n');
  await table.answer(never);
  expect(said()).toBe('evidence:\n  \\x1b[2J\n> \\x1b[2J\n');
});
