import { describe, expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CommanderError } from 'commander';
import { canInject } from '../lab/faults/index.ts';
import { catalogue } from '../path/stages/index.ts';
import { hostport } from './command-line.ts';
import { dockerCommand, kindCommand } from './stand-ins.ts';
import { requireRoot, Verb } from './verb.ts';

/** Every command that does something and is meant for people: those that the program calls itself by are hidden. */
function leaves(verb: Verb): Verb[] {
  const shown = verb.createHelp().visibleCommands(verb) as Verb[];
  const inner = shown.filter((command) => verb.commands.includes(command));
  return inner.length === 0 ? [verb] : inner.flatMap(leaves);
}

/** Every command, hidden ones and groups included. */
function all(verb: Verb): Verb[] {
  return [verb, ...verb.commands.flatMap((inner) => all(inner as Verb))];
}

/** Commands of a Markdown table's first column: `` `hostport get clusters\|nodes` `` is two. */
function commandsIn(markdown: string): string[] {
  const cells = markdown.split('\n').flatMap((line) => /^\| (`.*?`) \|/.exec(line)?.[1] ?? []);
  const spans = cells.flatMap((cell) => [...cell.matchAll(/`([^`]+)`/g)].map((match) => match[1]!));
  return spans.flatMap((span) => {
    const words = /^hostport(?: [a-z][a-z\\|-]*)+/.exec(span)?.[0].split(' ') ?? [];
    const last = words.pop()?.split('\\|') ?? [];
    return last.map((word) => [...words, word].join(' '));
  });
}

describe("the README's commands", () => {
  const written = commandsIn(readFileSync(join(import.meta.dir, '../../README.md'), 'utf8'));

  test('are all there are', async () => {
    const paths = leaves(await hostport()).map((verb) => verb.path);
    expect(paths.length).toBeGreaterThan(0);
    expect(written.toSorted()).toEqual(paths.toSorted());
  });

  const CELLS: [line: string, commands: string[]][] = [
    ['| `hostport get clusters\\|nodes` | what |', ['hostport get clusters', 'hostport get nodes']],
    ['| `hostport run -- CMD…`, `hostport shell` | what |', ['hostport run', 'hostport shell']],
    ['| `hostport load image-archive FILE [--name N]` | `hostport tour` |', ['hostport load image-archive']],
    ['`hostport tour` replays', []],
  ];
  for (const [line, commands] of CELLS) {
    test(`reader: ${line}`, () => expect(commandsIn(line)).toEqual(commands));
  }
});

test('the help of faults names what cannot be injected', async () => {
  const { said } = await run(await hostport(), ['faults', '--help']);
  const impossible = catalogue.filter((failure) => !canInject(failure)).map(({ code }) => code);
  expect(impossible).toContain('runtime-owns-hostports');
  expect(said.replace(/\s+/g, ' ')).toContain(
    `"hostport break" injects them in the lab, except ${impossible.join(', ')}, which no lab can have.`,
  );
});

describe.each([
  ['hostport', hostport, await hostport()],
  ['docker', dockerCommand, dockerCommand()],
  ['kind', kindCommand, kindCommand()],
] as [name: string, program: () => Verb | Promise<Verb>, tree: Verb][])('%s', (name, program, tree) => {
  for (const path of leaves(tree).map((verb) => verb.path)) {
    test(`${path}: its help has an example; an option it does not know leads to that help`, async () => {
      const help = await run(await program(), [...path.split(' ').slice(1), '--help']);
      expect(help.said).toContain(`Usage: ${path} `);
      expect(help.said).toContain('\nExample:\n');
      expect(help.exitCode).toBe(0);
      const wrong = await run(await program(), [...path.split(' ').slice(1), '--no-such-option']);
      expect(wrong.said).toEndWith(`(see "${path} --help")\n`);
      expect(wrong.said).toStartWith("error: unknown option '--no-such-option'");
      expect(wrong.exitCode).not.toBe(0);
    });
  }

  for (const verb of leaves(tree)) {
    test(`${verb.path}: its help shows defaults in words`, () => {
      // A number has a unit that the help would not say.
      const bare = verb.options.filter(
        ({ defaultValue, defaultValueDescription }) =>
          typeof defaultValue === 'number' && defaultValueDescription === undefined,
      );
      expect(bare.map(({ long }) => long)).toEqual([]);
      const help = verb.helpInformation().replaceAll(/\s+/g, ' ');
      expect(help).not.toMatch(/default: (?:\d+\)|true|false|\[|")/);
      for (const { defaultValue } of verb.options) {
        if (typeof defaultValue === 'string') expect(help).toContain(`(default: ${defaultValue})`);
      }
    });
  }

  for (const verb of all(tree)) {
    test(`${verb.path}: its help begins with a phrase of at most ten words`, () => {
      const [first] = verb.description().split('\n');
      expect(first).toMatch(/^[a-z]+ \S.*[^.]$/);
      expect(first!.split(' ').length).toBeLessThanOrEqual(10);
    });
  }

  test('lists each command with the first line of its help alone', () => {
    const help = tree.helpInformation().replaceAll(/\s+/g, ' ');
    for (const verb of tree.createHelp().visibleCommands(tree)) {
      const [first, ...more] = verb
        .description()
        .split('\n')
        .filter((line) => line !== '');
      expect(help).toContain(first!);
      for (const line of more) expect(help).not.toContain(line);
    }
  });

  test('says its version, and whose it is', async () => {
    const { said, exitCode } = await run(await program(), ['--version']);
    expect(said).toMatch(name === 'hostport' ? /^\d+\.\d+\.\d+\n$/ : `stand-in for ${name}: hostport `);
    expect(exitCode).toBe(0);
  });
});

/** Runs words that end in the parser, and gives what it printed. */
async function run(program: Verb, words: string[]): Promise<{ said: string; exitCode: number }> {
  let said = '';
  const write = (text: string) => {
    said += text;
  };
  const configure = (verb: Verb) => {
    verb.configureOutput({ writeOut: write, writeErr: write });
    for (const inner of verb.commands) configure(inner as Verb);
  };
  configure(program);
  try {
    await program.parseAsync(words, { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError) return { said, exitCode: error.exitCode };
    throw error;
  }
  throw new Error(`${words.join(' ')}: did not end in the parser`);
}

test.each([
  ['portmap-not-chaned', 'did you mean portmap-not-chained?'],
  ['plugin-mising', 'did you mean plugin-missing?'],
  ['Plugin_Missing', 'did you mean plugin-missing?'],
  ['missing-plugin', 'did you mean plugin-missing?'],
  ['ipforward-off', 'did you mean ip-forward-off?'],
  ['rpfilterstrict', 'did you mean rp-filter-strict?'],
  ['forwarding', 'did you mean ip-forward-off, forward-policy-drop?'],
  ['xyz', 'faults" lists the codes.'],
])('%s is no failure: %s', async (code, said) => {
  const { said: printed } = await run(await hostport('hostport', 'doctor'), ['doctor', '--explain', code]);
  expect(printed).toContain(said);
});

test.each(['a/b/c', '/a', 'a/', '', 'A B', 'shop/--'])('break --pod %p is refused', async (pod) => {
  const words = ['break', 'mapping-missing', '--pod', pod];
  const { said } = await run(await hostport('hostport', 'break'), words);
  expect(said).toContain('It must be the name of a pod, or namespace/name.');
});

describe('requireRoot', () => {
  test('lets root pass', () => requireRoot('hostport ps', 0));
  test('shows any other user what to do', () => {
    expect(() => requireRoot('hostport ps', 1000)).toThrow(/^cannot run hostport ps: .* root.*sudo$/);
  });
});

test('every command is a Verb, so that its errors say where its help is', async () => {
  const isVerb = (verb: unknown): boolean =>
    verb instanceof Verb && verb.commands.every((command) => isVerb(command));
  expect([await hostport(), dockerCommand(), kindCommand()].map(isVerb)).toEqual([true, true, true]);
});

describe('a command is loaded with its own group alone', () => {
  const names = (program: Verb) => program.commands.map((verb) => verb.name());

  test('every command is found by its name', async () => {
    for (const name of names(await hostport())) {
      const group = names(await hostport('hostport', name));
      expect(group).toContain(name);
      expect(group.length).toBeLessThan(8);
    }
  });

  test.each([undefined, '--help', 'help', 'doctr', ''])('all are loaded for %p', async (first) => {
    expect(names(await hostport('hostport', first))).toEqual(names(await hostport()));
  });

  test('a word that is no command suggests one', async () => {
    const { said } = await run(await hostport('hostport', 'doctr'), ['doctr']);
    expect(said).toContain('doctor');
  });
});
