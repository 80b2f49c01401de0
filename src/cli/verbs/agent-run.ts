import { Option } from 'commander';
import { METRICS_PORT } from '../../agent/manifests.ts';
import { runAgent } from '../../agent/run.ts';
import { readState } from '../../agent/state.ts';
import { inClusterConfig } from '../../kube/kubeconfig.ts';
import { realExec } from '../../sys/exec.ts';
import { InputError } from '../../util/errors.ts';
import { duration, portNumber } from '../option-values.ts';
import { command, examples, type Verb } from '../verb.ts';
import { watchingAlone } from './heal-watch.ts';

interface AgentRunOptions {
  observe?: true;
  heal?: true;
  metricsPort: number;
  /** Milliseconds. */
  resync: number;
}

/** `hostport agent run`: what the pods of `hostport agent install` run. */
export function agentRunVerb(): Verb {
  const verb = command('run')
    .description('run as the agent of this node\n\nThe pods of "hostport agent install" run it.')
    .addOption(new Option('--observe', 'report what is found').conflicts('heal'))
    .option('--heal', 'fix what is found, too')
    .addOption(
      new Option('--metrics-port <port>', 'port of HOST_IP for metrics and probes')
        .argParser(portNumber)
        .default(METRICS_PORT, `port ${METRICS_PORT}`),
    )
    .addOption(
      new Option('--resync <duration>', 'longest time between two checks')
        .argParser(duration)
        .default(30_000, '30s'),
    )
    .action(async (options: AgentRunOptions) => {
      const { NODE_NAME: node, HOST_IP: address } = process.env;
      if (!node || !address || options.observe === options.heal) {
        throw new InputError(
          'cannot run as an agent: it wants NODE_NAME and HOST_IP in its environment, and --observe or --heal; use the manifests of "hostport agent install --dry-run=client"',
        );
      }
      const api = await inClusterConfig();
      const mode = options.heal ? 'heal' : 'observe';
      await watchingAlone(mode === 'heal', (signal, log) =>
        runAgent(
          {
            node,
            mode,
            api,
            scope: { restart: false },
            resyncMs: options.resync,
            metrics: { address, port: options.metricsPort },
            exec: realExec,
            log,
          },
          signal,
        ),
      );
    });
  return examples(verb, 'NODE_NAME=worker HOST_IP=192.0.2.1 hostport agent run --observe');
}

/** `hostport agent state`: what the agent of this container says of itself, for `hostport agent status`. */
export function agentStateVerb(): Verb {
  const verb = command('state')
    .description('print what the agent of this container says of itself')
    .action(async () => {
      process.stdout.write(readState());
    });
  return examples(verb, 'hostport agent state');
}
