import { plainText } from './xml-text.ts';

/** One test of a JUnit report. */
export interface JunitCase {
  /** `SUBJECT: SUITE`, with why it was skipped in parentheses. */
  suite: string;
  name: string;
  /** As the runner writes it: relative to where it ran. */
  file: string;
  seconds: number;
  outcome: 'passed' | 'failed' | 'skipped';
}

/** The tests of a JUnit report as Bun writes it. */
export function casesIn(report: string): JunitCase[] {
  const found = report.matchAll(
    /<testcase name="([^"]*)" classname="([^"]*)"[^>]*?time="([\d.e-]+)"([^>]*?)(\/>|>[\s\S]*?<\/testcase>)/g,
  );
  return [...found].map(([, name, suite, seconds, more, body]) => ({
    // Of groups within groups Bun names the innermost first.
    suite: plainText(suite!).split(' > ').at(-1)!,
    name: plainText(name!),
    file: plainText(/ file="([^"]*)"/.exec(more!)?.[1] ?? ''),
    seconds: Number(seconds),
    outcome: outcomeOf(body!),
  }));
}

function outcomeOf(body: string): JunitCase['outcome'] {
  if (/<(?:failure|error)\b/.test(body)) return 'failed';
  return body.includes('<skipped') ? 'skipped' : 'passed';
}
