import { InvalidArgumentError } from 'commander';
import { ApiClient } from '../../kube/client.ts';
import { loadKubeconfig } from '../../kube/kubeconfig.ts';
import { askHostPorts, type HostPortAnswer } from '../../lab/answers.ts';
import { enterLab, labEnvironment, standsInLab } from '../../lab/inside.ts';
import { clusterPaths, distributionOf } from '../../lab/paths.ts';
import { requireRecord } from '../../lab/record.ts';
import { realExec } from '../../sys/exec.ts';
import { foreground } from '../../sys/foreground.ts';
import { waitFor } from '../../sys/wait.ts';
import { parseDuration } from '../../util/duration.ts';
import { table } from '../printer/table.ts';
import { command, examples, exitWith } from '../verb.ts';

/** `hostport answers`: what every hostPort of the cluster answers, asked from outside the nodes. */
export function answersVerb() {
  const verb = command('answers')
    .description(
      'ask every hostPort of the cluster from outside the nodes; exit 0 when there are some and all answer, else 1',
    )
    .option('--name <cluster>', 'name of the cluster', 'kind')
    .option('--settle <duration>', 'first give pods that are still starting this long', duration, 0)
    .option('-o, --output <format>', 'json instead of a table', (text: string) => {
      if (text !== 'json') throw new InvalidArgumentError('want "json".');
      return text;
    })
    .action(async (options) => {
      const record = await requireRecord(options.name);
      if (!standsInLab(record)) {
        // HTTP is sent by threads of the runtime: a process that was born in the lab has them all there.
        const dist = distributionOf();
        await enterLab(record, realExec);
        const argv = [dist.program, 'answers', ...process.argv.slice(process.argv.indexOf('answers') + 1)];
        exitWith(await foreground(argv, { env: labEnvironment(record, dist), stdin: 'ignore' }));
        return;
      }
      const client = new ApiClient({
        ...(await loadKubeconfig(clusterPaths(record.name).innerKubeconfig)),
        userAgent: 'hostport',
      });
      let answers = await askHostPorts(record, client);
      if (options.settle > 0) {
        // Out of time is an answer, too: the table says what is still starting.
        await waitFor(
          'pods to start',
          async () => {
            answers = await askHostPorts(record, client);
            return answers.every(isSettled);
          },
          { timeoutMs: options.settle, intervalMs: 100 },
        ).catch(() => {});
      }
      process.stdout.write(
        options.output === 'json' ? `${JSON.stringify(answers, null, 2)}\n` : render(answers),
      );
      exitWith(answers.length > 0 && answers.every(({ result }) => result === 'answered') ? 0 : 1);
    });
  return examples(verb, 'hostport answers', 'hostport answers --settle 30s -o json');
}

function duration(text: string): number {
  const ms = parseDuration(text);
  if (ms === undefined || ms < 0) throw new InvalidArgumentError('want a duration like 30s or 5m.');
  return ms;
}

/** An application listens this long after its container has started, or does not. */
const LISTENING_MS = 2000;

/** It answers, or it tells why it does not start, or it has run for long enough to have answered. */
function isSettled(answer: HostPortAnswer): boolean {
  if (answer.result === 'answered') return true;
  if (answer.startedAt === undefined) return answer.detail !== '';
  return Date.now() - Date.parse(answer.startedAt) > LISTENING_MS;
}

function render(answers: readonly HostPortAnswer[]): string {
  if (answers.length === 0) return 'No pod of the cluster asks for a hostPort.\n';
  return table(
    ['POD', 'NODE', 'STATUS', 'ADDRESS', 'ANSWER', 'SEEN'],
    answers.map((answer) => [
      answer.namespace === 'default' ? answer.pod : `${answer.namespace}/${answer.pod}`,
      answer.node || '<none>',
      answer.status,
      answer.address === '' ? '<none>' : `${answer.address}:${answer.port}`,
      `${answer.result === 'answered' ? '✓' : '✗'} ${answer.result}`,
      answer.detail,
    ]),
  );
}
