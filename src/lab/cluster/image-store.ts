import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type FileLock, tryFileLock } from '../../sys/file-lock.ts';
import { exists } from '../../sys/files.ts';
import { waitFor } from '../../sys/wait.ts';

/** A directory of images, each named for what it was built from, and who uses which of them. */
export interface ImageStore {
  readonly directory: string;
  /** File whose lock the one process holds that builds, claims or removes images. */
  readonly lock: string;
  /** Directory that is there, and empty at first, while an image is built. */
  readonly scratch: string;
  /** Directories of images that something is made from. */
  inUse(): Promise<readonly string[]>;
}

/** Longer than one build takes on a slow machine. */
const OTHERS_MS = 180_000;

/** What is under way; an image that is there is whole. */
const BUILDING = '.building';

/**
 * Returns the directory of the image `name`, built if it is not there. `claim` must write down, where the store's `inUse`
 * finds it, that the image is used; it and the removal of images that nobody uses happen under one lock, so an image is
 * never removed between being chosen and being written down. Also removes what builds that were killed left.
 */
export async function keepImage(
  store: ImageStore,
  name: string,
  build: (directory: string) => Promise<void>,
  claim: (image: string) => Promise<void>,
  signal: AbortSignal,
): Promise<string> {
  const lock = await lockImages(store, signal);
  try {
    const image = join(store.directory, name);
    if (!(await exists(image))) await buildAt(image, store, build);
    await claim(image);
    await removeUnused(store, name);
    return image;
  } finally {
    lock.release();
  }
}

/** Keeps everybody else from building, claiming and removing images of this store. */
export async function lockImages(store: ImageStore, signal: AbortSignal): Promise<FileLock> {
  let holder = '';
  return waitFor(
    `another process to be done with the images in ${store.directory}`,
    () => {
      const lock = tryFileLock(store.lock, `process ${process.pid}`);
      if (!('heldBy' in lock)) return lock;
      holder = lock.heldBy;
      return undefined;
    },
    { timeoutMs: OTHERS_MS, signal, describe: () => holder },
  );
}

async function buildAt(
  image: string,
  { directory, scratch }: ImageStore,
  build: (directory: string) => Promise<void>,
): Promise<void> {
  const building = join(directory, BUILDING);
  await clearUp(building, scratch);
  try {
    await mkdir(scratch, { recursive: true, mode: 0o700 });
    await mkdir(building, { recursive: true, mode: 0o755 });
    await build(building);
    await rename(building, image);
  } finally {
    await clearUp(building, scratch);
  }
}

async function clearUp(...directories: string[]): Promise<void> {
  for (const directory of directories) await rm(directory, { recursive: true, force: true });
}

async function removeUnused(store: ImageStore, keep: string): Promise<void> {
  const others = (await readdir(store.directory)).filter((name) => name !== keep);
  if (others.length === 0) return;
  const used = new Set(await store.inUse());
  await clearUp(...others.map((name) => join(store.directory, name)).filter((path) => !used.has(path)));
}
