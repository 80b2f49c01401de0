import { VERSION } from '../../util/version.ts';
import { oneOf } from '../option-values.ts';
import { renderJson } from '../printer/document.ts';
import { command, examples } from '../verb.ts';

/** `version`: prints what `--version` prints, as kind has it; as JSON the program by its own name, also where it is called by another. */
export function versionVerb(line: string) {
  const verb = command('version')
    .description('print the version')
    .option('-o, --output <format>', 'json instead of a line', oneOf('json'))
    .action(({ output }) => {
      process.stdout.write(
        output === 'json' ? renderJson({ program: 'hostport', version: VERSION }, 2) : `${line}\n`,
      );
    });
  return examples(verb, 'hostport version', 'hostport version -o json');
}
