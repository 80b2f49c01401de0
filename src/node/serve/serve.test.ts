import { describe, expect, test } from 'bun:test';
import { gunzipSync } from 'node:zlib';
import type { Exec, ExecOptions } from '../../sys/exec.ts';
import { VERSION } from '../../util/version.ts';
import { identitySchema } from './request.ts';
import { serveRequests } from './serve.ts';

async function* linesOf(...requests: unknown[]): AsyncGenerator<string> {
  for (const [id, request] of requests.entries()) yield JSON.stringify({ id, request });
  // Answers are written while input is still open.
  await new Promise((resolve) => setTimeout(resolve, 50));
}

async function answersTo(exec: Exec['run'], ...requests: unknown[]): Promise<unknown[]> {
  const written: string[] = [];
  await serveRequests(linesOf(...requests), (line) => written.push(line), { run: exec });
  return written.map((line) => JSON.parse(line));
}

const never: Exec['run'] = () => Promise.reject(new Error('must not be run'));

describe('each request has its answer', () => {
  test('a command: whatever status it has', async () => {
    const run: Exec['run'] = async (argv, { stdin } = {}) => ({
      code: 3,
      stdout: argv.join(' '),
      stderr: String(stdin),
    });
    const answers = await answersTo(run, { do: 'run', argv: ['a', 'b c'], stdin: 'in' });
    expect(answers).toEqual([{ id: 0, value: { code: 3, stdout: 'a b c', stderr: 'in' } }]);
  });

  test('an error: with its message, and the next is answered', async () => {
    const failing: Exec['run'] = async ([file]) => {
      if (file === 'bad') throw new Error('bad: could not start');
      return { code: 0, stdout: '', stderr: '' };
    };
    const answers = await answersTo(failing, { do: 'run', argv: ['bad'] }, { do: 'run', argv: ['good'] });
    expect(answers).toEqual([
      { id: 0, error: 'bad: could not start' },
      { id: 1, value: { code: 0, stdout: '', stderr: '' } },
    ]);
  });

  test('no probe leaves from another namespace than the one named', async () => {
    const job = {
      place: { namespace: '4:1' },
      timeoutMs: 100,
      orders: [
        {
          vantage: 'node',
          node: 'n',
          podUid: 'u',
          protocol: 'TCP',
          hostPort: 1,
          target: { address: '127.0.0.1', port: 1 },
        },
      ],
    };
    expect(await answersTo(never, { do: 'probes', jobs: [job] })).toEqual([
      { id: 0, value: [{ error: 'not in the network namespace to send from: nothing is sent' }] },
    ]);
  });

  test('of several, the slow one does not hold up the others', async () => {
    const slow = Promise.withResolvers<void>();
    const run: Exec['run'] = async ([file]) => {
      if (file === 'slow') await slow.promise;
      else setTimeout(() => slow.resolve(), 5);
      return { code: 0, stdout: file!, stderr: '' };
    };
    const answers = await answersTo(run, { do: 'run', argv: ['slow'] }, { do: 'run', argv: ['quick'] });
    expect(answers).toMatchObject([{ value: { stdout: 'quick' } }, { value: { stdout: 'slow' } }]);
  });
});

test('a command is killed when input ends', async () => {
  let given: ExecOptions | undefined;
  const hanging: Exec['run'] = (_, options) => {
    given = options;
    return new Promise(() => {});
  };
  expect(await answersTo(hanging, { do: 'run', argv: ['sleep'] })).toEqual([]);
  expect(given?.signal?.aborted).toBe(true);
});

test('what is no request ends it', async () => {
  await expect(answersTo(never, { do: 'dance' })).rejects.toThrow();
});

describe('an answer that is large', () => {
  const stdout = 'x'.repeat(100_000);
  const run: Exec['run'] = async () => ({ code: 0, stdout, stderr: '' });
  const request = { do: 'run', argv: ['cat'] };

  test('comes compressed where that is asked for', async () => {
    const written: string[] = [];
    await serveRequests(withLine({ id: 7, request, gzip: true }), (line) => written.push(line), { run });
    const { id, gzip } = JSON.parse(written[0]!);
    expect(written[0]!.length).toBeLessThan(2000);
    expect(id).toBe(7);
    expect(JSON.parse(gunzipSync(Buffer.from(gzip, 'base64')).toString())).toEqual({
      code: 0,
      stdout,
      stderr: '',
    });
  });

  test('comes as it is where it is not', async () => {
    expect(await answersTo(run, request)).toEqual([{ id: 0, value: { code: 0, stdout, stderr: '' } }]);
  });
});

async function* withLine(line: unknown): AsyncGenerator<string> {
  yield JSON.stringify(line);
  await new Promise((resolve) => setTimeout(resolve, 50));
}

test('the identity says which program answers, and that it is in the network of the machine', async () => {
  const [answer] = (await answersTo(never, { do: 'identity' })) as { value: unknown }[];
  expect(identitySchema.parse(answer?.value)).toMatchObject({ version: VERSION });
});
