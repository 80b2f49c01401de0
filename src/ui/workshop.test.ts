import { describe, expect, test } from 'bun:test';
import type { TraceDocument } from '../path/trace/document.ts';
import { realClock } from '../sys/clock.ts';
import { InputError, UserError } from '../util/errors.ts';
import type { LabDoor } from './lab-door.ts';
import type { LabState } from './protocol.ts';
import { Workshop } from './workshop.ts';

const never = new AbortController().signal;
const TRACE = { message: 'the probe was answered' } as TraceDocument;
const BREAK = { do: 'break', code: 'plugin-missing' } as const;

function start(door: Partial<LabDoor> = {}) {
  const states: LabState[] = [];
  let changes = 0;
  const errors: unknown[] = [];
  const injected: LabState['injected'] = [];
  const workshop = new Workshop({
    door: {
      faults: [],
      injected: async () => [...injected],
      break: async ({ code }) => {
        injected.push({ code, node: 'n1', pod: 'p' });
        return `${code} on n1`;
      },
      heal: async () => '1 fixed',
      undo: async () => 'nothing to undo',
      trace: async () => TRACE,
      ...door,
    },
    clock: realClock,
    publish: (state) => states.push(state),
    changed: () => changes++,
    onError: (error) => errors.push(error),
  });
  return { workshop, states, injected, errors, changes: () => changes };
}

describe('a workshop', () => {
  test('carries out an order, and says what is under way, what came of it and what is injected now', async () => {
    const { workshop, states, changes } = start();
    const done = workshop.carryOut(BREAK, never);
    expect(states.at(-1)?.running?.what).toBe('break plugin-missing');
    expect(await done).toEqual({ status: 200, ok: true, text: 'plugin-missing on n1' });
    expect(states.at(-1)).toMatchObject({
      injected: [{ code: 'plugin-missing', node: 'n1', pod: 'p' }],
      last: { what: 'break plugin-missing', ok: true, text: 'plugin-missing on n1' },
    });
    expect(states.at(-1)?.running).toBeUndefined();
    expect(changes()).toBe(1);
  });

  test('a trace brings its document, and changes nothing', async () => {
    const { workshop, changes } = start();
    const order = { do: 'trace', node: 'n1', port: 80, protocol: 'tcp', from: 'outside' } as const;
    expect(await workshop.carryOut(order, never)).toEqual({
      ...{ status: 200, ok: true, text: 'the probe was answered' },
      trace: TRACE,
    });
    expect(changes()).toBe(0);
  });

  test('one order at a time: another is refused, and not kept for later', async () => {
    const { promise, resolve } = Promise.withResolvers<string>();
    let broken = 0;
    const { workshop } = start({
      heal: () => promise,
      break: async () => {
        broken++;
        return '';
      },
    });
    const first = workshop.carryOut({ do: 'heal', restart: true }, never);
    expect(await workshop.carryOut(BREAK, never)).toEqual({
      status: 409,
      ok: false,
      text: 'cannot break now: heal, recreating pods is under way',
    });
    resolve('done');
    expect(await first).toMatchObject({ ok: true, text: 'done' });
    expect(broken).toBe(0);
    expect(await workshop.carryOut(BREAK, never)).toMatchObject({ ok: true });
  });

  test.each([
    ['wrong input', new InputError('cannot break: no failure is called "x"'), 400],
    ['a failure', new UserError('cannot undo'), 422],
    ['anything else', new Error('connection refused'), 500],
  ])('%s is the answer, in words', async (_, error, status) => {
    const { workshop, states } = start({ undo: () => Promise.reject(error) });
    const outcome = await workshop.carryOut({ do: 'undo' }, never);
    expect(outcome).toEqual({ status, ok: false, text: error.message } as never);
    expect(states.at(-1)?.last).toMatchObject({ what: 'undo', ok: false, text: error.message });
  });

  test('what a terminal has injected is shown when it is looked at, and reported once', async () => {
    const { workshop, states, injected } = start();
    await workshop.refresh();
    expect(states).toEqual([]);
    injected.push({ code: 'ip-forward-off', node: 'n2', pod: 'p' });
    await workshop.refresh();
    await workshop.refresh();
    expect(states).toEqual([{ injected: [{ code: 'ip-forward-off', node: 'n2', pod: 'p' }] }]);
  });

  test('what is injected but cannot be read after an order is reported, and the order is done', async () => {
    const torn = new Error('the book is torn');
    const { workshop, errors } = start({ injected: () => Promise.reject(torn) });
    expect(await workshop.carryOut(BREAK, never)).toMatchObject({ ok: true });
    expect(errors).toEqual([torn]);
  });

  test('is idle when what was under way has ended', async () => {
    const { promise, resolve } = Promise.withResolvers<string>();
    const { workshop } = start({ heal: () => promise });
    await workshop.idle();
    const done: string[] = [];
    workshop.carryOut({ do: 'heal', restart: false }, never);
    const idle = workshop.idle().then(() => done.push('idle'));
    promise.then(() => done.push('healed'));
    resolve('');
    await idle;
    expect(done).toEqual(['healed', 'idle']);
  });
});
