import { InvalidArgumentError } from 'commander';
import { dnsSubdomainErrors } from '../../kube/names.ts';
import { requireNodes } from '../../lab/cluster/record.ts';
import { LabPlaces } from '../../lab/doctor/places.ts';
import { labClient } from '../../lab/doctor/source.ts';
import { canInject, faultOf } from '../../lab/faults/index.ts';
import { leftLines, notBackText } from '../../lab/inject/aftermath.ts';
import { FaultBook, restore } from '../../lab/inject/book.ts';
import { breakLab, labAftermath } from '../../lab/inject/break.ts';
import { labFaultDoor } from '../../lab/inject/lab-door.ts';
import { restartMeanings } from '../../path/diagnose/advice.ts';
import type { Failure } from '../../path/stages/failure.ts';
import { catalogue } from '../../path/stages/index.ts';
import { podName } from '../../path/view/pod-name.ts';
import { calledAs } from '../../sys/called-as.ts';
import { UserError } from '../../util/errors.ts';
import { interruptible } from '../interruptible.ts';
import { oneOf } from '../option-values.ts';
import { asCalled } from '../printer/as-called.ts';
import { renderJson } from '../printer/document.ts';
import { layoutOf } from '../printer/layout.ts';
import { renderRestored, restoredDocument } from '../printer/restored.ts';
import { table } from '../printer/table.ts';
import { paragraph } from '../printer/wrap.ts';
import { addTargetOptions, labTargetOf } from '../target.ts';
import { command, examples } from '../verb.ts';
import { failureNamed } from './doctor.ts';

/** What to do where failures are not injected. */
const ELSEWHERE = 'failures are injected in the lab only; choose a cluster of it with --name';

/** `hostport faults`, `break` and `unbreak`: every known failure, to see it in the lab. */
export function breakVerbs() {
  return [faults(), breakVerb(), unbreak()];
}

const SEVERITY_STYLES = { broken: 'bad', risk: 'warning', note: 'faint' } as const;

function faults() {
  const verb = command('faults')
    .description(
      `list every failure that the doctor knows\n\n"hostport break" injects them in the lab${exceptions()}.`,
    )
    .option('-o, --output <format>', 'table or json', oneOf('table', 'json'), 'table')
    .action((options) => {
      if (options.output === 'json') {
        const entries = catalogue.map(({ code, stage, severity, title, restart }) => ({
          code,
          stage,
          severity,
          title,
          restart,
          does: faultOf({ code }).does,
        }));
        process.stdout.write(`${JSON.stringify(entries, null, 2)}\n`);
        return;
      }
      const layout = layoutOf(process.stdout);
      const rows = catalogue.map(({ stage, code, severity, restart, title }) => [
        ...[stage, code],
        { value: severity, style: SEVERITY_STYLES[severity] },
        ...[restart, title],
      ]);
      const legend = Object.entries(restartMeanings).map(([restart, meaning]) =>
        paragraph(`restart ${restart}: ${asCalled(meaning, calledAs())}`, layout),
      );
      process.stdout.write(
        `${table(['STAGE', 'CODE', 'SEVERITY', 'RESTART', 'WHAT'], rows, layout)}\n${legend.join('')}`,
      );
    });
  return examples(verb, 'hostport faults', 'hostport doctor --explain plugin-missing');
}

/** Which failures no lab can have. */
function exceptions(): string {
  const codes = catalogue.filter((failure) => !canInject(failure)).map(({ code }) => code);
  return codes.length === 0 ? '' : `, except ${codes.join(', ')}, which no lab can have`;
}

function breakVerb() {
  const verb = command('break')
    .description(
      'inject a failure into a cluster of the lab\n\nIt causes the failure the way it happens on real clusters, and refuses any cluster that is not of the lab.',
    )
    .argument('<code>', 'which failure; "hostport faults" lists them', failureNamed)
    .option('--node <node>', 'node to break')
    .option('--pod <pod>', 'pod to break: NAME or NAMESPACE/NAME', podWish)
    .action(async (failure: Failure, options) => {
      const { record, title, flags } = await labTargetOf(verb, ELSEWHERE);
      await interruptible(async (signal) => {
        requireNodes('inject a failure', record, options.node === undefined ? [] : [options.node]);
        await using places = new LabPlaces(record);
        const layout = layoutOf(process.stdout);
        const say = (line: string) => process.stdout.write(paragraph(line, layout));
        const wish = { node: options.node, ...options.pod };
        const { hiddenBy } = await breakLab(places, failure, wish, signal, ({ target, created }) => {
          say(title);
          say(`${failure.code} on ${target.node}, for pod ${podName(target.pod)}: ${faultOf(failure).does}`);
          if (created.length > 0) say(`created for it: ${created.join(', ')}`);
        });
        const see =
          hiddenBy.length === 0
            ? `See it with "${calledAs()} doctor${flags}"`
            : `It shows once ${hiddenBy.join(' and ')} is fixed: "${calledAs()} doctor${flags}"`;
        say(`${see}, undo it with "${calledAs()} unbreak${flags}".`);
      });
    });
  addTargetOptions(verb, 'contexts');
  return examples(
    verb,
    'hostport break mapping-missing --node kind-worker',
    'hostport break plugin-missing --pod echo-kind-worker',
  );
}

function podWish(text: string): { pod: string; namespace?: string } {
  const names = text.split('/');
  if (names.length > 2 || names.some((name) => dnsSubdomainErrors(name).length > 0)) {
    throw new InvalidArgumentError('It must be the name of a pod, or namespace/name.');
  }
  const [first, second] = names as [string, string | undefined];
  return second === undefined ? { pod: first } : { namespace: first, pod: second };
}

function unbreak() {
  const verb = command('unbreak')
    .description(
      'undo failures that "hostport break" injected\n\nReturns when the pods that were ready before are ready again, and says what is left to fix.\nIf there is nothing to undo, it succeeds.',
    )
    .argument('[code]', 'only this failure', failureNamed)
    .option('--node <node>', 'only on this node')
    .option('-o, --output <format>', 'text or json', oneOf('text', 'json'), 'text')
    .action(async (failure: Failure | undefined, options) => {
      const { record, title, flags } = await labTargetOf(verb, ELSEWHERE);
      requireNodes('undo failures', record, options.node === undefined ? [] : [options.node]);
      await interruptible(async (signal) => {
        await using places = new LabPlaces(record);
        const door = labFaultDoor(places, await labClient(record), signal);
        const restored = await restore(
          new FaultBook(record),
          door,
          (entry) =>
            (failure === undefined || entry.failure === failure) &&
            (options.node === undefined || entry.target.node === options.node),
        );
        const layout = layoutOf(process.stdout);
        const isJson = options.output === 'json';
        // Before it is waited for anything: it is so whatever comes.
        if (!isJson) process.stdout.write(paragraph(title, layout) + renderRestored(restored, layout));
        const waiting = () =>
          process.stderr.write(paragraph('waiting for pods to be ready again ...', layoutOf(process.stderr)));
        const { undone } = restored;
        const aftermath = signal.aborted
          ? { notBack: [], left: [] }
          : await labAftermath(places, undone, signal, waiting);
        if (isJson) process.stdout.write(renderJson(restoredDocument(restored, aftermath), 2));
        else {
          const left = leftLines(aftermath.left, `${calledAs()} heal${flags}`);
          process.stdout.write(left.map((line) => paragraph(line, layout)).join(''));
        }
        signal.throwIfAborted();
        if (restored.failed.length > 0) {
          throw new UserError(
            `cannot undo all failures: the reasons are above; remove them, then run "${calledAs()} unbreak${flags}" again`,
          );
        }
        if (aftermath.notBack.length > 0) {
          throw new UserError(
            `undone, but not all pods are ready again: ${notBackText(aftermath.notBack)}; look again with "${calledAs()} doctor${flags}"`,
          );
        }
      });
    });
  addTargetOptions(verb, 'contexts');
  return examples(verb, 'hostport unbreak', 'hostport unbreak mapping-missing --node kind-worker');
}
