import type { Argument, Command, Option } from 'commander';

/** What a word can be completed to. */
export interface Completion {
  candidates: Candidate[];
  /** What the shell adds of its own: names of files, of directories, or nothing. */
  also: 'files' | 'directories' | 'nothing';
}

export interface Candidate {
  word: string;
  /** One line, for shells that show it. */
  description: string;
}

/** What exists where the program runs. */
export interface Existing {
  clusters(): Promise<string[]>;
  /** Names of the nodes of one cluster, or of all. */
  nodes(cluster: string | undefined): Promise<string[]>;
  codes(): Candidate[];
}

type Source = 'clusters' | 'nodes' | 'codes' | 'files' | 'directories' | 'nothing';

/** What a placeholder of an option (`--name <cluster>`) or an argument stands for. Each that the commands have is here: a test holds it. */
const SOURCES: Readonly<Record<string, Source>> = {
  cluster: 'clusters',
  node: 'nodes',
  code: 'codes',
  file: 'files',
  path: 'files',
  src: 'files',
  dst: 'files',
  netns: 'files',
  socket: 'files',
  // Of another machine's disk, or of none.
  command: 'files',
  dir: 'directories',
  // A directory, or a version that only the user knows.
  release: 'directories',
  dirs: 'directories',
  names: 'nothing',
  name: 'nothing',
  network: 'nothing',
  version: 'nothing',
  duration: 'nothing',
  time: 'nothing',
  pause: 'nothing',
  size: 'nothing',
  url: 'nothing',
  port: 'nothing',
  'host:port': 'nothing',
  user: 'nothing',
  uid: 'nothing',
  group: 'nothing',
  image: 'nothing',
  number: 'nothing',
  // How many of them.
  nodes: 'nothing',
  entry: 'nothing',
  pod: 'nothing',
  id: 'nothing',
  pairs: 'nothing',
  labels: 'nothing',
  'namespace/name': 'nothing',
  'capability=value': 'nothing',
  attachment: 'nothing',
  'node:port': 'nothing',
  place: 'nodes',
  address: 'nothing',
  type: 'nothing',
};

/** Where the placeholder is too general: what is meant by its command. */
const SOURCES_OF_COMMAND: Readonly<Record<string, Source>> = {
  'delete clusters names': 'clusters',
  'load image-archive names': 'nodes',
};

/** What completes an option's value or an argument: words that it is one of, or what its placeholder stands for. */
export function valuesOf(verb: Command, part: Option | Argument): readonly string[] | Source {
  const { parseArg } = part as { parseArg?: { words?: readonly string[] } };
  if (parseArg?.words !== undefined) return parseArg.words;
  const placeholder = 'flags' in part ? placeholderOf(part) : part.name();
  const source =
    SOURCES_OF_COMMAND[`${pathOf(verb).slice(1).join(' ')} ${placeholder}`] ?? SOURCES[placeholder];
  if (source === undefined) throw new Error(`${pathOf(verb).join(' ')}: no completion for <${placeholder}>`);
  return source;
}

/** What a user writes for the value: `cluster` of `--name <cluster>`. */
function placeholderOf({ flags }: Option): string {
  return /[<[]([^>\].]+)/.exec(flags)?.[1] ?? '';
}

function pathOf(verb: Command): string[] {
  return verb.parent === null ? [verb.name()] : [...pathOf(verb.parent), verb.name()];
}

/** Where the words before the last one lead. */
interface Position {
  verb: Command;
  /** An option that waits for its value. */
  pending?: Option;
  /** How many arguments are there. */
  given: number;
  /** After `--` nothing is an option. */
  isOver: boolean;
  /** Options that were given, by their long flag. */
  seen: Set<string>;
  cluster?: string;
}

/** What the last of these words, which follow the program's name, can be completed to. */
export async function complete(
  program: Command,
  words: readonly string[],
  existing: Existing,
): Promise<Completion> {
  const current = words.at(-1) ?? '';
  const position = follow(program, words.slice(0, -1));
  const { verb, pending, isOver } = position;
  // A value that may be left out does not begin with a dash.
  if (pending !== undefined && (pending.required || !current.startsWith('-')))
    return valueCompletion(position, pending, current, existing);
  const assigned = /^(--[^=]+)=/.exec(current);
  if (!isOver && assigned !== null) {
    const option = verb.options.find(({ long }) => long === assigned[1]);
    if (option === undefined || isFlag(option)) return { candidates: [], also: 'nothing' };
    return valueCompletion(position, option, current, existing, assigned[0]);
  }
  if (!isOver && current.startsWith('-')) return only(optionsOf(position), current);
  // What follows a word that is no command has no meaning to complete.
  if (verb.commands.length > 0) return only(position.given === 0 ? commandsOf(verb) : [], current);
  const argument = verb.registeredArguments[position.given] ?? lastVariadic(verb);
  if (argument === undefined) return only(isOver ? [] : optionsOf(position), current);
  return valueCompletion(position, argument, current, existing);
}

function lastVariadic(verb: Command): Argument | undefined {
  const last = verb.registeredArguments.at(-1);
  return last?.variadic ? last : undefined;
}

function isFlag(option: Option): boolean {
  return !option.required && !option.optional;
}

function follow(program: Command, words: readonly string[]): Position {
  const position: Position = { verb: program, given: 0, isOver: false, seen: new Set() };
  for (const word of words) take(position, word);
  return position;
}

function take(position: Position, word: string): void {
  const { verb, pending } = position;
  if (pending !== undefined) {
    position.pending = undefined;
    // The value of an option that needs none may be left out.
    if (pending.required || !word.startsWith('-')) {
      if (placeholderOf(pending) === 'cluster') position.cluster = word;
      return;
    }
  }
  if (position.isOver) position.given++;
  else if (word === '--') position.isOver = true;
  else if (word.startsWith('-') && word !== '-') takeOption(position, word);
  else {
    const inner = verb.commands.find((known) => known.name() === word);
    if (inner !== undefined) position.verb = inner;
    // `help` is followed by the names of commands, as its verb is.
    else if (!(word === 'help' && verb.commands.length > 0)) position.given++;
  }
}

function takeOption(position: Position, word: string): void {
  const [flag, value] = word.startsWith('--') ? word.split('=', 2) : [word.slice(0, 2), word.slice(2)];
  const option = position.verb.options.find(({ long, short }) => long === flag || short === flag);
  if (option === undefined) return;
  if (option.long != null) position.seen.add(option.long);
  if (isFlag(option)) return;
  if (value === undefined || value === '') position.pending = option;
  else if (placeholderOf(option) === 'cluster') position.cluster = value;
}

async function valueCompletion(
  { verb, cluster }: Position,
  part: Option | Argument,
  current: string,
  existing: Existing,
  prefix = '',
): Promise<Completion> {
  const values = valuesOf(verb, part);
  const plain = (list: readonly string[]) => list.map((word) => ({ word, description: '' }));
  const prefixed = (list: readonly Candidate[]) =>
    list.map(({ word, description }) => ({ word: `${prefix}${word}`, description }));
  if (typeof values !== 'string') return only(prefixed(plain(values)), current);
  switch (values) {
    case 'clusters':
      return only(prefixed(plain(await existing.clusters())), current);
    case 'nodes':
      return only(prefixed(plain(await existing.nodes(cluster))), current);
    case 'codes':
      return only(prefixed(existing.codes()), current);
    default:
      return { candidates: [], also: values };
  }
}

function only(candidates: readonly Candidate[], current: string): Completion {
  return { candidates: candidates.filter(({ word }) => word.startsWith(current)), also: 'nothing' };
}

function commandsOf(verb: Command): Candidate[] {
  return verb
    .createHelp()
    .visibleCommands(verb)
    .map((inner) => ({ word: inner.name(), description: inner.description().split('\n', 1)[0]! }));
}

function isRepeatable(parser: unknown): boolean {
  return (parser as { isRepeatable?: true } | undefined)?.isRepeatable === true;
}

/** The options that are not there yet, but for those that may be there several times. */
function optionsOf({ verb, seen }: Position): Candidate[] {
  return verb
    .createHelp()
    .visibleOptions(verb)
    .filter(({ long, parseArg }) => !seen.has(long ?? '') || isRepeatable(parseArg))
    .map(({ long, short, description }) => ({ word: long ?? short ?? '', description }));
}
