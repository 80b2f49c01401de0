/** What a shell's prompt is while something types into it. */
export const PROMPT = 'ready> ';

/** A shell that prompts with {@link PROMPT}. */
export interface TypedShell {
  argv: string[];
  cwd: string;
  env: Record<string, string | undefined>;
}

/** What is on the terminal once a shell has completed a line that was typed, and was asked to run nothing. Without `want` there it waits for ever. */
export async function typedInto({ argv, cwd, env }: TypedShell, line: string, want: RegExp): Promise<string> {
  let seen = '';
  let heard = () => {};
  const child = Bun.spawn(argv, {
    cwd,
    env,
    terminal: {
      cols: 200,
      rows: 50,
      data: (_, bytes) => {
        seen += Buffer.from(bytes).toString();
        heard();
      },
    },
  });
  const until = async (pattern: RegExp, from: number) => {
    while (!pattern.test(seen.slice(from))) {
      await new Promise<void>((resolve, reject) => {
        heard = resolve;
        void child.exited.then(() => reject(new Error(`${argv.join(' ')} ended: ${JSON.stringify(seen)}`)));
      });
    }
  };
  try {
    await until(new RegExp(PROMPT), 0);
    const from = seen.length;
    child.terminal?.write(`${line}\t`);
    await until(want, from);
    return seen.slice(from);
  } finally {
    child.kill('SIGKILL');
    await child.exited;
    child.terminal?.close();
  }
}
