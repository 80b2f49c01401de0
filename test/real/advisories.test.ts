/** Advisories about what of npm is in the program, where a registry answers; skipped with its answer where none does. */
import { describe, expect, test } from 'bun:test';
import { join } from 'node:path';

interface Audit {
  /** Why there is none. */
  message?: string;
  vulnerabilities?: Record<string, { severity: string; via: unknown[] }>;
}

const ran = Bun.spawnSync(['npm', 'audit', '--omit=dev', '--json'], {
  cwd: join(import.meta.dir, '../..'),
  timeout: 60_000,
});
let audit: Audit = {};
try {
  audit = JSON.parse(ran.stdout.toString()) as Audit;
} catch {
  audit = { message: `npm audit printed no JSON, exit status ${ran.exitCode}` };
}
const missing = audit.vulnerabilities === undefined ? (audit.message ?? 'npm audit said nothing') : undefined;
if (missing !== undefined) console.warn(`SKIPPED: the registry says nothing of advisories: ${missing}`);

describe.skipIf(missing !== undefined)(`advisories${missing === undefined ? '' : ` (${missing})`}`, () => {
  test('there are none of what is in the program', () => {
    expect(audit.vulnerabilities).toEqual({});
  });
});
