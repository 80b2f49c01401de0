import { parseArgs } from 'node:util';
import { ApiClient } from '../../kube/client.ts';
import { EventRecorder } from '../../kube/event-recorder.ts';
import { loadKubeconfig } from '../../kube/kubeconfig.ts';
import { logger, logOnceAMinute } from '../../sys/daemon.ts';
import { messageOf } from '../../util/errors.ts';
import { EVENT_PATIENCE_MS, startInformers, untilTerminated } from '../daemon.ts';
import { Informers } from '../informers.ts';
import { Scheduler } from './scheduler.ts';

/**
 * The scheduler as a daemon: `kube-scheduler --kubeconfig FILE`. Ends with status 0 on SIGTERM. There is one in a cluster;
 * it does not elect a leader, because a second one could at worst be refused its bindings.
 */
export async function main(argv: string[]): Promise<number> {
  const log = logger('kube-scheduler');
  const { values } = parseArgs({ args: argv, options: { kubeconfig: { type: 'string' } } });
  if (values.kubeconfig === undefined) {
    log('--kubeconfig is required');
    return 2;
  }
  const { kubeconfig } = values;
  return untilTerminated(log, async (signal) => {
    const config = await loadKubeconfig(kubeconfig);
    const client = new ApiClient({ ...config, userAgent: 'kube-scheduler' });
    const informers = new Informers(client, logOnceAMinute(log));
    const onError = (error: unknown) => log(messageOf(error));
    const events = new EventRecorder(
      client,
      { component: 'default-scheduler' },
      { onError, patienceMs: EVENT_PATIENCE_MS },
    );
    const scheduler = new Scheduler({ client, informers, events, log });
    if (await startInformers(client, informers, signal)) {
      log('synced');
      await scheduler.run(signal);
    }
    await events.flush(1_000);
  });
}
