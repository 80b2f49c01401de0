/**
 * `make fuzz`: what strangers write, at random, and kills of portmap at random instants. Ends with a line of counts. FUZZ_RUNS and FUZZ_SEED choose more,
 * less and others; FUZZ_SECONDS is how long a target is tried at most, so that all of it takes less than an hour. Exit status 1 if anything was violated.
 */
import { join } from 'node:path';

const ROOT = join(import.meta.dir, '..');
const HOUR_MS = 3_600_000;
const FUZZ_RUNS = process.env.FUZZ_RUNS ?? '100000';
const FUZZ_SECONDS = process.env.FUZZ_SECONDS ?? '60';
const PORTMAP_KILLS = process.env.PORTMAP_KILLS ?? '500';

/** Not by scripts/test.ts: what runs for minutes is worth compiling. */
const PARTS: readonly (readonly string[])[] = [
  ['./test/fuzz.test.ts'],
  [
    './test/anonymise/anonymise.test.ts',
    './src/portmap/configurations.test.ts',
    './test/portmap-engines.test.ts',
  ],
  ['--timeout=120000', './test/portmap-kill.netns.test.ts'],
];
/** What is counted, by the lines that the tests print. */
const COUNTS: readonly (readonly [what: string, line: RegExp])[] = [
  ['random inputs', /^.+: (\d+) runs, seed \d+$/gm],
  ['histories of calls', /^(\d+) random histories, /gm],
  ['calls of both engines', /^\d+ of (\d+) random calls /gm],
  ['kills', /^\w+, killed (\d+) times: /gm],
];

const began = performance.now();
let printed = '';
let violations = 0;
for (const words of PARTS) {
  const child = Bun.spawn([process.execPath, 'test', ...words], {
    cwd: ROOT,
    env: { ...process.env, FUZZ_RUNS, FUZZ_SECONDS, PORTMAP_KILLS },
    stdout: 'pipe',
    stderr: 'pipe',
    timeout: Math.max(1, Math.round(HOUR_MS - (performance.now() - began))),
  });
  const tell = async (stream: ReadableStream<Uint8Array>, to: NodeJS.WriteStream) => {
    const decoder = new TextDecoder();
    let text = '';
    for await (const chunk of stream) {
      text += decoder.decode(chunk, { stream: true });
      to.write(chunk);
    }
    return text;
  };
  const [out, err, code] = await Promise.all([
    tell(child.stdout, process.stdout),
    tell(child.stderr, process.stderr),
    child.exited,
  ]);
  printed += out;
  const failed = Number(/^ *(\d+) fail$/m.exec(err)?.[1] ?? 0);
  // Whatever ends it otherwise, a crash or the hour, is one, too.
  violations += Math.max(failed, code === 0 ? 0 : 1);
}
const counts = COUNTS.map(([what, line]) => {
  const count = [...printed.matchAll(line)].reduce((sum, [, number]) => sum + Number(number), 0);
  if (count === 0) violations++;
  return `${count.toLocaleString('en')} ${what}`;
});
const minutes = ((performance.now() - began) / 60_000).toFixed(1);
console.log(`${counts.join(', ')} in ${minutes} minutes: ${violations} violations`);
process.exit(violations === 0 ? 0 : 1);
