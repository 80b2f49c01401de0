import { CONTAINERD_HELP, chosen, RELEASE_HELP } from '../../lab/engine/choose.ts';
import type { Stage } from '../../lab/tour/guide.ts';
import { type TourOptions, takeTour } from '../../lab/tour/take.ts';
import { calledAs } from '../../sys/called-as.ts';
import { distributionOf } from '../../sys/distribution.ts';
import { realExec } from '../../sys/exec.ts';
import { safeText } from '../../util/safe-text.ts';
import { interruptible } from '../interruptible.ts';
import { oneOf } from '../option-values.ts';
import { layoutOf } from '../printer/layout.ts';
import { terminalProgress } from '../printer/progress.ts';
import { wrap, wrapCommand } from '../printer/wrap.ts';
import { command, examples, exitWith } from '../verb.ts';

/** `hostport tour`: the how-to, step by step, on a cluster of its own. */
export function tourVerb() {
  const verb = command('tour')
    .description(
      'replay the how-to on a fresh cluster\n\nShows every command and its output, and checks each expectation.',
    )
    .option(
      '--portmap <which>',
      'portmap plugin of the nodes: ours or reference',
      oneOf('ours', 'reference'),
      'ours',
    )
    .option(
      '--backend <which>',
      "where portmap writes its rules: iptables, as the how-to's configuration does, or nftables",
      oneOf('iptables', 'nftables'),
      'iptables',
    )
    .option('--kubernetes <release>', RELEASE_HELP)
    .option('--containerd <release>', CONTAINERD_HELP)
    .option('--keep', 'leave the cluster running afterwards', false)
    .action(async (options) => {
      const programs = await chosen(options);
      exitWith(await interruptible((signal) => tour({ ...options, ...programs }, signal)));
    });
  return examples(
    verb,
    'hostport tour',
    'hostport tour --portmap reference --keep',
    'hostport tour --backend nftables',
    'hostport tour --kubernetes ./kubernetes/server/bin',
  );
}

async function tour(options: TourOptions, signal: AbortSignal): Promise<number> {
  const { met, failure } = await takeTour(options, {
    exec: realExec,
    distribution: distributionOf(),
    progress: terminalProgress(process.stderr),
    stage: terminalStage(process.stdout),
    signal,
  });
  if (failure === undefined) {
    process.stdout.write(`\n${met} of ${met} expectations met\n`);
    return 0;
  }
  const { step, text } = failure;
  process.stdout.write(
    `\n${met} expectations met, then one not met: the tour ends there\n  step: ${step}\n  not met: ${text}\n`,
  );
  if (!options.keep) process.stdout.write(`To keep the cluster in that state: ${calledAs()} tour --keep\n`);
  return 1;
}

function terminalStage(stream: NodeJS.WriteStream): Stage {
  const { width, paint } = layoutOf(stream);
  const write = (lines: readonly string[]) => stream.write(lines.map((line) => `${line}\n`).join(''));
  const answer = (line: string) => wrap(safeText(line.replaceAll('\t', '    ')), width, '  ', '    ');
  return {
    heading: (text) =>
      write(['', ...wrap(`# ${text}`, width, '', '  ').map((line) => paint('strong', line))]),
    command(shown, output) {
      write(wrapCommand(shown, width, '$ ', '    ').map((line) => paint('command', line)));
      if (output.trim() !== '') write(output.trimEnd().split('\n').flatMap(answer));
    },
    expectation(text, met, seen) {
      write(wrap(safeText(text), width, ` ${met ? paint('good', '✓') : paint('bad', '✗')} `, '   '));
      if (!met) write(wrap(safeText(seen.trim().slice(0, 1000)), width, '   seen: ', '   '));
    },
  };
}
