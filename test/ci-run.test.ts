/** `.ci/run` with a `make` that only prints. */
import { afterAll, expect, test } from 'bun:test';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const root = mkdtempSync(join(tmpdir(), 'hostport-ci-'));
afterAll(() => rmSync(root, { recursive: true }));

let made = 0;
/** What it prints at its end and exits with, when the targets of make are these shell commands. */
async function ci(
  targets: Record<'test' | 'real' | 'test-real', string> & { 'test-long'?: string },
  env: Record<string, string> = {},
) {
  const directory = join(root, String(made++));
  mkdirSync(join(directory, '.ci'), { recursive: true });
  cpSync(join(import.meta.dir, '../.ci/run'), join(directory, '.ci/run'));
  const cases = Object.entries({ 'test-long': 'echo "5 passed, 0 failed"', ...targets }).map(
    ([name, command]) => `${name}) ${command} ;;`,
  );
  writeFileSync(join(directory, 'make'), `#!/bin/sh\ncase $1 in\n${cases.join('\n')}\nesac\n`, {
    mode: 0o755,
  });
  const child = Bun.spawn([join(directory, '.ci/run')], {
    env: {
      ...process.env,
      CI_SUITE_SECONDS: '1',
      CI_LONG_SECONDS: '1',
      ...env,
      PATH: `${directory}:${process.env.PATH}`,
    },
    stdout: 'pipe',
    stderr: 'inherit',
  });
  const [text, code] = await Promise.all([new Response(child.stdout).text(), child.exited]);
  return { lines: text.trimEnd().split('\n'), code };
}

const RESULT = 'echo "12 passed, 0 failed"';
const BUILT = 'echo "built 3 of 3 parts"';

test('all suites are summed up', async () => {
  const { lines, code } = await ci({ test: RESULT, real: BUILT, 'test-real': 'echo "30 passed, 0 failed"' });
  expect(lines.at(-1)).toBe('47 passed, 0 failed');
  expect(code).toBe(0);
});

test('what is not built in time leaves the real suite out, and is no failure', async () => {
  const real = 'echo "built 1 of 3 parts"; exec sleep 60';
  const { lines, code } = await ci(
    { test: RESULT, real, 'test-real': 'echo "1 passed, 0 failed"' },
    { CI_BUILD_SECONDS: '1' },
  );
  expect(lines.slice(-3)).toEqual([
    'real suite: not run (built 1 of 3 parts)',
    'left out: make test-conformance, which takes half an hour',
    '17 passed, 0 failed',
  ]);
  expect(code).toBe(0);
});

test.each([
  [
    'a failed test',
    { test: 'echo "11 passed, 1 failed"; exit 1', real: BUILT, 'test-real': RESULT },
    '28 passed, 1 failed',
  ],
  [
    'a failed test of those that take long',
    { test: RESULT, 'test-long': 'echo "4 passed, 1 failed"; exit 1', real: BUILT, 'test-real': RESULT },
    '28 passed, 1 failed',
  ],
  [
    'a failed test on real programs',
    { test: RESULT, real: BUILT, 'test-real': 'echo "3 passed, 2 failed"; exit 1' },
    '20 passed, 2 failed',
  ],
  [
    'a failure without a failed test',
    { test: 'echo "12 passed, 0 failed"; exit 1', real: BUILT, 'test-real': RESULT },
    '29 passed, 1 failed',
  ],
  ['a suite that says nothing', { test: RESULT, real: BUILT, 'test-real': 'true' }, '17 passed, 1 failed'],
  [
    'a part that cannot be built',
    { test: RESULT, real: 'exit 2', 'test-real': RESULT },
    '17 passed, 1 failed',
  ],
])('%s is a failure', async (_, targets, last) => {
  const { lines, code } = await ci(targets);
  expect(lines.at(-1)).toBe(last);
  expect(code).toBe(1);
});

test('what there is no time for is not begun, and is no failure', async () => {
  const { lines, code } = await ci(
    { test: RESULT, real: BUILT, 'test-real': RESULT },
    { CI_ALL_SECONDS: '100', CI_LONG_SECONDS: '300', CI_SUITE_SECONDS: '200' },
  );
  expect(lines.at(-5)).toMatch(/^make test-long: not run \(it takes up to 300 s, and \d+ s are left\)$/);
  expect(lines.at(-3)).toMatch(/^real suite: not run \(it takes up to 200 s, and \d+ s are left\)$/);
  expect(lines.at(-1)).toBe('12 passed, 0 failed');
  expect(code).toBe(0);
});

test('a suite on real programs that does not end in time is a failure', async () => {
  const { lines, code } = await ci(
    { test: RESULT, real: BUILT, 'test-real': 'exec sleep 60' },
    { CI_ALL_SECONDS: '2' },
  );
  expect(lines.at(-1)).toBe('17 passed, 1 failed');
  expect(code).toBe(1);
});
