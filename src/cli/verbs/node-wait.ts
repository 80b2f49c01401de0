import { realClock } from '../../sys/clock.ts';
import { terminationSignal } from '../../sys/daemon.ts';
import { duration } from '../option-values.ts';
import { command } from '../verb.ts';

/** `hostport node-wait`: the first process of a doctor's pod in an image without a shell. What examines the node runs beside it. */
export function nodeWaitVerb() {
  return command('node-wait')
    .description('wait until a time has passed, or until SIGTERM')
    .argument('<time>', 'how long (360s)', duration)
    .action(async (ms: number) => {
      const { signal, dispose } = terminationSignal();
      await realClock.sleep(ms, signal).catch((cause: unknown) => {
        if (!signal.aborted) throw cause;
      });
      dispose();
    });
}
