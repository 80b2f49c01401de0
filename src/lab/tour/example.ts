import { cp, lstat, mkdir, readFile, readlink, rm, rmdir, symlink, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { z } from 'zod';
import { namesIn } from '../../sys/directories.ts';
import { ignoring, isErrno } from '../../sys/errno.ts';
import { readIfExists, writeFileAtomic } from '../../sys/files.ts';
import { UserError } from '../../util/errors.ts';
import type { ClusterConfig } from '../cluster/config/types.ts';
import { RUN_ROOT } from '../cluster/paths.ts';
import { mountedBy, mounts } from '../cluster/record.ts';
import { isUnfinished } from '../cluster/unfinished.ts';
import { portmapPaths } from '../inject/plugin-files.ts';

/** Where things of the how-to are on the machine. */
interface ExamplePaths {
  /** Where its kind configuration expects its files. */
  cni: string;
  empty: string;
  /** What was created for it, recorded until it is removed. */
  note: string;
  /** Files of a tour, which are removed with it. */
  tour: string;
}

/** Where a tour has its variant of the how-to's files, and its kubeconfig: not in /tmp, where anybody could change what nodes are going to mount. */
export const TOUR_DIRECTORY = join(RUN_ROOT, 'tour');

const HOWTO_PATHS: ExamplePaths = {
  cni: '/tmp/cni',
  empty: '/tmp/empty',
  note: '/var/lib/hostport/example.json',
  tour: TOUR_DIRECTORY,
};

/** What {@link prepareExample} created. Device and inode distinguish a directory from another of its name. */
const noteSchema = z.object({
  link: z.object({ target: z.string(), before: z.string().optional() }),
  directory: z.object({ dev: z.number(), ino: z.number() }).optional(),
});
type Note = z.infer<typeof noteSchema>;

/** What ends up in `bin` of the mounted directory: Cilium's stand-in installs two, the how-to copies the third. */
const PLUGINS = ['cilium-cni', 'loopback', 'portmap'];
/** What a node's portmap is put aside as, beside `bin`, by a failure that was injected and not undone before its cluster was deleted. */
const ASIDE = basename(portmapPaths.aside);

/**
 * Does what the how-to says before the cluster is made: `ln -sfn $(pwd)/kind/cni /tmp/cni; mkdir /tmp/empty`. What an
 * earlier cluster left in /tmp/empty (its `bin` of plugins) is removed, because the story needs it empty; anything else
 * found there belongs to the user, and so does a directory that a cluster has mounted: an error, and nothing is changed.
 * What is created is recorded, so that the deletion of the cluster can remove it; see {@link takeBackExample}, which is also
 * what is returned.
 */
export async function prepareExample(
  example: string,
  paths: ExamplePaths = HOWTO_PATHS,
  usersOf: (path: string) => Promise<string[]> = mountedBy,
): Promise<() => Promise<void>> {
  const target = join(example, 'kind/cni');
  const found = await linkAt(paths.cni);
  const users = await usersOf(paths.empty);
  if (users.length > 0) {
    throw new UserError(
      `cannot prepare ${paths.empty}: the how-to needs it empty, but nodes of ${users.join(', ')} have it mounted; delete that cluster first`,
    );
  }
  const others = await othersIn(paths.empty);
  if (others.length > 0) {
    throw new UserError(
      `cannot prepare ${paths.empty}: the how-to needs it empty, but it holds ${others.join(', ')}; move that away`,
    );
  }
  // What was created for an earlier cluster and not removed yet (its `make lab` was killed) is still ours.
  const earlier = await readNote(paths.note);
  const hasMade = (await mkdir(paths.empty, { recursive: true })) !== undefined;
  const identity = await identityOf(paths.empty);
  const isOurs = hasMade || (earlier !== undefined && isSame(earlier.directory, identity));
  const before = found !== undefined && found === earlier?.link.target ? earlier.link.before : found;
  await removePlugins(paths.empty);
  const note: Note = { link: { target, before }, ...(isOurs && { directory: identity }) };
  await mkdir(dirname(paths.note), { recursive: true, mode: 0o700 });
  await writeFileAtomic(paths.note, `${JSON.stringify(note)}\n`, 0o600);
  await replaceLink(paths.cni, target);
  return () => takeBackExample(undefined, paths, usersOf);
}

/**
 * Undoes {@link prepareExample}, in whatever process it ran: removes what was created, with the plugins that nodes put into it and the files
 * of a tour, and nothing else; restores a link that was there before. Does nothing while a cluster other than the `deleted` one has it mounted,
 * or when nothing is recorded.
 */
export async function takeBackExample(
  deleted?: string,
  paths: ExamplePaths = HOWTO_PATHS,
  usersOf: (path: string) => Promise<string[]> = mountedBy,
): Promise<void> {
  const note = await readNote(paths.note);
  if (note === undefined) return;
  const users = await Promise.all([paths.cni, paths.empty].map(usersOf));
  if (users.flat().some((name) => name !== deleted)) return;
  const { target, before } = note.link;
  if ((await linkAt(paths.cni).catch(() => undefined)) === target) await replaceLink(paths.cni, before);
  await removePlugins(paths.empty);
  if (isSame(note.directory, await identityOf(paths.empty))) await removeIfEmpty(paths.empty);
  await rm(paths.tour, { recursive: true, force: true });
  await rm(paths.note, { force: true });
}

/** Whether a cluster's nodes have one of the how-to's paths mounted, so that its deletion also removes them. */
export function mountsExample(config: ClusterConfig, { cni, empty }: ExamplePaths = HOWTO_PATHS): boolean {
  return [cni, empty].some((path) => mounts(config, path));
}

/** What is recorded. An invalid note (somebody else wrote it) counts as no note, so that nothing is removed because of it. */
async function readNote(path: string): Promise<Note | undefined> {
  const text = await readIfExists(path);
  if (text === undefined) return undefined;
  try {
    return noteSchema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

async function identityOf(path: string): Promise<Note['directory']> {
  const found = await lstat(path).catch(ignoring('ENOENT'));
  return found && { dev: found.dev, ino: found.ino };
}

function isSame(a: Note['directory'], b: Note['directory']): boolean {
  return a !== undefined && b !== undefined && a.dev === b.dev && a.ino === b.ino;
}

/** The configuration list that the how-to puts on its nodes. */
const CONFLIST = '000-cilium-portmap.conflist';

/**
 * The how-to's CNI files in `directory`, which is made, with this backend written into portmap's entry. Returns what to give
 * to {@link prepareExample} in the place of the example itself.
 */
export async function exampleWithBackend(
  example: string,
  backend: string,
  directory: string,
): Promise<string> {
  const cni = join(directory, 'kind/cni');
  await cp(join(example, 'kind/cni'), cni, { recursive: true });
  const path = join(cni, CONFLIST);
  const list = JSON.parse(await readFile(path, 'utf8')) as { plugins: Record<string, unknown>[] };
  const entries = list.plugins.filter(({ type }) => type === 'portmap');
  if (entries.length === 0) throw new Error(`${path} has no entry of portmap to write a backend into`);
  for (const entry of entries) entry.backend = backend;
  await writeFile(path, `${JSON.stringify(list, null, 4)}\n`);
  return directory;
}

/**
 * The how-to's manifests in `directory`, for an API server of today: its Deployment is of `extensions/v1beta1`, which Kubernetes serves no
 * more since 1.16. Returns their directory.
 */
export async function currentManifests(example: string, directory: string): Promise<string> {
  const manifests = join(directory, 'manifests');
  await cp(join(example, 'manifests'), manifests, { recursive: true });
  const path = join(manifests, 'deploy/echo.yaml');
  const text = await readFile(path, 'utf8');
  const current = text.replace(/^apiVersion: extensions\/v1beta1$/m, 'apiVersion: apps/v1');
  if (current === text) throw new Error(`${path} has no Deployment of extensions/v1beta1`);
  await writeFile(path, current);
  return manifests;
}

/** Where a link leads; undefined when nothing is there. */
async function linkAt(path: string): Promise<string | undefined> {
  try {
    return await readlink(path);
  } catch (cause) {
    if (!isErrno(cause, 'EINVAL')) return ignoring('ENOENT')(cause);
    throw new UserError(
      `cannot prepare ${path}: the how-to creates a link of this name, but something else is there; move that away`,
    );
  }
}

async function replaceLink(path: string, target: string | undefined): Promise<void> {
  await rm(path, { force: true });
  if (target !== undefined) await symlink(target, path);
}

/** What a directory holds, as paths in it, beside the plugins in its `bin`. */
async function othersIn(directory: string): Promise<string[]> {
  const inBin = namesIn(join(directory, 'bin')).filter((name) => !isPlugin(name));
  const beside = namesIn(directory).filter((name) => name !== 'bin' && name !== ASIDE);
  return [...beside, ...inBin.map((name) => `bin/${name}`)];
}

function isPlugin(name: string): boolean {
  return PLUGINS.includes(name) || isUnfinished(name);
}

async function removePlugins(directory: string): Promise<void> {
  const bin = join(directory, 'bin');
  for (const name of namesIn(bin).filter(isPlugin)) await rm(join(bin, name), { force: true });
  await removeIfEmpty(bin);
  await rm(join(directory, ASIDE), { force: true });
}

async function removeIfEmpty(directory: string): Promise<void> {
  await rmdir(directory).catch(ignoring('ENOENT', 'ENOTEMPTY'));
}
