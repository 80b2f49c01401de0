import { chown, lstat, mkdir, open, realpath, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Document, isMap, isSeq, parseDocument, type Scalar, type ScalarTag, type Tags, YAMLSeq } from 'yaml';
import { type Clock, realClock } from '../sys/clock.ts';
import { fileProblem } from '../sys/file-problem.ts';
import { exists, readIfExists, writeFileAtomic } from '../sys/files.ts';
import { checkWritable } from '../sys/writable.ts';
import { InputError, UserError } from '../util/errors.ts';
import { yamlProblem } from '../util/yaml-problem.ts';
import { type KubeconfigEntry, kubeconfigStanzas } from './kubeconfig-document.ts';
import { kubeconfigPaths } from './kubeconfig-files.ts';

const LISTS = ['clusters', 'contexts', 'users'] as const;
const NUMBERS = ['tag:yaml.org,2002:int', 'tag:yaml.org,2002:float'];
/** A lock is held for milliseconds; one this old was left by a process that died. */
const STALE_LOCK_MS = 10_000;
/** A lock that is that old by its time is taken over after so long without a sign of life. */
const OLD_LOCK_MS = 1000;
const LOCK_RETRY_MS = 50;

/** The file that kubectl (and kind) would add a new context to: the first that exists, else the last. */
export async function kubeconfigPathForMerge(env: Record<string, string | undefined>): Promise<string> {
  const paths = kubeconfigPaths(env);
  for (const path of paths) if (await exists(path)) return path;
  return paths.at(-1)!;
}

/**
 * Checks beforehand that {@link mergeKubeconfig} can use the file. A missing file is fine.
 * @throws InputError
 */
export async function checkKubeconfig(path: string): Promise<void> {
  try {
    await inWords(path, async () => {
      const text = await readIfExists(path);
      await checkWritable((await exists(path)) ? await realpath(path) : path);
      if (text === undefined) return;
      const document = parse(path, text);
      for (const list of LISTS) sequenceOf(path, document, list);
    });
  } catch (cause) {
    throw cause instanceof UserError
      ? new InputError(`${cause.message}; name another file with --kubeconfig`)
      : cause;
  }
}

/**
 * Adds `entry`'s cluster, user and context to a kubeconfig, or replaces those of that name, and makes it the current
 * context. Everything else in the file stays as it is: other contexts, unknown fields, comments. The file has mode 0600
 * afterwards, is replaced atomically under kubectl's lock, and keeps its owner.
 * @throws UserError when the file exists and is not a kubeconfig, or stays locked for 10 s.
 */
export async function mergeKubeconfig(
  path: string,
  entry: KubeconfigEntry,
  clock: Clock = realClock,
): Promise<void> {
  await withLock(path, clock, async () => {
    const text = (await readIfExists(path)) ?? '';
    const document = parse(path, text);
    const stanzas = kubeconfigStanzas(entry);
    for (const list of LISTS) {
      const sequence = sequenceOf(path, document, list) ?? new YAMLSeq();
      const node = document.createNode(stanzas[list]);
      const index = sequence.items.findIndex((item) => isMap(item) && item.get('name') === entry.name);
      if (index >= 0) sequence.items[index] = node;
      else sequence.items.push(node);
      // An empty list is written `[]`; its new items are written as block lines, which are easier to read.
      sequence.flow &&= index >= 0 || sequence.items.length > 1;
      document.set(list, sequence);
    }
    document.set('current-context', entry.name);
    await write(path, text, document);
  });
}

/**
 * Takes the cluster, user and context called `name` out of a kubeconfig, and unsets the current context when it was that.
 * Returns whether anything was there; a file that has nothing of it, or does not exist, is not touched.
 * @throws UserError as {@link mergeKubeconfig}.
 */
export async function removeFromKubeconfig(
  path: string,
  name: string,
  clock: Clock = realClock,
): Promise<boolean> {
  if (!(await inWords(path, () => exists(path)))) return false;
  return withLock(path, clock, async () => {
    const text = (await readIfExists(path)) ?? '';
    const document = parse(path, text);
    let found = false;
    for (const list of LISTS) {
      const sequence = sequenceOf(path, document, list);
      if (sequence === undefined) continue;
      const kept = sequence.items.filter((item) => !(isMap(item) && item.get('name') === name));
      if (kept.length === sequence.items.length) continue;
      sequence.items = kept;
      found = true;
    }
    if (document.get('current-context') === name) {
      document.set('current-context', '');
      found = true;
    }
    if (found) await write(path, text, document);
    return found;
  });
}

function parse(path: string, text: string): Document {
  const document = parseDocument(text, { customTags: numbersAsWritten }) as unknown as Document;
  if (document.errors[0] !== undefined) {
    throw new UserError(`cannot use kubeconfig ${path}: ${yamlProblem(document.errors[0])}`);
  }
  if (document.contents === null) {
    return new Document({ apiVersion: 'v1', kind: 'Config', preferences: {} });
  }
  if (!isMap(document.contents)) {
    throw new UserError(`cannot use kubeconfig ${path}: it is not a YAML mapping`);
  }
  return document;
}

/**
 * Numbers are written as they were read: `0644` is octal to kubectl and decimal to this library, and one of twenty digits is more than a
 * JavaScript number holds.
 */
function numbersAsWritten(tags: Tags): Tags {
  return tags.map((tag) => {
    if (typeof tag === 'string' || tag.collection !== undefined || !NUMBERS.includes(tag.tag)) return tag;
    const written: ScalarTag = {
      ...tag,
      stringify: (item, ...rest) =>
        (item as Scalar).source ?? tag.stringify?.(item, ...rest) ?? String(item.value),
    };
    return written;
  });
}

function sequenceOf(path: string, document: Document, list: string): YAMLSeq | undefined {
  const value = document.get(list);
  if (value === undefined || value === null) return undefined;
  if (!isSeq(value)) throw new UserError(`cannot use kubeconfig ${path}: ${list} is not a list`);
  return value as YAMLSeq;
}

async function write(path: string, before: string, document: Document): Promise<void> {
  // kubectl writes the items of a list at the indentation of its key; files indented by hand keep their indentation.
  const indentSeq = /^\w+:[ \t]*\n[ \t]+- /m.test(before);
  const flowCollectionPadding = /[{[] \S/.test(before);
  // A kubeconfig kept elsewhere by a symbolic link stays a link.
  const target = (await exists(path)) ? await realpath(path) : path;
  const owner = (await exists(target)) ? await stat(target) : undefined;
  await writeFileAtomic(target, document.toString({ lineWidth: 0, indentSeq, flowCollectionPadding }), 0o600);
  // When root runs this for another user (sudo), the file must keep its owner.
  if (owner !== undefined && owner.uid !== process.getuid?.()) await chown(target, owner.uid, owner.gid);
}

/**
 * Runs `work` while holding `<path>.lock`, made with O_EXCL: the lock that client-go takes before it changes a kubeconfig.
 * A lock older than 10 s is taken for left behind: it is moved away first, so that of two who see it only one removes it.
 */
function withLock<T>(path: string, clock: Clock, work: () => Promise<T>): Promise<T> {
  return inWords(path, () => whileLocked(path, clock, work));
}

/** Describes what the system reports about the file in words. */
async function inWords<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    const problem = fileProblem(cause);
    throw problem === undefined ? cause : new UserError(`cannot use kubeconfig ${path}: ${problem}`);
  }
}

async function whileLocked<T>(path: string, clock: Clock, work: () => Promise<T>): Promise<T> {
  const lock = `${path}.lock`;
  await mkdir(dirname(path), { recursive: true, mode: 0o755 });
  const deadline = clock.monotonic() + STALE_LOCK_MS + 1000;
  let watched: { lock: string | undefined; since: number } | undefined;
  while (!(await tryLock(lock))) {
    // Of the lock itself: it may be a link that leads nowhere, which is there for the one who creates a file.
    const held = await lstat(lock).catch(ignoreMissing);
    const seen = held && `${held.ino} ${held.mtimeMs}`;
    if (watched === undefined || watched.lock !== seen) watched = { lock: seen, since: clock.monotonic() };
    // Its time alone proves nothing: a clock that was just set makes every lock old, or one of the future.
    const patience =
      held !== undefined && clock.now() - held.mtimeMs > STALE_LOCK_MS ? OLD_LOCK_MS : STALE_LOCK_MS;
    if (held !== undefined && clock.monotonic() - watched.since >= patience) {
      const aside = `${lock}.${process.pid}.stale`;
      await rename(lock, aside).catch(ignoreMissing);
      const moved = await lstat(aside).catch(ignoreMissing);
      await rm(aside, { force: true });
      if (moved !== undefined && moved.ino !== held.ino)
        throw new UserError(`cannot lock kubeconfig ${path}: another program took over ${lock}; try again`);
      // Whatever lock is there next is watched from its own beginning.
      watched = undefined;
      if (moved !== undefined) continue;
    }
    if (clock.monotonic() > deadline) {
      throw new UserError(
        `cannot lock kubeconfig ${path}: locked by another program for 10 s (${lock}); try again later`,
      );
    }
    await clock.sleep(LOCK_RETRY_MS);
  }
  try {
    return await work();
  } finally {
    await rm(lock, { force: true });
  }
}

async function tryLock(lock: string): Promise<boolean> {
  try {
    await (await open(lock, 'wx', 0o600)).close();
    return true;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw cause;
  }
}

function ignoreMissing(cause: NodeJS.ErrnoException): undefined {
  if (cause.code !== 'ENOENT') throw cause;
  return undefined;
}
