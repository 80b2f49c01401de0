import { foreground } from '../../src/sys/foreground.ts';
import { UserError } from '../../src/util/errors.ts';

/** Runs commands one after another, with what they print, up to the first that fails. `attempt` begins the error: `cannot publish`. */
export async function runCommands(attempt: string, commands: readonly (readonly string[])[]): Promise<void> {
  for (const argv of commands) {
    const status = await foreground(argv, { stdin: 'ignore' });
    if (status === 127)
      throw new UserError(`${attempt}: there is no ${argv[0]}; install it, then run this again`);
    if (status !== 0) throw new UserError(`${attempt}: ${argv.join(' ')}: exit status ${status}`);
  }
}
