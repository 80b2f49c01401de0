/**
 * `make fuzz`: what strangers write, at random, and kills of portmap at random instants, for almost an hour. Ends with a line of counts. FUZZ_SECONDS is how
 * long each target is tried, FUZZ_RUNS how many histories of calls are drawn, PORTMAP_KILLS how often portmap is killed; FUZZ_SEED repeats a run. Exit
 * status 1 if anything was violated.
 */
import { randomInt } from 'node:crypto';
import { join } from 'node:path';
import { FUZZ_TARGETS } from '../test/fuzz/targets.ts';

const ROOT = join(import.meta.dir, '..');
const HOUR_MS = 3_600_000;
/** Of all targets together. */
const TARGETS_SECONDS = 45 * 60;
/** More than there is time for: a target is tried for as long as it may. */
const TARGET_RUNS = '10000000';
const FUZZ_RUNS = process.env.FUZZ_RUNS ?? '100000';
const FUZZ_SECONDS = process.env.FUZZ_SECONDS ?? String(Math.floor(TARGETS_SECONDS / FUZZ_TARGETS.length));
/** Another one each time: what was found is found again by it. */
const FUZZ_SEED = process.env.FUZZ_SEED ?? String(randomInt(2 ** 31));
const PORTMAP_KILLS = process.env.PORTMAP_KILLS ?? '500';

/** Not by scripts/test.ts: what runs for minutes is worth compiling. */
const PARTS: readonly { words: readonly string[]; runs?: string }[] = [
  { words: ['--timeout=3600000', './test/fuzz.test.ts'], runs: TARGET_RUNS },
  {
    words: [
      './test/anonymise/anonymise.test.ts',
      './src/portmap/configurations.test.ts',
      './test/portmap-engines.test.ts',
    ],
  },
  { words: ['--timeout=120000', './test/portmap-kill.netns.test.ts'] },
];
/** What is counted, by the lines that the tests print. */
const COUNTS: readonly (readonly [what: string, line: RegExp])[] = [
  ['random inputs', /^.+: (\d+) runs, seed \d+$/gm],
  ['histories of calls', /^(\d+) random histories, /gm],
  ['calls of both engines', /^\d+ of (\d+) random calls /gm],
  ['kills', /^\w+, killed (\d+) times: /gm],
];

console.log(`seed ${FUZZ_SEED}`);
const began = performance.now();
let printed = '';
let violations = 0;
for (const { words, runs = FUZZ_RUNS } of PARTS) {
  const child = Bun.spawn([process.execPath, 'test', ...words], {
    cwd: ROOT,
    env: { ...process.env, FUZZ_RUNS: runs, FUZZ_SECONDS, FUZZ_SEED, PORTMAP_KILLS },
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
