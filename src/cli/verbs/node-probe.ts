import { probeJobSchema } from '../../node/probe/order.ts';
import { assertPlace } from '../../node/probe/place.ts';
import { sendProbes } from '../../node/probe/send.ts';
import { command } from '../verb.ts';

/** `hostport node-probe`: sends the doctor's probes from one network namespace. A job on standard input, results on standard output. */
export function nodeProbeVerb() {
  return command('node-probe')
    .description('send the probes on standard input and print their results')
    .action(async () => {
      const job = probeJobSchema.parse(JSON.parse(await Bun.stdin.text()));
      assertPlace(job);
      process.stdout.write(`${JSON.stringify(await sendProbes(job.orders, job.timeoutMs))}\n`);
    });
}
