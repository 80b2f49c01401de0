import { homedir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileProblem } from '../sys/file-problem.ts';
import { readIfExists } from '../sys/files.ts';
import { messageOf, UserError } from '../util/errors.ts';
import { yamlProblem } from '../util/yaml-problem.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** One cluster, user or context: its fields as written, and the file that they are from. */
export interface Stanza {
  file: string;
  fields: Readonly<Record<string, unknown>>;
}

/** The content of one or more kubeconfig files as kubectl merges them. */
export interface Kubeconfig {
  /** The files that were there, or the one that was asked for; for messages. */
  files: readonly string[];
  /** None of the files exists. */
  isMissing?: true;
  /** Empty when no file sets it. */
  currentContext: string;
  clusters: ReadonlyMap<string, Stanza>;
  contexts: ReadonlyMap<string, Stanza>;
  users: ReadonlyMap<string, Stanza>;
}

/**
 * The kubeconfig files that kubectl would read: those of `$KUBECONFIG`, without empty and repeated names, or
 * `~/.kube/config`. Source: kubectl's loading rules.
 */
export function kubeconfigPaths(env: Environment): string[] {
  const listed = [...new Set((env.KUBECONFIG ?? '').split(':').filter((path) => path !== ''))];
  return listed.length > 0 ? listed : [join(env.HOME || homedir(), '.kube', 'config')];
}

/**
 * Reads kubeconfig files as one: the first that has a cluster, user or context of a name, or a current context, decides it. Files that do
 * not exist are left out. Source: client-go's ClientConfigLoadingRules.
 * @throws UserError naming the file, when one cannot be read or is no kubeconfig. Its text is never quoted: it holds secrets.
 */
export async function readKubeconfigs(paths: readonly string[]): Promise<Kubeconfig> {
  const read = await Promise.all(
    paths.map(async (path) => {
      const text = await readIfExists(path).catch((cause) =>
        fail(path, fileProblem(cause) ?? messageOf(cause)),
      );
      return text === undefined ? [] : [await parseFile(path, text)];
    }),
  );
  const files = read.flat();
  const first = (list: 'clusters' | 'contexts' | 'users') =>
    new Map(files.toReversed().flatMap((file) => [...file[list]]));
  return {
    files: files.length === 0 ? paths : files.flatMap((file) => file.files),
    ...(files.length === 0 && { isMissing: true as const }),
    currentContext: files.find(({ currentContext }) => currentContext !== '')?.currentContext ?? '',
    clusters: first('clusters'),
    contexts: first('contexts'),
    users: first('users'),
  };
}

/** As {@link readKubeconfigs} for one file, which must exist. */
export async function readKubeconfig(path: string): Promise<Kubeconfig> {
  const text = await readIfExists(path).catch((cause) => fail(path, fileProblem(cause) ?? messageOf(cause)));
  return parseFile(path, text ?? fail(path, 'no such file'));
}

/** The file beside which a relative path of a stanza is meant. */
export function besideFile({ file }: Stanza, path: string): string {
  return resolve(dirname(file), path);
}

async function parseFile(path: string, text: string): Promise<Kubeconfig> {
  const document = await parseYaml(text).catch((error) => fail(path, yamlProblem(error) ?? 'not valid YAML'));
  if (document !== null && !isMapping(document)) fail(path, 'it is not a YAML mapping');
  const config = (document ?? {}) as Record<string, unknown>;
  const { kind = 'Config', apiVersion = 'v1', 'current-context': currentContext = null } = config;
  if ((kind || 'Config') !== 'Config' || (apiVersion || 'v1') !== 'v1') fail(path, 'it is not a kubeconfig');
  if (currentContext !== null && typeof currentContext !== 'string') {
    fail(path, 'current-context is not a string');
  }
  return {
    files: [path],
    currentContext: (currentContext as string | null) ?? '',
    clusters: stanzas(path, config, 'clusters', 'cluster'),
    contexts: stanzas(path, config, 'contexts', 'context'),
    users: stanzas(path, config, 'users', 'user'),
  };
}

function stanzas(
  file: string,
  config: Record<string, unknown>,
  list: string,
  field: string,
): Map<string, Stanza> {
  const items = config[list] ?? [];
  if (!Array.isArray(items)) return fail(file, `${list} is not a list`);
  const named = new Map<string, Stanza>();
  for (const item of items) {
    if (!isMapping(item)) return fail(file, `${list} has an item that is not a mapping`);
    const { name = '' } = item;
    if (typeof name !== 'string') return fail(file, `${list} has a name that is not a string`);
    const fields = item[field] ?? {};
    const what = `${field} ${JSON.stringify(name)}`;
    if (!isMapping(fields)) return fail(file, `${what} is not a mapping`);
    if (named.has(name)) return fail(file, `${what} is there twice`);
    named.set(name, { file, fields });
  }
  return named;
}

function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function fail(path: string, what: string): never {
  throw new UserError(`cannot use kubeconfig ${path}: ${what}`);
}

/**
 * The runtime's own parser needs a tenth of a millisecond for a kubeconfig, the library six, most of them for its own
 * loading, and every daemon reads one when it starts. The library is asked when there is a mistake: it knows the line. And when there are
 * several documents, of which kubectl reads the first; the runtime's parser returns them as a list. A key that is there twice is no
 * mistake to either, nor to kubectl: the last one counts.
 */
async function parseYaml(text: string): Promise<unknown> {
  try {
    const parsed = Bun.YAML.parse(text);
    if (!Array.isArray(parsed) || !/^---/m.test(text)) return parsed;
  } catch {
    // The library says where the mistake is, below.
  }
  const { parseAllDocuments } = await import('yaml');
  const [first] = parseAllDocuments(text, { uniqueKeys: false });
  if (first === undefined || !('errors' in first)) return null;
  if (first.errors[0] !== undefined) throw first.errors[0];
  return first.toJS();
}
