/** `hostport quiz` in a lab, and what the lab's commands show on a terminal. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { failuresOf, type Level } from '../../src/lab/quiz/question.ts';
import type { QuizResult } from '../../src/lab/quiz/quiz.ts';
import { seeded, shuffled } from '../../src/util/seeded.ts';
import { onTerminal, tooWide } from '../pseudo-terminal.ts';
import { applyObjects, createCatalogueCluster, echoPod } from './catalogue/cluster.ts';
import { Lab, labMissing, PROGRAM, type Ran } from './lab.ts';

const missing = labMissing();

/** A seed that asks for this failure first, where there is one pod to break something for. */
function seedFor(code: string, level: Level): number {
  for (let seed = 0; ; seed++) {
    const random = seeded(seed);
    shuffled(['the pod'], random);
    if (shuffled(failuresOf(level), random)[0]!.code === code) return seed;
  }
}

describe.skipIf(missing !== undefined)(`in a lab${missing ? ` (${missing})` : ''}`, () => {
  const lab = new Lab('quiz');
  const named = ['--name', lab.name];
  beforeAll(async () => {
    const [node] = await createCatalogueCluster(lab, 1);
    await applyObjects(lab, [echoPod('default', node!)]);
    await lab.mustKubectl('wait', '--for=condition=Ready', 'pod/echo', '--timeout=60s');
    expect((await lab.hostport('answers', ...named, '--settle', '30s')).code).toBe(0);
  });
  afterAll(() => lab.delete());

  const quiz = async (words: readonly string[], stdin: string): Promise<{ ran: Ran; result: QuizResult }> => {
    const ran = await lab.command([PROGRAM, 'quiz', ...named, '-o', 'json', ...words], { stdin });
    if (ran.stdout === '') throw new Error(ran.stderr);
    return { ran, result: JSON.parse(ran.stdout) as QuizResult };
  };

  /** Nothing is injected, and every stage of the mapping holds. */
  const isAsBefore = async () => {
    expect(await lab.must('unbreak', ...named)).toEndWith('Nothing to undo.\n');
    // What was broken may have kept the pod from running until now.
    await lab.mustKubectl('wait', '--for=condition=Ready', 'pod/echo', '--timeout=60s');
    const { code, stdout } = await lab.hostport('doctor', ...named);
    expect(`${code}\n${stdout}`).toStartWith('0\n');
  };

  const seed = String(seedFor('plugin-missing', 1));

  test('a cause that is given up is said, and undone', async () => {
    const { ran, result } = await quiz(['--seed', seed], 'hint\n1\n9\ngive up\ngive up\n');
    expect(ran.code).toBe(1);
    expect(result).toMatchObject({
      code: 'plugin-missing',
      node: 'quiz-worker',
      pod: 'echo',
      found: false,
      hints: 1,
      repaired: false,
      score: { total: 0 },
    });
    expect(ran.stderr).toContain('It is plugin-missing: ');
    await isAsBefore();
  });

  test('the same seed asks the same; the right code is right, and a repair by hand is seen', async () => {
    const started = lab.start([PROGRAM, 'quiz', ...named, '-o', 'json', '--seed', seed]);
    await started.until(/Which of these is it\?/);
    started.type('plugin-missing\n');
    await started.until(/Right: plugin-missing: /);
    started.type('check\n');
    await started.until(/Not yet\. The doctor still finds:\n- plugin-missing: /);
    const node = 'quiz-worker';
    await lab.must('exec', node, '--', 'cp', '/opt/cni/portmap.aside', '/opt/cni/bin/portmap');
    await lab.mustKubectl('wait', '--for=condition=Ready', 'pod/echo', '--timeout=60s');
    expect((await lab.hostport('answers', ...named, '--settle', '30s')).code).toBe(0);
    started.type('check\n');
    await started.until(/Repaired\./);
    expect(await started.exited).toBe(0);
    const result = JSON.parse(started.printed.slice(started.printed.indexOf('{\n'))) as QuizResult;
    expect(result).toMatchObject({ found: true, wrong: [], hints: 0, repaired: true, score: { total: 100 } });
    await isAsBefore();
  });

  test('Ctrl-C undoes what was broken', async () => {
    const started = lab.start([PROGRAM, 'quiz', ...named, '--seed', seed]);
    await started.until(/Which of these is it\?/);
    started.interrupt();
    expect(await started.exited).toBe(130);
    expect(started.printed).toEndWith('error: interrupted by SIGINT\n');
    await isAsBefore();
  });

  test('what is broken already is not asked about', async () => {
    await lab.must('break', 'mapping-missing', ...named);
    const ran = await lab.command([PROGRAM, 'quiz', ...named], { stdin: '' });
    expect(ran.code).toBe(2);
    expect(ran.stderr).toBe(
      `error: cannot start the quiz: mapping-missing is already injected; undo it with "${PROGRAM} unbreak ${named.join(' ')}"\n`,
    );
    await lab.must('unbreak', ...named);
  });

  describe.each([80, 200])('no line is wider than a terminal of %i columns', (width) => {
    test('whatever the lab is in', async () => {
      const commands = [
        ['answers', ...named],
        ['doctor', ...named],
        ['break', 'hostport-conflict', ...named],
        ['doctor', ...named],
        ['doctor', '--summary', ...named],
        ['heal', '--dry-run', ...named],
        ['answers', ...named],
        ['trace', 'quiz-worker:80', ...named],
        ['unbreak', ...named],
        ['agent', 'status', ...named],
        ['ps'],
        ['get', 'nodes', ...named],
        ['quiz', '--seed', '1', ...named],
      ];
      const shown = await onTerminal(PROGRAM, commands, width, { ...lab.env, NO_COLOR: '1' });
      expect(tooWide(shown, width)).toEqual([]);
      expect(shown.find(({ words }) => words.startsWith('break'))!.lines.join(' ')).toContain(
        'created for it: pod default/same-port',
      );
    });
  });
});
