import { command, examples } from '../verb.ts';

/** `version`: prints what `--version` prints, as kind has it. */
export function versionVerb(version: string) {
  const verb = command('version')
    .description('print the version')
    .action(() => void process.stdout.write(`${version}\n`));
  return examples(verb, 'hostport version');
}
