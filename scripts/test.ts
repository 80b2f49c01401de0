/**
 * Runs every test and ends with one line: `N passed, N failed, N skipped`. Units and namespaces first, then the lab.
 * `bun scripts/test.ts [PATH…]` runs only what the paths match. In CI (`CI=true`) a skipped test is a failure.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const TOP = [...new Bun.Glob('test/*.test.ts').scanSync()].map((path) => `./${path}`);
const SUITES = [
  {
    name: 'unit and namespaces',
    paths: ['./src', ...TOP],
    seconds: 30,
  },
  { name: 'lab', paths: ['./test/e2e'], seconds: 120 },
];
const chosen = process.argv.slice(2);
const suites = chosen.length > 0 ? [{ name: 'chosen', paths: chosen, seconds: 120 }] : SUITES;

const total = { passed: 0, failed: 0, skipped: 0 };
const scratch = mkdtempSync(join(tmpdir(), 'hostport-test-'));
try {
  for (const suite of suites) {
    console.log(`\n# ${suite.name}`);
    const report = join(scratch, 'report.xml');
    rmSync(report, { force: true });
    const child = Bun.spawn(
      [
        process.execPath,
        'test',
        '--reporter=junit',
        `--reporter-outfile=${report}`,
        `--timeout=${suite.seconds * 1000}`,
        ...suite.paths,
      ],
      { stdout: 'inherit', stderr: 'inherit' },
    );
    const code = await child.exited;
    // A runner that ended badly without a failed test (a crash, an error between tests) has failed, and one without a word.
    const counted = existsSync(report) ? count(report) : { passed: 0, failed: 1, skipped: 0 };
    if (code !== 0 && counted.failed === 0) counted.failed = 1;
    for (const key of ['passed', 'failed', 'skipped'] as const) total[key] += counted[key];
  }
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
if (process.env.CI === 'true' && total.skipped > 0) {
  console.log(`${total.skipped} tests were skipped; in CI none may be`);
  total.failed += total.skipped;
  total.skipped = 0;
}
console.log(
  `${total.passed} passed, ${total.failed} failed${total.skipped > 0 ? `, ${total.skipped} skipped` : ''}`,
);
process.exit(total.failed === 0 && total.passed > 0 ? 0 : 1);

function count(report: string): { passed: number; failed: number; skipped: number } {
  const root = /<testsuites[^>]*>/.exec(readFileSync(report, 'utf8'))?.[0] ?? '';
  const number = (name: string) => Number(new RegExp(`\\b${name}="(\\d+)"`).exec(root)?.[1] ?? 0);
  const failed = number('failures') + number('errors');
  const skipped = number('skipped');
  return { passed: number('tests') - failed - skipped, failed, skipped };
}
