import { InvalidArgumentError, Option } from 'commander';
import { removeAllRuns } from '../../collect/reader/cleanup.ts';
import { type CollectOptions, plannedObjects, withReaders } from '../../collect/reader/collect.ts';
import { ApiClient, type ApiClientOptions } from '../../kube/client.ts';
import type { ClusterRecord } from '../../lab/cluster/record.ts';
import type { World } from '../../path/model/world.ts';
import { InputError, UserError } from '../../util/errors.ts';
import { agentImage, IS_PUBLISHED, isAgentImage } from '../../util/images.ts';
import { VERSION } from '../../util/version.ts';
import { type Choice, nodesOfChoice } from '../choice.ts';
import { collect, duration, namespaceName, oneOf, secretName } from '../option-values.ts';
import { podAttributes } from '../pod-choice.ts';
import { collectProgress } from '../printer/collect-progress.ts';
import type { DiagnosisFormat } from '../printer/diagnosis-output.ts';
import { renderJson, renderYaml } from '../printer/document.ts';
import { layoutOf } from '../printer/layout.ts';
import { paragraph } from '../printer/wrap.ts';
import type { Verb } from '../verb.ts';

const PARALLEL = 64;
const TIMEOUT_MS = 60_000;

/** Options of the pods by which a command examines or changes nodes. */
export interface ReaderPodOptions {
  probe?: boolean;
  parallel?: number;
  timeout?: number;
  image?: string;
  imagePullSecret?: readonly string[];
  workNamespace?: string;
}

/** Options of a command that examines a cluster by short-lived pods on its nodes. */
export interface ReaderOptions extends ReaderPodOptions {
  dryRun?: 'client';
  cleanup?: true;
}

/** Options of the pods, and what is to be examined; everything when absent. */
type ReaderPodChoice = ReaderPodOptions & { choice?: Choice };

const GROUP = 'Pods on the nodes (of any cluster but one that is examined from the lab):';

/** The options of the pods, and those of what is done instead of examining. */
function readerOptions(): { ofPods: Option[]; instead: Option[] } {
  const ofPods = [
    new Option('--parallel <nodes>', `nodes examined at a time; ${PARALLEL} unless given`).argParser(
      atLeastOne,
    ),
    new Option('--timeout <time>', "how long a node's pod may take to start (default: 60s)").argParser(
      duration,
    ),
    new Option(
      '--image <image>',
      'image of the pods: any Linux image with a shell, into which the program is sent (default: the image of this version)',
    ),
    new Option(
      '--image-pull-secret <name>',
      'secret in --work-namespace to pull the image with; repeatable',
    ).argParser(collect(secretName)),
    new Option(
      '--work-namespace <name>',
      'existing namespace for the pods (default: a new one, which is removed)',
    ).argParser(namespaceName),
  ];
  const instead = [
    new Option('--dry-run <mode>', '"client": print what would be created, and examine nothing').argParser(
      oneOf('client'),
    ),
    new Option(
      '--cleanup',
      'remove what earlier runs that were killed left in the cluster (also what belongs to runs under way), and examine nothing',
    ).conflicts(['dryRun', ...ofPods.map((option) => option.attributeName())]),
  ];
  return { ofPods, instead };
}

/** Adds the options to a command that has those of a target, and `--local`, `--from`, `--reports`, `--save`, `--explain` and `--watch`. */
export function addReaderOptions(verb: Verb): void {
  const { ofPods, instead } = readerOptions();
  for (const option of instead) option.conflicts(['save', 'watch', 'summary', 'only']);
  instead.at(-1)!.conflicts(['node', ...podAttributes]);
  for (const option of [...ofPods, ...instead]) {
    verb.addOption(option.conflicts(['name', 'local', 'from', 'reports', 'explain']).helpGroup(GROUP));
  }
  verb.needs('--image-pull-secret', '--work-namespace');
}

/** Adds the options of the pods alone to a command that has those of a target; `others`: further options of that kind. */
export function addReaderPodOptions(verb: Verb, conflicts: string[], others: readonly Option[]): void {
  for (const option of [...readerOptions().ofPods, ...others]) {
    verb.addOption(option.conflicts(['name', ...conflicts]).helpGroup(GROUP));
  }
  verb.needs('--image-pull-secret', '--work-namespace');
}

/**
 * Refuses the options of pods where a cluster is examined from the lab: no pod is created there.
 * @throws InputError naming an option that was given.
 */
export function refuseReaderOptions(verb: Verb, { name }: Pick<ClusterRecord, 'name'>): void {
  const given = verb.options.find(
    (option) =>
      option.helpGroupHeading === GROUP && verb.getOptionValue(option.attributeName()) !== undefined,
  );
  if (given === undefined) return;
  throw new InputError(
    `cannot use ${given.long}: cluster "${name}" is examined from the lab, without pods; to examine it by pods, name it by --context or --kubeconfig`,
  );
}

/** Prints what examining a cluster would create there, and creates nothing. */
export async function printPlanned(
  access: ApiClientOptions,
  options: ReaderPodChoice,
  output: DiagnosisFormat,
  signal: AbortSignal,
): Promise<void> {
  const client = new ApiClient(access);
  const settings = { ...podSettings(options), signal, warn: () => {}, progress: () => {} };
  const objects = await plannedObjects(client, settings);
  const list = { apiVersion: 'v1', kind: 'List', items: objects };
  if (output === 'json') process.stdout.write(renderJson(list, 2));
  else if (output === 'ndjson') process.stdout.write(objects.map((object) => renderJson(object, 0)).join(''));
  else process.stdout.write(objects.map((object) => renderYaml(object)).join('---\n'));
}

/** Removes what killed runs have left behind in a cluster, and prints what. */
export async function cleanUp(access: ApiClientOptions, signal: AbortSignal): Promise<void> {
  const client = new ApiClient(access);
  const { removed, left } = await removeAllRuns(client, { signal });
  const layout = layoutOf(process.stdout);
  for (const what of removed) process.stdout.write(paragraph(`removed ${what}`, layout));
  if (left.length > 0) throw new UserError(`cannot remove ${left.join('; ')}`);
  if (removed.length === 0) process.stdout.write('nothing to remove\n');
}

/** Gives what any cluster looks like, by short-lived pods on its nodes, to `judge`, and removes the pods: nobody has to wait for that to read the verdict. */
export async function observeCluster(
  cluster: ExaminedCluster,
  options: ReaderPodChoice,
  warn: (line: string) => void,
  signal: AbortSignal,
  judge: (world: World) => Promise<void>,
): Promise<void> {
  await withCollectOptions(cluster, options, warn, signal, (client, settings, hideProgress) =>
    withReaders(client, settings, async (world) => {
      hideProgress();
      await judge(world);
    }),
  );
}

/** A cluster that is examined by pods. */
export interface ExaminedCluster {
  access: ApiClientOptions;
  /** What progress begins with; nothing where that was said before. */
  title: string | undefined;
  /** The cluster of the lab that it is. */
  lab: ClusterRecord | undefined;
}

/** Does something in a cluster by short-lived pods on its nodes, with their options; progress is shown meanwhile. */
export async function withCollectOptions<T>(
  { access, title, lab }: ExaminedCluster,
  options: ReaderPodChoice,
  warn: (line: string) => void,
  signal: AbortSignal,
  use: (client: ApiClient, settings: CollectOptions, hideProgress: () => void) => Promise<T>,
): Promise<T> {
  const progress = collectProgress(process.stderr, title);
  const settings = {
    ...settingsOf(options, lab),
    signal,
    warn: (line: string) => {
      progress.end();
      warn(line);
    },
    progress: progress.show,
  };
  try {
    return await use(new ApiClient(access), settings, () => progress.end());
  } finally {
    progress.end();
  }
}

/** Which nodes a choice is about, once the objects are known; undefined where it is about all. */
export function chooserOf(choice: Choice): CollectOptions['choose'] {
  if (choice.nodes.length === 0 && choice.pods === undefined) return undefined;
  return (objects) => nodesOfChoice(choice, objects);
}

type PodSettings = Omit<CollectOptions, 'signal' | 'warn' | 'progress'>;

/** How nodes of a cluster are examined by pods, as the options say. `lab`: the cluster of the lab that it is. */
export function settingsOf(options: ReaderPodChoice, lab: ClusterRecord | undefined): PodSettings {
  const settings = podSettings(options);
  if (options.image !== undefined || IS_PUBLISHED || lab !== undefined) return settings;
  return {
    ...settings,
    imageProblem: `their pods cannot start, because image ${settings.image} is in no registry (this program was built without one); give any Linux image that the nodes have or can pull, such as --image busybox, and the program is sent into it`,
  };
}

function podSettings(options: ReaderPodChoice): PodSettings {
  const choose = options.choice && chooserOf(options.choice);
  return {
    ...(choose && { choose }),
    parallel: options.parallel ?? PARALLEL,
    timeoutMs: options.timeout ?? TIMEOUT_MS,
    probes: options.probe !== false,
    image: options.image ?? agentImage(),
    ...(options.image !== undefined && !isAgentImage(options.image) && { program: process.execPath }),
    imagePullSecrets: options.imagePullSecret ?? [],
    ...(options.workNamespace !== undefined && { workNamespace: options.workNamespace }),
    version: VERSION,
  };
}

function atLeastOne(text: string): number {
  if (/^[1-9]\d{0,3}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('want a number from 1 to 9999.');
}
