import { expect, test } from 'bun:test';
import { EventEmitter } from 'node:events';
import { repeatWhileRead } from './repeat.ts';

/** How often it looks until `on`, called with the number of each look, ends it, and with what. */
async function looks(on: (count: number, stream: EventEmitter, controller: AbortController) => void) {
  const stream = new EventEmitter();
  const controller = new AbortController();
  let count = 0;
  const look = async () => {
    count++;
    on(count, stream, controller);
  };
  const ended = await repeatWhileRead(look, 1, controller.signal, stream).catch((error: unknown) => error);
  return { count, ended, listeners: stream.listenerCount('error') };
}

test('ends quietly when its reader has gone', async () => {
  const outcome = await looks((count, stream) => {
    if (count === 3) queueMicrotask(() => stream.emit('error', new Error('EPIPE')));
  });
  expect(outcome).toEqual({ count: 3, ended: undefined, listeners: 0 });
});

test('an interruption, and a look that fails, end it with their error', async () => {
  const reason = new Error('enough');
  const interrupted = await looks((count, _, controller) => {
    if (count === 2) controller.abort(reason);
  });
  expect(interrupted).toEqual({ count: 2, ended: reason, listeners: 0 });
  const failed = await looks(() => {
    throw reason;
  });
  expect(failed).toEqual({ count: 1, ended: reason, listeners: 0 });
});
