import { InvalidArgumentError, Option } from 'commander';
import { accessOf } from '../../collect/cluster.ts';
import { removeAllRuns } from '../../collect/reader/cleanup.ts';
import { type CollectOptions, collectCluster, plannedObjects } from '../../collect/reader/collect.ts';
import { ApiClient } from '../../kube/client.ts';
import { dnsLabelErrors, dnsSubdomainErrors } from '../../kube/names.ts';
import { unverifiedServer } from '../../kube/unverified-server.ts';
import type { World } from '../../path/model/world.ts';
import { UserError } from '../../util/errors.ts';
import { VERSION } from '../../util/version.ts';
import { collect, duration, oneOf } from '../option-values.ts';
import { collectProgress } from '../printer/collect-progress.ts';
import { renderJson, renderYaml } from '../printer/document.ts';
import { safeText } from '../printer/safe-text.ts';
import type { Verb } from '../verb.ts';

/** This program's own image, of its version. */
const OWN_IMAGE = `docker.io/hostport/agent:${VERSION}`;
const PARALLEL = 64;
const TIMEOUT_MS = 60_000;

/** Options of a command that examines a cluster by short-lived pods on its nodes. */
export interface ReaderOptions {
  kubeconfig?: string;
  probe?: boolean;
  parallel?: number;
  timeout?: number;
  image?: string;
  imagePullSecret?: readonly string[];
  workNamespace?: string;
  dryRun?: 'client';
  cleanup?: true;
}

/** Adds the options to a command that has `--kubeconfig`, `--reports`, `--save` and `--watch`. */
export function addReaderOptions(verb: Verb): void {
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
    ).argParser(collect(subdomain)),
    new Option(
      '--work-namespace <name>',
      'existing namespace for the pods (default: a new one, which is removed)',
    ).argParser(label),
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
  for (const option of ofPods) verb.addOption(option.conflicts('reports'));
  for (const option of instead) verb.addOption(option.conflicts(['reports', 'save', 'watch']));
  for (const option of [...ofPods, ...instead]) verb.needs(option.long!, '--kubeconfig');
  verb.needs('--image-pull-secret', '--work-namespace');
}

/** Prints what examining a cluster would create there, and creates nothing. */
export async function printPlanned(
  options: ReaderOptions,
  output: 'table' | 'json' | 'yaml',
  signal: AbortSignal,
): Promise<void> {
  const client = new ApiClient(await accessOf(options.kubeconfig));
  const settings = { ...settingsOf(options), signal, warn: () => {}, progress: () => {} };
  const objects = await plannedObjects(client, settings);
  process.stdout.write(
    output === 'json'
      ? renderJson({ apiVersion: 'v1', kind: 'List', items: objects }, 2)
      : objects.map((object) => renderYaml(object)).join('---\n'),
  );
}

/** Removes what killed runs have left behind in a cluster, and prints what. */
export async function cleanUp(options: ReaderOptions, signal: AbortSignal): Promise<void> {
  const client = new ApiClient(await accessOf(options.kubeconfig));
  const { removed, left } = await removeAllRuns(client, { signal });
  for (const what of removed) process.stdout.write(`removed ${safeText(what)}\n`);
  if (left.length > 0) throw new UserError(`cannot remove ${left.join('; ')}`);
  if (removed.length === 0) process.stdout.write('nothing to remove\n');
}

/** What a cluster that a kubeconfig leads to looks like. Pods that were created for it are gone by then. */
export async function observeCluster(
  options: ReaderOptions,
  warn: (line: string) => void,
  signal: AbortSignal,
): Promise<World> {
  const access = await accessOf(options.kubeconfig);
  const unverified = unverifiedServer(access);
  if (unverified !== undefined) warn(unverified);
  const progress = collectProgress(process.stderr);
  try {
    return await collectCluster(new ApiClient(access), {
      ...settingsOf(options),
      signal,
      warn: (line) => {
        progress.end();
        warn(line);
      },
      progress: progress.show,
    });
  } finally {
    progress.end();
  }
}

function settingsOf(options: ReaderOptions): Omit<CollectOptions, 'signal' | 'warn' | 'progress'> {
  return {
    parallel: options.parallel ?? PARALLEL,
    timeoutMs: options.timeout ?? TIMEOUT_MS,
    probes: options.probe !== false,
    image: options.image ?? OWN_IMAGE,
    ...(options.image !== undefined && { program: process.execPath }),
    imagePullSecrets: options.imagePullSecret ?? [],
    ...(options.workNamespace !== undefined && { workNamespace: options.workNamespace }),
    version: VERSION,
  };
}

function atLeastOne(text: string): number {
  if (/^[1-9]\d{0,3}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('want a number from 1 to 9999.');
}

function label(text: string): string {
  if (dnsLabelErrors(text).length === 0) return text;
  throw new InvalidArgumentError('want the name of a namespace: lower case letters, digits and "-".');
}

function subdomain(text: string): string {
  if (dnsSubdomainErrors(text).length === 0) return text;
  throw new InvalidArgumentError('want the name of a Secret: lower case letters, digits, "-" and ".".');
}
