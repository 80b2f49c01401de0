import { statSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '../sys/clock.ts';
import { type Exec, ExecError, type ExecResult } from '../sys/exec.ts';
import { CniError, cniErrorCode } from './errors.ts';
import { decodeStruct, type Fields, type JsonNode, parseDocument, plain } from './json.ts';
import { RESULT_FIELDS } from './result.ts';

/** What running a plugin takes from the outside. */
export interface PluginHost {
  exec: Exec;
  clock: Clock;
  /** Environment that plugins inherit; the protocol's variables are put over it. */
  env: Readonly<Record<string, string | undefined>>;
  /** Deadline of one plugin call in milliseconds. */
  timeoutMs: number;
  signal?: AbortSignal;
  /** Takes what a plugin writes to standard error. */
  onStderr(plugin: string, text: string): void;
}

/**
 * The executable of a plugin: the first regular file of that name in `path`. Whether it can run is seen when it is run. Errors are
 * libcni's to the letter (users search for them), with code 50.
 */
export function findPlugin(type: string, path: readonly string[]): string {
  if (type === '') throw notAvailable('no plugin name provided');
  if (type.includes('/') || type === '.' || type === '..') throw notAvailable(`invalid plugin name: ${type}`);
  if (path.length === 0) throw notAvailable('no paths provided');
  const found = path.map((directory) => join(directory, type)).find(isFile);
  if (found === undefined) {
    throw notAvailable(`failed to find plugin ${JSON.stringify(type)} in path [${path.join(' ')}]`);
  }
  return found;
}

/** Pauses while the executable is being written (ETXTBSY): an update of the plugins must not fail a pod. */
const BUSY_RETRIES = 5;
const BUSY_PAUSE_MS = 1000;

/**
 * Runs a plugin with `variables` over the host's environment and `input` as standard input; resolves with its standard output.
 * A plugin that fails is a {@link CniError} with the plugin's own code, message and details; one that says nothing that can be
 * understood, cannot be started or passes its deadline has libcni's wording and code 999.
 */
export async function invokePlugin(
  host: PluginHost,
  file: string,
  variables: Readonly<Record<string, string>>,
  input: unknown,
): Promise<string> {
  const result = await start(host, file, variables, JSON.stringify(input));
  if (result.stderr !== '') host.onStderr(file.slice(file.lastIndexOf('/') + 1), result.stderr);
  if (result.code === 0) return result.stdout;
  throw pluginError(result);
}

async function start(
  host: PluginHost,
  file: string,
  variables: Readonly<Record<string, string>>,
  stdin: string,
): Promise<ExecResult> {
  const { exec, clock, env, timeoutMs, signal } = host;
  for (let busy = 0; ; busy++) {
    try {
      return await exec.run([file], { stdin, env: { ...env, ...variables }, timeoutMs, signal });
    } catch (cause) {
      if (!(cause instanceof ExecError)) throw cause;
      signal?.throwIfAborted();
      const code = (cause.cause as NodeJS.ErrnoException | undefined)?.code;
      if (code !== 'ETXTBSY' || busy === BUSY_RETRIES) {
        throw new CniError(
          cniErrorCode.internal,
          `netplugin failed with no error message: ${whyNot(code, file, cause)}`,
          '',
          { cause },
        );
      }
      await clock.sleep(BUSY_PAUSE_MS, signal);
    }
  }
}

/** Why a plugin could not be run, as users know it from runtimes. */
const START_FAILURES: Readonly<Record<string, string>> = {
  ENOEXEC: 'exec format error',
  EACCES: 'permission denied',
  ENOENT: 'no such file or directory',
  ETXTBSY: 'text file busy',
};

function whyNot(code: string | undefined, file: string, cause: ExecError): string {
  const known = code === undefined ? undefined : START_FAILURES[code];
  return known === undefined ? cause.message : `fork/exec ${file}: ${known}`;
}

/**
 * The document that an ADD printed, with its fields under their names whatever the plugin's spelling; error 6 when it is not JSON.
 * `null` is what some plugins print for nothing to say, and libcni reads it as an empty result.
 */
export function decodeResult(stdout: string): unknown {
  let node: JsonNode;
  try {
    node = parseDocument(stdout, 'result');
  } catch (cause) {
    throw new CniError(
      cniErrorCode.decodingFailure,
      `failed to unmarshal raw result: ${(cause as Error).message}`,
      stdout.slice(0, 1000),
      { cause },
    );
  }
  return decodeStruct(node, RESULT_FIELDS) ?? plain(node) ?? {};
}

/** The fields of an error that a plugin prints. Source: types.Error. */
const ERROR_FIELDS: Fields = { code: 'scalar', msg: 'scalar', details: 'scalar' };

/** The error that a plugin printed, or what can be said of one that printed none. Source: libcni's RawExec. */
function pluginError({ code, stdout, stderr }: ExecResult): CniError {
  if (stdout.trim() === '') {
    const said = stderr === '' ? ' with no error message' : `: ${JSON.stringify(stderr)}`;
    return new CniError(cniErrorCode.internal, `netplugin failed${said}: exit status ${code}`);
  }
  let fields: Record<string, unknown>;
  try {
    fields = decodeStruct(parseDocument(stdout, 'message'), ERROR_FIELDS) ?? {};
  } catch (cause) {
    return new CniError(
      cniErrorCode.internal,
      `netplugin failed but error parsing its diagnostic message ${JSON.stringify(stdout)}: ${(cause as Error).message}`,
      '',
      { cause },
    );
  }
  if (typeof fields.msg !== 'string' || fields.msg === '') {
    return new CniError(
      cniErrorCode.internal,
      `netplugin failed but its diagnostic message has no msg: ${JSON.stringify(stdout)}: exit status ${code}`,
    );
  }
  return new CniError(
    Number.isSafeInteger(fields.code) && (fields.code as number) > 0
      ? (fields.code as number)
      : cniErrorCode.internal,
    fields.msg,
    typeof fields.details === 'string' ? fields.details : '',
  );
}

function isFile(path: string): boolean {
  try {
    return statSync(path).isFile();
  } catch {
    // Absent or not accessible: either way it cannot be run, and the search continues.
    return false;
  }
}

function notAvailable(message: string): CniError {
  return new CniError(cniErrorCode.pluginNotAvailable, message);
}
