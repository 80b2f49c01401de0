import { afterAll, describe, expect, test } from 'bun:test';
import { chmodSync, mkdtempSync, renameSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecOptions } from '../../sys/exec.ts';
import { rememberingExec } from './remembering-exec.ts';

const directory = mkdtempSync(join(tmpdir(), 'hostport-remembering-'));
afterAll(() => rmSync(directory, { recursive: true }));

const program = join(directory, 'portmap');
const VERSION: ExecOptions = { env: { CNI_COMMAND: 'VERSION' }, stdin: '{"cniVersion":"1.0.0"}' };

/** An exec that counts, and ends with the codes given; 0 when there are no more. */
function counting(...codes: number[]) {
  const runs: string[] = [];
  const exec = rememberingExec({
    async run(argv) {
      runs.push(argv.join(' '));
      return { code: codes.shift() ?? 0, stdout: `answer ${runs.length}`, stderr: '' };
    },
  });
  return { runs, exec };
}

describe('what is asked once', () => {
  // What is asked twice, and how often it is done.
  const CASES: { name: string; argv: string[]; options?: ExecOptions; times: number }[] = [
    { name: "a plugin's VERSION", argv: [program], options: VERSION, times: 1 },
    { name: "a tool's version", argv: [program, '--version'], times: 1 },
    {
      name: "a plugin's ADD",
      argv: [program],
      options: { ...VERSION, env: { CNI_COMMAND: 'ADD' } },
      times: 2,
    },
    { name: 'anything else of a tool', argv: [program, '-S'], times: 2 },
    { name: 'a program found on PATH, which may be another', argv: ['iptables', '--version'], times: 2 },
    { name: 'a program that is not there', argv: [join(directory, 'missing'), '--version'], times: 2 },
  ];
  for (const { name, argv, options, times } of CASES) {
    test(name, async () => {
      writeFileSync(program, '1');
      const { runs, exec } = counting();
      const answers = [await exec.run(argv, options), await exec.run(argv, options)];
      expect(runs).toHaveLength(times);
      expect(answers[1]!.stdout).toBe(`answer ${times}`);
    });
  }

  test('a different question to the same program is another', async () => {
    const { runs, exec } = counting();
    await exec.run([program], VERSION);
    await exec.run([program, '--version']);
    await exec.run([program], { ...VERSION, stdin: '{"cniVersion":"0.4.0"}' });
    expect(runs).toHaveLength(3);
  });

  test('an answer that failed is asked for again', async () => {
    const { runs, exec } = counting(1);
    expect((await exec.run([program], VERSION)).code).toBe(1);
    expect((await exec.run([program], VERSION)).code).toBe(0);
    await exec.run([program], VERSION);
    expect(runs).toHaveLength(2);
  });
});

describe('a program that was', () => {
  const CHANGES: [name: string, change: () => void][] = [
    ['written', () => writeFileSync(program, 'longer')],
    ['replaced by one of the same size', () => replace('2')],
    ['given another mode', () => chmodSync(program, 0o700)],
    ['given another time', () => utimesSync(program, 1, 1)],
  ];
  for (const [name, change] of CHANGES) {
    test(`${name} is asked again`, async () => {
      rmSync(program, { force: true });
      writeFileSync(program, '1', { mode: 0o755 });
      const { runs, exec } = counting();
      await exec.run([program], VERSION);
      change();
      await exec.run([program], VERSION);
      expect(runs).toHaveLength(2);
    });
  }

  function replace(content: string): void {
    writeFileSync(`${program}.new`, content, { mode: 0o755 });
    renameSync(`${program}.new`, program);
  }
});
