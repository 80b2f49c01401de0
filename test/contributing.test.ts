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

/** What the guide's failure sets. */
const SETTING = 'net.ipv4.conf.default.forwarding';

/** The files that the guide has its reader save: path to content. */
const FILES = [
  ...readFileSync(join(ROOT, 'CONTRIBUTING.md'), 'utf8').matchAll(
    /Save it as\s`([^`]+)`:\n\n```ts\n(.*?)^```$/gms,
  ),
].map((match) => ({ path: match[1]!, content: match[2]! }));

beforeAll(async () => {
  for (const name of [
    'src',
    'scripts',
    'docs',
    'test/fixtures/failures',
    'package.json',
    'tsconfig.json',
    'biome.json',
  ]) {
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
    'src/path/stages/forwarded/new-devices-not-forwarding.ts',
    'src/lab/faults/new-devices-not-forwarding.ts',
  ]);
});

test('they have the right types', async () => {
  const config = {
    extends: './tsconfig.json',
    include: FILES.map(({ path }) => path),
    files: ['src/path/stages/index.ts', 'src/lab/faults/index.ts'],
  };
  writeFileSync(join(copy, 'tsconfig.example.json'), JSON.stringify(config));
  const tsc = join(ROOT, 'node_modules/.bin/tsc');
  // As `make check` has it: other threads would check the same types again.
  const words = ['-p', join(copy, 'tsconfig.example.json'), '--singleThreaded'];
  await output(realExec, [tsc, ...words], { timeoutMs: 120_000 });
}, 120_000);

test('they are formatted and pass the linter, as make check has it', async () => {
  const biome = join(ROOT, 'node_modules/.bin/biome');
  const words = ['check', '--error-on-warnings', ...FILES.map(({ path }) => path)];
  const checked = await realExec.run(['env', '-C', copy, biome, ...words], { timeoutMs: 60_000 });
  expect(`${checked.stdout}${checked.stderr}`).toContain('Checked 2 files');
  expect(checked.code).toBe(0);
}, 60_000);

test('what is injected is found, fixed by a plan, and undone', async () => {
  // A node on which sysctl and ip do what the injector asks of them; the doctor then reads the same settings.
  const script = `
    import { faultOf } from './src/lab/faults/index.ts';
    import { diagnose } from './src/path/diagnose/diagnose.ts';
    import { planHeal } from './src/path/heal/plan.ts';
    import { NODE, POD, worldOf } from './src/path/testing/worker.ts';
    const code = 'new-devices-not-forwarding';
    const settings = { 'net.ipv4.conf.default.forwarding': '1' };
    const commands = [];
    const door = {
      run: async (node, argv) => {
        commands.push(argv.join(' '));
        const [name, value] = argv.at(-1).split('=');
        if (value !== undefined) settings[name] = value;
        return argv.includes('-n') ? settings[name] : '';
      },
    };
    const target = { node: NODE.name, pod: { namespace: 'default', ...POD } };
    const fault = faultOf({ code });
    const look = () => diagnose(worldOf({ sysctls: settings }));
    const found = () => look().diagnosis.findings.map((finding) => finding.code + ': ' + finding.message);
    const before = found();
    const memo = await fault.remember(door, target);
    await fault.inject(door, target);
    const injected = found();
    const plan = planHeal(look(), { restart: false, codes: [code] }).flatMap(({ steps }) => steps);
    await fault.restore(door, target, memo);
    console.log(JSON.stringify({
      before, injected, after: found(), does: fault.does,
      plan: plan.map(({ action }) => action), writes: commands.filter((command) => command.includes(' -w ')),
    }));
  `;
  writeFileSync(join(copy, 'example.ts'), script);
  expect(JSON.parse(await output(realExec, [BUN, join(copy, 'example.ts')]))).toEqual({
    before: [],
    injected: [
      'new-devices-not-forwarding: worker will drop the answers of new pods (net.ipv4.conf.default.forwarding=0)',
    ],
    after: [],
    does: 'sets net.ipv4.conf.default.forwarding to 0',
    plan: [{ do: 'set-sysctl', name: SETTING, value: '1' }],
    writes: [`sysctl -q -w ${SETTING}=0`, `sysctl -q -w ${SETTING}=1`],
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
  expect(changed.sort()).toEqual(['failures/README.md', 'failures/new-devices-not-forwarding.md']);
  const lines = (name: string, of: typeof after) => new Set(of.get(name)!.split('\n'));
  expect([...lines('failures/README.md', after).difference(lines('failures/README.md', before))]).toEqual([
    '| [new-devices-not-forwarding](new-devices-not-forwarding.md) | the node does not forward by devices that are created from now on | risk | no |',
  ]);
  const page = after.get('failures/new-devices-not-forwarding.md')!;
  expect(page).toContain('\n`break` sets net.ipv4.conf.default.forwarding to 0.\n');
  expect(page).toContain('\n**By hand.** ');
  const run = (...words: string[]) => output(realExec, [BUN, join(copy, 'src/cli/main.ts'), ...words]);
  expect(await run('faults')).toContain('new-devices-not-forwarding');
  expect(await run('doctor', '--explain', 'new-devices-not-forwarding')).toContain(
    'sets net.ipv4.conf.default.forwarding to 0',
  );
}, 60_000);
