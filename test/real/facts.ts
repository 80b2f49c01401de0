import { appendFileSync } from 'node:fs';

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
