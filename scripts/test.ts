/**
 * Runs every test and ends with one line: `N passed, N failed, N skipped`. In CI (`CI=true`) a skipped test is a failure, unless it is for the
 * reason in excused-skips.ts, and a file of which tests failed is run once more when nothing else runs. What passes then is listed as `PASSED
 * ALONE`: the machine was too busy, or the test is too hasty; either is worth a look. What fails twice has failed.
 * `bun scripts/test.ts [PATH…]` builds what the paths need and runs only what they match, one after another. With KEEP_REPORTS the JUnit reports
 * are kept in that directory, named such that a later one sorts behind.
 *
 * Without paths it runs `make check` as well, beside the tests: red, it fails the run. What `make test` has no time for is left out then, and is
 * all that `bun scripts/test.ts --long` runs.
 *
 * A lab waits as often as it computes, so test files run in four lanes, each file of the lab in a process of its own. A file's output is
 * printed when it has ended, so that what belongs together stays together; what took longest, what failed, and why, is printed at the end.
 */
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, normalize } from 'node:path';
import { excusedSkips } from './excused-skips.ts';
import { casesIn, type JunitCase } from './junit-report.ts';
import { neededBuild } from './needed-build.ts';

/** Test files for one process. */
interface Batch {
  name: string;
  paths: string[];
  /** Deadline of one test. */
  seconds: number;
  env?: Record<string, string>;
  /** Another command than the tests of `paths`. It has no counts: it is red or it is not. */
  argv?: string[];
}

interface Counts {
  passed: number;
  failed: number;
  skipped: number;
  /** Of those, the ones that are no failure in CI. */
  excused: number;
}

const COUNTED = ['passed', 'failed', 'skipped', 'excused'] as const;

/** Paths, or `--long`. */
const chosen = process.argv.slice(2);
const isInCi = process.env.CI === 'true';
/** With more files failed than these it is not the load. */
const MOST_AGAIN = 4;
const UNIT_SECONDS = 30;
const LAB_SECONDS = 120;
const LANES = 4;
/** Concurrent tests of one file at a time; their deadlines are meant for what the machine can do at once. */
const CONCURRENT = 10;
/**
 * How often a function runs before it is compiled, five times what is usual: most processes of the tests live for seconds, and compiling what
 * ran 500 times costs them more than it gains. Source: JavaScriptCore, OptionsList.h.
 */
const JIT_THRESHOLDS = {
  BUN_JSC_thresholdForJITAfterWarmUp: '2500',
  BUN_JSC_thresholdForOptimizeAfterWarmUp: '5000',
  BUN_JSC_thresholdForFTLOptimizeAfterWarmUp: '500000',
};
/** Characters of an error in the list at the end. */
const SAID = 400;

/** Two of these at once would be in each other's way: they have the how-to's cluster name and its directories. */
const HOW_TO = ['tour', 'readme'];
/** These look at all of the machine, and others would show. */
const ALONE = ['root-namespace'];

const glob = (pattern: string) => [...new Bun.Glob(pattern).scanSync()].map((path) => `./${path}`).sort();
const inLab = (name: string) => `./test/e2e/${name}.test.ts`;

/**
 * Run once more with the executable that Bun compiles: what the native one has in the place of Bun must be the same. Most other tests compare
 * rules that the plugin makes in the test's own process, which is Bun's.
 */
const ON_BUN = ['./src/portmap/nftables.netns.test.ts'];

/**
 * What `make test-long` runs: pages in a real browser, ways to attach pods that differ in what the doctor reads and not in how it judges, and
 * a run of `heal` without each right of its role.
 */
const LONG = ['test/*-page.netns.test.ts', 'test/topologies.netns.test.ts', 'test/e2e/any-rights.test.ts'];

/** The batches that take longest, by a part of their name. One that is no longer there changes the order only. */
const LONGEST = [
  'units',
  'make check',
  'any-cluster',
  'agent-heals',
  'the how-to',
  'portmap/portmap.netns',
  'portmap-lab',
  'catalogue.test',
  'live-page',
  'report-page',
  'cleanup',
  'portmap-property',
  'kubectl.test',
  'no-false-findings',
  'catalogue-pairs',
  'survive',
  'heal-watch',
  'kubelet.netns',
];

interface Plan {
  together: Batch[];
  alone: Batch[];
}

function planned(): Plan {
  if (chosen.length === 0) return allBatches();
  if (chosen[0] === '--long') return longBatches();
  return { together: [], alone: [{ name: chosen.join(' '), paths: chosen, seconds: LAB_SECONDS }] };
}

const one = (path: string, seconds: number): Batch => ({ name: path.slice(2), paths: [path], seconds });

function longBatches(): Plan {
  const seconds = (path: string) => (path.includes('/e2e/') ? LAB_SECONDS : UNIT_SECONDS);
  return { together: LONG.flatMap(glob).map((path) => one(path, seconds(path))), alone: [] };
}

function allBatches(): Plan {
  const long = LONG.flatMap(glob);
  const netns = [...glob('src/**/*.netns.test.ts'), ...glob('test/*.netns.test.ts')].filter(
    (path) => !long.includes(path),
  );
  const others = [...glob('src/**/*.test.ts'), ...glob('test/*.test.ts')].filter(
    (path) => !netns.includes(path) && !long.includes(path),
  );
  // These begin before the build has ended.
  const units = others.filter((path) => neededBuild([path], process.cwd()) === undefined);
  const elsewhere = [...long, ...[...HOW_TO, ...ALONE].map(inLab)];
  const lab = glob('test/e2e/*.test.ts').filter((path) => !elsewhere.includes(path));
  const together = [
    { name: 'units', paths: units, seconds: UNIT_SECONDS },
    { name: 'make check', paths: [], seconds: 0, argv: ['make', '-s', 'check'] },
    { name: 'the how-to', paths: HOW_TO.map(inLab), seconds: LAB_SECONDS },
    ...netns.map((path) => one(path, UNIT_SECONDS)),
    ...ON_BUN.map((path) => ({
      ...one(path, UNIT_SECONDS),
      name: `${path.slice(2)} on Bun`,
      env: { TESTED_PLUGINS: 'dist/bun-cni' },
    })),
    ...others.filter((path) => !units.includes(path)).map((path) => one(path, UNIT_SECONDS)),
    ...lab.map((path) => one(path, LAB_SECONDS)),
  ];
  // What takes longest begins first, so that the lanes end together.
  const rank = ({ name }: Batch) => {
    const at = LONGEST.findIndex((part) => name.includes(part));
    return at < 0 ? LONGEST.length : at;
  };
  return {
    together: together.sort((a, b) => rank(a) - rank(b)),
    alone: ALONE.map((name) => one(inLab(name), LAB_SECONDS)),
  };
}

const { together, alone } = planned();

const total: Counts = { passed: 0, failed: 0, skipped: 0, excused: 0 };
const failures: string[] = [];
const durations: { name: string; seconds: number }[] = [];
/** Of which tests failed, with what they have added to the counts and the failures. */
const again: { batch: Batch; ran: Ran }[] = [];
const excuses = new Map<string, number>();
let reports = 0;
let isBuilt = false;
const scratch = mkdtempSync(join(tmpdir(), 'hostport-test-'));
const building = build();
try {
  await Promise.all(Array.from({ length: LANES }, () => lane(together)));
  await lane(alone);
  for (const batch of isInCi && again.length <= MOST_AGAIN ? again.splice(0) : []) await runAgain(batch);
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
const unexcused = total.skipped - total.excused;
if (isInCi && unexcused > 0) {
  console.log(`${unexcused} tests were skipped; in CI none may be`);
  total.failed += unexcused;
  total.skipped -= unexcused;
}
for (const [excuse, number] of excuses) console.log(`skipped because ${excuse}: ${number}`);
if (durations.length > 1) {
  durations.sort((a, b) => b.seconds - a.seconds);
  const slowest = durations.slice(0, 10).map(({ name, seconds }) => `${name} ${seconds.toFixed(0)} s`);
  console.log(`slowest: ${slowest.join(', ')}`);
}
for (const failure of failures) console.log(failure);
console.log(
  `${total.passed} passed, ${total.failed} failed${total.skipped > 0 ? `, ${total.skipped} skipped` : ''}`,
);
process.exit(total.failed === 0 && total.passed + total.skipped > 0 ? 0 : 1);

/** Builds what the tests run, if it is older than its sources. When that fails, what needs it is not run. */
async function build(): Promise<void> {
  const paths = [...together, ...alone].flatMap((batch) => batch.paths);
  const target = chosen.length === 0 ? 'tested' : neededBuild(paths, process.cwd());
  if (target !== undefined) {
    const child = Bun.spawn(['make', '-s', target], { stdout: 'inherit', stderr: 'inherit' });
    if ((await child.exited) !== 0) {
      total.failed++;
      failures.push(`FAILED: make ${target}: what needs it was not run`);
      for (const queue of [together, alone]) queue.splice(0, queue.length, ...queue.filter(needsNoBuild));
    }
  }
  isBuilt = true;
}

function needsNoBuild({ paths }: Batch): boolean {
  return paths.length === 0 || neededBuild(paths, process.cwd()) === undefined;
}

/**
 * Runs what is first in the queue until it is empty; several lanes may take from one queue. What needs no build runs beside the build, which
 * often waits for one process.
 */
async function lane(queue: Batch[]): Promise<void> {
  for (;;) {
    const at = isBuilt ? 0 : queue.findIndex(needsNoBuild);
    const [next] = at < 0 ? [] : queue.splice(at, 1);
    if (next !== undefined) {
      const ran = await run(next, queue === alone);
      if (ran.counted.failed > 0) again.push({ batch: next, ran });
    } else if (isBuilt) return;
    else await building;
  }
}

/** Runs what failed of a batch once more, by files; what is counted then is instead of what was counted of these before. */
async function runAgain({ batch, ran }: (typeof again)[number]): Promise<void> {
  const failed = ran.cases.filter(({ outcome }) => outcome === 'failed');
  const failedFiles = new Set(failed.map(({ file }) => file));
  const files = batch.paths.filter((path) => failedFiles.has(normalize(path)));
  // What is of no test (a crash, an error between tests) is of all files.
  const isOfTests = ran.counted.failed === failed.length;
  const isPart = files.length > 0 && files.length < batch.paths.length && isOfTests;
  const part = isPart ? { ...batch, name: files.join(' '), paths: files } : batch;
  const counted = isPart ? countCases(ran.cases.filter(({ file }) => failedFiles.has(file))) : ran.counted;
  console.log(`\n# ${part.name} failed beside others, and is run once more alone`);
  for (const key of COUNTED) total[key] -= counted[key];
  failures.splice(0, failures.length, ...failures.filter((failure) => !ran.said.includes(failure)));
  const { counted: now } = await run(part, true);
  if (now.failed === 0)
    failures.push(...ran.said.map((failure) => failure.replace(/^FAILED/, 'PASSED ALONE')));
}

/** What became of a batch. */
interface Ran {
  counted: Counts;
  /** The lines about what failed. */
  said: string[];
  /** The tests of its JUnit report, none where it wrote none. */
  cases: readonly JunitCase[];
}

/** Runs a batch, adds what it counted to the totals and what failed to the failures, and returns both. */
async function run({ name, paths, seconds, argv, env }: Batch, live: boolean): Promise<Ran> {
  const report = join(scratch, `${String(reports++).padStart(4, '0')}.xml`);
  const began = performance.now();
  const stdio = live ? 'inherit' : 'pipe';
  const child = Bun.spawn(
    argv ?? [
      process.execPath,
      'test',
      '--reporter=junit',
      `--reporter-outfile=${report}`,
      `--timeout=${seconds * 1000}`,
      `--max-concurrency=${CONCURRENT}`,
      ...paths,
    ],
    { env: { ...JIT_THRESHOLDS, ...process.env, ...env }, stdout: stdio, stderr: stdio },
  );
  const [stdout, stderr, code] = await Promise.all([
    textOf(child.stdout),
    textOf(child.stderr),
    child.exited,
  ]);
  // A runner that ended badly without a failed test (a crash, an error between tests) has failed, and one without a word.
  const text = existsSync(report) ? readFileSync(report, 'utf8') : undefined;
  const cases = casesIn(text ?? '');
  const counted =
    text === undefined
      ? { passed: 0, failed: argv === undefined ? 1 : 0, skipped: 0, excused: 0 }
      : count(text, cases);
  if (code !== 0 && counted.failed === 0) counted.failed = 1;
  for (const key of COUNTED) total[key] += counted[key];
  if (process.env.KEEP_REPORTS !== undefined && text !== undefined)
    copyFileSync(report, join(process.env.KEEP_REPORTS, basename(report)));
  const failed = failedIn(cases);
  if (counted.failed > failed.length) {
    failed.push(`exit status ${code}, ${counted.failed - failed.length} failed without a word`);
  }
  const said = failed.map((failure) => `FAILED: ${name}: ${failure}`);
  failures.push(...said);
  const took = (performance.now() - began) / 1000;
  durations.push({ name, seconds: took });
  console.log(`\n# ${name} (${took.toFixed(0)} s)\n${stdout}${stderr}`);
  return { counted, said, cases };
}

function textOf(stream: ReadableStream<Uint8Array> | undefined): Promise<string> {
  return stream === undefined ? Promise.resolve('') : new Response(stream).text();
}

/** What the report's own numbers are, and which of the skipped tests are no failure in CI. */
function count(report: string, cases: readonly JunitCase[]): Counts {
  const root = /<testsuites[^>]*>/.exec(report)?.[0] ?? '';
  const number = (name: string) => Number(new RegExp(`\\b${name}="(\\d+)"`).exec(root)?.[1] ?? 0);
  const failed = number('failures') + number('errors');
  const skipped = number('skipped');
  const excusedOf = excusedSkips(cases);
  for (const [excuse, times] of excusedOf) excuses.set(excuse, (excuses.get(excuse) ?? 0) + times);
  return { passed: number('tests') - failed - skipped, failed, skipped, excused: sumOf(excusedOf) };
}

function countCases(cases: readonly JunitCase[]): Counts {
  const number = (wanted: JunitCase['outcome']) => cases.filter(({ outcome }) => outcome === wanted).length;
  return {
    ...{ passed: number('passed'), failed: number('failed'), skipped: number('skipped') },
    excused: sumOf(excusedSkips(cases)),
  };
}

function sumOf(counts: ReadonlyMap<string, number>): number {
  return [...counts.values()].reduce((sum, times) => sum + times, 0);
}

/** Each failed test: its name and the beginning of its error, on one line. */
function failedIn(cases: readonly JunitCase[]): string[] {
  return cases
    .filter(({ outcome }) => outcome === 'failed')
    .map(({ groups, name, message }) => {
      const said = message.replace(/\s+/g, ' ').trim();
      return `${groups} > ${name}: ${said.slice(0, SAID)}`;
    });
}
