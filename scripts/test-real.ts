/**
 * `make test-real`: runs the tests on what `make real` has built, and writes docs/real.md about them. Its last line is that of `make test`:
 * `N passed, N failed`.
 */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { containerdVersion } from '../src/lab/cluster/runtime.ts';
import { realExec } from '../src/sys/exec.ts';
import { FACTS, type Fact } from '../test/real/facts.ts';
import { builtPart } from './real/part.ts';
import { realParts } from './real/parts.ts';
import { realReport, specsOf, withSpecs } from './real-report.ts';

const ROOT = join(import.meta.dir, '..');
/** Has a target of its own, `make test-conformance`: it takes half an hour. */
const APART = 'test/real/conformance.test.ts';
const scratch = mkdtempSync(join(tmpdir(), 'hostport-test-real-'));
const reports = join(scratch, 'reports');
mkdirSync(reports);
const facts = join(scratch, 'facts');
try {
  const all = [...new Bun.Glob('test/real/*.test.ts').scanSync(ROOT)].sort();
  const paths = all.filter((path) => path !== APART).map((path) => `./${path}`);
  const { exitCode } = Bun.spawnSync([process.execPath, join(import.meta.dir, 'test.ts'), ...paths], {
    cwd: ROOT,
    env: { ...process.env, KEEP_REPORTS: reports, [FACTS]: facts },
    stdio: ['inherit', 'inherit', 'inherit'],
  });
  const ran = readdirSync(reports).sort();
  if (ran.length > 0) {
    const texts = ran.map((name) => readFileSync(join(reports, name), 'utf8'));
    const report = realReport(texts, readFacts(), await versions());
    const page = join(ROOT, 'docs/real.md');
    const specs = existsSync(page) ? specsOf(readFileSync(page, 'utf8')) : '';
    writeFileSync(page, specs === '' ? report : withSpecs(report, specs));
  }
  process.exitCode = exitCode;
} finally {
  rmSync(scratch, { recursive: true });
}

function readFacts(): Fact[] {
  if (!existsSync(facts)) return [];
  return readFileSync(facts, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Fact);
}

/** What was built, as far as it was, and what is the machine's. */
async function versions(): Promise<string[]> {
  const found = [`the machine's containerd ${await containerdVersion('containerd', realExec)}`];
  for (const part of await realParts()) {
    if ((await builtPart(part)) !== undefined) found.push(`${part.name} ${part.version}`);
  }
  return found;
}
