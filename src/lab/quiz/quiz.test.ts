import { describe, expect, test } from 'bun:test';
import type { Finding } from '../../path/model/finding.ts';
import { catalogue } from '../../path/stages/index.ts';
import { UserError } from '../../util/errors.ts';
import { seeded } from '../../util/seeded.ts';
import { faultOf } from '../faults/index.ts';
import { FakeQuizLab, findingOf } from './lab.fake.ts';
import { candidatesFor, failuresOf, levels } from './question.ts';
import { playQuiz, type QuizTable } from './quiz.ts';

/** A player who types these lines; a function is called for a line that depends on the lab, or that does something there. */
function player(...lines: (string | (() => string))[]): QuizTable & { heard: string[] } {
  const rest = [...lines];
  const heard: string[] = [];
  return {
    heard,
    say: (text) => heard.push(text),
    async answer(signal) {
      signal.throwIfAborted();
      const next = rest.shift();
      return typeof next === 'function' ? next() : next;
    },
  };
}

const never = new AbortController().signal;
const options = { seed: 4711, level: 1 } as const;

test('the cause by its code, hints before, and a repair by hand', async () => {
  const lab = new FakeQuizLab();
  const table = player(
    'hint',
    () => lab.broken!.failure.code,
    'check',
    () => {
      lab.repair();
      return 'check';
    },
  );
  const result = await playQuiz(lab, table, options, never);
  expect(result).toMatchObject({ ...options, found: true, wrong: [], hints: 1, repaired: true });
  expect(result.score.total).toBe(95);
  expect(table.heard).toContain('Not yet. The doctor still finds:');
  expect(lab).toMatchObject({ undone: 1, broken: undefined });
});

test.each<[string, 'unobserved' | 'deleted', string]>([
  ['whose node cannot be observed', 'unobserved', 'node report: no answer'],
  ['whose pod is gone', 'deleted', 'TCP 80 on n.: no pod has it any more'],
])('a hostPort %s is not repaired', async (_, knob, why) => {
  const lab = new FakeQuizLab();
  const heardAt: number[] = [];
  const table = player(
    'give up',
    () => {
      lab[knob] = [lab.broken!.target.node];
      return 'check';
    },
    () => {
      heardAt.push(table.heard.length);
      lab[knob] = [];
      lab.repair();
      return 'check';
    },
  );
  const result = await playQuiz(lab, table, options, never);
  expect(result.repaired).toBe(true);
  const blind = table.heard.slice(0, heardAt[0]);
  expect(blind).toContain('Cannot check the repair:');
  expect(blind).not.toContain('Repaired.');
  expect(blind.join('\n')).toMatch(new RegExp(why));
});

test('a stage that was unknown before may be so after a repair', async () => {
  const lab = new FakeQuizLab(['n1']);
  lab.silent = ['n1'];
  const table = player('give up', () => {
    lab.repair();
    return 'check';
  });
  expect((await playQuiz(lab, table, options, never)).repaired).toBe(true);
});

test('the same seed asks the same, and another asks something else', async () => {
  const asked = async (seed: number) => {
    const table = player();
    const { code, node } = await playQuiz(new FakeQuizLab(), table, { seed, level: 2 }, never);
    return [code, node, ...table.heard.slice(1)];
  };
  expect(await asked(1)).toEqual(await asked(1));
  const codes = await Promise.all(Array.from({ length: 10 }, async (_, seed) => (await asked(seed))[0]));
  expect(new Set(codes).size).toBeGreaterThan(4);
});

test('the question names no cause but the candidates, and where the hints end, none is named either', async () => {
  const lab = new FakeQuizLab();
  const table = player(...Array(12).fill('hint'), 'quit');
  const { code } = await playQuiz(lab, table, options, never);
  const naming = table.heard.filter((text) => text.includes(code));
  expect(naming).toHaveLength(1);
  expect(naming[0]).toMatch(/^\d+\. \[/);
  expect(table.heard.at(-2)).toBe('There are no more hints.');
});

test('a failure that suits no pod is not asked', async () => {
  const lab = new FakeQuizLab();
  const { code: first } = await playQuiz(lab, player(), options, never);
  lab.unsuitable = [first];
  const { code: second } = await playQuiz(lab, player(), options, never);
  expect(second).not.toBe(first);
  lab.unsuitable = catalogue.map(({ code }) => code);
  await expect(playQuiz(lab, player(), options, never)).rejects.toThrow('choose another --level');
});

describe('what is there before the quiz', () => {
  const at = (severity: Finding['severity'], ...nodes: string[]) =>
    nodes.map((node) => ({ ...findingOf(catalogue[0]!, node), severity }));
  const { code } = catalogue[0]!;

  test('keeps it from starting where it is broken, and says how to fix it', async () => {
    const lab = new FakeQuizLab();
    lab.others = at('broken', 'n3', 'n1');
    const table = player();
    await expect(playQuiz(lab, table, options, never)).rejects.toThrow(
      `cannot start the quiz: something is broken already: ${code} on n3, ${code} on n1; fix it with "hostport heal", then start again`,
    );
    expect(table.heard).toEqual([]);
    expect(lab).toMatchObject({ undone: 0, broken: undefined });
  });

  test('is broken where no pod runs: that is said first', async () => {
    const lab = new FakeQuizLab([]);
    lab.others = at('broken', 'n1');
    await expect(playQuiz(lab, player(), options, never)).rejects.toThrow(`${code} on n1; fix it`);
  });

  test.each(['risk', 'note'] as const)(
    'is no answer where it is a %s, nor left over by a repair',
    async (severity) => {
      const lab = new FakeQuizLab(['n1', 'n2']);
      lab.others = at(severity, 'n3');
      const table = player('give up', () => {
        lab.repair();
        return 'check';
      });
      expect(await playQuiz(lab, table, options, never)).toMatchObject({ found: false, repaired: true });
      const said = `There already, and not what is asked for: ${code} on n3.`;
      expect(table.heard.includes(said)).toBe(severity === 'risk');
    },
  );

  test('is not asked about where it cannot be seen', async () => {
    const lab = new FakeQuizLab(['n1', 'n2']);
    lab.unobserved = ['n1'];
    const table = player();
    expect((await playQuiz(lab, table, options, never)).node).toBe('n2');
    expect(table.heard).toContain('Cannot be seen, and is not asked about: n1: node report: no answer.');
  });
});

describe('what was injected is undone', () => {
  test('when there is no more input', async () => {
    const lab = new FakeQuizLab();
    const result = await playQuiz(lab, player(), options, never);
    expect(result).toMatchObject({ found: false, score: { total: 0 } });
    expect(lab).toMatchObject({ undone: 1, broken: undefined });
  });

  test('when it is interrupted, with the interruption as the error', async () => {
    const lab = new FakeQuizLab();
    const controller = new AbortController();
    const table = player(() => {
      controller.abort(new UserError('interrupted by SIGINT', { exitCode: 130 }));
      return 'hint';
    }, 'hint');
    await expect(playQuiz(lab, table, options, controller.signal)).rejects.toThrow('interrupted by SIGINT');
    expect(lab).toMatchObject({ undone: 1, broken: undefined });
  });

  test('and what is not as it was is said before the end', async () => {
    const lab = new FakeQuizLab();
    lab.unsettled = ['not ready again after a minute: pod echo on n1: it has no sandbox'];
    const table = player();
    await playQuiz(lab, table, options, never);
    expect(table.heard.slice(-2)).toEqual([
      'Undone; waiting until everything is as it was ...',
      'not ready again after a minute: pod echo on n1: it has no sandbox',
    ]);
  });

  test('and what cannot be undone is said, too', async () => {
    const lab = new FakeQuizLab();
    lab.undoError = new UserError('cannot undo what the quiz broke');
    await expect(playQuiz(lab, player(), options, never)).rejects.toThrow('cannot undo what the quiz broke');
    lab.repair();
    const table = player();
    table.answer = async () => {
      throw new UserError('interrupted');
    };
    const error = await playQuiz(lab, table, options, never).catch((cause: unknown) => cause);
    expect((error as Error).message).toBe('interrupted; and then: cannot undo what the quiz broke');
  });
});

describe.each(levels)('level %i', (level) => {
  test('has failures that a lab can have, more than there are candidates', () => {
    const failures = failuresOf(level);
    for (const failure of failures) expect(faultOf(failure).impossible).toBeUndefined();
    for (const failure of failures) {
      const candidates = candidatesFor(failure, level, seeded(5));
      expect(candidates).toContain(failure);
      expect(new Set(candidates).size).toBe(candidates.length);
      expect(failures.length).toBeGreaterThan(candidates.length);
      expect(candidates.every((one) => failures.includes(one))).toBe(true);
    }
  });

  test('the place of the right one among them says nothing', () => {
    const places = failuresOf(level).map((failure) =>
      candidatesFor(failure, level, seeded(1)).indexOf(failure),
    );
    expect(new Set(places).size).toBeGreaterThan(2);
  });
});

test('each level has all of the one before, and more', () => {
  const [first, second, third] = levels.map((level) => failuresOf(level));
  expect(second).toEqual(expect.arrayContaining([...first!]));
  expect(third).toEqual(expect.arrayContaining([...second!]));
  expect(first!.length).toBeLessThan(second!.length);
  expect(second!.length).toBeLessThan(third!.length);
});
