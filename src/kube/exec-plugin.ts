import { type Captured, captureForeground } from '../sys/foreground.ts';
import { messageOf, UserError } from '../util/errors.ts';
import { bearerToken, NOT_A_TOKEN } from './bearer-token.ts';
import type { CredentialSource, Credentials } from './credentials.ts';
import type { StanzaFields } from './stanza-fields.ts';

const API_GROUP = 'client.authentication.k8s.io';
const V1 = `${API_GROUP}/v1`;
const API_VERSIONS = [V1, `${API_GROUP}/v1beta1`];
const INTERACTIVE_MODES = ['Never', 'IfAvailable', 'Always'] as const;
/** Where a cluster has configuration for its plugin. */
const EXTENSION = `${API_GROUP}/exec`;

/** A program that gets credentials, as a kubeconfig describes it. Source: client-go's ExecConfig. */
export interface ExecPlugin {
  command: string;
  args: readonly string[];
  env: Readonly<Record<string, string>>;
  apiVersion: string;
  provideClusterInfo: boolean;
  interactiveMode: (typeof INTERACTIVE_MODES)[number];
  installHint: string | undefined;
  /** Says where it is from. */
  fields: StanzaFields;
}

/** What a plugin's run needs of the system. */
export interface PluginDoor {
  run(
    argv: readonly string[],
    options: { env: Record<string, string | undefined>; stdin: 'inherit' | 'ignore'; signal: AbortSignal },
  ): Promise<Captured>;
  env: Readonly<Record<string, string | undefined>>;
  /** Whether somebody can answer the plugin's questions. */
  isTerminal: boolean;
  now(): number;
}

const realDoor: PluginDoor = {
  run: captureForeground,
  env: process.env,
  isTerminal: process.stdin.isTTY === true,
  now: Date.now,
};

/** @throws UserError naming the field when something is missing or wrong. */
export function execPlugin(fields: StanzaFields): ExecPlugin {
  const command = fields.text('command') ?? fields.fail(' has no command');
  const apiVersion = fields.text('apiVersion') ?? fields.fail(' has no apiVersion');
  if (!API_VERSIONS.includes(apiVersion)) {
    fields.fail(`: apiVersion ${JSON.stringify(apiVersion)} is not one of ${API_VERSIONS.join(', ')}`);
  }
  // v1beta1 has a default.
  const mode = fields.text('interactiveMode') ?? (apiVersion === V1 ? undefined : 'IfAvailable');
  const interactiveMode = INTERACTIVE_MODES.find((known) => known === mode);
  if (interactiveMode === undefined) {
    return fields.fail(`: interactiveMode must be one of ${INTERACTIVE_MODES.join(', ')}`);
  }
  return {
    // A name without a slash is looked up on PATH.
    command: command.includes('/') ? fields.path('command')! : command,
    args: fields.texts('args'),
    env: Object.fromEntries(
      fields
        .items('env')
        .map((item) => [item.text('name') ?? item.fail(' has no name'), item.text('value') ?? '']),
    ),
    apiVersion,
    provideClusterInfo: fields.flag('provideClusterInfo'),
    interactiveMode,
    installHint: fields.text('installHint'),
    fields,
  };
}

/** What a plugin gets to know about the server. */
export interface PluginServer {
  server: string;
  ca?: string;
  tlsServerName?: string;
  insecureSkipTlsVerify?: boolean;
  proxy?: string | false;
  disableCompression?: boolean;
}

/**
 * The credentials that a plugin prints. It runs once for all requests until they expire or the server refuses them. Its standard error is
 * ours; what it prints on standard output is a secret, and in no message. Source: client-go's exec authenticator.
 */
export function execSource(
  plugin: ExecPlugin,
  cluster: StanzaFields,
  server: PluginServer,
  door: PluginDoor = realDoor,
): CredentialSource {
  let latest: Run | undefined;
  const begin = (): Run => {
    const stop = new AbortController();
    const run = { result: runPlugin(plugin, cluster, server, door, stop.signal), stop, waiting: 0 };
    // The next request tries again; those that wait get the error.
    run.result.catch(() => forget(run));
    return run;
  };
  const forget = (run: Run) => {
    if (latest === run) latest = undefined;
  };
  /** What a run gives; the last request that stops waiting for it ends it. */
  const resultOf = async (run: Run, signal: AbortSignal | undefined): Promise<Printout> => {
    signal?.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<Printout>();
    const leave = () => {
      reject(signal!.reason);
      if (--run.waiting > 0) return;
      forget(run);
      run.stop.abort();
    };
    run.waiting++;
    signal?.addEventListener('abort', leave, { once: true });
    run.result.then(resolve, reject).finally(() => signal?.removeEventListener('abort', leave));
    return promise;
  };
  return {
    async current(signal) {
      const found = latest;
      if (found !== undefined) {
        const known = await resultOf(found, signal);
        if (door.now() <= known.expires) return known.credentials;
        forget(found);
      }
      // Another request may have begun another run meanwhile.
      latest ??= begin();
      return (await resultOf(latest, signal)).credentials;
    },
    refused(credentials) {
      const asked = latest;
      asked?.result.then(
        (known) => {
          if (known.credentials === credentials) forget(asked);
        },
        () => {
          // Reported to the requests that wait for it.
        },
      );
    },
  };
}

/** What a plugin printed: until when it holds is in milliseconds since the epoch. */
interface Printout {
  credentials: Credentials;
  expires: number;
}

/** One run of a plugin, which may be over. */
interface Run {
  readonly result: Promise<Printout>;
  readonly stop: AbortController;
  /** Requests that wait for it, or waited until it was over. */
  waiting: number;
}

async function runPlugin(
  plugin: ExecPlugin,
  cluster: StanzaFields,
  server: PluginServer,
  door: PluginDoor,
  signal: AbortSignal,
): Promise<Printout> {
  const { command, args, env, fields, interactiveMode, installHint } = plugin;
  if (interactiveMode === 'Always' && !door.isTerminal) {
    fields.fail(`: ${command} asks questions, and standard input is not a terminal`);
  }
  const interactive = interactiveMode !== 'Never' && door.isTerminal;
  const info = {
    kind: 'ExecCredential',
    apiVersion: plugin.apiVersion,
    spec: {
      ...(plugin.provideClusterInfo && { cluster: clusterInfo(cluster, server) }),
      interactive,
    },
  };
  let ran: Captured;
  try {
    ran = await door.run([command, ...args], {
      env: { ...door.env, ...env, KUBERNETES_EXEC_INFO: JSON.stringify(info) },
      stdin: interactive ? 'inherit' : 'ignore',
      signal,
    });
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const problem =
      code === 'ENOENT' ? 'not found' : code === 'EACCES' ? 'permission denied' : messageOf(cause);
    return fields.fail(
      `: ${command}: ${problem}${installHint === undefined ? '' : `; ${installHint.trim()}`}`,
    );
  }
  if (ran.status !== 0) fields.fail(`: ${command} failed with exit status ${ran.status}`);
  try {
    return parseCredential(ran.stdout, plugin.apiVersion);
  } catch (cause) {
    if (cause instanceof UserError) return fields.fail(`: ${command} ${cause.message}`);
    throw cause;
  }
}

function clusterInfo(cluster: StanzaFields, server: PluginServer): Record<string, unknown> {
  const extension = cluster.items('extensions').find((item) => item.text('name') === EXTENSION);
  const config = extension?.all.extension;
  return {
    server: server.server,
    ...(server.tlsServerName !== undefined && { 'tls-server-name': server.tlsServerName }),
    ...(server.insecureSkipTlsVerify && { 'insecure-skip-tls-verify': true }),
    ...(server.ca !== undefined && {
      'certificate-authority-data': Buffer.from(server.ca, 'utf8').toString('base64'),
    }),
    ...(server.proxy && { 'proxy-url': server.proxy }),
    ...(server.disableCompression && { 'disable-compression': true }),
    config: config ?? null,
  };
}

/** Reads an ExecCredential. @throws UserError with what is wrong, without what was printed. */
function parseCredential(text: string, apiVersion: string): Printout {
  const wrong = (problem: string): never => {
    throw new UserError(problem);
  };
  let printed: Printed | null;
  try {
    printed = JSON.parse(text);
  } catch {
    // The parser's message quotes the text.
    return wrong('did not print JSON');
  }
  if (printed?.kind !== 'ExecCredential') return wrong('did not print an ExecCredential');
  if (printed.apiVersion !== apiVersion) {
    return wrong(`printed another apiVersion than ${apiVersion}, which the kubeconfig has`);
  }
  const { status } = printed;
  if (typeof status !== 'object' || status === null) return wrong('printed no status');
  const field = (name: keyof Status): string | undefined => {
    const value = status[name] ?? '';
    if (typeof value !== 'string') return wrong(`printed a ${name} that is not a string`);
    return value === '' ? undefined : value;
  };
  const token =
    (bearerToken(field('token') ?? '') ?? wrong(`printed a token that ${NOT_A_TOKEN}`)) || undefined;
  const cert = field('clientCertificateData');
  const key = field('clientKeyData');
  if (token === undefined && cert === undefined && key === undefined) {
    wrong('printed neither a token nor a certificate');
  }
  if ((cert === undefined) !== (key === undefined)) wrong('printed only one of certificate and key');
  const expiration = field('expirationTimestamp');
  const expires = expiration === undefined ? Number.POSITIVE_INFINITY : Date.parse(expiration);
  if (Number.isNaN(expires)) wrong('printed an expirationTimestamp that is not a time');
  return { credentials: { token, cert, key }, expires };
}

interface Status {
  token?: unknown;
  clientCertificateData?: unknown;
  clientKeyData?: unknown;
  expirationTimestamp?: unknown;
}
interface Printed {
  kind?: unknown;
  apiVersion?: unknown;
  status?: Status | null;
}
