import { restartText } from '../../path/diagnose/advice.ts';
import type { Failure, Markdown } from '../../path/stages/failure.ts';
import { asCalled } from './as-called.ts';
import type { Layout } from './layout.ts';
import { wrap, wrapCommand } from './wrap.ts';

/** Where the texts begin. */
const INDENT = ' '.repeat(9);

/** What is known of how the lab injects a failure. */
interface Injection {
  does: string;
  impossible?: string;
}

/** All that the catalogue says of a failure, for people: the same as its page in docs/failures, which is not installed with the program. */
export function renderFailure(
  failure: Failure,
  { does, impossible }: Injection,
  program: string,
  { width, paint }: Layout,
): string {
  const { code, stage, severity, title, explanation, remedy, page, sources } = failure;
  const label = (name: string) => paint('faint', name.padEnd(INDENT.length));
  const labelled = (name: string, ...blocks: string[]) =>
    blocks.flatMap((block, i) => wrapped(block, width, i === 0 ? label(name) : INDENT));
  const commands = page.check.run.flatMap((command, i) =>
    command
      .split('\n')
      .flatMap((line, j) =>
        wrapCommand(line, width, i + j === 0 ? label('check') : INDENT, `${INDENT}  `).map((shown) =>
          shown.trimEnd(),
        ),
      ),
  );
  const lines = [
    ...wrap(`${paint('strong', code)}: ${title}`, width, '', '  '),
    '',
    ...labelled('stage', stage),
    ...labelled('severity', severity),
    ...labelled('see', ...plainText(page.see)),
    ...labelled('why', explanation, ...plainText(page.why ?? [])),
    ...commands,
    ...labelled('', ...plainText(page.check.look)),
    ...labelled('remedy', remedy),
    ...labelled('by hand', ...plainText(page.fix)),
    ...labelled('restart', asCalled(restartText(failure, true), program)),
    ...(impossible === undefined
      ? labelled('to see', `${program} break ${code}: ${does}`)
      : labelled('lab', `the lab cannot have it: ${impossible}`)),
    ...labelled('sources', ...sources),
  ];
  return lines.map((line) => `${line}\n`).join('');
}

/** A block of several lines keeps them: it is a list or a table. */
function wrapped(block: string, width: number, first: string): string[] {
  return block
    .split('\n')
    .flatMap((line, i) =>
      wrap(line, width, i === 0 ? first : INDENT, line.startsWith('- ') ? `${INDENT}  ` : INDENT),
    );
}

/** Markdown as a terminal shows it: pages that it links to are named, and no code is marked. */
function plainText(text: Markdown): string[] {
  return (typeof text === 'string' ? [text] : text).map((block) =>
    block
      .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
      .replace(/`([^`]*)`/g, '$1')
      .replaceAll('**', ''),
  );
}
