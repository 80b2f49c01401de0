import { appendFileSync } from 'node:fs';
import type { SpecResult } from './suite.ts';

/** Where `make test-real` gathers what its report says besides which tests passed: a file with a line for each. */
export const FACTS = 'HOSTPORT_FACTS';

/** Something measured, of a subject. */
export interface Fact {
  subject: string;
  what: string;
  value: number;
}

/** Writes down what was measured, where somebody gathers it. */
export function recordFact(subject: string, what: string, value: number): void {
  const path = process.env[FACTS];
  const fact: Fact = { subject, what, value };
  if (path !== undefined) appendFileSync(path, `${JSON.stringify(fact)}\n`);
}

/** Where `make test-conformance` gathers what became of each spec: a file with a line for each. */
export const SPECS = 'HOSTPORT_SPECS';

/** One spec of Kubernetes' own suite, on one engine of the lab. */
export interface SpecFact extends Pick<SpecResult, 'name' | 'state' | 'seconds'> {
  engine: string;
  group: string;
}

/** Writes down what became of specs, where somebody gathers it. */
export function recordSpecs(engine: string, group: string, results: readonly SpecResult[]): void {
  const path = process.env[SPECS];
  if (path === undefined) return;
  for (const { name, state, seconds } of results) {
    const fact: SpecFact = { engine, group, name, state, seconds };
    appendFileSync(path, `${JSON.stringify(fact)}\n`);
  }
}
