import type { Exec, ExecResult } from '../../sys/exec.ts';
import { waitFor } from '../../sys/wait.ts';

/** Where a tour shows what it does. */
export interface Stage {
  heading(text: string): void;
  /** A command as the how-to prints it, and what it answered. */
  command(shown: string, output: string): void;
  expectation(text: string, met: boolean, seen: string): void;
}

/** A command of the tour: how it is shown, and the argv that is run in the lab. */
export interface TourCommand {
  shown: string;
  argv: readonly string[];
  /** Keeps only matching lines of the output, as `| grep` would. */
  grep?: RegExp;
  /** Of a long answer, shows its beginning and the lines that match; all of it is judged. */
  point?: RegExp;
}

const BEGINNING = 2;
const DEADLINE_MS = 20_000;

/** The first lines of a text and those that match, with `…` in the place of what is left out. */
export function excerpt(text: string, point: RegExp): string {
  const shown: string[] = [];
  for (const [index, line] of text.trimEnd().split('\n').entries()) {
    if (index < BEGINNING || point.test(line)) shown.push(line);
    else if (shown.at(-1) !== '…') shown.push('…');
  }
  return shown.join('\n');
}

/** Splits a command without quotes or pipes into its argv; `| grep WORD` at its end becomes the filter. */
export function plain(shown: string): TourCommand {
  const [command, filter] = shown.split(' | grep ');
  const argv = command!.trim().split(/\s+/);
  return { shown, argv, ...(filter === undefined ? {} : { grep: new RegExp(filter.trim()) }) };
}

/** What a command said, standard error included, as a person at the terminal would see it. */
export interface Answer {
  code: number;
  text: string;
}

/** Where a tour ended, because something was not as the how-to says: what follows builds on it. */
export interface Failure {
  /** The heading under which it was. */
  step: string;
  /** What was expected. */
  text: string;
}

/** An expectation of a tour was not met. */
export class NotMet extends Error {
  override name = 'NotMet';
  readonly failure: Failure;

  constructor(failure: Failure) {
    super(`${failure.step}: not met: ${failure.text}`);
    this.failure = failure;
  }
}

/** Runs the commands of a tour in the lab, shows them, counts what was as expected, and ends at the first thing that was not. */
export class Guide {
  readonly #exec: Exec;
  readonly #inLab: (argv: readonly string[]) => readonly string[];
  readonly #stage: Stage;
  readonly #signal: AbortSignal;
  readonly #deadlineMs: number;
  #met = 0;
  #step = '';

  constructor(options: {
    exec: Exec;
    /** argv that runs a command where the how-to's author sits. */
    inLab: (argv: readonly string[]) => readonly string[];
    stage: Stage;
    signal: AbortSignal;
    /** How long what is expected may take where nothing else is said, in milliseconds. Default 20 s. */
    deadlineMs?: number;
  }) {
    this.#exec = options.exec;
    this.#inLab = options.inLab;
    this.#stage = options.stage;
    this.#signal = options.signal;
    this.#deadlineMs = options.deadlineMs ?? DEADLINE_MS;
  }

  get met(): number {
    return this.#met;
  }

  heading(text: string): void {
    this.#step = text;
    this.#stage.heading(text);
  }

  /** Runs a command that changes something, and shows it. @throws NotMet when it fails */
  async run(command: TourCommand): Promise<Answer> {
    const answer = await this.look(command);
    // That a command succeeds goes without saying.
    if (answer.code !== 0) this.expect(`${command.shown}: succeeds`, false, `exit status ${answer.code}`);
    return answer;
  }

  /** Runs a command once and shows it, whatever its status: the answer is judged by whoever asked. */
  async look(command: TourCommand): Promise<Answer> {
    const answer = await this.#ask(command);
    this.#show(command, answer);
    return answer;
  }

  /** @throws NotMet unless it is met */
  expect(text: string, met: boolean, seen: string): void {
    this.#stage.expectation(text, met, seen);
    if (!met) throw new NotMet({ step: this.#step, text });
    this.#met++;
  }

  /**
   * Runs a command again and again until its answer is as expected, or the deadline passes; shows the last answer.
   * @throws NotMet at the deadline
   */
  async until(
    command: TourCommand,
    text: string,
    condition: (answer: Answer) => boolean,
    timeoutMs = this.#deadlineMs,
  ): Promise<Answer> {
    let answer: Answer = { code: -1, text: '' };
    const met = await waitFor(
      text,
      async () => {
        answer = await this.#ask(command);
        return condition(answer);
      },
      { timeoutMs, intervalMs: 100, signal: this.#signal },
    ).catch((error) => {
      if (this.#signal.aborted) throw error;
      return false;
    });
    this.#show(command, answer);
    this.expect(text, met, answer.text);
    return answer;
  }

  #show({ shown, point }: TourCommand, { text }: Answer): void {
    this.#stage.command(shown, point === undefined ? text : excerpt(text, point));
  }

  async #ask(command: TourCommand): Promise<Answer> {
    this.#signal.throwIfAborted();
    const result: ExecResult = await this.#exec.run(this.#inLab(command.argv), {
      timeoutMs: 60_000,
      signal: this.#signal,
    });
    const text = `${result.stdout}${result.stderr}`;
    if (command.grep === undefined) return { code: result.code, text };
    const lines = text.split('\n').filter((line) => command.grep!.test(line));
    return { code: lines.length > 0 ? 0 : 1, text: lines.join('\n') };
  }
}
