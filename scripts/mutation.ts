/**
 * Changes the code in small ways and checks whether the unit tests of its folder notice: `bun scripts/mutation.ts [FOLDER…]`, by default every
 * folder with a goal. Prints the share of a seeded sample of changes that was noticed, with its 95 % interval, and each change that was not.
 * Exits with 1 if a folder misses its goal. StrykerJS makes the changes; `make mutation` installs it. Of a folder's tests those in network
 * namespaces are left out: they take too long to run once for each change.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Per cent of the sample that the tests must notice, by folder, and where these tests are. */
const GOALS: Readonly<Record<string, { goal: number; tests: string }>> = {
  // The pages of the documentation are made of the failures' texts.
  'src/path': { goal: 90, tests: 'src/path test/failures-pages.test.ts' },
  'src/portmap': { goal: 90, tests: 'src/portmap' },
  // The packets that are followed there are in the tests of the whole model.
  'src/netfilter/trace': { goal: 90, tests: 'src/netfilter' },
};

const SEED = process.env.MUTATION_SEED ?? '1';
const SAMPLE = process.env.MUTATION_SAMPLE ?? '600';
const BUN = 'node_modules/bun/bin/bun.exe';

/** A change in Stryker's report, as far as it is used. */
interface Mutant {
  status: string;
  mutatorName: string;
  replacement?: string;
  location: { start: { line: number; column: number } };
}

interface Outcome {
  noticed: number;
  missed: string[];
}

function mutate(folder: string): Outcome {
  const scratch = mkdtempSync(join(tmpdir(), 'hostport-mutation-'));
  const report = join(scratch, 'report.json');
  const config = join(scratch, 'stryker.config.json');
  const settings = {
    testRunner: 'command',
    // Quoted: the command is run by a shell.
    commandRunner: {
      command: `${BUN} test ${GOALS[folder]?.tests ?? folder} --bail --path-ignore-patterns '**/*.netns.test.ts'`,
    },
    mutate: [
      `${folder}/**/*.ts`,
      ...['test', 'fake', 'suite', 'gen'].map((kind) => `!${folder}/**/*.${kind}.ts`),
      `!${folder}/**/testing/**`,
    ],
    plugins: [join(import.meta.dir, 'mutation/sample.mjs')],
    checkers: ['sample'],
    reporters: ['json'],
    jsonReporter: { fileName: report },
    ignorePatterns: ['/bin', '/dist', '/.stamps'],
    disableTypeChecks: false,
    // Stryker would rewrite it with a compiler API that TypeScript 7 does not have.
    tsconfigFile: 'none',
    // One of them asks the checker.
    concurrency: 3,
    timeoutMS: 20_000,
    coverageAnalysis: 'off',
  };
  try {
    writeFileSync(config, JSON.stringify(settings));
    const { exitCode } = Bun.spawnSync(['node_modules/.bin/stryker', 'run', config], {
      env: { ...process.env, MUTATION_SEED: SEED, MUTATION_SAMPLE: SAMPLE },
      // What Stryker prints beside its report is every run's output.
      stdout: 'ignore',
      stderr: 'inherit',
    });
    if (exitCode !== 0) throw new Error(`cannot mutate ${folder}: stryker exited with ${exitCode}`);
    return outcomeOf(readFileSync(report, 'utf8'));
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

function outcomeOf(report: string): Outcome {
  const { files } = JSON.parse(report) as { files: Record<string, { mutants: Mutant[] }> };
  const mutants = Object.entries(files).flatMap(([file, { mutants }]) =>
    mutants.map((mutant) => ({ file, ...mutant })),
  );
  const missed = mutants
    .filter(({ status }) => status === 'Survived')
    .map(({ file, location: { start }, mutatorName, replacement }) => {
      const change = (replacement ?? '').replace(/\s+/g, ' ').slice(0, 80);
      return `${file}:${start.line}:${start.column} ${mutatorName}: ${change}`;
    });
  // A change that makes the tests run without end is noticed, too.
  const noticed = mutants.filter(({ status }) => status === 'Killed' || status === 'Timeout').length;
  return { noticed, missed: missed.sort() };
}

/** Wilson's 95 % interval of a share, in per cent. */
function interval(noticed: number, all: number): [low: number, high: number] {
  const z = 1.96;
  const share = noticed / all;
  const middle = share + z ** 2 / (2 * all);
  const spread = z * Math.sqrt((share * (1 - share)) / all + z ** 2 / (4 * all ** 2));
  const bound = (value: number) => (100 * value) / (1 + z ** 2 / all);
  return [bound(middle - spread), bound(middle + spread)];
}

const chosen = process.argv.slice(2);
let isShort = false;
for (const folder of chosen.length > 0 ? chosen : Object.keys(GOALS)) {
  const { noticed, missed } = mutate(folder);
  const all = noticed + missed.length;
  const share = (100 * noticed) / all;
  const [low, high] = interval(noticed, all);
  const goal = GOALS[folder]?.goal;
  isShort ||= goal !== undefined && share < goal;
  console.log(missed.join('\n'));
  console.log(
    `${folder}: ${noticed} of ${all} noticed, ${share.toFixed(1)} % (${low.toFixed(1)} to ${high.toFixed(1)})${goal === undefined ? '' : `, goal ${goal} %`}`,
  );
}
process.exit(isShort ? 1 : 0);
