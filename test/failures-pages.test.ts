/**
 * The documentation of the doctor: the pages of the failures are what is generated from the code and from what the lab printed; and every
 * command that the documentation shows can be typed.
 */
import { describe, expect, spyOn, test } from 'bun:test';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { CAPTURES, failurePages, PAGES, writePages } from '../scripts/failure-pages.ts';
import { commandLine, hostport } from '../src/cli/command-line.ts';
import type { Verb } from '../src/cli/verb.ts';
import { faultOf } from '../src/lab/faults/index.ts';
import { catalogue } from '../src/path/stages/index.ts';

const ROOT = join(import.meta.dir, '..');
const DOCS = join(ROOT, 'docs');

test('what is no page is removed, and named', () => {
  const directory = mkdtempSync(join(tmpdir(), 'hostport-pages-'));
  try {
    for (const name of ['b.md', 'a.md', 'kept.md']) writeFileSync(join(directory, name), 'old');
    const pages = new Map([
      ['kept.md', 'new'],
      ['added.md', 'new'],
    ]);
    expect(writePages(directory, pages)).toEqual(['a.md', 'b.md']);
    expect(writePages(directory, pages)).toEqual([]);
    expect(readdirSync(directory).sort()).toEqual(['added.md', 'kept.md']);
    expect(readFileSync(join(directory, 'kept.md'), 'utf8')).toBe('new');
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test.each(['v6-loopback', 'no-listening-socket', 'not-answering'])(
  'the page of %s, which has no fix, does not say what a fix changes',
  (code) => {
    const page = failurePages().get(`${code}.md`)!;
    expect(page).toContain('`hostport heal` does not fix this: ');
    expect(page).toContain('\n**Restart.** Not ');
    expect(page).not.toContain('the fix changes');
  },
);

const HEADINGS = [
  'What you see',
  'Why',
  'How to check by hand',
  'How to fix it',
  'See it in the lab',
  'Sources',
] as const;

const read = (path: string) => readFileSync(path, 'utf8');

/** The sections of a page by their heading; the first is the text before any heading. */
function sectionsOf(page: string): Map<string, string> {
  const [before, ...parts] = page.split(/^## /m);
  return new Map([
    ['', before!],
    ...parts.map((part): [string, string] => {
      const end = part.indexOf('\n');
      return [part.slice(0, end), part.slice(end + 1)];
    }),
  ]);
}

/** Lines of the fenced blocks of a language (none for ` ``` ` alone), without comments and empty ones. */
function blockLines(markdown: string, language = ''): string[] {
  const blocks = [...markdown.matchAll(/^```(\w*)\n(.*?)^```$/gms)].filter((match) => match[1] === language);
  return blocks
    .flatMap((match) => match[2]!.split('\n'))
    .map((line) => line.replace(/\s+#\s.*$/, '').trim())
    .filter((line) => line !== '' && !line.startsWith('#'));
}

/** Splits a command line as a shell does, as far as the documentation goes: quotes, and `|`, `&&` and `>` as words of their own. */
function shellWords(line: string): string[] {
  const words: string[] = [];
  const token = /\s*(?:(\|\||&&|\||>)|((?:'[^']*'|"(?:[^"\\]|\\.)*"|[^\s'"|>&])+))/gy;
  for (let at = 0; at < line.length; at = token.lastIndex) {
    token.lastIndex = at;
    const match = token.exec(line);
    if (match === null) throw new Error(`cannot be split at ${JSON.stringify(line.slice(at))}: ${line}`);
    words.push(
      match[1] ??
        match[2]!.replace(/'([^']*)'|"((?:[^"\\]|\\.)*)"/g, (_, a, b) => a ?? b.replaceAll('\\"', '"')),
    );
  }
  return words;
}

/** The commands of a line, split at pipes and `&&`, without redirections. */
function commandsOf(line: string): string[][] {
  const commands: string[][] = [[]];
  const words = shellWords(line);
  for (let i = 0; i < words.length; i++) {
    if (words[i] === '|' || words[i] === '&&' || words[i] === '||') commands.push([]);
    else if (words[i] === '>') i++;
    else commands.at(-1)!.push(words[i]!);
  }
  return commands;
}

/** The whole command line with every command taken out of effect: it parses, checks its options, and does nothing. */
async function inert(): Promise<Verb> {
  const program = await hostport();
  const disarm = (verb: Verb) => {
    verb.configureOutput({ writeOut: () => {}, writeErr: () => {} });
    const inner = verb.commands as Verb[];
    if (inner.length === 0) verb.action(() => {});
    for (const command of inner) disarm(command);
  };
  disarm(program);
  return program;
}

/** Why `hostport <words>` cannot be typed; undefined when it can. */
async function parseError(words: readonly string[]): Promise<string | undefined> {
  try {
    await (await inert()).parseAsync([...words], { from: 'user' });
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** Whether the lab can have a failure. */
function isPossible({ code }: { code: string }): boolean {
  return faultOf({ code }).impossible === undefined;
}

describe.each(catalogue.map((failure) => [failure.code, failure] as const))('%s', (code, failure) => {
  const path = join(PAGES, `${code}.md`);

  test('has its page, with the headings of all pages', () => {
    expect(existsSync(path)).toBe(true);
    expect([...sectionsOf(read(path)).keys()]).toEqual(['', ...HEADINGS]);
    for (const [heading, text] of sectionsOf(read(path)))
      expect(`${heading}: ${text.trim().length > 20}`).toBe(`${heading}: true`);
  });

  // What no lab can have, no lab has printed.
  if (isPossible(failure))
    test('has what the lab printed: UPDATE_GOLDEN=1 bun scripts/test.ts test/e2e/catalogue.test.ts', () => {
      const [doctor, heal] = ['doctor', 'heal'].map((what) => read(join(CAPTURES, code, `${what}.txt`)));
      const mark = { broken: '✗', risk: '!', note: 'i' }[failure.severity];
      expect(doctor).toStartWith(`${mark} ${code}  [${failure.stage}] `);
      expect(heal).toMatch(/^(- |by hand: )/);
    });

  test('is checked by hand with commands that exist and change nothing', () => {
    expect(failure.page.check.run).not.toEqual([]);
    for (const line of failure.page.check.run) {
      for (const argv of commandsOf(line))
        expect(`${line}: ${handError(argv) ?? 'fine'}`).toBe(`${line}: fine`);
    }
  });
});

/** Programs of a node or of an administrator's machine, with the words that are forbidden here because they change something. */
const READ_ONLY: Readonly<Record<string, RegExp | undefined>> = {
  cat: undefined,
  conntrack: /^(-[DFIU]|--delete|--flush|--create|--update)$/,
  curl: /^(-X|--request|-d|--data)/,
  getent: undefined,
  grep: undefined,
  ip: /^(add|del|delete|replace|change|set|flush)$/,
  iptables: CHANGES_RULES(),
  'iptables-legacy-save': undefined,
  'iptables-nft-save': undefined,
  'iptables-save': undefined,
  'ip6tables-save': undefined,
  kubectl: /^(apply|create|delete|edit|patch|replace|scale|drain|cordon|label|annotate)$/,
  ls: undefined,
  nft: /^(add|delete|flush|insert|replace|create|destroy|-f)$/,
  nstat: undefined,
  od: undefined,
  readlink: undefined,
  ss: /^-.*K/,
  sysctl: /^(-w|--write|-p.*|--system)$|=/,
  uname: undefined,
};

function CHANGES_RULES(): RegExp {
  return /^(-[AIDRFXNPEZ]|--(append|insert|delete|replace|flush|delete-chain|new-chain|policy|rename-chain|zero))$/;
}

/** What is wrong with a command that is typed to look at a node; undefined when nothing is. */
function handError(argv: readonly string[]): string | undefined {
  let words = [...argv];
  if (words[0] === 'env') {
    words = words.slice(1);
    while (/^[A-Z_]+=/.test(words[0] ?? '')) words.shift();
    return words.length === 1 && words[0]!.startsWith('/opt/cni/bin/') ? undefined : 'env runs a plugin here';
  }
  const [program = '', ...rest] = words;
  if (program === 'hostport')
    return ['node-report', 'cni', 'doctor'].includes(rest[0] ?? '') ? undefined : 'changes something';
  if (!Object.hasOwn(READ_ONLY, program)) return `unknown program ${program}`;
  if (Bun.which(program) === null) return `${program} is not on this machine`;
  const changes = READ_ONLY[program];
  const bad = changes === undefined ? undefined : rest.find((word) => changes.test(word));
  return bad === undefined ? undefined : `${bad} changes something`;
}

describe('reader of commands', () => {
  const cases: [argv: string, wrong: boolean][] = [
    ['iptables -w -t nat -S CNI-HOSTPORT-DNAT', false],
    ['iptables -w -t nat -F', true],
    ['sysctl net.ipv4.ip_forward', false],
    ['sysctl -w net.ipv4.ip_forward=1', true],
    ['rm -rf /', true],
    ['kubectl delete pod x', true],
    ['env CNI_COMMAND=VERSION /opt/cni/bin/portmap', false],
    ['env sh', true],
  ];
  test.each(cases)('%s', (line, wrong) => expect(handError(shellWords(line)) !== undefined).toBe(wrong));

  test('splits as a shell does', () => {
    expect(commandsOf(`a 'b c' "d\\"e" --f='g h' | i > j && k`)).toEqual([
      ['a', 'b c', 'd"e', '--f=g h'],
      ['i'],
      ['k'],
    ]);
    expect(() => shellWords("a 'b")).toThrow('cannot be split');
  });
});

test('docs/failures has what `bun scripts/failure-pages.ts` writes', () => {
  const files = readdirSync(PAGES).map((name) => [name, read(join(PAGES, name))]);
  expect(Object.fromEntries(files)).toEqual(Object.fromEntries(failurePages()));
});

test('what the lab printed is of failures that there are', () => {
  expect(readdirSync(CAPTURES).sort()).toEqual(
    catalogue
      .filter(isPossible)
      .map(({ code }) => code)
      .sort(),
  );
});

const documents = [...new Bun.Glob('**/*.md').scanSync(DOCS), '../README.md']
  .sort()
  .map((name) => join(DOCS, name));

test('links between pages lead somewhere', () => {
  const dead = documents.flatMap((path) =>
    [...read(path).matchAll(/\]\((?!https?:)([^)#\s]+)(?:#[^)]*)?\)/g)]
      .filter(([, target]) => !existsSync(join(dirname(path), target!)))
      .map(([link]) => `${path}: ${link}`),
  );
  expect(dead).toEqual([]);
});

interface Typed {
  path: string;
  argv: string[];
  /** In running text, where `hostport cp` names a command and does not show how it is typed. */
  named: boolean;
}

/** Every `hostport …` that a reader would type: lines of blocks, and inline code without placeholders. */
function typed(path: string): Typed[] {
  const text = read(path);
  const inline = [...text.replace(/^```.*?^```$/gms, '').matchAll(/`((?:kubectl )?hostport [^`]+)`/g)]
    .map((match) => match[1]!.replace(/\bCODE\b/, 'mapping-missing'))
    .filter((code) => !/…|\\\||\[|\b[A-Z]{2,}\b/.test(code));
  const lines = ['', 'sh', 'bash'].flatMap((language) => blockLines(text, language));
  return [...lines, ...inline]
    .filter((line) => /^(bin\/|kubectl )?hostport\s/.test(line))
    .flatMap((line) =>
      commandsOf(line).map((argv) => ({ argv, named: /^hostport( [a-z-]+){1,2}$/.test(line) })),
    )
    .filter(({ argv: [program, next] }) => /(^|\/)hostport$/.test(program!) || next === 'hostport')
    .map(({ argv, named }) => ({
      path: path.slice(ROOT.length + 1),
      argv: argv.slice(argv[0] === 'kubectl' ? 2 : 1),
      named,
    }));
}

/** Daemons that the program is under their names; their words are not the command line's. */
const DAEMONS = ['kubelet', 'kube-apiserver', 'registry', 'gateway', 'cilium-agent', 'echo-server'];

describe('every command of ours that the documentation shows can be typed', () => {
  const all = documents.flatMap(typed);
  test('there are many', () => expect(all.length).toBeGreaterThan(4 * catalogue.length));

  test('and each is understood', async () => {
    const wrong: string[] = [];
    for (const { path, argv, named } of all) {
      if (DAEMONS.includes(argv[0]!)) continue;
      const error = await parseError(argv);
      if (named && /missing required argument|outputHelp/.test(error ?? '')) continue;
      if (error !== undefined) wrong.push(`${path}: hostport ${argv.join(' ')}: ${error}`);
    }
    expect(wrong).toEqual([]);
  });

  test('what cannot be typed is an error', async () => {
    expect(await parseError(['doctor', '--no-such-option'])).toContain('unknown option');
    expect(await parseError(['break', 'no-such-failure'])).toContain('invalid');
    expect(await parseError(['no-such-command'])).toContain('unknown command');
  });

  test('those that need no lab run', async () => {
    const cheap = new Set(
      all
        .map(({ argv }) => argv.join(' '))
        .filter((words) => /^(faults|version|doctor --explain \S+)$/.test(words)),
    );
    expect([...cheap].sort()).toContain('faults');
    for (const words of cheap) {
      let said = '';
      const write = spyOn(process.stdout, 'write').mockImplementation((text) => {
        said += String(text);
        return true;
      });
      try {
        expect(`${words}: ${await commandLine('hostport', words.split(' '))}`).toBe(`${words}: 0`);
      } finally {
        write.mockRestore();
      }
      expect(said).not.toBe('');
    }
  });
});
