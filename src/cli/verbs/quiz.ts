import { randomInt } from 'node:crypto';
import { createInterface } from 'node:readline';
import { InvalidArgumentError } from 'commander';
import { quizLab } from '../../lab/quiz/lab.ts';
import type { Level } from '../../lab/quiz/question.ts';
import { playQuiz, type QuizTable } from '../../lab/quiz/quiz.ts';
import { interruptible } from '../interruptible.ts';
import { oneOf } from '../option-values.ts';
import { renderJson } from '../printer/document.ts';
import { layoutOf } from '../printer/layout.ts';
import { quizScore } from '../printer/quiz-score.ts';
import { paragraph } from '../printer/wrap.ts';
import { addTargetOptions, labTargetOf } from '../target.ts';
import { command, examples, exitWith } from '../verb.ts';

const ELSEWHERE =
  'the quiz breaks something, which is done in the lab only; choose a cluster of it with --name';
/** Seeds are below this. Six digits can be shared aloud. */
const SEEDS = 1_000_000;

interface QuizOptions {
  seed?: number;
  level?: `${Level}`;
  output: 'text' | 'json';
}

/** `hostport quiz`: something is broken in the lab, and the user finds out what. */
export function quizVerb() {
  const verb = command('quiz')
    .description(
      'break something in the lab, and ask for the cause\n\nGives hints stage by stage, checks a repair by hand, and scores. At the end, also after Ctrl-C, what it broke is undone.\nReads answers from standard input.\nExit status: 0 the cause was named, 1 it was not, 2 the quiz could not be played.',
    )
    .option(
      '--seed <number>',
      `0 to ${SEEDS - 1}: asks the same again in a lab in the same state (default: a new one)`,
      seedNumber,
    )
    .option(
      '--level <level>',
      '1 files and plugins of a node, 2 whatever breaks a hostPort, 3 also risks (default: level 1)',
      oneOf('1', '2', '3'),
    )
    .option('-o, --output <format>', 'text, or json for the result', oneOf('text', 'json'), 'text')
    .failsWith(2)
    .action(async (options: QuizOptions) => {
      const { record, title, flags } = await labTargetOf(verb, ELSEWHERE);
      const seed = options.seed ?? randomInt(SEEDS);
      // The document alone is on standard output.
      const stream = options.output === 'json' ? process.stderr : process.stdout;
      const table = streamTable(process.stdin, stream);
      try {
        const result = await interruptible(async (signal) => {
          await using lab = await quizLab(record, flags);
          table.say(title);
          return playQuiz(lab, table, { seed, level: Number(options.level ?? 1) as Level }, signal);
        });
        if (options.output === 'json')
          process.stdout.write(
            renderJson({ apiVersion: 'hostport/v1', kind: 'QuizResult', cluster: record.name, ...result }, 2),
          );
        else table.say(quizScore(result));
        exitWith(result.found ? 0 : 1);
      } finally {
        table.close();
      }
    });
  addTargetOptions(verb, 'contexts');
  return examples(
    verb,
    'hostport quiz',
    'hostport quiz --level 2 --seed 4711',
    'echo 2 | hostport quiz -o json',
  );
}

/**
 * A player at a stream of lines. Lines that come before they are asked for are kept, and those of a terminal are read by the terminal itself, so
 * that Ctrl-C is a signal as elsewhere.
 */
export function streamTable(
  input: NodeJS.ReadableStream,
  output: NodeJS.WritableStream & { isTTY?: boolean },
): QuizTable & { close(): void } {
  const lines: string[] = [];
  let isEnded = false;
  let wake = () => {};
  const reader = createInterface({ input, terminal: false });
  reader.on('line', (line) => {
    lines.push(line);
    wake();
  });
  reader.on('close', () => {
    isEnded = true;
    wake();
  });
  return {
    say(text) {
      const layout = layoutOf(output);
      for (const line of text.split('\n')) output.write(paragraph(line, layout, '', indentOf(line)));
    },
    async answer(signal) {
      output.write('> ');
      while (lines.length === 0 && !isEnded) {
        await new Promise<void>((resolve, reject) => {
          const stop = () => reject(signal.reason);
          wake = () => {
            signal.removeEventListener('abort', stop);
            resolve();
          };
          if (signal.aborted) stop();
          else signal.addEventListener('abort', stop, { once: true });
        });
      }
      const line = lines.shift();
      // On a terminal, its own echo ends the line.
      if (output.isTTY !== true || line === undefined) output.write(paragraph(line ?? '', layoutOf(output)));
      return line;
    },
    close: () => reader.close(),
  };
}

function indentOf(line: string): string {
  return ' '.repeat(/^ *(?:\d+\. |- )?/.exec(line)![0].length || 2);
}

function seedNumber(text: string): number {
  if (/^\d{1,6}$/.test(text)) return Number(text);
  throw new InvalidArgumentError(`want a number from 0 to ${SEEDS - 1}.`);
}
