import { describe, expect, test } from 'bun:test';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';

const ROOT = join(import.meta.dir, '..');
const DIRECTORY = join(ROOT, '.github/workflows');

interface Step {
  run?: string;
  uses?: string;
  with?: Record<string, unknown>;
}
interface Job {
  steps: Step[];
  permissions?: Record<string, string>;
  container: { image: string };
  'timeout-minutes'?: number;
}
interface Workflow {
  permissions?: Record<string, string>;
  jobs: Record<string, Job>;
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
  const text = readFileSync(join(DIRECTORY, name), 'utf8');
  const { jobs, permissions } = parse(text) as Workflow;
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
  });

  test('takes each action by the commit that its version was, which a tag of somebody else may not be tomorrow', () => {
    const lines = text.split('\n').filter((line) => /\buses:/.test(line));
    expect(lines).toHaveLength(steps.filter(({ uses }) => uses !== undefined).length);
    for (const line of lines)
      expect(line).toMatch(/^ +- uses: [\w-]+\/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/);
  });

  test('what builds has no more rights than to read', () => {
    for (const job of Object.values(jobs)) {
      const isBuilding = job.steps.some(({ run }) => /^make (?:release|test)/.test(run ?? ''));
      expect(isBuilding).toBe(job.permissions === undefined);
    }
  });
});

describe('the release', () => {
  const { jobs } = parse(readFileSync(join(DIRECTORY, 'release.yml'), 'utf8')) as Workflow;

  test('its checkouts fetch the pushed tag alone, and keep no credentials for what follows', () => {
    const checkouts = Object.values(jobs).flatMap(({ steps }) =>
      steps.filter(({ uses }) => uses?.startsWith('actions/checkout@')),
    );
    // "fetch-tags" would fetch the pushed tag twice, as two things, which git refuses.
    for (const checkout of checkouts) expect(checkout.with).toEqual({ 'persist-credentials': false });
    expect(checkouts).toHaveLength(2);
  });

  test('packages are published by a Node that is new enough to do so without a token', () => {
    const { container, steps } = jobs.publish!;
    expect(steps.some(({ run }) => run === 'make publish')).toBe(true);
    expect(Number(/^node:(\d+)-/.exec(container.image)![1])).toBeGreaterThanOrEqual(22);
  });
});
