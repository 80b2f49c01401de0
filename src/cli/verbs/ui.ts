import { InvalidArgumentError, Option } from 'commander';
import { ApiClient } from '../../kube/client.ts';
import { unverifiedServer } from '../../kube/unverified-server.ts';
import { standsInLab } from '../../lab/cluster/inside.ts';
import type { ClusterRecord } from '../../lab/cluster/record.ts';
import { LabPlaces } from '../../lab/doctor/places.ts';
import { labDoor } from '../../lab/ui/lab-door.ts';
import { labTraffic } from '../../lab/ui/lab-traffic.ts';
import { labWatched } from '../../lab/ui/lab-watched.ts';
import { pageData } from '../../page/model.ts';
import { packetWays } from '../../path/view/packet-way.ts';
import { calledAs } from '../../sys/called-as.ts';
import { realClock } from '../../sys/clock.ts';
import { clusterWatched } from '../../ui/cluster-watched.ts';
import { liveDocument } from '../../ui/live-document.ts';
import { runUi, type UiOptions } from '../../ui/run.ts';
import { InputError } from '../../util/errors.ts';
import { safeText } from '../../util/safe-text.ts';
import { VERSION } from '../../util/version.ts';
import { untilInterrupted } from '../interruptible.ts';
import { duration, portNumber } from '../option-values.ts';
import { asCalled } from '../printer/as-called.ts';
import { warnOnce } from '../printer/notices.ts';
import { addTargetOptions, type Target, targetOf } from '../target.ts';
import { command, examples, type Verb } from '../verb.ts';
import {
  addReaderPodOptions,
  type ReaderPodOptions,
  refuseReaderOptions,
  settingsOf,
} from './doctor-cluster.ts';

/** The longest time between two looks, in milliseconds: a lab is one machine, and in other clusters each look may create pods. */
const LAB_INTERVAL_MS = 3000;
const CLUSTER_INTERVAL_MS = 60_000;

interface UiVerbOptions extends ReaderPodOptions {
  port?: number;
  interval?: number;
}

/** `hostport ui`: the page of a cluster, live. */
export function uiVerb() {
  const verb = command('ui')
    .description(
      'serve a live page of the cluster on this machine\n\nShows what the doctor shows, as things change, and what changed in the last hour. In the lab it also breaks, heals and traces; on any other cluster nothing can be changed from the page.\nIt runs until it is interrupted. Exit status: 130 ended by Ctrl-C, 1 failed, 2 wrong input.',
    )
    .addOption(
      new Option('--port <port>', 'port on 127.0.0.1 (default: any that is free)').argParser(portNumber),
    )
    .addOption(
      new Option(
        '--interval <time>',
        'longest time between two looks at the nodes (default: 3s in the lab, 1m elsewhere)',
      ).argParser(atLeastASecond),
    )
    .option('--no-probe', 'send no probes; the stage "answered" is then unknown')
    .action(async (options: UiVerbOptions) => {
      await untilInterrupted(async (signal) => {
        const target = await targetOf(verb);
        await (target.kind === 'lab'
          ? serveLab(verb, target, options, signal)
          : serveCluster(target, options, signal));
      });
    });
  addTargetOptions(verb, 'all');
  addReaderPodOptions(verb, [], []);
  return examples(
    verb,
    'hostport ui',
    'hostport ui --port 8080',
    'hostport ui --kubeconfig ~/.kube/config --interval 5m',
  );
}

/** A cluster of the lab, from the lab. */
async function serveLab(
  verb: Verb,
  { record, title, flags }: Extract<Target, { kind: 'lab' }>,
  { probe, interval = LAB_INTERVAL_MS, port }: UiVerbOptions,
  signal: AbortSignal,
): Promise<void> {
  refuseReaderOptions(verb, record);
  refuseInside(record);
  const probes = probe !== false;
  await using places = new LabPlaces(record);
  await runUi(
    {
      ...common(title, flags, port),
      watched: labWatched(places, { intervalMs: interval, probes }),
      lab: {
        door: labDoor(places),
        async traffic(world, show, over) {
          if (probes) await labTraffic(places.probeDoor(), world, show, realClock, over);
        },
      },
    },
    signal,
  );
}

/** Any other cluster, by its API. */
async function serveCluster(
  { access, title, flags, lab }: Extract<Target, { kind: 'cluster' }>,
  options: UiVerbOptions,
  signal: AbortSignal,
): Promise<void> {
  const warn = warnOnce(process.stderr);
  const unverified = unverifiedServer(access);
  if (unverified !== undefined) warn(unverified);
  const settings = { ...settingsOf(options, lab), warn };
  const watched = clusterWatched(new ApiClient(access), settings, options.interval ?? CLUSTER_INTERVAL_MS);
  await runUi({ ...common(title, flags, options.port), watched }, signal);
}

/** What is the same for all clusters. */
function common(title: string, flags: string, port = 0): Omit<UiOptions, 'watched'> {
  return {
    port,
    start: { title, version: VERSION },
    clock: realClock,
    pageOf: (diagnosed) =>
      pageData({
        diagnosis: diagnosed.diagnosis,
        ways: packetWays(diagnosed),
        title,
        version: VERSION,
        asTyped: (text) => asCalled(text, calledAs(), flags),
      }),
    documentOf: liveDocument,
    opened(url) {
      process.stdout.write(
        `${safeText(title)}\nOpen ${url}\nOnly this machine reaches it. Ctrl-C ends it.\n`,
      );
    },
    log: (line) => process.stderr.write(`${safeText(line)}\n`),
  };
}

/** @throws InputError in a shell on the network of the lab, whose loopback no browser reaches. */
function refuseInside(record: ClusterRecord): void {
  if (!standsInLab(record)) return;
  throw new InputError(
    'cannot run ui: this shell is on the network of the lab, whose 127.0.0.1 no browser reaches; run it outside of "hostport shell"',
  );
}

/** The longest time between two looks. */
function atLeastASecond(text: string): number {
  const ms = duration(text);
  if (ms >= 1000) return ms;
  throw new InvalidArgumentError('want at least 1s.');
}
