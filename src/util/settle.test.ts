import { describe, expect, test } from 'bun:test';
import { combinedError } from './errors.ts';
import { fewAtATime, settleAll, settleFailingFast } from './settle.ts';

const never = new AbortController().signal;

/** Work that ends only when its signal aborts, and says so. */
function patient(log: string[]) {
  return (signal: AbortSignal) =>
    new Promise<void>((_, reject) => {
      signal.addEventListener('abort', () => {
        log.push('let go');
        reject(signal.reason);
      });
    });
}

async function thrownBy(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    () => undefined,
    (error) => error,
  );
}

describe('settleAll', () => {
  test('waits for all and throws the failure that comes first in the list', async () => {
    const log: string[] = [];
    const slow = Bun.sleep(5).then(() => log.push('slow ended'));
    const works = [slow, Promise.reject(new Error('one')), Promise.reject(new Error('two'))];
    expect(await thrownBy(settleAll(works))).toEqual(new Error('one'));
    expect(log).toEqual(['slow ended']);
  });
});

describe('settleFailingFast', () => {
  test('returns what each gave, in order', async () => {
    const late = async () => {
      await Bun.sleep(2);
      return 1;
    };
    expect(await settleFailingFast(never, [late, async () => 2])).toEqual([1, 2]);
  });

  test('a failure lets the others go, is what is thrown, and nothing is still under way then', async () => {
    const log: string[] = [];
    const failing = async () => {
      await Bun.sleep(1);
      throw new Error('worker');
    };
    expect(await thrownBy(settleFailingFast(never, [patient(log), failing]))).toEqual(new Error('worker'));
    expect(log).toEqual(['let go']);
  });

  test("the caller's signal ends all of them with its reason", async () => {
    const log: string[] = [];
    const stop = new AbortController();
    const running = thrownBy(settleFailingFast(stop.signal, [patient(log), patient(log)]));
    stop.abort(new Error('Ctrl-C'));
    expect(await running).toEqual(new Error('Ctrl-C'));
    expect(log).toEqual(['let go', 'let go']);
  });
});

describe('combinedError', () => {
  test('one stays itself', () => {
    const one = new Error('one');
    expect(combinedError([one])).toBe(one);
  });

  test('several are listed in order, the original first', () => {
    const original = new Error('the pull failed');
    const error = combinedError([original, new Error('cleaning up', { cause: new Error('busy') })]);
    expect(error).toBeInstanceOf(AggregateError);
    expect((error as AggregateError).message).toBe('the pull failed; and then: cleaning up: busy');
    expect((error as AggregateError).errors[0]).toBe(original);
  });
});

describe('fewAtATime', () => {
  test('works on so many at a time, and returns the results in the order of the items', async () => {
    const gates = Array.from({ length: 5 }, () => Promise.withResolvers<void>());
    const begun: number[] = [];
    const results = fewAtATime([0, 1, 2, 3, 4], 2, async (item) => {
      begun.push(item);
      await gates[item]!.promise;
      return item * 10;
    });
    expect(begun).toEqual([0, 1]);
    gates[1]!.resolve();
    await Bun.sleep(0);
    expect(begun).toEqual([0, 1, 2]);
    for (const gate of gates) gate.resolve();
    expect(await results).toEqual([0, 10, 20, 30, 40]);
  });

  test('begins nothing after a failure, and waits for what is under way', async () => {
    const log: string[] = [];
    const slow = Promise.withResolvers<void>();
    const works = fewAtATime(['fails', 'slow', 'never'], 2, async (item) => {
      log.push(item);
      if (item === 'fails') throw new Error('broken');
      await slow.promise;
      log.push('slow ended');
    });
    await Bun.sleep(0);
    slow.resolve();
    expect(await thrownBy(works)).toEqual(new Error('broken'));
    expect(log).toEqual(['fails', 'slow', 'slow ended']);
  });
});
