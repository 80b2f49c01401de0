import { hostname } from 'node:os';
import { InvalidArgumentError, Option } from 'commander';
import { Anonymiser } from '../../collect/anonymise/anonymiser.ts';
import { bundleWorld, checkNewBundle, saveBundle } from '../../collect/bundle.ts';
import { clusterWorld } from '../../collect/cluster.ts';
import { localWorld } from '../../collect/local.ts';
import { unverifiedServer } from '../../kube/unverified-server.ts';
import type { ClusterRecord } from '../../lab/cluster/record.ts';
import { LabPlaces } from '../../lab/doctor/places.ts';
import { collectLabWorld } from '../../lab/doctor/source.ts';
import { faultOf } from '../../lab/faults/index.ts';
import { traceWorld } from '../../node/trace/trace-world.ts';
import { diagnose, diagnosisOf } from '../../path/diagnose/diagnose.ts';
import type { Diagnosis } from '../../path/model/finding.ts';
import type { World } from '../../path/model/world.ts';
import type { Failure } from '../../path/stages/failure.ts';
import { catalogue } from '../../path/stages/index.ts';
import { calledAs } from '../../sys/called-as.ts';
import { realExec } from '../../sys/exec.ts';
import { editDistance } from '../../util/edit-distance.ts';
import { InputError } from '../../util/errors.ts';
import { type Choice, chosen, nodesOfChoice } from '../choice.ts';
import { interruptible, untilInterrupted } from '../interruptible.ts';
import { collect, duration, nodeName, oneOf } from '../option-values.ts';
import { printPieces } from '../output.ts';
import { addPodOptions, type PodOptions, podAttributes, podChoiceOf } from '../pod-choice.ts';
import { exitStatusOf, stageLegend } from '../printer/diagnosis.ts';
import {
  DIAGNOSIS_FORMATS,
  type DiagnosisFormat,
  diagnosisOutput,
  isPage,
  type PageFormat,
} from '../printer/diagnosis-output.ts';
import { renderJson, renderYaml } from '../printer/document.ts';
import { renderFailure } from '../printer/explain.ts';
import { layoutOf } from '../printer/layout.ts';
import { warnOnce } from '../printer/notices.ts';
import { pageOutput } from '../printer/page-output.ts';
import { watched } from '../printer/watched.ts';
import { paragraph } from '../printer/wrap.ts';
import { repeatWhileRead } from '../repeat.ts';
import { addTargetOptions, type Target, targetAttributes, targetOf } from '../target.ts';
import { command, examples, exitWith } from '../verb.ts';
import {
  addReaderOptions,
  chooserOf,
  cleanUp,
  observeCluster,
  printPlanned,
  type ReaderOptions,
  refuseReaderOptions,
} from './doctor-cluster.ts';

interface DoctorOptions extends ReaderOptions, PodOptions {
  local?: true;
  from?: string;
  reports?: string;
  maxAge?: number;
  save?: string;
  anonymise?: true;
  output: DiagnosisFormat;
  summary?: true;
  only: Failure[];
  node: string[];
  explain?: Failure;
  watch?: number | true;
  trace?: true;
}

/** How long a traced probe is waited for, in milliseconds. */
const TRACE_MS = 1000;
/** Pause between two rounds of `--watch`, in milliseconds. */
const WATCH_INTERVAL_MS = 2000;

/** `hostport doctor`: where every hostPort is broken, on what evidence, and how to fix it. */
export function doctorVerb() {
  const verb = command('doctor')
    .description(
      'show where hostPorts are broken and how to fix them\n\nEach finding has its evidence, its cause and the command that fixes it.\nExit status: 0 no problems found, 1 something is broken or at risk, 2 inconclusive.',
    )
    .addOption(
      new Option('--local', 'examine this machine as a node instead of a cluster').conflicts([
        'from',
        ...targetAttributes,
      ]),
    )
    .addOption(
      new Option('--from <path>', 'examine what --save wrote instead of a cluster').conflicts([
        'reports',
        ...targetAttributes,
      ]),
    )
    .addOption(
      new Option(
        '--reports <dir>',
        'examine a cluster by its API and this directory, which has the output of "hostport node-report" of each node',
      ).conflicts(['local', 'name']),
    )
    .addOption(
      new Option(
        '--max-age <time>',
        'with --reports: a report that is older leaves its node unknown',
      ).argParser(duration),
    )
    .option(
      '--save <path>',
      'write everything that was observed, without secrets, to a new directory or .tar.gz archive',
    )
    .option(
      '--anonymise',
      'with --save: replace the names of nodes, pods, images, hosts and the like, and addresses',
    )
    .option('--probe', 'with --local: send probes to this machine itself')
    .addOption(
      new Option(
        '--trace',
        'in the lab: where a probe fails and the cause is not known, ask the kernel of its node',
      ).conflicts(['from', 'local', 'reports', 'explain', 'probe']),
    )
    .option('--no-probe', 'send no probes; the stage "answered" is then unknown')
    .option('--only <code>', 'show only this kind of failure (repeatable)', collect(failureNamed), [])
    .option('--node <node>', 'examine only this node (repeatable)', collect(nodeName), [])
    .option('--summary', 'show only how many mappings, nodes and pods it is, by stage and by kind of failure')
    .option(
      '-o, --output <format>',
      'table, wide (all names, long lines), json, yaml, ndjson (one document a line), html (a page in one file) or markdown',
      oneOf(...DIAGNOSIS_FORMATS),
      'table',
    )
    .addOption(
      new Option('--explain <code>', 'explain a kind of failure, and examine nothing')
        .argParser(failureNamed)
        .conflicts([
          ...['local', 'from', 'reports', 'save', 'probe', 'watch', 'summary'],
          ...podAttributes,
          ...targetAttributes,
        ]),
    )
    .addOption(
      new Option('--watch [pause]', 'repeat until interrupted, with this pause between rounds (default: 2s)')
        .argParser(duration)
        .conflicts(['save', 'from']),
    )
    .needs('--max-age', '--reports')
    .needs('--probe', '--local')
    .needs('--anonymise', '--save')
    .failsWith(2)
    .action(async (options: DoctorOptions) => {
      refusePage(options);
      if (options.explain !== undefined) {
        process.stdout.write(explain(options.explain, options.output));
        return;
      }
      // Before it looks, which can take minutes in a large cluster.
      if (options.save !== undefined) checkNewBundle(options.save);
      const warn = warnOnce(process.stderr);
      const running = options.watch === undefined ? interruptible : untilInterrupted;
      await running(async (signal) => {
        const target =
          options.from === undefined && options.local === undefined ? await targetOf(verb) : undefined;
        if (target?.kind === 'lab') refuseReaderOptions(verb, target.record);
        if (target?.kind === 'cluster' && options.trace)
          throw new InputError(
            'cannot use --trace: the kernels of nodes are asked in a lab only; name one by --name, or leave it out',
          );
        const unverified = target && (target.kind === 'cluster' || options.reports) && target.access;
        const warning = unverified && unverifiedServer(unverified);
        if (warning !== undefined) warn(warning);
        const pods = podChoiceOf(options);
        const codes = options.only.map(({ code }) => code);
        const choice: Choice = { codes, nodes: options.node, ...(pods && { pods }) };
        if (target?.kind === 'cluster' && options.cleanup) return cleanUp(target.access, signal);
        if (target?.kind === 'cluster' && options.dryRun !== undefined)
          return printPlanned(target.access, { ...options, choice }, options.output, signal);
        const pause = options.watch === true ? WATCH_INTERVAL_MS : options.watch;
        const show = pause === undefined ? undefined : watched(process.stdout, pause);
        // It is named once, however often it is looked at.
        let isNamed = false;
        const judge = async (world: World) => {
          isNamed = true;
          // Of what does not exist, no bundle is written.
          nodesOfChoice(choice, world);
          if (options.save !== undefined) {
            await saveBundle(world, options.save, options.anonymise && new Anonymiser(world));
            process.stderr.write(
              paragraph(
                `saved to ${options.save}; look through it before others get it`,
                layoutOf(process.stderr),
              ),
            );
          }
          const { output } = options;
          const head = headOf(world, options, target);
          let diagnosis: Diagnosis;
          if (isPage(output)) {
            // Only a page shows the way of packets, for which all that was seen is kept.
            const diagnosed = diagnose(world);
            diagnosis = chosen(diagnosed.diagnosis, choice, world);
            process.stdout.write(await pageOutput(output, diagnosis, diagnosed, head));
          } else {
            const all = diagnosisOf(world);
            diagnosis = chosen(all, choice, world);
            await print(diagnosis, all, head, { ...options, output, choice }, show);
          }
          exitWith(exitStatusOf(diagnosis));
        };
        const look = () => observe({ ...options, choice }, target, isNamed, warn, signal, judge);
        if (pause === undefined) return look();
        return repeatWhileRead(look, pause, signal, process.stdout);
      });
    });
  addPodOptions(verb);
  addTargetOptions(verb, 'all');
  addReaderOptions(verb);
  verb.addHelpText('after', `\nStages, in this order:\n${stageLegend}`);
  return examples(
    verb,
    'hostport doctor',
    'hostport doctor --explain portmap-not-chained',
    'hostport doctor --summary',
    'hostport doctor --only plugin-missing -o wide',
    'hostport doctor --node worker-1 --node worker-2',
    'hostport doctor -n ingress -l app=nginx',
    'hostport doctor --save /tmp/bundle && hostport doctor --from /tmp/bundle -o json',
    'hostport doctor --kubeconfig ~/.kube/config',
    'hostport doctor --kubeconfig ~/.kube/config -o html > report.html',
    'hostport doctor --kubeconfig ~/.kube/config --reports ./reports',
  );
}

/** Gives what the options say is to be observed to `judge`, as soon as all of it is known: what was created for it is removed only then. */
async function observe(
  options: DoctorOptions & { choice: Choice },
  target: Target | undefined,
  isNamed: boolean,
  warn: (line: string) => void,
  signal: AbortSignal,
  judge: (world: World) => Promise<void>,
): Promise<void> {
  if (options.from !== undefined) return judge(await bundleWorld(options.from));
  if (target === undefined)
    return judge(await localWorld(realExec, signal, { probes: options.probe === true }));
  if (options.reports !== undefined) {
    // Only a cluster that is named as one of the lab has none, which excludes --reports.
    if (target.access === undefined) throw new Error('reports of a cluster without an API');
    const settings = { signal, ...(options.maxAge !== undefined && { maxAgeMs: options.maxAge }) };
    return judge(await clusterWorld(target.access, options.reports, settings));
  }
  if (target.kind === 'cluster') {
    const cluster = isNamed ? { ...target, title: undefined } : target;
    return observeCluster(cluster, options, warn, signal, judge);
  }
  return judge(await observeLab(target.record, options, signal));
}

/** Faster than by pods, and sees more. */
async function observeLab(
  record: ClusterRecord,
  options: DoctorOptions & { choice: Choice },
  signal: AbortSignal,
): Promise<World> {
  await using places = new LabPlaces(record);
  const choose = chooserOf(options.choice);
  const world = await collectLabWorld(places, {
    probes: options.probe !== false,
    signal,
    ...(choose && { choose }),
  });
  return options.trace ? await traceWorld(world, places.traceDoor(TRACE_MS), signal) : world;
}

/** @throws InputError for a page of what is no single whole diagnosis, or for a terminal. */
function refusePage({ output, watch, summary, explain, dryRun, cleanup }: DoctorOptions): void {
  if (!isPage(output)) return;
  if (output === 'html' && process.stdout.isTTY)
    throw new InputError('cannot print a page on a terminal: write it to a file, -o html > report.html');
  const others = { watch, summary, explain, 'dry-run': dryRun, cleanup };
  const [given] = Object.entries(others).find(([, value]) => value !== undefined) ?? [];
  if (given === undefined) return;
  throw new InputError(
    `cannot use -o ${output} with --${given}: a page shows one whole diagnosis; leave out one of them`,
  );
}

/** What every format begins with. */
function headOf({ observedAt }: World, { from }: DoctorOptions, target: Target | undefined) {
  const local = `This machine, ${hostname()}, as a node`;
  return {
    title: target?.title ?? (from === undefined ? local : `Bundle ${from} of ${observedAt}`),
    program: calledAs(),
    flags: target?.flags ?? '',
  };
}

async function print(
  diagnosis: Diagnosis,
  all: Diagnosis,
  head: ReturnType<typeof headOf>,
  {
    output,
    watch,
    summary,
    choice,
  }: Omit<DoctorOptions, 'output'> & { output: Exclude<DoctorOptions['output'], PageFormat>; choice: Choice },
  show: ReturnType<typeof watched> | undefined,
): Promise<void> {
  const isText = output === 'table' || output === 'wide';
  const pieces = diagnosisOutput(diagnosis, {
    ...head,
    output,
    summary: summary === true,
    isRepeated: watch !== undefined,
    ifEmpty:
      choice.codes.length + choice.nodes.length === 0 && choice.pods === undefined
        ? undefined
        : `Nothing of this choice; there are ${all.paths.length} mappings and ${all.findings.length} findings in all.`,
    layout: layoutOf(process.stdout),
  });
  if (isText && show !== undefined) show(diagnosis, [...pieces].join(''));
  else await printPieces(process.stdout, pieces);
}

/** How many codes are suggested for an unknown one. */
const SUGGESTIONS = 3;
/** By how many characters a code may differ from what was typed, to be suggested: a typo or two, more in a long word. */
const typosIn = (typed: string) => Math.max(3, Math.floor(typed.length / 3));

/** An option's value that is a code of the catalogue. */
export function failureNamed(code: string): Failure {
  const failure = catalogue.find((entry) => entry.code === code);
  if (failure !== undefined) return failure;
  const typed = code.toLowerCase().replaceAll('_', '-');
  const far = catalogue.map((entry) => ({ code: entry.code, distance: distanceOf(entry.code, typed) }));
  const least = Math.min(...far.map(({ distance }) => distance));
  // What is much farther than the nearest is not meant.
  const near = far.filter(({ distance }) => distance <= Math.min(typosIn(typed), least + 2));
  const like = near.length > 0 ? near : far.filter((entry) => sharesWord(entry.code, typed));
  const suggested = like.toSorted((a, b) => a.distance - b.distance).slice(0, SUGGESTIONS);
  throw new InvalidArgumentError(
    suggested.length > 0
      ? `did you mean ${suggested.map((entry) => entry.code).join(', ')}?`
      : `"${calledAs()} faults" lists the codes.`,
  );
}

/** How far what was typed is from a code, in whatever order its words are. */
function distanceOf(code: string, typed: string): number {
  const sorted = (text: string) => text.split('-').sort().join('-');
  return Math.min(editDistance(code, typed), editDistance(sorted(code), sorted(typed)));
}

/** Whether both have a word in common, or one of them has a word that begins as a word of the other. */
function sharesWord(a: string, b: string): boolean {
  const words = (text: string) => text.split('-').filter((word) => word.length > 2);
  return words(a).some((one) => words(b).some((other) => one.startsWith(other) || other.startsWith(one)));
}

/** Everything that the catalogue says about a failure. */
function explain(failure: Failure, output: DoctorOptions['output']): string {
  if (output !== 'table' && output !== 'wide') {
    const { code, stage, severity, title, explanation, remedy, restart, restartReason, sources } = failure;
    const document = {
      apiVersion: 'hostport/v1',
      kind: 'Failure',
      code,
      stage,
      severity,
      title,
      explanation,
      remedy,
      restart,
      restartReason,
      does: faultOf(failure).does,
      sources,
      documentation: `docs/failures/${code}.md`,
    };
    if (output === 'yaml') return renderYaml(document);
    return renderJson(document, output === 'json' ? 2 : 0);
  }
  return renderFailure(failure, faultOf(failure), calledAs(), layoutOf(process.stdout));
}
