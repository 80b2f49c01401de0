import type { QuizResult } from '../../lab/quiz/quiz.ts';
import { count } from '../../page/view/count.ts';

/** What a game of the quiz came to, in one line: points, for what, and how to play it again. */
export function quizScore({ code, wrong, hints, repaired, score, seed, level }: QuizResult): string {
  const parts = [
    `${score.cause} for the cause, ${code}, after ${count(wrong.length, 'wrong answer')} and ${count(hints, 'hint')}`,
    `${score.repair} for the repair${repaired ? '' : ', which was not done by hand'}`,
  ];
  return `${score.total} of ${score.maximum} points: ${parts.join('; ')}. The same again: --seed ${seed} --level ${level}. What was broken is undone.`;
}
