import { afterAll, expect, test } from 'bun:test';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compile } from '../scripts/release/compile.ts';
import { readSource } from '../scripts/release/source.ts';
import { output, realExec } from '../src/sys/exec.ts';

const scratch = mkdtempSync(join(tmpdir(), 'hostport-release-'));
afterAll(() => rmSync(scratch, { recursive: true }));

/** A repository with one commit and these tags. */
async function repository(name: string, ...tags: string[]): Promise<{ root: string; commit: string }> {
  const root = join(scratch, name);
  mkdirSync(root);
  const env = {
    ...process.env,
    GIT_CONFIG_GLOBAL: '/dev/null',
    GIT_AUTHOR_DATE: '2026-02-03T04:05:06Z',
    GIT_COMMITTER_DATE: '2026-02-03T06:05:06+02:00',
  };
  const git = (...words: string[]) =>
    output(realExec, ['git', '-c', 'user.name=a', '-c', 'user.email=a@example.com', ...words], {
      cwd: root,
      env,
    });
  await git('init', '--quiet');
  writeFileSync(join(root, 'package.json'), '{"version":"1.2.3"}');
  await git('add', '.');
  await git('commit', '--quiet', '--message', 'Begin');
  for (const tag of tags) await git('tag', tag);
  return { root, commit: (await git('rev-parse', 'HEAD')).trim() };
}

const DATE = '2026-02-03T04:05:06Z';

test('between tags the version is of package.json and the commit, and the date is the commit’s', async () => {
  const { root, commit } = await repository('untagged', 'nightly');
  const version = `1.2.3-g${commit.slice(0, 12)}`;
  expect(await readSource(realExec, root)).toEqual({ version, commit, date: DATE, isChanged: false });
  writeFileSync(join(root, 'untracked'), '');
  expect((await readSource(realExec, root)).version).toBe(version);
  writeFileSync(join(root, 'package.json'), '{ "version": "1.2.3" }');
  const changed = { version: `${version}.changed`, commit, date: DATE, isChanged: true };
  expect(await readSource(realExec, root)).toEqual(changed);
});

test('the version is that of the tag, also with changes', async () => {
  const { root, commit } = await repository('tagged', 'v2.0.0-rc.1');
  expect(await readSource(realExec, root)).toEqual({
    version: '2.0.0-rc.1',
    commit,
    date: DATE,
    isChanged: false,
  });
  writeFileSync(join(root, 'package.json'), '{ "version": "1.2.3" }');
  expect((await readSource(realExec, root)).version).toBe('2.0.0-rc.1-changed');
});

test.each([
  [['v1.0'], 'tag v1.0 of'],
  [['v1.0.0+x'], 'tag v1.0.0+x of'],
  [['v1.0.0', 'v1.0.1'], 'has v1.0.0 and v1.0.1'],
])('tags %j are refused', async (tags, problem) => {
  const { root } = await repository(tags.join('-'), ...tags);
  await expect(readSource(realExec, root)).rejects.toThrow(problem);
});

test('an unpacked archive has the version of package.json, also inside of another repository', async () => {
  const { root } = await repository('outer', 'v9.9.9');
  for (const directory of [join(root, 'inner'), join(scratch, 'archive')]) {
    mkdirSync(directory);
    writeFileSync(join(directory, 'package.json'), '{"version":"0.1.0"}');
    expect(await readSource(realExec, directory)).toEqual({ version: '0.1.0', isChanged: false });
  }
});

test('equal sources in two directories compile to equal bytes, which say what was built', async () => {
  const facts = { version: '1.2.3', commit: 'c'.repeat(40), date: DATE };
  const built: Buffer[] = [];
  for (const name of ['one', 'two']) {
    const directory = join(scratch, name);
    mkdirSync(join(directory, 'out'), { recursive: true });
    writeFileSync(join(directory, 'main.ts'), 'console.log(HOSTPORT_BUILD.commit);');
    const outfile = join(directory, 'out/program');
    await compile({ entry: join(directory, 'main.ts'), outfile, facts });
    built.push(readFileSync(outfile));
  }
  expect(built[0]!.equals(built[1]!)).toBe(true);
  expect(await output(realExec, [join(scratch, 'one/out/program')])).toBe(`${facts.commit}\n`);
});
