import { expect, test } from 'bun:test';
import type { QuizResult } from '../../lab/quiz/quiz.ts';
import { quizScore } from './quiz-score.ts';

const RESULT: QuizResult = {
  ...{ seed: 7, level: 2, code: 'plugin-missing', node: 'n1', pod: 'web', hints: 1, wrong: ['ip-gone'] },
  port: { hostPort: 80, containerPort: 8080, protocol: 'TCP' },
  ...{ found: true, repaired: true, score: { cause: 40, repair: 40, total: 80, maximum: 100 } },
};

test.each([
  [{}, 'after 1 wrong answer and 1 hint; 40 for the repair. The same'],
  [{ wrong: ['a', 'b'], hints: 0 }, 'after 2 wrong answers and 0 hints; 40'],
  [{ repaired: false }, '40 for the repair, which was not done by hand. The same again: --seed 7 --level 2.'],
])('%o: %s', (changed, said) => {
  expect(quizScore({ ...RESULT, ...changed })).toContain(said);
});
