import { plainText } from './xml-text.ts';

/** One test of a JUnit report. */
export interface JunitCase {
  /** `SUBJECT: SUITE`, with why it was skipped in parentheses. */
  suite: string;
  /** All groups that it is in, the innermost first. */
  groups: string;
  name: string;
  /** As the runner writes it: relative to where it ran. */
  file: string;
  seconds: number;
  /** The beginning of what is wrong; empty where nothing is. */
  message: string;
  outcome: 'passed' | 'failed' | 'skipped';
}

/** The tests of a JUnit report as Bun writes it. */
export function casesIn(report: string): JunitCase[] {
  const found = report.matchAll(
    /<testcase name="([^"]*)" classname="([^"]*)"[^>]*?time="([\d.e-]+)"([^>]*?)(\/>|>[\s\S]*?<\/testcase>)/g,
  );
  return [...found].map(([, name, suite, seconds, more, body]) => ({
    suite: plainText(suite!).split(' > ').at(-1)!,
    groups: plainText(suite!),
    name: plainText(name!),
    file: plainText(/ file="([^"]*)"/.exec(more!)?.[1] ?? ''),
    seconds: Number(seconds),
    message: plainText(/<(?:failure|error)(?: type="[^"]*")? message="([^"]*)"/.exec(body!)?.[1] ?? ''),
    outcome: outcomeOf(body!),
  }));
}

function outcomeOf(body: string): JunitCase['outcome'] {
  if (/<(?:failure|error)\b/.test(body)) return 'failed';
  return body.includes('<skipped') ? 'skipped' : 'passed';
}
