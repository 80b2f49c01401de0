/** The commands of docs/doctor.md are understood, and those that need no cluster do on a recorded bundle what the page says. */
import { describe, expect, spyOn, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { commandLine, hostport } from '../src/cli/command-line.ts';

const PAGE = readFileSync(join(import.meta.dir, '../docs/doctor.md'), 'utf8');
const BUNDLE = join(import.meta.dir, 'fixtures/bundles/begin');

/** The commands of all fenced blocks of a text. */
function commandsIn(text: string): string[] {
  return [...text.matchAll(/^```\n([^`]*)^```$/gm)]
    .flatMap(([, block]) => block!.split('\n'))
    .filter((line) => /^(?:kubectl )?hostport /.test(line))
    .map((line) => line.replace(/ > .*$/, ''));
}

test.each(commandsIn(PAGE))('%s is understood', async (line) => {
  const isPlugin = line.startsWith('kubectl ');
  const words = line.replace(/^(?:kubectl )?hostport /, '').split(' ');
  const program = await hostport(isPlugin ? 'kubectl-hostport' : 'hostport', words[0]);
  const verb = program.commands.find((command) => command.name() === words[0])!;
  let isRun = false;
  verb.action(() => {
    isRun = true;
  });
  await program.parseAsync(words, { from: 'user' });
  expect(isRun).toBe(true);
});

describe('many nodes', () => {
  const section = PAGE.slice(PAGE.indexOf('### Many nodes'), PAGE.indexOf('### Details'));
  const commands = commandsIn(section);

  test('has commands', () => expect(commands.length).toBeGreaterThan(3));

  test.each(commands)('%s', async (line) => {
    let printed = '';
    const stdout = spyOn(process.stdout, 'write').mockImplementation((text) => {
      printed += String(text);
      return true;
    });
    const before = process.exitCode;
    try {
      const status = await commandLine('hostport', [...line.split(' ').slice(1), '--from', BUNDLE]);
      expect(status).toBe(1);
    } finally {
      stdout.mockRestore();
      process.exitCode = before ?? 0;
    }
    if (line.endsWith('ndjson')) expect(printed).toMatch(/^(?:\{.*\}\n)+$/);
    else expect(printed).toStartWith(`Bundle ${BUNDLE} of 2`);
    expect(printed).toContain('plugin-missing');
    expect(printed.includes('portmap-not-chained')).toBe(!line.includes('--only plugin-missing'));
  });
});
