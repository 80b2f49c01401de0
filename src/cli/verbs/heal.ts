import { createInterface } from 'node:readline/promises';
import { Option } from 'commander';
import { applyPatch, type PlannedPatch, planPatches } from '../../agent/source.ts';
import { canUndo, planUndo, type Undone, type UndoPlan, undo, whyNotUndone } from '../../agent/undo.ts';
import type { ApiClient } from '../../kube/client.ts';
import { requireNodes } from '../../lab/cluster/record.ts';
import { diagnose } from '../../path/diagnose/diagnose.ts';
import { type HealScope, type PlannedHeal, planHeal } from '../../path/heal/plan.ts';
import type { World } from '../../path/model/world.ts';
import { type Durability, durabilityOf } from '../../path/source/at-source.ts';
import type { Failure } from '../../path/stages/failure.ts';
import { calledAs } from '../../sys/called-as.ts';
import { InputError, messageOf } from '../../util/errors.ts';
import { checkChosenNodes } from '../choice.ts';
import { interruptible } from '../interruptible.ts';
import { collect, duration, oneOf } from '../option-values.ts';
import { renderAfterHeal } from '../printer/after-heal.ts';
import { asCalled } from '../printer/as-called.ts';
import { exitStatusOf } from '../printer/diagnosis.ts';
import { renderJson } from '../printer/document.ts';
import { foldNames } from '../printer/fold-names.ts';
import { type Layout, layoutOf, wideLayoutOf } from '../printer/layout.ts';
import { nothingToFix } from '../printer/nothing-to-fix.ts';
import { warnOnce } from '../printer/notices.ts';
import { renderFurtherRound, renderHealed, renderPlan } from '../printer/plan.ts';
import { renderDurability } from '../printer/source.ts';
import { renderUndone, renderUndoPlan, undoHint } from '../printer/undo.ts';
import { paragraph } from '../printer/wrap.ts';
import { addTargetOptions, type Target, targetAttributes, targetOf } from '../target.ts';
import { command, examples, exitWith, requireRoot, type Verb } from '../verb.ts';
import { failureNamed } from './doctor.ts';
import { addReaderPodOptions, refuseReaderOptions } from './doctor-cluster.ts';
import { clusterHealing, type HealClusterOptions, maxUnavailableOption } from './heal-cluster.ts';
import { healWatch } from './heal-watch.ts';
import { type Healing, type HealOutcome, labHealing, SETTLE_MS } from './healing.ts';

interface Options extends HealClusterOptions {
  dryRun?: true;
  yes?: true;
  only: Failure[];
  node: string[];
  restart?: true;
  atSource?: true;
  undo?: true;
  probe: boolean;
  output: 'text' | 'wide' | 'json';
  watch?: true;
  resync: number;
  kubeconfig?: string;
}

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
    .option('--at-source', "also change the primary CNI's own configuration, where that only adds to it")
    .addOption(
      new Option('--undo', 'restore the files that the last heal changed, and fix nothing').conflicts([
        'only',
        'restart',
        'atSource',
        'watch',
      ]),
    )
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
        'atSource',
        'output',
        'probe',
        ...targetAttributes.filter((attribute) => attribute !== 'kubeconfig'),
      ]),
    )
    .addOption(
      new Option('--resync <duration>', 'with --watch: longest time between two checks')
        .argParser(duration)
        .default(30_000, '30s'),
    )
    .needs('--resync', '--watch')
    .failsWith(2)
    .action(async (options: Options) => {
      const scope: HealScope = {
        ...(options.only.length === 0 ? {} : { codes: options.only.map(({ code }) => code) }),
        ...(options.node.length === 0 ? {} : { nodes: options.node }),
        restart: options.restart === true,
      };
      if (options.watch) return healWatch(options, { ...scope, nodes: undefined });
      await interruptible(async (signal) => {
        const target = await targetOf(verb);
        await using healing = healingOf(verb, target, options);
        const way = { target, options, signal };
        await (options.undo ? undoLast(healing, way) : healAll(healing, scope, way));
      });
    });
  addTargetOptions(verb, 'all');
  addReaderPodOptions(verb, ['watch'], [maxUnavailableOption()]);
  return examples(
    verb,
    'hostport heal',
    'hostport heal --yes',
    'hostport heal --only portmap-not-chained --dry-run',
    'hostport heal --kubeconfig ~/.kube/config --max-unavailable 5',
    'hostport heal --undo',
    'hostport exec kind-worker -- hostport heal --watch',
  );
}

/** How a target is reached. */
function healingOf(verb: Verb, target: Target, options: Options): Healing {
  if (target.kind === 'lab') {
    requireRoot(verb.path);
    refuseReaderOptions(verb, target.record);
    requireNodes('heal', target.record, options.node);
    return labHealing(target.record, options.probe);
  }
  return clusterHealing(target, options, warnOnce(process.stderr));
}

/** What both ways of the command have at hand. */
interface Way {
  target: Target;
  options: Options;
  signal: AbortSignal;
}

async function healAll(healing: Healing, scope: HealScope, { target, options, signal }: Way): Promise<void> {
  const { title, flags } = target;
  const json = options.output === 'json';
  const layout = layoutFor(options);
  const world = await healing.observe(signal);
  checkChosenNodes(options.node, nodesOf(world));
  const diagnosed = diagnose(world);
  const plan = planHeal(diagnosed, scope);
  const isChoice = (scope.codes ?? []).length + (options.node ?? []).length > 0;
  const durability = durabilityOf(plan, diagnosed.scene);
  const patches = options.atSource
    ? await planPatches(await healing.client(), durability.changes, signal)
    : undefined;
  const source = { durability, patches };
  const offer = asCalled('hostport heal --at-source', calledAs(), flags);
  if (!json) process.stdout.write(`${paragraph(title, layout)}\n`);
  if (!json)
    process.stdout.write(
      plan.length === 0
        ? nothingToFix(diagnosed.diagnosis, isChoice, layout)
        : renderPlan(plan, calledAs(), flags, layout) +
            renderFurtherRound(plan, scope.codes ?? [], calledAs(), flags, layout) +
            renderDurability(durability, patches, offer, layout),
    );
  const nothingDone: HealOutcome = { healed: [], after: diagnosed, rounds: 0 };
  const isPatched = patches?.some(({ patched }) => patched.is === 'patch') === true;
  if (!plan.some(({ steps }) => steps.length > 0) && !isPatched) {
    if (json) process.stdout.write(renderJson(asDocument(plan, nothingDone, source), 2));
    exitWith(exitStatusOf(diagnosed.diagnosis));
    return;
  }
  if (options.dryRun || !(options.yes || (await agreed(`${title}: carry out this plan?`, signal)))) {
    if (json) process.stdout.write(renderJson(asDocument(plan, nothingDone, source), 2));
    else process.stdout.write('Nothing was changed; give --yes to carry out the plan.\n');
    exitWith(1);
    return;
  }
  await healing.checkRights(plan, signal);
  const say = (line: string) => {
    if (!json) process.stderr.write(paragraph(line, layoutOf(process.stderr)));
  };
  // First, so that what is then done on the nodes is not undone by their owner.
  const notPatched = await applyPatches(await healing.client(), patches ?? [], say, signal);
  const report = await healing.heal(
    { world, diagnosed },
    {
      ...scope,
      signal,
      settleMs: SETTLE_MS,
      onNodes: (nodes, left) =>
        say(`changing ${foldNames(nodes, layout.width)}${left > 0 ? `; ${left} more to come` : ''}`),
      onPlan: (round) => say(`fixing: ${[...new Set(round.map(({ finding }) => finding.code))].join(', ')}`),
    },
  );
  process.stdout.write(
    json
      ? renderJson(asDocument(plan, report, source), 2)
      : renderReport(report, scope.codes ?? [], flags, layout),
  );
  // What was done is reported first.
  if (report.after === undefined) throw report.error;
  const isDone = report.stopped === undefined && !notPatched;
  exitWith(isDone ? exitStatusOf(report.after.diagnosis) : 1);
}

async function undoLast(healing: Healing, { target, options, signal }: Way): Promise<void> {
  const { title } = target;
  const json = options.output === 'json';
  const layout = layoutFor(options);
  const plan = await healing.withUndo(options.node, signal, planUndo);
  if (!json) process.stdout.write(`${paragraph(title, layout)}\n${renderUndoPlan(plan, layout)}`);
  const finish = (nodes: Undone['nodes'] = []) => {
    if (json) process.stdout.write(renderJson(undoDocument(plan, nodes), 2));
    else process.stdout.write(renderUndone(nodes, layout));
    exitWith(undoStatus(plan, nodes, options.dryRun === true));
  };
  const refused = whyNotUndone(plan);
  if (refused !== undefined) {
    if (json) process.stdout.write(renderJson(undoDocument(plan, []), 2));
    throw new InputError(refused);
  }
  const concerned = plan.nodes.filter(({ last }) => canUndo(last)).map(({ node }) => node);
  if (concerned.length === 0) return finish();
  if (options.dryRun || !(options.yes || (await agreed(`${title}: restore these files?`, signal)))) {
    if (!json) process.stdout.write('Nothing was changed; give --yes to restore the files.\n');
    exitWith(1);
    if (json) process.stdout.write(renderJson(undoDocument(plan, []), 2));
    return;
  }
  const done = await healing.withUndo(concerned, signal, (door) => undo(door, plan, signal));
  finish(done.nodes);
  // What was done is reported first.
  if ('error' in done) throw done.error;
}

/** 1 when something that the heal changed stays. */
function undoStatus({ nodes }: UndoPlan, done: Undone['nodes'], isDry: boolean): number {
  const isRefused = nodes.some(({ last }) => last.files.some(({ state }) => state === 'refused'));
  const hasFailed = done.some(({ results }) => results.some(({ outcome }) => outcome === 'failed'));
  return isRefused || hasFailed || isDry ? 1 : 0;
}

/** Makes the changes at the source; after an interruption no further one. Says whether one was not made. */
async function applyPatches(
  client: ApiClient,
  patches: readonly PlannedPatch[],
  say: (line: string) => void,
  signal: AbortSignal,
): Promise<boolean> {
  let hasFailed = false;
  for (const planned of patches.filter(({ patched }) => patched.is === 'patch')) {
    const { kind, namespace, name } = planned.target;
    const why = signal.aborted
      ? messageOf(signal.reason)
      : await applyPatch(client, planned, signal).catch(messageOf);
    say(why === undefined ? `patched ${kind} ${namespace}/${name}` : `${kind} was not patched: ${why}`);
    hasFailed ||= why !== undefined;
  }
  return hasFailed;
}

/** Asks on a terminal. Anything but yes is no; so is standard input or output that is not a terminal. */
async function agreed(question: string, signal: AbortSignal): Promise<boolean> {
  if (!process.stdin.isTTY || !process.stdout.isTTY) return false;
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  try {
    return /^y(es)?$/i.test(
      (
        await terminal.question(`${paragraph(question, layoutOf(process.stdout)).trimEnd()} [y/N] `, {
          signal,
        })
      ).trim(),
    );
  } finally {
    terminal.close();
  }
}

function layoutFor({ output }: Options): Layout {
  return output === 'wide' ? wideLayoutOf(process.stdout) : layoutOf(process.stdout);
}

/** Names of the nodes that a world knows. */
function nodesOf({ nodes, reports }: World): string[] {
  return [...new Set([...nodes.flatMap(({ metadata }) => metadata?.name ?? []), ...reports.keys()])];
}

function renderReport(
  { healed, after, stopped }: HealOutcome,
  codes: readonly string[],
  flags: string,
  layout: Layout,
): string {
  const printing = { program: calledAs(), flags, layout };
  const seen =
    after === undefined ? '' : renderAfterHeal(after.diagnosis, after.scene.world, codes, printing);
  const done = `${renderHealed(healed, layout)}\n${seen}`;
  const hint = undoHint(healed, calledAs(), flags, layout);
  const separated = hint === '' ? '' : `\n${hint}`;
  if (stopped === undefined) return `${done}${separated}`;
  const { node, why, undone } = stopped;
  const left =
    undone.length === 0 ? 'no other node was left' : `not begun: ${foldNames(undone, layout.width)}`;
  const where = node === undefined ? 'Stopped' : `Stopped after node ${node}, which got worse`;
  return `${done}\n${paragraph(`${where}: ${why}; ${left}.`, layout)}${separated}`;
}

function asDocument(
  plan: readonly PlannedHeal[],
  { healed, after, rounds, stopped }: HealOutcome,
  { durability, patches }: { durability: Durability; patches: readonly PlannedPatch[] | undefined },
): Record<string, unknown> {
  return {
    apiVersion: 'hostport/v1',
    kind: 'HealReport',
    plan,
    atSource: durability.changes.map((change) => ({
      codes: change.codes,
      nodes: change.nodes,
      cni: change.cni.cni.name,
      ...(change.cni.version !== undefined && { version: change.cni.version }),
      what: change.change.what,
      commands: change.change.commands,
      ...(change.change.afterwards && { afterwards: change.change.afterwards }),
      ...patches
        ?.filter((one) => one.change === change)
        .map(({ target, patched }) => ({ target, patched }))[0],
    })),
    temporary: durability.temporary,
    healed,
    rounds,
    ...(stopped && { stopped }),
    ...(after && { after: after.diagnosis }),
  };
}

function undoDocument(plan: UndoPlan, done: Undone['nodes']): Record<string, unknown> {
  return { apiVersion: 'hostport/v1', kind: 'UndoReport', ...plan, done };
}
