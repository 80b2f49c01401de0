import { Option } from 'commander';
import { type InstallProgress, installAgent } from '../../agent/install.ts';
import { type AskedSettings, mergedSettings } from '../../agent/installed.ts';
import {
  type AgentSettings,
  agentObjects,
  DEFAULT_BIN_DIRS,
  DEFAULT_CONF_DIR,
  DEFAULT_NAMESPACE,
  METRICS_PORT,
} from '../../agent/manifests.ts';
import { agentStatus, installedAgent } from '../../agent/status.ts';
import { STAYS_ON_NODES, uninstallAgent } from '../../agent/uninstall.ts';
import type { RetryOptions } from '../../collect/reader/retry.ts';
import { ApiClient, hasReason } from '../../kube/client.ts';
import { API_PORT, CONTROL_PLANE_ALIAS } from '../../lab/cluster/node-files.ts';
import { labClient } from '../../lab/doctor/source.ts';
import { messageOf, UserError } from '../../util/errors.ts';
import { agentImage } from '../../util/images.ts';
import { VERSION } from '../../util/version.ts';
import { interruptible } from '../interruptible.ts';
import {
  absolutePath,
  collect,
  duration,
  hostAndPort,
  imageReference,
  namespaceName,
  oneOf,
  portNumber,
  secretName,
} from '../option-values.ts';
import { renderAgents, statusOfAgents } from '../printer/agents.ts';
import { renderJson, renderYaml } from '../printer/document.ts';
import { layoutOf, type TextStream } from '../printer/layout.ts';
import { warningText } from '../printer/notices.ts';
import { paragraph } from '../printer/wrap.ts';
import { addTargetOptions, type Target, targetOf } from '../target.ts';
import { command, examples, exitWith, type Verb } from '../verb.ts';
import { agentRunVerb, agentStateVerb } from './agent-run.ts';

const TIMEOUT_MS = 120_000;

/** `hostport agent`: installs, shows and removes the agent of a cluster. */
export function agentVerb(): Verb {
  return command('agent')
    .description('keep hostPorts working by an agent on every node')
    .addCommand(install())
    .addCommand(status())
    .addCommand(uninstall())
    .addCommand(agentRunVerb(), { hidden: true })
    .addCommand(agentStateVerb(), { hidden: true });
}

interface InstallOptions {
  observe?: true;
  heal?: true;
  image?: string;
  imagePullSecret: readonly string[];
  namespace?: string;
  apiServer?: { host: string; port: number };
  cniConfDir?: string;
  cniBinDir: readonly string[];
  metricsPort?: number;
  timeout: number;
  dryRun?: 'client';
  output?: 'yaml' | 'json';
}

function install() {
  const verb = command('install')
    .description(
      'install or upgrade the agent on every node\n\nThe agent watches the hostPorts of its node. With --heal it also fixes what breaks.\nAn upgrade keeps what no option changes, and takes the image of this version from where the installed one is from.',
    )
    .addOption(
      new Option('--observe', 'report what is found, and change nothing on the nodes (default)').conflicts(
        'heal',
      ),
    )
    .option('--heal', 'fix what is found, too')
    .addOption(
      new Option(
        '--image <image>',
        `image of the agent, as a mirror has it (default: ${agentImage()})`,
      ).argParser(imageReference),
    )
    .option(
      '--image-pull-secret <name>',
      'secret to pull the image with; repeatable',
      collect(secretName),
      [],
    )
    .addOption(
      new Option(
        '-n, --namespace <name>',
        `existing namespace (default: where it is installed, or ${DEFAULT_NAMESPACE})`,
      ).argParser(namespaceName),
    )
    .addOption(
      new Option(
        '--api-server <host:port>',
        'where nodes reach the API server (default: the Service "kubernetes"; in the lab its control plane)',
      ).argParser(hostAndPort),
    )
    .option(
      '--cni-conf-dir <dir>',
      `CNI configurations of the nodes (default: ${DEFAULT_CONF_DIR})`,
      absolutePath,
    )
    .option(
      '--cni-bin-dir <dir>',
      `CNI plugins of the nodes; repeatable (default: ${DEFAULT_BIN_DIRS})`,
      collect(absolutePath),
      [],
    )
    .addOption(
      new Option(
        '--metrics-port <port>',
        `port of each node's own address for metrics and probes (default: port ${METRICS_PORT})`,
      ).argParser(portNumber),
    )
    .addOption(timeoutOption('how long the agents may take to be ready'))
    .addOption(
      new Option('--dry-run <mode>', '"client": print the manifests, and ask no cluster').argParser(
        oneOf('client'),
      ),
    )
    .addOption(
      new Option('-o, --output <format>', 'with --dry-run: yaml or json (default: yaml)').argParser(
        oneOf('yaml', 'json'),
      ),
    )
    .needs('--output', '--dry-run')
    .action(async (options: InstallOptions) => {
      if (options.dryRun !== undefined) return printManifests(options);
      await interruptible(async (signal) => {
        const { client, title, lab } = await clusterOf(verb);
        say(`${title}\n`);
        const retry = retryOf(signal);
        // What is installed is upgraded as it is, unless something else is asked for.
        const before = await installedAgent(client, retry).catch((cause: unknown) => {
          // Installing says which rights are missing.
          if (!hasReason(cause, 'Forbidden')) throw cause;
          return undefined;
        });
        const apiServer = { host: CONTROL_PLANE_ALIAS, port: API_PORT };
        const defaults = lab ? { ...DEFAULTS, apiServer } : DEFAULTS;
        const settings = mergedSettings(askedOf(options), before, defaults);
        const { nodes } = await installAgent(client, settings, {
          timeoutMs: options.timeout,
          retry,
          progress: progressTo(process.stdout),
        });
        const does = settings.mode === 'heal' ? 'heals' : 'observes';
        say(`The agent ${does} on ${nodes} ${nodes === 1 ? 'node' : 'nodes'}.`);
      });
    });
  addTargetOptions(verb, 'all');
  return examples(
    verb,
    'hostport agent install',
    'hostport agent install --heal --image registry.example.com/hostport-agent:1.2.3',
    'hostport agent install --heal --dry-run=client > agent.yaml',
  );
}

function status() {
  const verb = command('status')
    .description(
      'show the agent of each node\n\nExit status: 0 every node has a running agent, 1 some do not, 2 inconclusive.',
    )
    .option('-o, --output <format>', 'table or json', oneOf('table', 'json'), 'table')
    .failsWith(2)
    .action(async ({ output }: { output: 'table' | 'json' }) => {
      await interruptible(async (signal) => {
        const { client, title } = await clusterOf(verb);
        const found = await agentStatus(client, retryOf(signal));
        if (output === 'json') {
          const document = {
            apiVersion: 'hostport/v1',
            kind: 'AgentStatus',
            installed: found !== undefined,
            ...found,
          };
          process.stdout.write(renderJson(document, 2));
        } else {
          say(`${title}\n`);
          process.stdout.write(renderAgents(found, Date.now(), layoutOf(process.stdout)));
        }
        exitWith(statusOfAgents(found));
      });
    });
  addTargetOptions(verb, 'all');
  return examples(verb, 'hostport agent status', 'hostport agent status --context prod -o json');
}

function uninstall() {
  const verb = command('uninstall')
    .description(
      'remove the agent from the cluster\n\nFixes on the nodes stay. An agent that is not there is not an error.',
    )
    .addOption(
      new Option(
        '-n, --namespace <name>',
        `where it is installed, if its cluster role binding does not say (default: ${DEFAULT_NAMESPACE})`,
      ).argParser(namespaceName),
    )
    .addOption(timeoutOption('how long its pods may take to end'))
    .action(async ({ timeout, namespace }: { timeout: number; namespace?: string }) => {
      await interruptible(async (signal) => {
        const { client, title } = await clusterOf(verb);
        say(`${title}\n`);
        const { removed, left } = await uninstallAgent(client, DEFAULTS, {
          timeoutMs: timeout,
          retry: retryOf(signal),
          ...(namespace !== undefined && { namespace }),
        });
        for (const what of removed) say(`removed ${what}`);
        if (removed.length === 0) say('nothing to remove');
        else {
          say('\nIf it has healed, this stays on the nodes:');
          for (const [what, why] of STAYS_ON_NODES) say(`- ${what} (${why})`);
        }
        if (left.length > 0) throw new UserError(`cannot remove ${left.join('; ')}`);
      });
    });
  addTargetOptions(verb, 'all');
  return examples(verb, 'hostport agent uninstall', 'hostport agent uninstall --context prod');
}

function timeoutOption(what: string): Option {
  return new Option('--timeout <time>', what).argParser(duration).default(TIMEOUT_MS, '120s');
}

/** What an installation is unless something else is asked for. */
const DEFAULTS: AgentSettings = {
  mode: 'observe',
  namespace: DEFAULT_NAMESPACE,
  image: agentImage(),
  imagePullSecrets: [],
  version: VERSION,
  confDir: DEFAULT_CONF_DIR,
  binDirs: DEFAULT_BIN_DIRS,
  metricsPort: METRICS_PORT,
};

function askedOf(options: InstallOptions): AskedSettings {
  const { heal, observe, namespace, image, imagePullSecret, apiServer } = options;
  const { cniConfDir: confDir, cniBinDir: binDirs, metricsPort } = options;
  const mode = heal ? 'heal' : observe ? 'observe' : undefined;
  return {
    ...(mode !== undefined && { mode }),
    ...(namespace !== undefined && { namespace }),
    ...(image !== undefined && { image }),
    ...(imagePullSecret.length > 0 && { imagePullSecrets: imagePullSecret }),
    ...(apiServer !== undefined && { apiServer }),
    ...(confDir !== undefined && { confDir }),
    ...(binDirs.length > 0 && { binDirs }),
    ...(metricsPort !== undefined && { metricsPort }),
  };
}

function printManifests(options: InstallOptions): void {
  const objects = agentObjects(mergedSettings(askedOf(options), undefined, DEFAULTS)).map(
    ({ object }) => object,
  );
  if (options.output === 'json') {
    process.stdout.write(renderJson({ apiVersion: 'v1', kind: 'List', items: objects }, 2));
  } else {
    process.stdout.write(objects.map(renderYaml).join('---\n'));
  }
}

/** Prints lines of text. */
function say(text: string): void {
  const layout = layoutOf(process.stdout);
  process.stdout.write(
    text
      .split('\n')
      .map((line) => paragraph(line, layout))
      .join(''),
  );
}

/** The cluster of a command line, and whether it is one of the lab. */
async function clusterOf(verb: Verb): Promise<{ client: ApiClient; title: string; lab: boolean }> {
  const target: Target = await targetOf(verb);
  const { title } = target;
  if (target.kind === 'lab') return { client: await labClient(target.record), title, lab: true };
  return { client: new ApiClient(target.access), title, lab: target.lab !== undefined };
}

function retryOf(signal: AbortSignal): RetryOptions {
  return {
    signal,
    onRetry: (cause) =>
      process.stderr.write(warningText(`trying again: ${messageOf(cause)}`, process.stderr)),
  };
}

/** Prints a line for what was written, and one whenever more agents are ready. */
function progressTo(
  stream: TextStream & { write(text: string): unknown },
): (progress: InstallProgress) => void {
  let last = '';
  return (progress) => {
    const line =
      progress.phase === 'written'
        ? `${progress.is} ${progress.what}`
        : `ready on ${progress.ready} of ${progress.total} nodes`;
    if (line !== last) stream.write(paragraph(line, layoutOf(stream)));
    last = line;
  };
}
