import { z } from 'zod';
import type { Observed } from '../../path/model/observed.ts';
import { type ProbeResult, probeResultSchema } from '../../path/model/probe.ts';
import { boundedList } from '../../util/bounded.ts';
import type { NodeRequest } from '../serve/request.ts';
import type { ProbeJob } from './order.ts';
import type { ProbeBatch, Stand } from './plan.ts';
import { JOBS_AT_A_TIME } from './send-jobs.ts';

/** How many probes of a job are under way at a time at least, for a deadline. */
const AT_A_TIME = 16;
/** What starting, and everything that is not a probe, may take, in milliseconds. */
const SPARE_MS = 10_000;

/** The results of a job, or why it was not done. */
const answerSchema = z.union([
  z.object({ results: z.array(probeResultSchema) }),
  z.object({ error: z.string() }),
]);

/**
 * Asks for the probes of some batches in one request, and returns what became of each. `timeoutMs`: the deadline of one probe. `ask` rejects when
 * there is no answer until its deadline, which is for a sender that hangs: every probe has its own.
 */
export async function askForProbes(
  batches: readonly ProbeBatch[],
  { timeoutMs, placeOf }: { timeoutMs: number; placeOf(stand: Stand): Promise<ProbeJob['place']> },
  ask: (request: NodeRequest, deadlineMs: number) => Promise<unknown>,
): Promise<Observed<ProbeResult[]>[]> {
  const jobs = await Promise.all(
    batches.map(async ({ stand, orders }) => ({ place: await placeOf(stand), timeoutMs, orders })),
  );
  const orders = batches.reduce((sum, batch) => sum + batch.orders.length, 0);
  const rounds = 1 + orders / AT_A_TIME + batches.length / JOBS_AT_A_TIME;
  const answers = await ask({ do: 'probes', jobs }, timeoutMs * rounds + SPARE_MS);
  return boundedList(answerSchema, { least: batches.length, most: batches.length })
    .parse(answers)
    .map((answer) => ('results' in answer ? { value: answer.results } : { unknown: answer.error }));
}
