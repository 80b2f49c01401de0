import { describe, expect, test } from 'bun:test';
import type { Exec } from '../../sys/exec.ts';
import { excerpt, Guide, plain } from './guide.ts';

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
    expect([guide.met, guide.failed]).toEqual([1, []]);
  });

  test('an expectation that is not met in time is kept', async () => {
    const { guide, log } = guideWith({ stdout: 'other' });
    await guide.until(plain('true'), 'it comes', () => false, 0);
    expect(log).toEqual(['$ true', 'other', 'not met: it comes']);
    expect([guide.met, guide.failed]).toEqual([0, ['it comes']]);
  });

  test('| grep keeps lines, and finds nothing with status 1', async () => {
    const { guide } = guideWith({ stdout: 'a HOSTPORT\nb\n' });
    expect(await guide.run(plain('iptables-save | grep HOSTPORT'))).toEqual({ code: 0, text: 'a HOSTPORT' });
    expect(await guide.run(plain('iptables-save | grep NONE'))).toEqual({ code: 1, text: '' });
  });
});
