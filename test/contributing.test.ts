/** The worked example of CONTRIBUTING.md: two new files make a failure that the doctor finds, heal fixes and the lab injects. */
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { output, realExec } from '../src/sys/exec.ts';

const ROOT = join(import.meta.dir, '..');
const BUN = process.execPath;
const copy = mkdtempSync(join(tmpdir(), 'hostport-contributing-'));
afterAll(() => rmSync(copy, { recursive: true, force: true }));

/** The files that the guide has its reader save: path to content. */
const FILES = [
  ...readFileSync(join(ROOT, 'CONTRIBUTING.md'), 'utf8').matchAll(
    /Save it as `([^`]+)`:\n\n```ts\n(.*?)^```$/gms,
  ),
].map((match) => ({ path: match[1]!, content: match[2]! }));

beforeAll(async () => {
  for (const name of ['src', 'scripts', 'docs', 'test/fixtures/failures', 'package.json', 'tsconfig.json']) {
    cpSync(join(ROOT, name), join(copy, name), { recursive: true });
  }
  symlinkSync(join(ROOT, 'node_modules'), join(copy, 'node_modules'));
  for (const { path, content } of FILES) {
    mkdirSync(dirname(join(copy, path)), { recursive: true });
    writeFileSync(join(copy, path), content);
  }
  await output(realExec, [BUN, join(copy, 'scripts/generate-index.ts')]);
  await output(realExec, [BUN, join(copy, 'scripts/failure-pages.ts')]);
});

test('the guide has two files for a failure', () => {
  expect(FILES.map(({ path }) => path)).toEqual([
    'src/path/stages/forwarded/conntrack-full.ts',
    'src/lab/faults/conntrack-full.ts',
  ]);
});

test('they have the right types', async () => {
  const config = {
    extends: './tsconfig.json',
    include: FILES.map(({ path }) => path),
    files: ['src/path/stages/index.ts', 'src/lab/faults/index.ts'],
  };
  writeFileSync(join(copy, 'tsconfig.example.json'), JSON.stringify(config));
  await output(realExec, [join(ROOT, 'node_modules/.bin/tsc'), '-p', join(copy, 'tsconfig.example.json')]);
}, 120_000);

test('the failure is found, fixed by a plan, and can be injected', async () => {
  const script = `
    import { faultOf } from './src/lab/faults/index.ts';
    import { diagnose } from './src/path/diagnose/diagnose.ts';
    import { planHeal } from './src/path/heal/plan.ts';
    import { cniNode } from './src/path/testing/cni-node.ts';
    import { podOn, smallWorld } from './src/path/testing/small-world.ts';
    const diagnose1 = (count) => {
      const sysctls = { value: { 'net.netfilter.nf_conntrack_count': count, 'net.netfilter.nf_conntrack_max': '100' } };
      const report = cniNode({}, { network: { sysctls } });
      return diagnose(smallWorld([podOn('n1', 'a', 80)], { reports: new Map([['n1', { value: report }]]) }));
    };
    const of = ({ diagnosis }) => diagnosis.findings.filter(({ code }) => code === 'conntrack-full').map(({ message }) => message);
    const plan = planHeal(diagnose1('100'), { restart: false, codes: ['conntrack-full'] }).flatMap(({ steps }) => steps);
    console.log(JSON.stringify({
      full: of(diagnose1('100')), free: of(diagnose1('99')), plan: plan.map(({ action }) => action),
      does: faultOf({ code: 'conntrack-full' }).does,
    }));
  `;
  writeFileSync(join(copy, 'example.ts'), script);
  expect(JSON.parse(await output(realExec, [BUN, join(copy, 'example.ts')]))).toEqual({
    full: ['n1 tracks 100 connections of 100, so it drops new ones'],
    free: [],
    plan: [{ do: 'set-sysctl', name: 'net.netfilter.nf_conntrack_max', value: '200' }],
    does: 'sets net.netfilter.nf_conntrack_max to 1',
  });
});

test('all that lists failures is derived from the two files: its page, its row of the table, and the command line', async () => {
  const files = (root: string) =>
    new Map(
      [...new Bun.Glob('**/*').scanSync(join(root, 'docs'))].map((name) => [
        name,
        readFileSync(join(root, 'docs', name), 'utf8'),
      ]),
    );
  const [before, after] = [files(ROOT), files(copy)];
  const changed = [...after].filter(([name, text]) => before.get(name) !== text).map(([name]) => name);
  expect(changed.sort()).toEqual(['failures/README.md', 'failures/conntrack-full.md']);
  const lines = (name: string, of: typeof after) => new Set(of.get(name)!.split('\n'));
  expect([...lines('failures/README.md', after).difference(lines('failures/README.md', before))]).toEqual([
    '| [conntrack-full](conntrack-full.md) | the table of tracked connections is full | broken | no |',
  ]);
  const page = after.get('failures/conntrack-full.md')!;
  expect(page).toContain('\n`break` sets net.netfilter.nf_conntrack_max to 1.\n');
  expect(page).toContain('\n**By hand.** ');
  const run = (...words: string[]) => output(realExec, [BUN, join(copy, 'src/cli/main.ts'), ...words]);
  expect(await run('faults')).toContain('conntrack-full');
  expect(await run('doctor', '--explain', 'conntrack-full')).toContain(
    'sets net.netfilter.nf_conntrack_max to 1',
  );
}, 60_000);
