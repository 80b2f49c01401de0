import { probeJobSchema } from '../../node/probe/order.ts';
import { assertPlace } from '../../node/probe/place.ts';
import { sendProbes } from '../../node/probe/send.ts';
import { command } from '../verb.ts';

/** `hostport node-probe`: the hand of the doctor's probes in one network namespace. A job on standard input, results on output. */
export function nodeProbeVerb() {
  return command('node-probe')
    .description('make the probes that standard input asks for (JSON) and print what they saw')
    .action(async () => {
      const job = probeJobSchema.parse(JSON.parse(await Bun.stdin.text()));
      assertPlace(job);
      process.stdout.write(`${JSON.stringify(await sendProbes(job.orders, job.timeoutMs))}\n`);
    });
}
