import { describe, expect, test } from 'bun:test';
import { existsSync, readFileSync } from 'node:fs';
import { posix } from 'node:path';
import { output, realExec } from '../src/sys/exec.ts';

// What the texts of the project must not contain, and what they must: read from the files that git tracks.

const ROOT = posix.join(import.meta.dir, '..');

/** Every tracked text file, path to content. */
async function trackedTexts(): Promise<Map<string, string>> {
  const listed = await output(realExec, ['git', 'ls-files', '-z'], { cwd: ROOT });
  const texts = new Map<string, string>();
  for (const path of listed.split('\0')) {
    // A file may be deleted and the deletion not yet committed.
    if (path === '' || !existsSync(posix.join(ROOT, path))) continue;
    const text = readFileSync(posix.join(ROOT, path), 'utf8');
    if (!text.includes('\0')) texts.set(path, text);
  }
  return texts;
}

interface Forbidden {
  what: string;
  pattern: RegExp;
  /** Which files it is forbidden in. Default: all. */
  in?: RegExp;
  /** What the pattern must find, and what it must leave alone. */
  hits: string[];
  misses: string[];
}

// The examples below are put together from pieces, so that this file does not contain what it forbids.
const FORBIDDEN: Forbidden[] = [
  {
    what: 'the host of a package registry: an installation is told by its own configuration',
    pattern: /\bregistry\.(npmjs|yarnpkg|npmmirror)\.\w+|"resolved":\s*"https?:|_authToken\s*=/,
    hits: [`https://registry.${'npmjs'}.org/yaml`, `"resolved"${':'} "https://x"`],
    misses: ['registry.k8s.io/pause:3.9', 'npm ci'],
  },
  {
    what: "a path of somebody's machine",
    // `/home/me` is the home directory of tests; `/home/cilium` that of Cilium's image, `/home/kubernetes` where GKE has its plugins.
    pattern: /(?<![\w.~-])\/(work|Users)\/\w|(?<![\w.~-])\/home\/(?!(?:me|cilium|kubernetes)\b)\w/,
    hits: [`cd ${'/work'}/main`, `${'/home'}/ada/x`, `"${'/Users'}/ada"`],
    misses: ['/home/me/data', 'net/work/x', '$HOME/work/x', './work/x'],
  },
  {
    what: 'an e-mail address',
    pattern:
      /\b[\w.+-]+@(?!(?:[\w-]+\.)*(?:example\.(?:com|org|net)|invalid|test)\b)[\w-]+(?:\.[\w-]+)*\.[a-z]{2,}\b/i,
    hits: [`ada${'@'}lovelace.uk`],
    misses: ['ada@example.com', 'yaml@2.9.1', '@grpc/grpc-js', 'user@host', 'x@lab.test'],
  },
  {
    what: 'a private key',
    pattern: /-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----\s*(?:\\n)?\s*[A-Za-z0-9+/]{40}/,
    hits: [`-----BEGIN EC ${'PRIVATE'} KEY-----\n${'A'.repeat(64)}`],
    misses: ["text.startsWith('-----BEGIN PRIVATE KEY-----')"],
  },
  {
    what: 'how many lines our own code has, which the next change makes wrong',
    pattern: /\b(?:in|of|some|the|together|were|has|have) \d+\s+lines\b|\b\d+\s+lines (?:are|around)\b/,
    hits: [`a connection ${'of'} 79 lines`, `${'in'} 102\nlines: x`, `739 ${'lines'} are left`],
    misses: ["changed 14 lines of a kubeconfig's 22"],
    in: /^docs\/decisions\//,
  },
  {
    what: 'a mark of unfinished work',
    // Written so that it does not find itself.
    pattern: /\b(?:TO[D]O|FIX[M]E|X[X]X|HAC[K])\b/,
    hits: [`// ${'TO'}DO: later`],
    misses: ['todos', 'XXXX'],
    in: /\.(?:ts|tsx|js|css|html|md|sh|yaml)$|^(?:Makefile|\.ci\/)/,
  },
  {
    what: 'a document in a message of the program, which is not installed with it: name a command',
    pattern: /^(?! *(?:\/\/|\*|\/\*)).*(?:; |, |\()docs\/[\w-]+\.md\b(?! \*\/)/m,
    hits: ['    `cannot do it; docs/agent.md says why`'],
    misses: [
      '/** As docs/agent.md says. */',
      ' * see this; docs/agent.md',
      'documentation: `docs/failures/x.md`',
    ],
    in: /^src\/(?!.*\.test\.ts$)/,
  },
  {
    what: 'randomness that is neither injected nor cryptographic: take node:crypto or a parameter',
    pattern: /\bMath\.random\b/,
    hits: [`Math.${'random'}()`],
    misses: ['randomInt(10)'],
    in: /^src\//,
  },
];

/** Words of this project's earlier English, each with what to write instead; the text is read by people in the middle of an outage. */
const PLAIN: [instead: string, pattern: RegExp, hits: string[], misses: string[]][] = [
  ['fix, fixed', /\bmend(?:s|ed|ing|able)?\b/i, [`${'mend'}s it`], ['amend', 'commend']],
  [
    'reported, shown',
    /\bis told\b|\btold\b|\btells\b/i,
    [`is ${'told'} once`],
    ['tell them apart', 'untold'],
  ],
  ['inconclusive', /\bcould not (?:be )?te(?:ll)\b|\bcannot (?:be )?te(?:ll)\b/i, [`cannot ${'tell'}`], []],
  [
    'again, recreated',
    /\banew\b|\bthereof\b|\bwherever that is possible\b|\bgoes on\b/i,
    [`made ${'anew'}`],
    ['a new pod'],
  ],
  [
    'recreate, write again',
    /\b(?:make|makes|made|making) (?:the |a |its |their )?(?:pods?|sandbox\w*|it|them) again\b|\bmade again\b/i,
    [`${'makes'} pods again`],
    ['tried again', 'written again'],
  ],
  [
    'inject',
    /\bbrought about\b|\bbring(?:s|ing)? (?:[\w ]{0,20} )?about\b/i,
    [`${'brought'} about`],
    ['about'],
  ],
  [
    'run inside',
    /\bstands? in the\b|\bstanding in the\b/i,
    [`${'stand'} in the lab`],
    ['a stand-in for Cilium'],
  ],
  [
    'remove, restore',
    /\b(?:take|takes|took|taken|taking|give|gives|gave|given|giving) (?:\w+ )?(?:back|away)\b/i,
    [`${'takes'} back`, `${'gives'} it back`],
    ['falls back', 'far away'],
  ],
  ['skipped', /\bpassed over\b|\bpasses over\b/i, [`${'passed'} over`], []],
  ['unknown', /\bin doubt\b/i, [`in ${'doubt'}`], []],
  ['repeatable', /\bagain for more\b/i, [`again ${'for'} more`], []],
  [
    'needs a manual step; managed by',
    /\bleft to a person\b|\bto whom\b|\bby whom\b/i,
    [`left to a ${'person'}`],
    [],
  ],
  [
    'no …, not a valid …',
    /\b(?:that|which|who) (?:is|are) none\b|\bis none of\b/i,
    [`that is ${'none'}`],
    ['none of them'],
  ],
  ['its, their', /\bhis\b/i, [`known by ${'his'} chain`], ['this', 'history']],
  [
    'OK, no problems found',
    /\b(?:is|to be) well\b/i,
    [`all is ${'well'}`, `all to be ${'well'}`],
    ['as well'],
  ],
];

/** Where people read: code with its comments, documentation, help. */
const READ =
  /^(?:src|test|bench|scripts|docs|deploy|examples|\.github)\/.*\.(?:ts|md|yaml|yml|sh|html)$|^[A-Z]+\.md$|^Makefile$/;

describe('no text has', async () => {
  // What was recorded has the words of its day; what reads it has not.
  const isRecorded = (path: string) => path.startsWith('test/fixtures/') && !path.endsWith('.ts');
  const texts = [...(await trackedTexts())].filter(
    ([path]) => READ.test(path) && path !== 'test/prose.test.ts' && !isRecorded(path),
  );

  for (const [instead, pattern, hits, misses] of PLAIN) {
    test(`what is better said as: ${instead}`, () => {
      expect(hits.filter((hit) => !pattern.test(hit))).toEqual([]);
      expect(misses.filter((miss) => pattern.test(miss))).toEqual([]);
      const everywhere = new RegExp(pattern, 'gi');
      const found = texts.flatMap(([path, text]) =>
        [...text.matchAll(everywhere)].map((match) => `${path}:${lineAt(text, match.index)}: ${match[0]}`),
      );
      expect(found).toEqual([]);
    });
  }
});

describe('no tracked file has', async () => {
  const texts = await trackedTexts();

  test('(and there are some)', () => expect(texts.size).toBeGreaterThan(10));

  for (const { what, pattern, hits, misses, in: where } of FORBIDDEN) {
    test(what, () => {
      expect(hits.filter((hit) => !pattern.test(hit))).toEqual([]);
      expect(misses.filter((miss) => pattern.test(miss))).toEqual([]);
      const found = [...texts]
        .filter(([path]) => where === undefined || where.test(path))
        .flatMap(([path, text]) => {
          const match = pattern.exec(text);
          return match === null ? [] : [`${path}:${lineAt(text, match.index)}: ${match[0].slice(0, 80)}`];
        });
      expect(found).toEqual([]);
    });
  }
});

function lineAt(text: string, index: number): number {
  return text.slice(0, index).split('\n').length;
}

/** Markdown without what is code, which is neither heading nor link. Lines stay where they are. */
function withoutCode(markdown: string): string {
  const blank = (code: string) => code.replace(/[^\n]/g, ' ');
  return markdown
    .replace(/^( *)(```+|~~~+)[^\n]*\n[\s\S]*?^ *\2[ \t]*$/gm, blank)
    .replace(/(`+)(?!`)[^\n]*?[^`\n]\1(?!`)/g, blank);
}

interface Link {
  target: string;
  line: number;
}

/** Links and images: inline, and the definitions of references. */
function linksOf(markdown: string): Link[] {
  const text = withoutCode(markdown);
  const inline = [...text.matchAll(/\]\(\s*<?([^)\s>]+)>?(?:\s+["'][^)]*)?\)/g)];
  const references = [...text.matchAll(/^ {0,3}\[[^\]]+\]:\s*<?([^\s>]+)/gm)];
  return [...inline, ...references].map((match) => ({ target: match[1]!, line: lineAt(text, match.index) }));
}

/** The anchors of a document's headings, by the rule of the usual code hosts: lower case, no punctuation, dashes. */
function anchorsOf(markdown: string): Set<string> {
  const anchors = new Set<string>();
  // Headings keep the text of their inline code; only fenced code has lines that look like headings and are none.
  const text = markdown.replace(/^( *)(```+|~~~+)[^\n]*\n[\s\S]*?^ *\2[ \t]*$/gm, '');
  for (const match of text.matchAll(/^#{1,6}\s+(.+?)\s*#*$/gm)) {
    const plain = match[1]!.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1');
    const anchor = plain
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .replace(/\s/g, '-');
    let unique = anchor;
    for (let count = 1; anchors.has(unique); count++) unique = `${anchor}-${count}`;
    anchors.add(unique);
  }
  return anchors;
}

/** Relative links of `path` that lead nowhere, among the files in `texts`. */
function brokenLinks(path: string, texts: ReadonlyMap<string, string>, files: ReadonlySet<string>): string[] {
  return linksOf(texts.get(path) ?? '').flatMap(({ target, line }) => {
    if (/^[a-z][a-z0-9+.-]*:/i.test(target)) return [];
    const [file, anchor] = target.split('#', 2);
    const to = file === '' ? path : posix.join(posix.dirname(path), decodeURI(file!)).replace(/\/$/, '');
    const broken = `${path}:${line}: ${target}`;
    if (!files.has(to)) return [broken];
    const text = texts.get(to);
    return anchor !== undefined && text !== undefined && to.endsWith('.md') && !anchorsOf(text).has(anchor)
      ? [broken]
      : [];
  });
}

/** Files and the directories they are in. */
function withDirectories(paths: Iterable<string>): Set<string> {
  const all = new Set<string>(['.']);
  for (let path of paths) {
    for (; path !== '.'; path = posix.dirname(path)) all.add(path);
  }
  return all;
}

describe('the Markdown', async () => {
  const texts = await trackedTexts();
  // Of links to pictures only the existence matters, and they are not texts.
  const listed = (await output(realExec, ['git', 'ls-files', '-z'], { cwd: ROOT }))
    .split('\0')
    .filter(Boolean);
  const files = withDirectories(listed);

  test('has links that lead somewhere', () => {
    const pages = [...texts.keys()].filter((path) => path.endsWith('.md'));
    expect(pages.length).toBeGreaterThan(0);
    expect(pages.flatMap((path) => brokenLinks(path, texts, files))).toEqual([]);
  });

  test('shows every picture that there is', () => {
    const shown = [...texts]
      .filter(([path]) => path.endsWith('.md'))
      .flatMap(([path, text]) => linksOf(text).map(({ target }) => posix.join(posix.dirname(path), target)));
    const pictures = listed.filter((path) => path.startsWith('docs/figures/'));
    expect(pictures.length).toBeGreaterThan(0);
    expect(pictures.filter((path) => !shown.includes(path))).toEqual([]);
  });

  const PAGES = new Map([
    ['docs/a.md', '# One\n## Two words, `code`!\n## One\n```\n# Not one\n```\n'],
    ['README.md', '# Top\n'],
  ]);
  const LINKS: [text: string, broken: string[]][] = [
    ['[x](a.md) [x](../README.md) ![x](../docs) [x](https://a.b/c) [x](mailto:x)', []],
    ['[x](a.md#one) [x](a.md#two-words-code) [x](a.md#one-1) [x](#here "title")\n# Here', []],
    ['`[x](gone.md)`\n\n```\n[x](gone.md)\n```\n', []],
    ['[x](gone.md)', ['docs/b.md:1: gone.md']],
    ['\n[x](a.md#not-one)', ['docs/b.md:2: a.md#not-one']],
    ['[x](#nowhere)', ['docs/b.md:1: #nowhere']],
    ['[x][y]\n\n[y]: ../gone', ['docs/b.md:3: ../gone']],
  ];
  for (const [text, broken] of LINKS) {
    test(`reader: ${JSON.stringify(text)}`, () => {
      const all = new Map([...PAGES, ['docs/b.md', text] as const]);
      expect(brokenLinks('docs/b.md', all, withDirectories(all.keys()))).toEqual(broken);
    });
  }
});

/** The parts of a decision record: what was the case, what was decided, what follows from it. */
const DECISION_HEADINGS = ['## Context', '## Decision', '## Consequences'];

/** What a decision record lacks: a title first, then the headings in their order. */
function decisionProblems(markdown: string): string[] {
  const headings = withoutCode(markdown).match(/^##? .*$/gm) ?? [];
  const problems = /^# \S/.test(markdown) ? [] : ['does not begin with a title'];
  const present = headings.filter((heading) => DECISION_HEADINGS.includes(heading.trim()));
  if (present.join('\n') !== DECISION_HEADINGS.join('\n')) {
    problems.push(`has ${present.join(', ') || 'none'} of ${DECISION_HEADINGS.join(', ')}`);
  }
  return problems;
}

describe('the decision records', async () => {
  const texts = await trackedTexts();

  test('have a title and their three parts', () => {
    const problems = [...texts]
      .filter(([path]) => /^docs\/decisions\/(?!README\.md$).*\.md$/.test(path))
      .flatMap(([path, text]) => decisionProblems(text).map((problem) => `${path} ${problem}`));
    expect(problems).toEqual([]);
  });

  const RECORDS: [text: string, problems: string[]][] = [
    ['# We do\n\n## Context\n\n## Decision\n\n### More\n\n## Consequences\n\n## Sources\n', []],
    [
      '## Context\n## Consequences\n',
      [
        'does not begin with a title',
        'has ## Context, ## Consequences of ## Context, ## Decision, ## Consequences',
      ],
    ],
    ['# We do\n', ['has none of ## Context, ## Decision, ## Consequences']],
  ];
  for (const [text, problems] of RECORDS) {
    test(`reader: ${JSON.stringify(text)}`, () => expect(decisionProblems(text)).toEqual(problems));
  }
});

/** The groups of a version in the changelog, in this order. */
const CHANGELOG_GROUPS = ['### Added', '### Changed', '### Fixed'];
const CHANGELOG_WIDTH = 100;

/** What is wrong with the changelog's text: its groups, and lines that are too long. */
function changelogProblems(markdown: string): string[] {
  const [, ...versions] = `\n${markdown}`.split(/\n## /);
  const problems = versions.length === 0 ? ['has no version'] : [];
  for (const version of versions) {
    const [name] = version.split('\n', 1);
    const [ungrouped, ...groups] = version.split(/^(?=### )/m);
    const headings = groups.map((group) => group.split('\n', 1)[0]!);
    if (headings.join() !== CHANGELOG_GROUPS.join()) problems.push(`${name}: has ${headings.join(', ')}`);
    if (/^- /m.test(ungrouped!)) problems.push(`${name}: has a change outside its groups`);
    for (const [i, group] of groups.entries())
      if (!/^- /m.test(group)) problems.push(`${name}: ${headings[i]} has no change`);
  }
  for (const [i, line] of markdown.split('\n').entries())
    if (line.length > CHANGELOG_WIDTH) problems.push(`line ${i + 1}: ${line.length} characters`);
  return problems;
}

describe('the changelog', async () => {
  const changelog = (await trackedTexts()).get('CHANGELOG.md');

  test('has its groups, and one short line a change', () => {
    expect(changelog).toBeDefined();
    expect(changelogProblems(changelog!)).toEqual([]);
  });

  const GROUPED = '## 1\n\n### Added\n\n- x\n\n### Changed\n\n- x\n\n### Fixed\n\n- x\n';
  const CHANGELOGS: [text: string, problems: string[]][] = [
    [GROUPED, []],
    ['# Changes\n', ['has no version']],
    ['## 1\n### Added\n- x\n### Fixed\n- x\n', ['1: has ### Added, ### Fixed']],
    [GROUPED.replace('## 1\n', '## 1\n\n- x\n'), ['1: has a change outside its groups']],
    [GROUPED.replace(/- x\n$/, ''), ['1: ### Fixed has no change']],
    [`# ${'x'.repeat(99)}\n${GROUPED}`, ['line 1: 101 characters']],
  ];
  for (const [text, problems] of CHANGELOGS) {
    test(`reader: ${JSON.stringify(text)}`, () => expect(changelogProblems(text)).toEqual(problems));
  }
});
