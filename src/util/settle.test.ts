import { describe, expect, test } from 'bun:test';
import { combinedError } from './errors.ts';
import { settleAll, settleFailingFast } from './settle.ts';

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
