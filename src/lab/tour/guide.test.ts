import { describe, expect, test } from 'bun:test';
import type { Exec } from '../../sys/exec.ts';
import { excerpt, type Failure, Guide, NotMet, plain } from './guide.ts';

/** A guide through answers that are given one after another (the last one again and again), and all that it shows. */
function guideWith(...answers: { code?: number; stdout?: string; stderr?: string }[]) {
  const log: string[] = [];
  const asked: (readonly string[])[] = [];
  const exec: Exec = {
    run: async (argv) => {
      asked.push(argv);
      const answer = answers[Math.min(asked.length, answers.length) - 1]!;
      return { code: 0, stdout: '', stderr: '', ...answer };
    },
  };
  const guide = new Guide({
    exec,
    inLab: (argv) => ['in-lab', ...argv],
    signal: new AbortController().signal,
    stage: {
      heading: (text) => log.push(`# ${text}`),
      command: (shown, output) => log.push(`$ ${shown}`, output),
      expectation: (text, met) => log.push(`${met ? 'met' : 'not met'}: ${text}`),
    },
  });
  return { guide, log, asked };
}

/** What a tour ended with; undefined when it went on. */
async function failureOf(step: Promise<unknown>): Promise<Failure | undefined> {
  return step.then(
    () => undefined,
    (error) => {
      if (error instanceof NotMet) return error.failure;
      throw error;
    },
  );
}

describe('a long answer', () => {
  for (const [what, text, shown] of [
    ['shows its beginning and the point', '1\n2\n3\n4 here\n5\n6\n', '1\n2\n…\n4 here\n…'],
    ['that is short is shown whole', '1\n2\n', '1\n2'],
    ['without the point still has a beginning', '1\n2\n3', '1\n2\n…'],
    ['whose point is next to its beginning has no gap', '1\n2\nhere\nhere', '1\n2\nhere\nhere'],
    ['that is empty is nothing', '', ''],
  ] as const) {
    test(what, () => expect(excerpt(text, /here/)).toBe(shown));
  }
});

describe('a guide', () => {
  test('asks in the lab until the answer is as expected; shows the last one, and judges all of it', async () => {
    const page = 'Welcome\nHead to /ws\n\nname: echo\n\nmore\nlast';
    const { guide, log, asked } = guideWith({ code: 7, stderr: 'refused' }, { stdout: page });
    const command = { ...plain('curl 172.17.0.3'), point: /name/ };
    await guide.until(command, 'it answers', ({ text }) => text.endsWith('last'));
    expect(asked).toEqual([
      ['in-lab', 'curl', '172.17.0.3'],
      ['in-lab', 'curl', '172.17.0.3'],
    ]);
    expect(log).toEqual(['$ curl 172.17.0.3', 'Welcome\nHead to /ws\n…\nname: echo\n…', 'met: it answers']);
    expect(guide.met).toBe(1);
  });

  test('an expectation that is not met ends the tour, with the step that it belongs to', async () => {
    const { guide, log } = guideWith({ stdout: 'other' });
    guide.heading('First');
    guide.expect('it is there', true, '');
    guide.heading('Second');
    const failure = await failureOf(guide.until(plain('true'), 'it comes', () => false, 0));
    expect(log).toEqual(['# First', 'met: it is there', '# Second', '$ true', 'other', 'not met: it comes']);
    expect(failure).toEqual({ step: 'Second', text: 'it comes' });
    expect(guide.met).toBe(1);
  });

  test('a command that is to change something and fails ends the tour; a look may fail', async () => {
    const { guide, log } = guideWith({ code: 1, stderr: 'cp: no such file' });
    expect((await guide.look(plain('cp a b'))).code).toBe(1);
    guide.heading('Copy');
    const failure = await failureOf(guide.run(plain('cp a b')));
    expect(failure).toEqual({ step: 'Copy', text: 'cp a b: succeeds' });
    expect(log.slice(-3)).toEqual(['$ cp a b', 'cp: no such file', 'not met: cp a b: succeeds']);
  });

  test('| grep keeps lines, and finds nothing with status 1', async () => {
    const { guide } = guideWith({ stdout: 'a HOSTPORT\nb\n' });
    expect(await guide.look(plain('iptables-save | grep HOSTPORT'))).toEqual({ code: 0, text: 'a HOSTPORT' });
    expect(await guide.look(plain('iptables-save | grep NONE'))).toEqual({ code: 1, text: '' });
  });
});
