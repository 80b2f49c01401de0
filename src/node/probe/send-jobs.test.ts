import { expect, test } from 'bun:test';
import type { ProbeResult } from '../../path/model/probe.ts';
import type { ProbeJob } from './order.ts';
import { JOBS_AT_A_TIME, sendJobs } from './send-jobs.ts';

const job = (name: string): ProbeJob => ({ place: { path: `/${name}` }, timeoutMs: 100, orders: [] });
const result = (detail: string) => ({ detail }) as ProbeResult;

test('few jobs are under way at a time, and one that cannot be done does not affect the others', async () => {
  const names = Array.from({ length: 40 }, (_, i) => `job-${i}`);
  let now = 0;
  let most = 0;
  const answers = await sendJobs(names.map(job), async ({ place }) => {
    most = Math.max(most, ++now);
    await new Promise((resolve) => setImmediate(resolve));
    now--;
    const name = 'path' in place ? place.path : '';
    if (name === '/job-3') throw new Error('gone');
    return [result(name)];
  });
  expect(answers).toEqual(
    names.map((name) => (name === 'job-3' ? { error: 'gone' } : { results: [result(`/${name}`)] })),
  );
  expect(most).toBe(JOBS_AT_A_TIME);
});
