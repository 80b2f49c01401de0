import { describe, expect, test } from 'bun:test';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';

const ROOT = join(import.meta.dir, '..');
const DIRECTORY = join(ROOT, '.github/workflows');

interface Step {
  run?: string;
  uses?: string;
}
interface Workflow {
  permissions?: Record<string, string>;
  jobs: Record<string, { steps: Step[]; 'timeout-minutes'?: number }>;
}

/** Besides make: what prepares the machine, and hands one step's result to another. */
const OTHERS = [
  /^git config --global --add safe\.directory /,
  /^apt-get update && apt-get install /,
  /^echo "\w+=\$\(ls /,
];
const makefile = readFileSync(join(ROOT, 'Makefile'), 'utf8');
const targets = [...makefile.matchAll(/^([a-z][\w -]*):/gm)].flatMap(([, names]) => names!.split(' '));

describe.each(readdirSync(DIRECTORY))('%s', (name) => {
  const { jobs, permissions } = parse(readFileSync(join(DIRECTORY, name), 'utf8')) as Workflow;
  const steps = Object.values(jobs).flatMap((job) => job.steps);

  test('does nothing but targets of make, and some of them', () => {
    const runs = steps.flatMap(({ run }) => run ?? []);
    const made = runs.filter((run) => run.startsWith('make ')).map((run) => run.slice('make '.length));
    expect(made.length).toBeGreaterThan(0);
    expect(made.filter((target) => !targets.includes(target))).toEqual([]);
    const others = runs.filter((run) => !run.startsWith('make '));
    expect(others.filter((run) => !OTHERS.some((known) => known.test(run)))).toEqual([]);
  });

  test('has no more rights than it names, and ends', () => {
    expect(permissions).toEqual({ contents: 'read' });
    for (const job of Object.values(jobs)) expect(job['timeout-minutes']).toBeWithin(1, 121);
    for (const { uses } of steps) if (uses !== undefined) expect(uses).toMatch(/@v\d+$/);
  });
});
