import { expect, test } from 'bun:test';
import { join } from 'node:path';
import { realExec } from './exec.ts';
import { MarkedChildren } from './marked-children.ts';
import { waitFor } from './wait.ts';

const WAIT = { timeoutMs: 10_000 };

/** Processes with this word among their arguments. */
async function named(word: string): Promise<number> {
  const { stdout } = await realExec.run(['pgrep', '-cf', `^sleep 8[0-9]* ${word}$`]);
  return Number(stdout);
}

test('what a command leaves behind is found in whatever session, and nothing else', async () => {
  const children = new MarkedChildren();
  const other = new MarkedChildren();
  const [first, second] = ['0.1357', '0.2468'];
  const leave = (word: string, mark: MarkedChildren) =>
    realExec.run(
      [
        'sh',
        '-c',
        `for i in 1 2 3; do setsid sh -c 'sleep 8$0 ${word}' $i >/dev/null 2>&1 </dev/null & done`,
      ],
      { inherit: mark.fd },
    );
  try {
    await leave(first, children);
    await leave(second, other);
    await waitFor(
      'all of them to run',
      async () => (await named(first)) === 3 && (await named(second)) === 3,
      WAIT,
    );
    expect(children.end()).toBeGreaterThanOrEqual(3);
    await waitFor('them to end', async () => (await named(first)) === 0, WAIT);
    expect(await named(second)).toBe(3);
  } finally {
    expect(other.end()).toBeGreaterThanOrEqual(3);
  }
  await waitFor('the others to end', async () => (await named(second)) === 0, WAIT);
});

test('where nothing is left there is nothing to end', async () => {
  const children = new MarkedChildren();
  await realExec.run(['true'], { inherit: children.fd });
  expect(children.end()).toBe(0);
});

test.skipIf(process.getuid?.() !== 0)('the first process of a container leaves no zombies', async () => {
  const script = join(import.meta.dir, 'testing/first-process.ts');
  const argv = ['unshare', '--pid', '--fork', '--mount-proc', process.execPath, script];
  const { stdout, stderr } = await realExec.run(argv);
  expect({ stdout, stderr }).toEqual({ stdout: 'process 1, left: nothing\n', stderr: '' });
});
