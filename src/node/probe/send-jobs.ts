import type { ProbeResult } from '../../path/model/probe.ts';
import { messageOf } from '../../util/errors.ts';
import { fewAtATime } from '../../util/settle.ts';
import type { ProbeJob } from './order.ts';
import { sendFrom } from './place.ts';

/** How many jobs are under way at a time: enough that the timeouts of a node's pods do not add up, few enough for a busy node. */
export const JOBS_AT_A_TIME = 8;

/** The results of a job, or why it was not done. */
type JobAnswer = { results: ProbeResult[] } | { error: string };

/** Does jobs, few at a time. One that cannot be done does not affect the others. */
export async function sendJobs(
  jobs: readonly ProbeJob[],
  send: (job: ProbeJob) => Promise<ProbeResult[]> = sendFrom,
): Promise<JobAnswer[]> {
  return fewAtATime(jobs, JOBS_AT_A_TIME, (job) =>
    send(job).then(
      (results) => ({ results }),
      (cause) => ({ error: messageOf(cause) }),
    ),
  );
}
