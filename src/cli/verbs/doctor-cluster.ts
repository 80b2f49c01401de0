import { InvalidArgumentError, Option } from 'commander';
import { accessOf } from '../../collect/cluster.ts';
import { type CollectOptions, collectCluster } from '../../collect/reader/collect.ts';
import { ApiClient } from '../../kube/client.ts';
import { dnsLabelErrors, dnsSubdomainErrors } from '../../kube/names.ts';
import { unverifiedServer } from '../../kube/unverified-server.ts';
import type { World } from '../../path/model/world.ts';
import { VERSION } from '../../util/version.ts';
import { collect, duration } from '../option-values.ts';
import { collectProgress } from '../printer/collect-progress.ts';
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
}

/** Adds the options to a command. */
export function addReaderOptions(verb: Verb): void {
  verb
    .addOption(
      new Option('--parallel <nodes>', `nodes examined at a time; ${PARALLEL} unless given`).argParser(
        atLeastOne,
      ),
    )
    .addOption(
      new Option('--timeout <time>', "how long a node's pod may take to start (default: 60s)").argParser(
        duration,
      ),
    )
    .addOption(
      new Option(
        '--image <image>',
        'image of the pods: any Linux image with a shell, into which the program is sent (default: the image of this version)',
      ),
    )
    .addOption(
      new Option(
        '--image-pull-secret <name>',
        'secret in --work-namespace to pull the image with; repeatable',
      ).argParser(collect(subdomain)),
    )
    .addOption(
      new Option(
        '--work-namespace <name>',
        'existing namespace for the pods (default: a new one, which is removed)',
      ).argParser(label),
    );
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
      warn,
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
    isForeignImage: options.image !== undefined,
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
