import type { Progress } from '../../lab/cluster/progress.ts';
import { safeText } from '../../util/safe-text.ts';
import { paintOf } from './colour.ts';
import { layoutOf } from './layout.ts';
import { cut, paragraph } from './wrap.ts';

/** Where progress is written: standard error, or a test's fake. */
export interface ProgressStream {
  isTTY?: boolean;
  columns?: number;
  write(text: string): unknown;
}

/** What progress needs besides a stream; tests own the time. */
export interface ProgressSurroundings {
  env: Record<string, string | undefined>;
  /** Milliseconds of any steady clock. */
  now(): number;
  /** Calls `tick` every `ms` milliseconds until what it returned is called. */
  every(ms: number, tick: () => void): () => void;
}

const REAL: ProgressSurroundings = {
  env: process.env,
  now: () => performance.now(),
  every(ms, tick) {
    const timer = setInterval(tick, ms);
    return () => clearInterval(timer);
  },
};

const FRAMES = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
const FRAME_MS = 100;
const CLEAR_LINE = '\r\u001b[K';

interface RunningStep {
  title: string;
  /** What its work said last. */
  detail: string;
}

/**
 * Progress in kind's manner: ` ✓ Preparing nodes 📦 0.3s`, one line a step that has ended, ` ✗ …` for one that threw.
 * On a terminal the running step is shown with a spinner; elsewhere (a pipe, a log, TERM=dumb) nothing moves and no escape
 * sequence is written but for colours that FORCE_COLOR wants. NO_COLOR removes the colours, the spinner stays.
 * Steps may overlap: the spinner shows the one that began last.
 */
export function terminalProgress(stream: ProgressStream, surroundings = REAL): Progress {
  const { env, now, every } = surroundings;
  const isTerminal = stream.isTTY === true && env.TERM !== 'dumb';
  const paint = paintOf(stream, env);
  const running: RunningStep[] = [];
  let frame = 0;
  let stopSpinner: (() => void) | undefined;

  const draw = () => {
    const current = running.at(-1);
    if (!isTerminal || current === undefined) return;
    const line = ` ${FRAMES[frame % FRAMES.length]} ${current.title} ${current.detail}`;
    // A line that wraps cannot be cleared by going to the start of the row.
    stream.write(`${CLEAR_LINE}${cut(line, (stream.columns || 80) - 1)}`);
  };
  const print = (line: string) => {
    stream.write(`${isTerminal && running.length > 0 ? CLEAR_LINE : ''}${line}\n`);
    draw();
  };
  const begin = (title: string) => {
    const step: RunningStep = { title, detail: '' };
    running.push(step);
    draw();
    if (isTerminal) {
      stopSpinner ??= every(FRAME_MS, () => {
        frame++;
        draw();
      });
    }
    return step;
  };
  const end = (step: RunningStep, mark: string, ms: number) => {
    if (isTerminal) stream.write(CLEAR_LINE);
    running.splice(running.indexOf(step), 1);
    if (running.length === 0) {
      stopSpinner?.();
      stopSpinner = undefined;
    }
    print(` ${mark} ${step.title} ${(ms / 1000).toFixed(1)}s`);
  };

  return {
    async step(title, work) {
      const step = begin(safeText(title));
      const started = now();
      try {
        const result = await work((detail) => {
          // The spinner shows it when it turns next: what is said thousands of times a second would flicker.
          step.detail = safeText(detail);
        });
        end(step, paint('good', '✓'), now() - started);
        return result;
      } catch (error) {
        end(step, paint('bad', '✗'), now() - started);
        throw error;
      }
    },
    note(text) {
      const layout = layoutOf(stream, env);
      for (const line of text.split('\n')) print(paragraph(line, layout).trimEnd());
    },
  };
}
