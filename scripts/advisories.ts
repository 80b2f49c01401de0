/**
 * `make advisories`: fails where there are advisories about what of npm is in the program. Not every registry answers that question; one that does not
 * is named, and nothing is known then.
 */
import { join } from 'node:path';

interface Audit {
  /** Why there is none. */
  message?: string;
  vulnerabilities?: Record<string, { severity: string }>;
}

const ran = Bun.spawnSync(['npm', 'audit', '--omit=dev', '--json'], {
  cwd: join(import.meta.dir, '..'),
  timeout: 60_000,
});
const { message, vulnerabilities } = parsed(ran.stdout.toString());
if (vulnerabilities === undefined) {
  console.warn(
    `SKIPPED, nothing was checked: advisories are not known: ${message ?? 'npm audit gave no reason'}`,
  );
} else {
  const found = Object.entries(vulnerabilities).map(([name, { severity }]) => `${name}: ${severity}`);
  console.log(found.length === 0 ? 'no advisories about what is in the program' : found.join('\n'));
  if (found.length > 0) process.exitCode = 1;
}

function parsed(text: string): Audit {
  try {
    return JSON.parse(text) as Audit;
  } catch {
    return { message: `npm audit printed no JSON, exit status ${ran.exitCode}` };
  }
}
