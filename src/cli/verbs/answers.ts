import { Option } from 'commander';
import { ApiClient } from '../../kube/client.ts';
import { loadKubeconfig } from '../../kube/kubeconfig.ts';
import { askHostPorts, type HostPortAnswer } from '../../lab/cluster/answers.ts';
import { enterLab, labEnvironment, standsInLab } from '../../lab/cluster/inside.ts';
import { clusterPaths } from '../../lab/cluster/paths.ts';
import { distributionOf } from '../../sys/distribution.ts';
import { realExec } from '../../sys/exec.ts';
import { foreground } from '../../sys/foreground.ts';
import { DeadlineError, waitFor } from '../../sys/wait.ts';
import { formatEndpoint } from '../../util/endpoint.ts';
import { UserError } from '../../util/errors.ts';
import { duration, oneOf } from '../option-values.ts';
import { renderJson } from '../printer/document.ts';
import { type Layout, layoutOf } from '../printer/layout.ts';
import { table } from '../printer/table.ts';
import { paragraph } from '../printer/wrap.ts';
import { addTargetOptions, labTargetOf } from '../target.ts';
import { command, examples, exitWith } from '../verb.ts';

/** What to do for another cluster. */
const ELSEWHERE = 'answers are probed from the network of a lab; run "hostport doctor" for any other cluster';

/** Set for the process that was started in the lab, which must not start another. */
const ENTERED = 'HOSTPORT_ENTERED';

/** `hostport answers`: what every hostPort of the cluster answers, probed from outside the nodes. */
export function answersVerb() {
  const verb = command('answers')
    .description(
      'probe every hostPort of the cluster from outside the nodes\n\nA hostPort that is bound to loopback is probed on its node. UDP and SCTP ports are listed and not asked.\nExit status: 0 there are hostPorts of TCP and all answer, 1 not all answer, 2 they could not be probed.',
    )
    .failsWith(2)
    .addOption(
      new Option('--settle <duration>', 'wait up to this long for pods that are still starting')
        .argParser(duration)
        .default(0, '0s'),
    )
    .option('-o, --output <format>', 'json instead of a table', oneOf('json'))
    .action(async (options) => {
      const { record, title } = await labTargetOf(verb, ELSEWHERE);
      if (!standsInLab(record)) {
        if (process.env[ENTERED] === record.name) {
          throw new UserError(
            `cannot enter the network of cluster "${record.name}": it has changed; was the cluster deleted meanwhile?`,
          );
        }
        // HTTP is sent by threads of the runtime: a process that was born in the lab has them all there.
        const dist = distributionOf();
        await enterLab(record, realExec);
        // The kubeconfig is another one there.
        const argv = [
          ...[dist.program, 'answers', '--name', record.name, '--settle', `${options.settle}ms`],
          ...(options.output === undefined ? [] : ['-o', options.output]),
        ];
        const env = { ...labEnvironment(record, dist), [ENTERED]: record.name };
        exitWith(await foreground(argv, { env, stdin: 'ignore' }));
        return;
      }
      const client = new ApiClient({
        ...(await loadKubeconfig(clusterPaths(record.name).innerKubeconfig)),
        proxy: false,
        userAgent: 'hostport',
      });
      const answers = await settledAnswers(() => askHostPorts(record, client, realExec), options.settle);
      const layout = layoutOf(process.stdout);
      process.stdout.write(
        options.output === 'json'
          ? renderJson(answers, 2)
          : `${paragraph(title, layout)}\n${render(answers, layout)}`,
      );
      const asked = answers.filter(isAsked);
      exitWith(asked.length > 0 && asked.every(({ result }) => result === 'answered') ? 0 : 1);
    });
  addTargetOptions(verb, 'contexts');
  return examples(verb, 'hostport answers', 'hostport answers --settle 30s -o json');
}

/** Whether the port can be asked over HTTP at all; nothing is known of others, neither good nor bad. */
function isAsked({ protocol }: HostPortAnswer): boolean {
  return protocol === 'TCP';
}

/** Probes until all is settled, or for so many milliseconds: what is still starting then is an answer, too. */
async function settledAnswers(
  ask: () => Promise<HostPortAnswer[]>,
  timeoutMs: number,
): Promise<HostPortAnswer[]> {
  let answers: HostPortAnswer[] = [];
  const settled = async () => {
    answers = await ask();
    return answers.every(isSettled);
  };
  try {
    await waitFor('pods to start', settled, { timeoutMs, intervalMs: 100 });
  } catch (error) {
    if (!(error instanceof DeadlineError)) throw error;
  }
  return answers;
}

/** An application listens this long after its container has started, or does not. */
const LISTENING_MS = 2000;

/** It answers, or it reports why it does not start, or it has run for long enough to have answered. */
function isSettled(answer: HostPortAnswer): boolean {
  if (answer.result === 'answered') return true;
  if (answer.startedAt === undefined) return answer.trouble !== undefined;
  return Date.now() - Date.parse(answer.startedAt) > LISTENING_MS;
}

function render(answers: readonly HostPortAnswer[], layout: Layout): string {
  if (answers.length === 0) return 'No pod of the cluster asks for a hostPort.\n';
  return table(
    ['POD', 'NODE', 'STATUS', 'ADDRESS', 'ANSWER', 'SEEN'],
    answers.map((answer) => [
      answer.namespace === 'default' ? answer.pod : `${answer.namespace}/${answer.pod}`,
      answer.node || '<none>',
      answer.status,
      place(answer),
      {
        value: `${!isAsked(answer) ? '-' : answer.result === 'answered' ? '✓' : '✗'} ${answer.result}`,
        style: !isAsked(answer) ? 'faint' : answer.result === 'answered' ? 'good' : 'bad',
      } as const,
      answer.detail,
    ]),
    layout,
  );
}

function place({ address, port, from }: HostPortAnswer): string {
  if (address === '') return '<none>';
  return `${formatEndpoint({ address, port })}${from === 'node' ? ' on the node' : ''}`;
}
