import type { Argument, Option } from 'commander';
import type { Verb } from '../../src/cli/verb.ts';

/** What all pages have in common. */
export interface Manual {
  version: string;
  /** `2026-02-03`. */
  date: string;
}

/** Exit statuses that hold for every command: docs/exit-status.md. */
const STATUSES: readonly [status: string, meaning: string][] = [
  ['0', 'Done. A command that gives a verdict: no problems found.'],
  ['1', 'Tried, and failed. A command that gives a verdict: problems found.'],
  [
    '2',
    'Wrong input, and nothing was started. A command that gives a verdict: inconclusive, for this reason or another.',
  ],
];

/** The manual: a page for the program and one for each of its commands, by file name (`hostport-get-nodes.1`). */
export function manPages(program: Verb, manual: Manual): Map<string, string> {
  const pages = new Map<string, string>();
  for (const verb of [program, ...below(program)]) pages.set(`${pageOf(verb)}.1`, page(verb, manual));
  return pages;
}

/** The commands below one that are for people, and those below them. */
function below(verb: Verb): Verb[] {
  return shown(verb).flatMap((inner) => [inner, ...below(inner)]);
}

function shown(verb: Verb): Verb[] {
  return verb.commands.filter((inner) => verb.createHelp().visibleCommands(verb).includes(inner)) as Verb[];
}

function pageOf(verb: Verb): string {
  return verb.path.replaceAll(' ', '-');
}

function page(verb: Verb, { version, date }: Manual): string {
  const [first = '', ...rest] = verb.description().split('\n');
  const title = pageOf(verb).toUpperCase();
  const lines = [
    `.TH ${[title, '1', date, `hostport ${version}`, 'hostport'].map(quoted).join(' ')}`,
    // No hyphens in commands and options, which are copied from here.
    '.nh',
    '.SH NAME',
    `${text(pageOf(verb))} \\- ${text(first)}`,
    '.SH SYNOPSIS',
    `${bold(verb.path)} ${text(verb.usage())}`,
    ...paragraphs(rest.join('\n')),
    ...commands(verb),
    ...section(
      'ARGUMENTS',
      verb.registeredArguments.map((argument) => [italic(argument.name()), describe(argument)]),
    ),
    ...section(
      'OPTIONS',
      verb
        .createHelp()
        .visibleOptions(verb)
        .map((option) => [flags(option), text(verb.createHelp().optionDescription(option))]),
    ),
    ...further(verb),
    ...section(
      'EXIT STATUS',
      STATUSES.map(([status, meaning]) => [bold(status), text(meaning)]),
    ),
    ...seeAlso(verb),
  ];
  return `${lines.join('\n')}\n`;
}

function paragraphs(description: string): string[] {
  const blocks = description.split(/\n{2,}|\n/).filter((block) => block.trim() !== '');
  return blocks.length === 0 ? [] : ['.SH DESCRIPTION', ...blocks.flatMap((block) => ['.PP', text(block)])];
}

function commands(verb: Verb): string[] {
  return section(
    'COMMANDS',
    shown(verb).map((inner) => [
      `${bold(inner.path)}`,
      `${text(inner.description().split('\n', 1)[0]!)}. See ${reference(inner)}.`,
    ]),
  );
}

function section(heading: string, entries: readonly (readonly [term: string, meaning: string])[]): string[] {
  if (entries.length === 0) return [];
  return [`.SH ${heading}`, ...entries.flatMap(([term, meaning]) => ['.TP', term, meaning])];
}

function describe(argument: Argument): string {
  return text(argument.description);
}

function flags({ flags: written }: Option): string {
  return written.replace(/(--?[\w-]+)|([<[][^>\]]+[>\]])/g, (_, flag?: string, value?: string) =>
    flag === undefined ? italic(value!) : bold(flag),
  );
}

/** What the help has after the options, by its headings (`Example:`), as it is. */
function further(verb: Verb): string[] {
  let help = '';
  const before = verb.configureOutput();
  verb.configureOutput({
    ...before,
    writeOut: (written) => {
      help += written;
    },
  });
  try {
    verb.outputHelp();
  } finally {
    verb.configureOutput(before);
  }
  const after = help.slice(verb.helpInformation().length);
  return after.split(/^(?=\S.*:$)/m).flatMap((block) => {
    const [heading = '', ...rest] = block.trim().split('\n');
    if (heading === '') return [];
    const body = rest.map((line) => text(line.replace(/^ {2}/, '')));
    return [`.SH ${heading.replace(/:$/, '').toUpperCase()}`, '.nf', ...body, '.fi'];
  });
}

function seeAlso(verb: Verb): string[] {
  const parent = verb.parent as Verb | null;
  const others = [...(parent === null ? [] : [parent]), ...shown(parent ?? verb)].filter(
    (other) => other !== verb,
  );
  return others.length === 0 ? [] : ['.SH SEE ALSO', others.map(reference).join(',\n')];
}

function reference(verb: Verb): string {
  return `${bold(pageOf(verb))}(1)`;
}

/** Text as roff has it: no backslash and no line of it is a command (groff_char(7), "Escape sequences"). */
function text(plain: string): string {
  return plain
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll("'", '\\(aq')
    .replaceAll('`', '\\(ga')
    .replaceAll('^', '\\(ha')
    .replaceAll('~', '\\(ti')
    .replace(
      /[^\x00-\x7f]/gu,
      (character) => `\\[u${character.codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0')}]`,
    )
    .replace(/^(?=\.)/gm, '\\&');
}

function quoted(word: string): string {
  return `"${text(word)}"`;
}

function bold(plain: string): string {
  return `\\fB${text(plain)}\\fR`;
}

function italic(plain: string): string {
  return `\\fI${text(plain)}\\fR`;
}
