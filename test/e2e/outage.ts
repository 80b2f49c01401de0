/**
 * Asks a URL again and again, and prints a line whenever it begins or ceases to answer: `up MILLISECONDS`, `down MILLISECONDS` since
 * the epoch. Started where the URL can be reached: `bun outage.ts URL`. Runs until its standard input ends.
 */
export {};

const INTERVAL_MS = 10;
const DEADLINE_MS = 250;
process.stdin.on('end', () => process.exit(0)).resume();
const [url] = process.argv.slice(2) as [string];
let before: string | undefined;
for (;;) {
  const now = await answers();
  if (now !== before) console.log(`${now} ${Date.now()}`);
  before = now;
  await Bun.sleep(INTERVAL_MS);
}

async function answers(): Promise<'up' | 'down'> {
  try {
    // Every time over a connection of its own: one that is tracked survives its rules.
    const response = await fetch(url, {
      headers: { connection: 'close' },
      keepalive: false,
      signal: AbortSignal.timeout(DEADLINE_MS),
    });
    return (await response.text()).includes('Welcome to echo-server!') ? 'up' : 'down';
  } catch {
    return 'down';
  }
}
