import { createInterface } from 'node:readline/promises';
import { Option } from 'commander';
import { type HealReport, heal } from '../../agent/heal.ts';
import { labPatient } from '../../lab/doctor/patient.ts';
import { LabPlaces } from '../../lab/doctor/places.ts';
import { diagnose } from '../../path/diagnose/diagnose.ts';
import { type HealScope, type PlannedHeal, planHeal } from '../../path/heal/plan.ts';
import type { Failure } from '../../path/stages/failure.ts';
import { calledAs } from '../../sys/called-as.ts';
import { interruptible } from '../interruptible.ts';
import { collect, duration, oneOf } from '../option-values.ts';
import { exitStatusOf, renderDiagnosis } from '../printer/diagnosis.ts';
import { renderJson } from '../printer/document.ts';
import { type Layout, layoutOf, WIDE } from '../printer/layout.ts';
import { nothingToFix } from '../printer/nothing-to-fix.ts';
import { renderHealed, renderPlan } from '../printer/plan.ts';
import { safeText } from '../printer/safe-text.ts';
import { addTargetOptions, labTargetOf } from '../target.ts';
import { command, examples, exitWith } from '../verb.ts';
import { checkNodes } from './break.ts';
import { failureNamed } from './doctor.ts';
import { healWatch } from './heal-watch.ts';

/** What to do for another cluster. */
const ELSEWHERE =
  'run "hostport heal --watch" on its nodes (docs/agent.md), or choose a cluster of the lab with --name';

/** How long to wait for pods that start once nothing blocks them any more, in milliseconds. */
const SETTLE_MS = 30_000;

/** `hostport heal`: fixes what the doctor finds, without recreating pods where possible. */
export function healVerb() {
  const verb = command('heal')
    .description(
      'fix what the doctor finds, without recreating pods where possible\n\nOn a terminal, it shows the plan and asks; elsewhere, it only shows the plan unless --yes is given.\nExit status: 0 no problems left, 1 problems left, 2 inconclusive.',
    )
    .addOption(new Option('--dry-run', 'show the plan and change nothing').conflicts('yes'))
    .option('-y, --yes', 'carry out the plan without asking')
    .option('--only <code>', 'fix only this kind of failure (repeatable)', collect(failureNamed), [])
    .option('--node <node>', 'fix only this node (repeatable)', collect(String), [])
    .option('--restart', 'recreate pods where there is no other way')
    .option('--no-probe', 'send no probes')
    .option(
      '-o, --output <format>',
      'text, wide (each finding by itself) or json',
      oneOf('text', 'wide', 'json'),
      'text',
    )
    .addOption(
      new Option('--watch', 'keep healing the node that this runs on, as things break').conflicts([
        'dryRun',
        'yes',
        'output',
        'name',
        'context',
        'probe',
      ]),
    )
    .addOption(
      new Option('--resync <duration>', 'with --watch: longest time between two checks')
        .argParser(duration)
        .default(30_000, '30s'),
    )
    .needs('--resync', '--watch')
    .failsWith(2)
    .action(async (options) => {
      const scope: HealScope = {
        ...(options.only.length === 0 ? {} : { codes: options.only.map(({ code }: Failure) => code) }),
        ...(options.node.length === 0 ? {} : { nodes: options.node }),
        restart: options.restart === true,
      };
      if (options.watch) {
        await healWatch(options, { ...scope, nodes: undefined });
        return;
      }
      const { record, title, flags } = await labTargetOf(verb, ELSEWHERE);
      checkNodes('heal', record, options.node);
      const json = options.output === 'json';
      const layout = options.output === 'wide' ? WIDE : layoutOf(process.stdout);
      await interruptible(async (signal) => {
        await using places = new LabPlaces(record);
        const patient = labPatient(places, options.probe);
        const first = diagnose(await patient.observe(signal));
        const plan = planHeal(first, scope);
        if (!json) process.stdout.write(`${safeText(title)}\n\n`);
        if (!json)
          process.stdout.write(
            plan.length === 0
              ? nothingToFix(first.diagnosis.findings)
              : renderPlan(plan, calledAs(), flags, layout),
          );
        const nothingDone: HealReport = { healed: [], after: first, rounds: 0 };
        if (!plan.some(({ steps }) => steps.length > 0)) {
          if (json) process.stdout.write(renderJson(asDocument(plan, nothingDone), 2));
          exitWith(exitStatusOf(first.diagnosis));
          return;
        }
        if (options.dryRun || !(options.yes || (await agreed(title, signal)))) {
          if (json) process.stdout.write(renderJson(asDocument(plan, nothingDone), 2));
          else process.stdout.write('Nothing was changed; give --yes to carry out the plan.\n');
          exitWith(1);
          return;
        }
        const report = await heal(patient, first, {
          ...scope,
          signal,
          settleMs: SETTLE_MS,
          onPlan: (round) => {
            if (!json)
              process.stderr.write(
                `fixing: ${[...new Set(round.map(({ finding }) => finding.code))].join(', ')}\n`,
              );
          },
        });
        process.stdout.write(
          json ? renderJson(asDocument(plan, report), 2) : renderReport(report, flags, layout),
        );
        exitWith(exitStatusOf(report.after.diagnosis));
      });
    });
  addTargetOptions(verb, 'contexts');
  return examples(
    verb,
    'hostport heal',
    'hostport heal --yes',
    'hostport heal --only portmap-not-chained --dry-run',
    'hostport exec kind-worker -- hostport heal --watch',
  );
}

/** Asks on a terminal. Anything but yes is no; so is standard input or output that is not a terminal. */
async function agreed(title: string, signal: AbortSignal): Promise<boolean> {
  if (!process.stdin.isTTY || !process.stdout.isTTY) return false;
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  try {
    return /^y(es)?$/i.test(
      (await terminal.question(`${safeText(title)}: carry out this plan? [y/N] `, { signal })).trim(),
    );
  } finally {
    terminal.close();
  }
}

function renderReport({ healed, after }: HealReport, flags: string, layout: Layout): string {
  return `${renderHealed(healed, layout)}\n${renderDiagnosis(after.diagnosis, calledAs(), flags, layout)}`;
}

function asDocument(
  plan: readonly PlannedHeal[],
  { healed, after, rounds }: HealReport,
): Record<string, unknown> {
  return { apiVersion: 'hostport/v1', kind: 'HealReport', plan, healed, rounds, after: after.diagnosis };
}
