/** The packages of npm: checked, installed from their archives in an empty project, and used from Node and Bun. `make test-release` runs it. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LIBRARIES } from '../../scripts/release/npm/library.ts';
import { libraryPackages, platformPackageOf, programPackage } from '../../scripts/release/npm/packages.ts';
import { output, realExec } from '../../src/sys/exec.ts';

const ROOT = join(import.meta.dir, '../..');
const NPM_MS = 5 * 60_000;
const VERSION = '1.2.3-test.1';
/** Not among the project's packages: nothing else needs them. */
const CHECKERS = ['publint@0.3.25', '@arethetypeswrong/cli@0.18.5'];

const scratch = mkdtempSync(join(tmpdir(), 'hostport-packages-'));
const archives = join(scratch, 'npm');
const project = join(scratch, 'project');
const env = { ...process.env, npm_config_audit: 'false', npm_config_fund: 'false' };

const run = (argv: string[], cwd = project) => output(realExec, argv, { cwd, env, timeoutMs: NPM_MS });
const archiveOf = (name: string) =>
  join(archives, `${name.replace('@', '').replace('/', '-')}-${VERSION}.tgz`);

/** In the place of a program: says that it runs, and how it ends. */
const PROGRAM =
  '#!/bin/sh\necho "ran as $0 with $*"\n[ "$1" != fail ] || exit 3\n[ "$1" != killed ] || kill -TERM $$\n';

beforeAll(async () => {
  const program = join(scratch, 'program');
  writeFileSync(program, PROGRAM, { mode: 0o755 });
  const inputs = {
    exec: realExec,
    root: ROOT,
    facts: { version: VERSION },
    scratch: join(scratch, 'work'),
    out: archives,
    papers: new Map([['LICENSE', 'licence\n']]),
  };
  await libraryPackages(inputs);
  await programPackage(inputs);
  for (const arch of ['x64', 'arm64'] as const)
    for (const libc of ['glibc', 'musl'] as const) await platformPackageOf(inputs, { arch, libc }, program);
  const platforms = ['x64', 'x64-musl', 'arm64', 'arm64-musl'].map((each) => `@hostport/linux-${each}`);
  const files = (names: readonly string[]) =>
    Object.fromEntries(names.map((name) => [name, `file:${archiveOf(name)}`]));
  mkdirSync(project);
  writeFileSync(
    join(project, 'package.json'),
    JSON.stringify({
      private: true,
      type: 'module',
      dependencies: files(['hostport', ...LIBRARIES.map(({ name }) => name)]),
      // As npm takes those of a package: what is for other machines is left out.
      optionalDependencies: files(platforms),
    }),
  );
  await run(['npm', 'install', '--silent']);
}, NPM_MS);
afterAll(() => rmSync(scratch, { recursive: true }));

test(
  'the checkers of packages find nothing',
  async () => {
    const checkers = join(scratch, 'checkers');
    mkdirSync(checkers);
    writeFileSync(join(checkers, 'package.json'), '{"private": true}');
    await run(['npm', 'install', '--silent', '--ignore-scripts', ...CHECKERS], checkers);
    const bin = (name: string) => join(checkers, 'node_modules/.bin', name);
    for (const file of readdirSync(archives)) {
      expect(await run([bin('publint'), '--strict', join(archives, file)])).toContain('All good!');
    }
    for (const { name } of LIBRARIES) await run([bin('attw'), archiveOf(name), '--profile', 'esm-only']);
  },
  NPM_MS,
);

describe('hostport', () => {
  const hostport = (...words: string[]) =>
    realExec.run(['node_modules/.bin/hostport', ...words], { cwd: project });

  test('runs the program of this machine, of which alone it has the package', async () => {
    const here = `linux-${process.arch}`;
    expect(readdirSync(join(project, 'node_modules/@hostport')).sort()).toEqual(['cni', 'diagnosis', here]);
    const { code, stdout } = await hostport('doctor', '--local', 'a b');
    expect([code, stdout]).toEqual([
      0,
      expect.stringMatching(/^ran as .*\/bin\/hostport with doctor --local a b\n$/),
    ]);
  });

  test('ends as the program ends', async () => {
    expect((await hostport('fail')).code).toBe(3);
    expect((await hostport('killed')).code).toBe(128 + 15);
  });

  test('without the package of the machine, one line says what to install', async () => {
    rmSync(join(project, `node_modules/@hostport/linux-${process.arch}`), { recursive: true });
    const { code, stderr } = await hostport();
    expect([code, stderr]).toEqual([
      2,
      `error: cannot run hostport: its package @hostport/linux-${process.arch} is not installed; install it without leaving out optional packages (npm install --include=optional)\n`,
    ]);
  });
});

/** The examples of a package's page, each with what it prints: the comments at its end. */
function examplesOf(page: string): { code: string; prints: string }[] {
  const text = readFileSync(join(ROOT, page), 'utf8');
  return [...text.matchAll(/^```ts\n([\s\S]*?)^```$/gm)].map(([, code = '']) => {
    const prints = /(?:^\/\/ .*\n)+$/m.exec(code)?.[0] ?? '';
    return { code, prints: prints.replaceAll(/^\/\/ /gm, '') };
  });
}

describe.each(LIBRARIES.map((library) => [library.name, library] as const))('%s', (name, { readme }) => {
  const examples = examplesOf(readme);

  test(
    'its examples compile for Node, with nothing but its own types',
    async () => {
      expect(examples.length).toBeGreaterThan(1);
      const directory = join(project, name.replace(/.*\//, ''));
      mkdirSync(directory);
      for (const [i, { code }] of examples.entries()) writeFileSync(join(directory, `${i}.ts`), code);
      writeFileSync(
        join(directory, 'tsconfig.json'),
        JSON.stringify({
          compilerOptions: {
            module: 'nodenext',
            target: 'es2023',
            strict: true,
            verbatimModuleSyntax: true,
            typeRoots: [join(ROOT, 'node_modules/@types')],
            types: ['node'],
          },
          include: ['*.ts'],
        }),
      );
      await run([join(ROOT, 'node_modules/.bin/tsc'), '-p', directory]);
      // With the check of declarations of Node's own types left out, ours alone.
      writeFileSync(join(directory, 'only.mts'), `import * as all from '${name}';\nexport default all;\n`);
      const own = ['--module', 'nodenext', '--target', 'es2023', '--strict', '--noEmit', '--types', ''];
      await run([join(ROOT, 'node_modules/.bin/tsc'), ...own, join(directory, 'only.mts')]);
    },
    NPM_MS,
  );

  test.each([
    ['Node', 'node'],
    ['Bun', process.execPath],
  ])('they print what the page says, on %s', async (_, program) => {
    const directory = join(project, name.replace(/.*\//, ''));
    for (const [i, { prints }] of examples.entries()) {
      expect(prints).not.toBe('');
      expect(await run([program, join(directory, `${i}.js`)])).toBe(prints);
    }
  });
});
