/**
 * `make test-conformance`: runs specs of Kubernetes' own end-to-end suite on both engines, and writes what became of each into docs/real.md.
 * Its last line is that of `make test`: `N passed, N failed`.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SPECS, type SpecFact } from '../test/real/facts.ts';
import { specsSection, withSpecs } from './real-report.ts';

const ROOT = join(import.meta.dir, '..');
const PAGE = join(ROOT, 'docs/real.md');
const scratch = mkdtempSync(join(tmpdir(), 'hostport-test-conformance-'));
const specs = join(scratch, 'specs');
try {
  const { exitCode } = Bun.spawnSync(
    [process.execPath, join(import.meta.dir, 'test.ts'), './test/real/conformance.test.ts'],
    { cwd: ROOT, env: { ...process.env, [SPECS]: specs }, stdio: ['inherit', 'inherit', 'inherit'] },
  );
  if (existsSync(specs)) {
    const ran = readFileSync(specs, 'utf8')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as SpecFact);
    writeFileSync(PAGE, withSpecs(readFileSync(PAGE, 'utf8'), specsSection(ran)));
  }
  process.exitCode = exitCode;
} finally {
  rmSync(scratch, { recursive: true });
}
