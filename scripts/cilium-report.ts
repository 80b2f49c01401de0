/**
 * `bun scripts/cilium-report.ts`: writes docs/real-cilium.md from what the last `make test-real` saw with real Cilium.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

const ROOT = join(import.meta.dir, '..');
const SEEN = join(ROOT, 'dist/real/cilium.json');

/** What was seen with one setting of Cilium. */
export interface CiliumRow {
  scenario: string;
  /** Who gets an answer from a hostPort. */
  answers: { client: boolean; node: boolean; loopback: boolean; pod: boolean };
  /** Code and severity of each finding of the doctor. */
  findings: string[];
}

/** Keeps what a run of the tests has seen, for the report. */
export async function keepReport(version: string, rows: readonly CiliumRow[]): Promise<void> {
  await mkdir(dirname(SEEN), { recursive: true });
  await writeFile(SEEN, `${JSON.stringify({ version, rows }, null, 2)}\n`);
}

/** The report, in Markdown. */
export function ciliumReport(version: string, rows: readonly CiliumRow[]): string {
  const yes = (answered: boolean) => (answered ? 'yes' : 'no');
  const lines = rows.map(({ scenario, answers, findings }) => {
    const { client, node, loopback, pod } = answers;
    const cells = [client, node, loopback, pod].map(yes);
    return `| ${[scenario, ...cells, findings.join(', ') || 'none'].join(' | ')} |`;
  });
  return `# hostPorts with real Cilium ${version}

What \`make test-real\` saw: who gets an answer from a hostPort of a pod, and what \`hostport doctor\` finds.
[How to run it](cilium.md).

| setting | a client | the node, by its address | the node, by 127.0.0.1 | the pod itself | findings |
|---|---|---|---|---|---|
${lines.join('\n')}

<!-- Written by scripts/cilium-report.ts -->
`;
}

if (import.meta.main) {
  const { version, rows } = JSON.parse(await readFile(SEEN, 'utf8')) as {
    version: string;
    rows: CiliumRow[];
  };
  await writeFile(join(ROOT, 'docs/real-cilium.md'), ciliumReport(version, rows));
}
