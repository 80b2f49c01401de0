/** `hostport doctor -o html` and `-o markdown` on a recorded bundle: what they print, and what they cannot be combined with. */
import { describe, expect, spyOn, test } from 'bun:test';
import { join } from 'node:path';
import { commandLine } from '../src/cli/command-line.ts';
import { moments } from './fixtures/moments.ts';

const BUNDLE = join(import.meta.dir, 'fixtures/bundles/begin');
const FIXED = join(
  import.meta.dir,
  'fixtures/bundles',
  moments.find(({ exitStatus }) => exitStatus === 0)!.name,
);

/** What a command prints, and its exit status, in this process. */
async function run(...words: string[]) {
  const printed = { stdout: '', stderr: '' };
  const spies = (['stdout', 'stderr'] as const).map((name) =>
    spyOn(process[name], 'write').mockImplementation((text) => {
      printed[name] += String(text);
      return true;
    }),
  );
  const before = process.exitCode;
  try {
    return { status: await commandLine('hostport', ['doctor', ...words]), ...printed };
  } finally {
    for (const spy of spies) spy.mockRestore();
    process.exitCode = before ?? 0;
  }
}

describe.each(['html', 'markdown'])('-o %s', (format) => {
  test('has the exit status of the diagnosis, and the verdict', async () => {
    const broken = await run('--from', BUNDLE, '-o', format);
    expect(broken.status).toBe(1);
    expect(broken.stdout).toContain('2 of 3 hostPorts are broken: 2 causes on 2 nodes.');
    const fixed = await run('--from', FIXED, '-o', format);
    expect(fixed.status).toBe(0);
    expect(fixed.stdout).toContain('All 3 hostPorts work.');
  });

  test('shows what was chosen', async () => {
    const chosen = await run('--from', BUNDLE, '-o', format, '--node', 'kind-worker2');
    expect(chosen.stdout).toContain('1 of 1 hostPort is broken: 1 cause on 1 node.');
    expect(chosen.stdout).not.toContain('portmap-not-chained');
    if (format === 'markdown') expect(chosen.stdout).toContain('; 1 of 3 hostPorts, as chosen\n');
    else expect(chosen.stdout).toContain('"examined":3,');
    const none = await run('--from', BUNDLE, '-o', format, '--node', 'kind-control-plane');
    expect(none.stdout).toContain('No hostPort matches; 3 hostPorts were examined.');
  });

  test.each([
    ['--summary', ['--from', BUNDLE, '--summary']],
    ['--watch', ['--local', '--watch']],
    ['--explain', ['--explain', 'plugin-missing']],
    ['--dry-run', ['--kubeconfig', '/nonexistent', '--dry-run', 'client']],
    ['--cleanup', ['--kubeconfig', '/nonexistent', '--cleanup']],
  ])('is refused with %s', async (option, words) => {
    await expect(run(...words, '-o', format)).rejects.toThrow(
      `cannot use -o ${format} with ${option}: a page shows one whole diagnosis`,
    );
  });
});

test('-o html is not printed on a terminal', async () => {
  const { isTTY } = process.stdout;
  process.stdout.isTTY = true;
  try {
    await expect(run('--from', BUNDLE, '-o', 'html')).rejects.toThrow(
      'cannot print a page on a terminal: write it to a file, -o html > report.html',
    );
  } finally {
    process.stdout.isTTY = isTTY;
  }
});

test('-o html prints one whole file', async () => {
  const { stdout } = await run('--from', BUNDLE, '-o', 'html');
  expect(stdout).toStartWith('<!doctype html>\n');
  expect(stdout).toEndWith('</html>\n');
});
