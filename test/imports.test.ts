import { describe, expect, test } from 'bun:test';
import { existsSync, readFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { dirname, join } from 'node:path';

// Holds the direction of imports that docs/architecture.md describes under "Rooms".

const ROOT = join(import.meta.dir, '..');

/** The rooms, each of which may import those before it. The document has the same line; a test below compares them. */
const ROOMS = [
  'util',
  'sys',
  'net',
  'cni',
  'cri',
  'netfilter',
  'kube',
  'portmap',
  'path',
  'page',
  'node',
  'collect',
  'agent',
  'ui',
  'lab',
  'cli',
];

/**
 * The daemons of the lab, each with the folders that are its own: they meet through the API only. What starts them knows command
 * lines, not code.
 */
const DAEMONS: Readonly<Record<string, readonly string[]>> = {
  'control plane': ['apiserver', 'scheduler', 'controllers', 'etcd'],
  kubelet: ['kubelet'],
  cilium: ['cilium'],
  echo: ['echo'],
  engine: ['engine'],
};

/** Folders whose files are compiled into the CNI plugins: those carry no npm package. */
const PLUGINS = ['src/portmap/', 'src/lab/cilium/cni/'];

/** Rooms of which others import only these files. Tests may look inside. */
const FACES: Readonly<Record<string, readonly string[]>> = {
  portmap: [
    'src/portmap/layout.ts',
    'src/portmap/config.ts',
    'src/portmap/disjoint.ts',
    'src/portmap/cleanup.ts',
  ],
};

/** Rooms that read what somebody else may have written on a node. They do so by the readers of src/sys only, which do not wait and are bounded. */
const READING = ['cni', 'portmap', 'node', 'collect', 'agent'];

/** What opens or copies a file by its path, whatever it is. */
const OPENERS =
  /^(?:open|openSync|openAsBlob|readFile|readFileSync|createReadStream|copyFile|copyFileSync|cp|cpSync|opendir|opendirSync)$/;

interface Import {
  specifier: string;
  /** Gone at run time: `import type`, or a type named by `import('x').T`. */
  isType: boolean;
}

/** Every import of a TypeScript text: static, re-exported, for side effects, dynamic, in types, require. */
function importsOf(text: string): Import[] {
  const found: Import[] = [];
  const statics = /^\s*(?:import|export)\s+(type\s+)?(?:[\w*{][^;'"`]*?\bfrom\s*)?(['"])([^'"]+)\2/gm;
  for (const match of text.matchAll(statics)) {
    found.push({ specifier: match[3]!, isType: match[1] !== undefined });
  }
  const calls =
    /(\btypeof\s+|:\s*|<\s*|[|&]\s*|\bas\s+)?\b(?:import|require)\(\s*(['"`])([^'"`]+)\2\s*(?:,[^)]*)?\)/g;
  for (const match of text.matchAll(calls)) {
    found.push({ specifier: match[3]!, isType: match[1] !== undefined });
  }
  return found;
}

/** Whether a text has an import whose target is computed. */
function hasComputedImport(text: string): boolean {
  const code = text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/\/\/.*$/gm, '');
  return /(?<![.\w'"`])(?:import|require)\(\s*(?!['"`\s])/.test(code) || /\bimport\(\s*`[^`]*\$\{/.test(code);
}

function isTest(file: string): boolean {
  return /\.test\.tsx?$/.test(file);
}

/** Tests and what they share. */
function isForTests(file: string): boolean {
  return isTest(file) || file.includes('/testing/') || /\.suite\.ts$/.test(file);
}

function roomOf(file: string): string | undefined {
  return /^src\/([^/]+)\//.exec(file)?.[1];
}

/** The daemon that a file belongs to. */
function daemonOf(file: string): string | undefined {
  const folder = /^src\/lab\/([^/]+)\//.exec(file)?.[1];
  return Object.keys(DAEMONS).find((daemon) => DAEMONS[daemon]!.includes(folder ?? ''));
}

function isPlugin(file: string): boolean {
  return PLUGINS.some((folder) => file.startsWith(folder)) && !isTest(file);
}

/** The name of the package: `@scope/name` or `name`, without what is inside it. */
function packageOf(specifier: string): string {
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
}

/** What belongs to the runtime, by one of its own names. */
function isRuntime(specifier: string): boolean {
  return specifier === 'bun' || specifier.startsWith('bun:') || specifier.startsWith('node:');
}

interface Project {
  /** Path from the root, with `/`, to the text; all files under src. */
  files: ReadonlyMap<string, string>;
  exists(path: string): boolean;
  dependencies: ReadonlySet<string>;
  devDependencies: ReadonlySet<string>;
}

/** What of a file of those rooms opens files by itself. */
function openers(file: string, text: string): string[] {
  const isReading = READING.includes(roomOf(file) ?? '') && !isForTests(file) && !/\.fake\.ts$/.test(file);
  // What stands for node:fs in the plugins' executable.
  if (!isReading || file.startsWith('src/cni/native/')) return [];
  const found = /\bBun\.(?:file|mmap)\(/.test(text) ? ['Bun.file'] : [];
  for (const [, names] of text.matchAll(/^import\s+([^;]*?)\s+from 'node:fs(?:\/promises)?'/gm)) {
    if (!names!.startsWith('{')) found.push(names!);
    else found.push(...names!.split(/[{},\s]+/).filter((name) => OPENERS.test(name)));
  }
  return found.map(
    (name) => `${file}: opens files by ${name}: use src/sys/bounded-file.ts or src/sys/regular-file.ts`,
  );
}

/** Every breach of the rules, one line each: `file: what`. */
function breaches(project: Project): string[] {
  const found: string[] = [];
  for (const [file, text] of project.files) {
    const say = (what: string) => found.push(`${file}: ${what}`);
    const room = roomOf(file);
    if (room === undefined || !ROOMS.includes(room)) {
      say('is in none of the rooms');
      continue;
    }
    found.push(...openers(file, text));
    if (hasComputedImport(text)) say('imports a path that is computed, which nothing can check');
    for (const { specifier, isType } of importsOf(text)) {
      const what = specifier.startsWith('.')
        ? relativeBreach(project, file, room, specifier)
        : packageBreach(project, file, specifier, isType);
      if (what !== undefined) say(what);
    }
  }
  return [...found, ...reachBreaches(project), ...circles(project)];
}

/** Files that import each other in a circle, types included; each circle once, by the first of its files. */
function circles({ files }: Project): string[] {
  const found: string[] = [];
  const done = new Set<string>();
  const visit = (file: string, chain: readonly string[]): void => {
    const start = chain.indexOf(file);
    if (start >= 0) found.push(`${[...chain.slice(start), file].join(' -> ')}: an import circle`);
    if (start >= 0 || done.has(file)) return;
    const targets = importsOf(files.get(file) ?? '').map(({ specifier }) => join(dirname(file), specifier));
    for (const target of new Set(targets.filter((path) => files.has(path)))) visit(target, [...chain, file]);
    done.add(file);
  };
  for (const file of [...files.keys()].sort()) visit(file, []);
  return found;
}

function relativeBreach(project: Project, file: string, room: string, specifier: string): string | undefined {
  const target = join(dirname(file), specifier);
  if (!project.exists(target)) return `imports ${specifier}, which is not a file (extensions are written)`;
  const other = roomOf(target);
  if (other === undefined) {
    // The one thing outside src that the program needs is its own version; tests may use what is under test/.
    const isAllowed = target === 'package.json' || (isTest(file) && target.startsWith('test/'));
    return isAllowed ? undefined : `imports ${target}, which is outside src`;
  }
  if (ROOMS.indexOf(other) > ROOMS.indexOf(room)) return `imports ${target}: ${room} may not import ${other}`;
  const [own, its] = [daemonOf(file), daemonOf(target)];
  if (own !== undefined && its !== undefined && own !== its) {
    return `imports ${target}: ${own} and ${its} meet through the API only`;
  }
  if (other !== room && !isTest(file) && FACES[other]?.includes(target) === false) {
    return `imports ${target}: of ${other}, other rooms import ${FACES[other].join(' and ')} only`;
  }
  if (isForTests(target) && !isForTests(file)) return `imports ${target}, a test`;
  return undefined;
}

function packageBreach(
  project: Project,
  file: string,
  specifier: string,
  isType: boolean,
): string | undefined {
  if (isRuntime(specifier)) return undefined;
  if (builtinModules.includes(specifier)) return `imports ${specifier}: write node:${specifier}`;
  const name = packageOf(specifier);
  if (!project.dependencies.has(name)) {
    const suffices = project.devDependencies.has(name) && (isType || isForTests(file));
    if (!suffices) return `imports ${specifier}, which is not among the dependencies of package.json`;
  }
  if (isPlugin(file) && !isType) return `imports the package ${name}: plugins have none`;
  return undefined;
}

/** What is forbidden by whatever path it is reached: a plugin carries all that its imports import. */
function reachBreaches(project: Project): string[] {
  return [...project.files.keys()].filter(isPlugin).flatMap((file) => {
    const chain = chainTo(project, [file], new Set());
    // A direct import has its own message.
    return chain === undefined || chain.length <= 2
      ? []
      : [`${chain.join(' -> ')}: plugins carry no npm package`];
  });
}

/** The first chain of run-time imports from the last of `chain` to a package. */
function chainTo(project: Project, chain: string[], seen: Set<string>): string[] | undefined {
  const file = chain.at(-1)!;
  if (seen.has(file)) return undefined;
  seen.add(file);
  for (const { specifier, isType } of importsOf(project.files.get(file) ?? '')) {
    if (isType || isRuntime(specifier)) continue;
    if (specifier.startsWith('.')) {
      const further = chainTo(project, [...chain, join(dirname(file), specifier)], seen);
      if (further !== undefined) return further;
    } else {
      return [...chain, packageOf(specifier)];
    }
  }
  return undefined;
}

function readProject(): Project {
  const files = new Map<string, string>();
  for (const path of new Bun.Glob('src/**/*.{ts,tsx}').scanSync({ cwd: ROOT })) {
    files.set(path, readFileSync(join(ROOT, path), 'utf8'));
  }
  const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
  return {
    files,
    exists: (path) => existsSync(join(ROOT, path)),
    dependencies: new Set(Object.keys(manifest.dependencies)),
    devDependencies: new Set(Object.keys(manifest.devDependencies)),
  };
}

describe('the imports of src', () => {
  const project = readProject();

  test('keep to the rules', () => {
    expect(project.files.size).toBeGreaterThan(0);
    expect(breaches(project)).toEqual([]);
  });

  test("are all seen: what the runtime's own parser finds, the reader finds too", () => {
    const transpilers = {
      ts: new Bun.Transpiler({ loader: 'ts' }),
      tsx: new Bun.Transpiler({ loader: 'tsx' }),
    };
    const missed = [...project.files].flatMap(([file, text]) => {
      const seen = new Set(importsOf(text).map(({ specifier }) => specifier));
      return (
        transpilers[file.endsWith('.tsx') ? 'tsx' : 'ts']
          .scanImports(text)
          // What the parser adds for JSX, by the library that it takes it for, is not written in the file.
          .filter(({ path }) => !seen.has(path) && !/^react(?:\/|$)/.test(path))
          .map(({ path }) => `${file}: ${path}`)
      );
    });
    expect(missed).toEqual([]);
  });

  test('have the rooms of docs/architecture.md', () => {
    const document = readFileSync(join(ROOT, 'docs/architecture.md'), 'utf8');
    const line = /Imports go downwards only[^`]*`test\/imports\.test\.ts`[^`]*((?:`[\w-]+`\s*<?\s*)+)/.exec(
      document,
    );
    expect([...(line?.[1] ?? '').matchAll(/`([\w-]+)`/g)].map((match) => match[1]!)).toEqual(ROOMS);
  });
});

describe('the reader of imports', () => {
  const CASES: [text: string, specifier: string, isType: boolean][] = [
    [`import { a } from './a.ts';`, './a.ts', false],
    [`import a from "./a.ts";`, './a.ts', false],
    [`import * as a from './a.ts';`, './a.ts', false],
    [`import a, { type B } from './a.ts';`, './a.ts', false],
    [`import {\n  a,\n  b,\n} from './a.ts';`, './a.ts', false],
    [`import type { A } from './a.ts';`, './a.ts', true],
    [`import type A from './a.ts';`, './a.ts', true],
    [`import './a.ts';`, './a.ts', false],
    [`import a from './a.json' with { type: 'json' };`, './a.json', false],
    [`export { a } from './a.ts';`, './a.ts', false],
    [`export * from './a.ts';`, './a.ts', false],
    [`export * as a from './a.ts';`, './a.ts', false],
    [`export type { A } from './a.ts';`, './a.ts', true],
    [`const a = await import('./a.ts');`, './a.ts', false],
    [`() => import('./a.ts')`, './a.ts', false],
    [`const a = await import(\n  './a.ts'\n);`, './a.ts', false],
    [`let a: import('./a.ts').A;`, './a.ts', true],
    [`type A = typeof import('./a.ts');`, './a.ts', true],
    [`const a = require('./a.ts');`, './a.ts', false],
  ];
  for (const [text, specifier, isType] of CASES) {
    test(JSON.stringify(text), () => {
      expect(importsOf(text)).toEqual([{ specifier, isType }]);
      expect(hasComputedImport(text)).toBe(false);
    });
  }

  for (const text of [`export const from = 'x';`, `import.meta.dir`, `// an import (of goods)`]) {
    test(`${JSON.stringify(text)} has none`, () => {
      expect(importsOf(text)).toEqual([]);
      expect(hasComputedImport(text)).toBe(false);
    });
  }

  for (const text of ['await import(path)', 'await import(`./${name}.ts`)', 'require(name)']) {
    test(`${text} cannot be checked`, () => expect(hasComputedImport(text)).toBe(true));
  }
});

describe('the rules', () => {
  const CASES: { name: string; files: Record<string, string>; want: string[] }[] = [
    {
      name: 'downwards, sideways and the runtime are fine',
      files: {
        'src/util/a.ts': `import { b } from './b.ts';`,
        'src/util/b.ts': `import { join } from 'node:path';\nimport { dlopen } from 'bun:ffi';`,
        'src/cli/main.ts': `import { a } from '../util/a.ts';\nimport 'yaml';\nimport p from '../../package.json';`,
        'package.json': '',
      },
      want: [],
    },
    {
      name: 'upwards, also for a type',
      files: { 'src/util/a.ts': `import type { B } from '../sys/b.ts';`, 'src/sys/b.ts': '' },
      want: ['src/util/a.ts: imports src/sys/b.ts: util may not import sys'],
    },
    {
      name: 'between daemons',
      files: { 'src/lab/kubelet/a.ts': `import '../etcd/b.ts';`, 'src/lab/etcd/b.ts': '' },
      want: [
        'src/lab/kubelet/a.ts: imports src/lab/etcd/b.ts: kubelet and control plane meet through the API only',
      ],
    },
    {
      name: 'behind the face of a room, which the room itself and tests may',
      files: {
        'src/path/a.ts': `import '../portmap/layout.ts';\nimport type { R } from '../portmap/rules.ts';`,
        'src/path/a.test.ts': `import '../portmap/rules.ts';`,
        'src/portmap/layout.ts': `import './rules.ts';`,
        'src/portmap/rules.ts': '',
      },
      want: [
        'src/path/a.ts: imports src/portmap/rules.ts: of portmap, other rooms import src/portmap/layout.ts and src/portmap/config.ts and src/portmap/disjoint.ts and src/portmap/cleanup.ts only',
      ],
    },
    {
      name: 'files of a node that are opened by anything but the readers',
      files: {
        'src/node/a.ts': `import {\n  lstatSync,\n  readFileSync,\n} from 'node:fs';`,
        'src/agent/b.ts': `import { open, stat } from 'node:fs/promises';`,
        'src/cni/c.ts': `import * as fs from 'node:fs';`,
        'src/collect/d.ts': `const a = Bun.file('a');`,
        'src/portmap/e.test.ts': `import { readFileSync } from 'node:fs';`,
        'src/cli/f.ts': `import { readFileSync } from 'node:fs';`,
        'src/cni/native/fs.ts': `import { readFileSync } from 'node:fs';`,
      },
      want: [
        'src/node/a.ts: opens files by readFileSync: use src/sys/bounded-file.ts or src/sys/regular-file.ts',
        'src/agent/b.ts: opens files by open: use src/sys/bounded-file.ts or src/sys/regular-file.ts',
        'src/cni/c.ts: opens files by * as fs: use src/sys/bounded-file.ts or src/sys/regular-file.ts',
        'src/collect/d.ts: opens files by Bun.file: use src/sys/bounded-file.ts or src/sys/regular-file.ts',
      ],
    },
    {
      name: 'from an engine to what it starts',
      files: { 'src/lab/engine/own.ts': `import '../kubelet/main.ts';`, 'src/lab/kubelet/main.ts': '' },
      want: [
        'src/lab/engine/own.ts: imports src/lab/kubelet/main.ts: engine and kubelet meet through the API only',
      ],
    },
    {
      name: 'a circle, also one of types',
      files: {
        'src/util/a.ts': `import type { B } from './b.ts';`,
        'src/util/b.ts': `import { c } from './c.ts';`,
        'src/util/c.ts': `export type { A } from './a.ts';`,
        'src/util/d.ts': `import './a.ts';`,
      },
      want: ['src/util/a.ts -> src/util/b.ts -> src/util/c.ts -> src/util/a.ts: an import circle'],
    },
    {
      name: 'a file that is not there, or without its extension',
      files: { 'src/util/a.ts': `import './b';`, 'src/util/b.ts': '' },
      want: ['src/util/a.ts: imports ./b, which is not a file (extensions are written)'],
    },
    {
      name: 'out of src, which only tests may',
      files: {
        'src/util/a.ts': `import '../../test/x.ts';`,
        'src/util/a.test.ts': `import '../../test/x.ts';`,
        'test/x.ts': '',
      },
      want: ['src/util/a.ts: imports test/x.ts, which is outside src'],
    },
    {
      name: 'a test from a program',
      files: { 'src/util/a.ts': `import './b.test.ts';`, 'src/util/b.test.ts': '' },
      want: ['src/util/a.ts: imports src/util/b.test.ts, a test'],
    },
    {
      name: 'an unknown room',
      files: { 'src/main.ts': '', 'src/misc/a.ts': '' },
      want: ['src/main.ts: is in none of the rooms', 'src/misc/a.ts: is in none of the rooms'],
    },
    {
      name: 'packages: undeclared, for development only, without node:',
      files: {
        'src/util/a.ts': `import 'left-pad';\nimport 'kubernetes-types';\nimport type { P } from 'kubernetes-types/core/v1';\nimport 'fs';`,
      },
      want: [
        'src/util/a.ts: imports left-pad, which is not among the dependencies of package.json',
        'src/util/a.ts: imports kubernetes-types, which is not among the dependencies of package.json',
        'src/util/a.ts: imports fs: write node:fs',
      ],
    },
    {
      name: 'a package in a plugin, directly and through another room; types and tests may',
      files: {
        'src/portmap/a.ts': `import { parse } from 'yaml';\nimport type { T } from 'yaml';`,
        'src/portmap/b.ts': `import '../cni/c.ts';`,
        'src/portmap/b.test.ts': `import 'yaml';`,
        'src/cni/c.ts': `import './d.ts';`,
        'src/cni/d.ts': `import 'yaml';\nimport './c.ts';`,
      },
      want: [
        'src/portmap/a.ts: imports the package yaml: plugins have none',
        'src/portmap/b.ts -> src/cni/c.ts -> src/cni/d.ts -> yaml: plugins carry no npm package',
        'src/cni/c.ts -> src/cni/d.ts -> src/cni/c.ts: an import circle',
      ],
    },
    {
      name: 'the big client, which is for tests',
      files: {
        'src/lab/kubelet/a.ts': `import '@kubernetes/client-node/dist/x.js';`,
        'src/lab/kubelet/a.test.ts': `import '@kubernetes/client-node';`,
      },
      want: [
        'src/lab/kubelet/a.ts: imports @kubernetes/client-node/dist/x.js, which is not among the dependencies of package.json',
      ],
    },
  ];
  for (const { name, files, want } of CASES) {
    test(name, () => {
      const sources = Object.entries(files).filter(([path]) => path.startsWith('src/'));
      const project = {
        files: new Map(sources),
        exists: (path: string) => path in files,
        dependencies: new Set(['yaml']),
        devDependencies: new Set(['kubernetes-types', '@kubernetes/client-node']),
      };
      expect(breaches(project)).toEqual(want);
    });
  }
});
