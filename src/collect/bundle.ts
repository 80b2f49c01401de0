import { accessSync, constants, lstatSync, mkdirSync, readdirSync, renameSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import type { NodeReport } from '../path/model/node-report.ts';
import type { Observed } from '../path/model/observed.ts';
import type { World } from '../path/model/world.ts';
import { calledAs } from '../sys/called-as.ts';
import { discard } from '../sys/discard.ts';
import { fileProblem } from '../sys/file-problem.ts';
import { collectParsed } from '../sys/garbage.ts';
import { NotRegularFile, readRegularFile, readRegularFileChunks } from '../sys/regular-file.ts';
import { InputError, messageOf, UserError } from '../util/errors.ts';
import { LazyMap } from '../util/lazy-map.ts';
import type { Anonymiser } from './anonymise/anonymiser.ts';
import { readArchive, writeArchive } from './bundle-archive.ts';
import { bundleDocuments } from './bundle-documents.ts';
import { isArchiveName, KINDS, MAX_BYTES, MAX_REPORTS, NODE_FILE } from './bundle-layout.ts';
import { BundleParts, broken } from './bundle-parts.ts';
import { writePieces } from './pieces.ts';
import { parseReport } from './report.ts';

/**
 * Reads a world that {@link saveBundle} wrote, or somebody by hand: a directory, or a tar archive compressed by gzip, with `manifest.json`,
 * `objects/<kind>.json` (lists of API objects), `nodes/<name>.json` (node reports, or why there is none) and `probes.json`. What is missing of the
 * objects is empty. A report that cannot be read leaves its node unknown, and an object itself.
 * @throws InputError with the file and what is the matter with it, when that is a file of all nodes: a bundle comes from anywhere.
 */
export async function bundleWorld(path: string): Promise<World> {
  const root = resolve(path);
  const parts = new BundleParts();
  if (isFile(root, path)) await readArchive(root, path, parts);
  else readDirectory(root, parts);
  const world = parts.world(path);
  // The diagnosis is about to make as much again.
  collectParsed();
  return world;
}

function readDirectory(root: string, parts: BundleParts): void {
  const take = (file: string, limit: number) => {
    const path = join(root, file);
    if (!checkNoLink(path, file)) return;
    const part = parts.begin(file);
    try {
      for (const chunk of readRegularFileChunks(path, limit)) part.push(chunk);
    } catch (cause) {
      if (cause instanceof InputError) throw cause;
      throw broken(file, problemOf(cause, path), cause);
    }
    part.end();
  };
  take('manifest.json', MAX_BYTES.manifest);
  checkNoLink(join(root, 'objects'), 'objects');
  for (const kind of KINDS) take(`objects/${kind}.json`, MAX_BYTES.objects);
  const { reports, unread } = readReports(join(root, 'nodes'), 'nodes');
  parts.reports = reports;
  parts.strangers.push(...unread);
  take('probes.json', MAX_BYTES.probes);
}

/**
 * The absolute path of a bundle that is to be written. Called before a cluster is examined, too, which may take minutes.
 * @throws InputError when there is something of that name, or nothing can be written there.
 */
export function checkNewBundle(path: string): string {
  const root = resolve(path);
  const kind = isArchiveName(path) ? 'file' : 'directory';
  try {
    if (lstatSync(root, { throwIfNoEntry: false }) !== undefined) {
      throw new InputError(`cannot write the bundle ${path}: it already exists; name a new ${kind}`);
    }
    mkdirSync(dirname(root), { recursive: true });
    accessSync(dirname(root), constants.W_OK);
  } catch (cause) {
    if (cause instanceof InputError) throw cause;
    const problem = fileProblem(cause) ?? messageOf(cause);
    throw new InputError(`cannot write the bundle ${path}: ${problem}; name a ${kind} that can be created`);
  }
  return root;
}

/**
 * Writes a world to a new directory, or to a new archive if the name ends in `.tar.gz`, that only its owner can read; without secrets and, with an
 * anonymiser, without names.
 */
export async function saveBundle(world: World, path: string, anonymiser?: Anonymiser): Promise<void> {
  const root = checkNewBundle(path);
  const making = `${root}.${process.pid}.tmp`;
  try {
    const documents = bundleDocuments(world, anonymiser);
    if (isArchiveName(path)) await writeArchive(making, root, documents);
    else {
      for (const part of ['objects', 'nodes'])
        mkdirSync(join(making, part), { recursive: true, mode: 0o700 });
      for (const { file, text } of documents) writePieces(join(making, file), text);
    }
    renameSync(making, root);
  } catch (cause) {
    discard(making);
    const problem = fileProblem(cause);
    if (problem === undefined) throw cause;
    throw new UserError(`cannot write the bundle ${path}: ${problem}`, { cause });
  }
}

/** The node reports of a directory, and what in it is none. */
interface Reports {
  reports: World['reports'];
  unread: NonNullable<World['unread']>[number][];
}

/**
 * The node reports of a directory, `<node>.json` each, which is read when it is asked for. A report that cannot be read leaves its node unknown with the
 * reason; a file of another name is unread. `name` is the directory's in errors and reasons.
 */
export function readReports(directory: string, name = directory): Reports {
  const parts = new BundleParts();
  const stat = lstatSync(directory, { throwIfNoEntry: false });
  if (stat === undefined) return { reports: new Map(), unread: [] };
  if (!stat.isDirectory()) throw broken(name, 'not a directory');
  const files = readdirSync(directory).sort();
  if (files.length > MAX_REPORTS) throw broken(name, `has ${files.length} files, more than ${MAX_REPORTS}`);
  const nodes: string[] = [];
  for (const file of files) {
    const node = NODE_FILE.exec(file)?.[1];
    if (node === undefined) parts.addStranger(file, name);
    else nodes.push(node);
  }
  const reports = new LazyMap(nodes, (node) =>
    readReport(join(directory, `${node}.json`), `${name}/${node}.json`),
  );
  return { reports, unread: parts.strangers };
}

function readReport(path: string, name: string): Observed<NodeReport> {
  let text: string;
  try {
    if (lstatSync(path).isSymbolicLink())
      return { unknown: `${name}: a symbolic link, which is not followed` };
    text = readRegularFile(path, MAX_BYTES.report);
  } catch (cause) {
    return { unknown: `${name}: ${problemOf(cause, path)}` };
  }
  return parseReport(text, name);
}

/** What is the matter with a file, without its path. */
function problemOf(cause: unknown, path: string): string {
  if (cause instanceof NotRegularFile) return cause.problem;
  return fileProblem(cause) ?? messageOf(cause).replace(`${path}: `, '');
}

/** Whether a bundle is a file and not a directory. A link to either is fine: the user typed it, and it did not come with the bundle. */
function isFile(path: string, name: string): boolean {
  let problem: string;
  try {
    const stat = statSync(path);
    if (stat.isFile() || stat.isDirectory()) return stat.isFile();
    problem = 'it is neither a file nor a directory';
  } catch (cause) {
    problem = fileProblem(cause) ?? messageOf(cause);
  }
  throw new InputError(
    `cannot read the bundle ${name}: ${problem}; give what "${calledAs()} doctor --save" wrote`,
  );
}

/** Whether something is there. A link could lead out of the bundle, to a file that whoever sends it should not read. */
function checkNoLink(path: string, name: string): boolean {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat?.isSymbolicLink()) throw broken(name, 'a symbolic link, which a bundle has none of');
  return stat !== undefined;
}
