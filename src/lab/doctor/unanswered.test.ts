import { expect, test } from 'bun:test';
import { NodeServer } from './node-server.ts';
import { whyUnanswered } from './unanswered.ts';

/** What is said of a node where this script is run in the place of the program. */
async function said(script: string): Promise<string> {
  const server = new NodeServer(async () => ['sh', '-c', script]);
  const cause = await server.ask({ do: 'identity' }, { timeoutMs: 10_000 }).catch((error: unknown) => error);
  await server.close();
  return whyUnanswered('old-worker', 'old', cause);
}

test('a program that does not know the command is of another version, and the cluster has to be created again', async () => {
  expect(await said('echo "error: unknown command" >&2; exit 2')).toBe(
    'cannot ask node old-worker: another version of this program has created cluster "old"; create it again, or use that version',
  );
});

test('any other end is quoted', async () => {
  expect(await said('echo "no memory" >&2; exit 1')).toMatch(/ended with exit status 1: no memory$/);
});
