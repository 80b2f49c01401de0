import { Command, type OutputConfiguration } from 'commander';

/** A command of ours: errors are thrown instead of ending the process, options of an inner command are its own. */
export function command(name: string, output?: OutputConfiguration): Command {
  const made = new Command(name)
    .exitOverride()
    .enablePositionalOptions()
    .showHelpAfterError('(add --help to see what is possible)');
  return output === undefined ? made : made.configureOutput(output);
}

/** Adds the examples that every command's help ends with. */
export function examples(target: Command, ...lines: string[]): Command {
  return target.addHelpText('after', `\nExample:\n${lines.map((line) => `  ${line}`).join('\n')}`);
}

/** Sets what the process exits with once the command is done. */
export function exitWith(status: number): void {
  process.exitCode = status;
}
