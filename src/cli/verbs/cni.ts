import { Option } from 'commander';
import { CniError, cniErrorCode, cniErrorText } from '../../cni/errors.ts';
import { findPlugin } from '../../cni/invoke.ts';
import { validateContainerId, validateInterfaceName } from '../../cni/names.ts';
import { DEFAULT_CACHE_DIRECTORY, netnsOf, ResultCache } from '../../cni/result-cache.ts';
import { type Attachment, CniRuntime } from '../../cni/runtime.ts';
import { isNamespace } from '../../cni/sandbox.ts';
import type { ValidAttachment } from '../../cni/types.ts';
import { compareVersions, currentCniVersion } from '../../cni/version.ts';
import { calledAs } from '../../sys/called-as.ts';
import { realClock } from '../../sys/clock.ts';
import { realExec } from '../../sys/exec.ts';
import { UserError } from '../../util/errors.ts';
import { safeText } from '../../util/safe-text.ts';
import { interruptible } from '../interruptible.ts';
import { collect, duration, oneOf } from '../option-values.ts';
import { renderJson } from '../printer/document.ts';
import { layoutOf } from '../printer/layout.ts';
import { paragraph } from '../printer/wrap.ts';
import { command, examples, exitWith, type Verb } from '../verb.ts';
import { cleanupVerb } from './cni-cleanup.ts';
import {
  cacheDirectory,
  capabilityArgs,
  cniArgs,
  containerIdOf,
  type Environment,
  netnsPath,
  networkMeant,
  pluginPath,
  validAttachment,
  wrongInput,
} from './cni-inputs.ts';

/** The options of every verb. */
interface Options {
  conf?: string;
  path?: string;
  cacheDir: string;
  timeout?: number;
  strict?: boolean;
  netns?: string;
  ifname?: string;
  containerId?: string;
  args?: string;
  cap?: string[];
  valid?: ValidAttachment[];
  all?: boolean;
  plugin?: string[];
}

/** Deadline of a plugin call unless `--timeout` says otherwise: the time after which kubelet gives up, halved. */
const DEFAULT_TIMEOUT_MS = 60_000;

/** Source: CNI specification 0.4.0, "CHECK". */
const CHECK_SINCE = '0.4.0';

/** `hostport cni`: runs the chain of a network, as a runtime would, with any plugins. */
export function cniVerb(env: Environment = process.env): Verb {
  const verb = command('cni').description("run a network's chain of CNI plugins, as cnitool does");
  for (const make of [add, check, del, gc, status, version]) verb.addCommand(make(env));
  verb.addCommand(cleanupVerb());
  return examples(
    verb,
    'hostport cni add --conf /etc/cni/net.d/10-net.conflist --netns web --cap portMappings=8080:80',
    'CNI_PATH=/opt/cni/bin hostport cni add net /run/netns/web',
  );
}

/** For verbs that are skipped for a network whose CNI version is older than the verb. */
const STRICT = [
  '--strict',
  "refuse a verb that is newer than the network's version instead of skipping it",
] as const;

function add(env: Environment): Verb {
  const verb = attachmentVerb('add', 'attach a network namespace and print the result').action(
    (name, netns, options) =>
      run(env, options, async (runtime, list, attachment) => {
        print(await runtime.add(list(), attachment('ADD')));
      })(name, netns),
  );
  return examples(
    verb,
    'hostport cni add --conf ./net.conflist --netns web --cap portMappings=8080:80/tcp',
    `CAP_ARGS='{"portMappings":[{"hostPort":8080,"containerPort":80}]}' hostport cni add net /run/netns/web`,
  );
}

function check(env: Environment): Verb {
  const verb = attachmentVerb(
    'check',
    `ask every plugin whether the attachment is still intact\n\nCHECK is part of CNI since ${CHECK_SINCE}: a network with an older cniVersion, such as the lab's 0.3.1, cannot be checked.`,
  ).action((name, netns, options) =>
    run(env, options, async (runtime, list, attachment) => {
      const meant = attachment('CHECK');
      const { name: network, cniVersion } = list();
      const version = cniVersion || '0.1.0';
      if (compareVersions(version, CHECK_SINCE) < 0) {
        throw wrongInput(
          `cannot check network ${safeText(network)}: its cniVersion is ${safeText(version)}, and CHECK needs ${CHECK_SINCE}; raise it if all its plugins support that ("${calledAs()} cni version" shows it)`,
        );
      }
      await runtime.check(list(), meant);
    })(name, netns),
  );
  return examples(verb, 'hostport cni check --conf ./net.conflist --netns web');
}

function del(env: Environment): Verb {
  const verb = attachmentVerb(
    'del',
    'detach a network namespace\n\nUnless given, capabilities and arguments are those of the add.',
  ).action((name, netns, options) =>
    run(env, options, (runtime, list, attachment) => runtime.del(list(), attachment('DEL')))(name, netns),
  );
  return examples(verb, 'hostport cni del --conf ./net.conflist --netns web');
}

function gc(env: Environment): Verb {
  const verb = networkVerb(
    'gc',
    'delete attachments whose network namespace is gone\n\nWith --valid, it deletes all attachments but those named.',
  )
    .option('--valid <attachment>', 'keep only CONTAINER/INTERFACE (repeatable)', collect(validAttachment))
    .option('--all', 'delete all attachments, as cnitool does')
    .option(...STRICT)
    .action((name, netns, options) =>
      run(env, options, (runtime, list, _, cache) =>
        runtime.gc(list(), validAttachments(options, cache, list().name)),
      )(name, netns),
    );
  return examples(
    verb,
    'hostport cni gc --conf ./net.conflist',
    'hostport cni gc net --valid cnitool-77383ca0a0715733ca6f/eth0',
  );
}

function status(env: Environment): Verb {
  const verb = networkVerb('status', 'ask every plugin whether it can serve an add')
    .option(...STRICT)
    .action((name, netns, options) =>
      run(env, options, (runtime, list) => runtime.status(list()))(name, netns),
    );
  return examples(verb, 'hostport cni status --conf /etc/cni/net.d');
}

function version(env: Environment): Verb {
  const verb = networkVerb(
    'version',
    "print which CNI versions the network's plugins support\n\nExit status 1: a plugin is missing or does not support the network's version.",
  )
    .addOption(
      new Option('--plugin <type>', 'ask this plugin instead (repeatable)')
        .argParser(collect(String))
        .conflicts('conf'),
    )
    .action((name, netns, options: Options) =>
      run(env, options, async (runtime, list) => {
        const network = options.plugin === undefined ? list() : undefined;
        const wanted = network === undefined ? undefined : network.cniVersion || '0.1.0';
        const types = network?.plugins.map(({ type }) => type) ?? options.plugin ?? [];
        const plugins = await Promise.all(
          types.map((type) => spoken(runtime, type, pluginPath(options.path, env))),
        );
        print({
          cniVersion: currentCniVersion,
          ...(network === undefined ? {} : { network: { name: network.name, cniVersion: wanted } }),
          plugins,
        });
        const able = plugins.every(
          ({ supportedVersions }) =>
            supportedVersions !== undefined && (wanted === undefined || supportedVersions.includes(wanted)),
        );
        exitWith(able ? 0 : 1);
      })(name, netns),
    );
  return examples(
    verb,
    'hostport cni version --conf /etc/cni/net.d/10-net.conflist',
    'hostport cni version --plugin portmap --plugin ptp',
  );
}

interface PluginVersions {
  type: string;
  path?: string;
  supportedVersions?: string[];
  error?: string;
}

async function spoken(runtime: CniRuntime, type: string, path: string[]): Promise<PluginVersions> {
  try {
    return { type, path: findPlugin(type, path), supportedVersions: await runtime.versions(type) };
  } catch (error) {
    if (!(error instanceof CniError)) throw error;
    return { type, error: cniErrorText(error) };
  }
}

/** A verb about a network. cnitool's second word, a namespace, is accepted by every verb, also where it has no effect. */
function networkVerb(name: string, description: string): Verb {
  return command(name)
    .description(description)
    .argument('[network]', 'name of the network, when --conf is a directory')
    .argument('[netns]', 'network namespace: a path, or a name of `ip netns`')
    .option('--conf <path>', 'configuration file or directory (default: $NETCONFPATH or /etc/cni/net.d)')
    .option('--path <dirs>', 'where plugins are, separated by ":" (default: $CNI_PATH or /opt/cni/bin)')
    .option('--cache-dir <dir>', 'directory of the result cache', DEFAULT_CACHE_DIRECTORY)
    .option('--timeout <duration>', 'deadline of each plugin (default: 60s)', duration)
    .addHelpText(
      'after',
      '\nExit status: 0 done; 1 a plugin failed; 2 wrong command line or configuration;\n' +
        "11, 50 or 51 when that is the plugin's code (try again later, not available, limited).",
    ) as Verb;
}

/** A verb about one attachment. */
function attachmentVerb(name: string, description: string): Verb {
  return networkVerb(name, description)
    .option('--netns <netns>', 'network namespace, instead of the second word')
    .option('-i, --ifname <name>', 'interface in the namespace (default: $CNI_IFNAME or eth0)')
    .option(
      '--container-id <id>',
      "ID of the container (default: derived from the namespace's path, as cnitool does)",
    )
    .option('--args <pairs>', 'KEY=VALUE;… (default: $CNI_ARGS)')
    .option(
      '--cap <capability=value>',
      'argument of a capability: JSON, or 8080:80/tcp for portMappings (repeatable; overrides $CAP_ARGS)',
      collect(String),
    )
    .option('-o, --output <format>', 'json, the only format', oneOf('json')) as Verb;
}

type Work = (
  runtime: CniRuntime,
  list: () => ReturnType<typeof networkMeant>,
  attachment: (verb: 'ADD' | 'CHECK' | 'DEL') => Attachment,
  cache: ResultCache,
) => Promise<void>;

/** Creates the runtime that the options describe, runs `work` on it and turns errors of CNI into exit statuses. */
function run(
  env: Environment,
  options: Options,
  work: Work,
): (name?: string, netns?: string) => Promise<void> {
  return (name, netns) =>
    interruptible(async (signal) => {
      const cache = new ResultCache(cacheDirectory(options.cacheDir));
      const runtime = new CniRuntime({
        exec: realExec,
        clock: realClock,
        env,
        timeoutMs: options.timeout ?? DEFAULT_TIMEOUT_MS,
        signal,
        path: pluginPath(options.path, env),
        cache,
        tooOld: options.strict ? 'refuse' : 'libcni',
        onNotice: (text) => say(text),
        onStderr: (plugin, text) => {
          for (const line of text.trimEnd().split('\n')) {
            say(line.startsWith(`${plugin}: `) ? line : `${plugin}: ${line}`);
          }
        },
      });
      const list = parsed(() => networkMeant(options.conf, name, env));
      const attachment = (verb: 'ADD' | 'CHECK' | 'DEL') => attachmentMeant(verb, options, netns, env);
      try {
        await work(runtime, list, (verb) => parsed(() => attachment(verb))(), cache);
      } catch (error) {
        if (!(error instanceof CniError)) throw error;
        throw new UserError(safeText(cniErrorText(error)), { exitCode: exitStatus(error.code) });
      }
    });
}

/** Reads an input, once; an error in it is wrong input. */
function parsed<T>(read: () => T): () => T {
  let value: { is: T } | undefined;
  return () => {
    try {
      value ??= { is: read() };
      return value.is;
    } catch (error) {
      if (!(error instanceof CniError)) throw error;
      throw wrongInput(safeText(cniErrorText(error)));
    }
  };
}

function attachmentMeant(
  verb: string,
  options: Options,
  word: string | undefined,
  env: Environment,
): Attachment {
  if (options.netns !== undefined && word !== undefined) {
    throw wrongInput(
      `cannot run ${verb}: --netns ${options.netns} and the second word ${JSON.stringify(word)} both name a namespace; leave one out`,
    );
  }
  const text = options.netns ?? word;
  if (text === undefined && (verb !== 'DEL' || options.containerId === undefined)) {
    throw wrongInput(
      `cannot run ${verb}: it needs a network namespace; give --netns PATH${verb === 'DEL' ? ' or --container-id' : ''}`,
    );
  }
  const netns = text === undefined ? undefined : netnsPath(text);
  const containerId = options.containerId ?? containerIdOf(netns ?? '');
  const ifName = options.ifname ?? (env.CNI_IFNAME || 'eth0');
  validateContainerId(containerId);
  validateInterfaceName(ifName);
  return {
    netns,
    containerId,
    ifName,
    args: cniArgs(options.args, env),
    capabilityArgs: capabilityArgs(options.cap ?? [], env),
  };
}

/** Which attachments a GC keeps. One whose namespace is not recorded is kept. */
function validAttachments(options: Options, cache: ResultCache, networkName: string): ValidAttachment[] {
  if (options.all && options.valid !== undefined)
    throw wrongInput('cannot run GC: --all and --valid exclude each other; leave one out');
  if (options.all || options.valid !== undefined) return options.valid ?? [];
  return cache
    .list()
    .filter((entry) => entry.networkName === networkName)
    .filter((entry) => {
      const netns = netnsOf(entry);
      return netns === undefined || isNamespace(netns);
    })
    .map(({ containerId, ifName }) => ({ containerID: containerId, ifname: ifName }));
}

/** Codes that the caller acts on become the exit status (specification, "Error"). */
function exitStatus(code: number): number {
  const { tryAgainLater, pluginNotAvailable, limitedConnectivity } = cniErrorCode;
  return [tryAgainLater, pluginNotAvailable, limitedConnectivity].some((known) => known === code) ? code : 1;
}

/** Prints a document with four spaces, as cnitool does. */
function print(document: unknown): void {
  process.stdout.write(renderJson(document, 4));
}

function say(text: string): void {
  process.stderr.write(paragraph(text, layoutOf(process.stderr)));
}
