/**
 * Connects to many ports of an address again and again, and prints a line whenever another number of them answers: `COUNT MILLISECONDS` since
 * the epoch. Started where the address can be reached: `bun answering.ts ADDRESS FIRST COUNT`. Runs until its standard input ends.
 */
import { connect } from 'node:net';

const INTERVAL_MS = 20;
const DEADLINE_MS = 500;
process.stdin.on('end', () => process.exit(0)).resume();
const [address, first, count] = process.argv.slice(2) as [string, string, string];
const ports = Array.from({ length: Number(count) }, (_, i) => Number(first) + i);
let before = -1;
for (;;) {
  const answers = await Promise.all(ports.map(answersAt));
  const now = answers.filter(Boolean).length;
  if (now !== before) console.log(`${now} ${Date.now()}`);
  before = now;
  await Bun.sleep(INTERVAL_MS);
}

function answersAt(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: address, port });
    const end = (answered: boolean) => {
      clearTimeout(timer);
      socket.destroy();
      resolve(answered);
    };
    const timer = setTimeout(() => end(false), DEADLINE_MS);
    socket.once('connect', () => end(true));
    socket.once('error', () => end(false));
  });
}
