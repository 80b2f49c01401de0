import { lstat, mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Progress } from '../../src/lab/cluster/progress.ts';
import type { Exec } from '../../src/sys/exec.ts';
import { exists, readIfExists, writeFileAtomic } from '../../src/sys/files.ts';

/** What a build needs from outside. */
export interface BuildContext {
  exec: Exec;
  progress: Progress;
  signal: AbortSignal;
  /** The `go` command to build with, which a go.mod asks for; it is installed or downloaded where there is none. */
  go(goMod: string): Promise<string>;
}

/** Something that `make real` puts into the user's cache, by itself: built again when what it is made from changes. */
export interface Part {
  /** Its name on the command line, of letters, digits and hyphens: `cilium-agent`. */
  name: string;
  /** The published version that it is of: `v1.20.2`. */
  version: string;
  /** Where it is when it has been built; parts may share a directory. */
  directory: string;
  /** What it puts there. The first is what counts for its size. */
  files: readonly string[];
  /** Parts that have to be built before. */
  needs?: readonly Part[];
  /** Identity of everything that it is made from. */
  digest: string;
  /** What to expect of a build with nothing in Go's cache, for people. */
  cost: string;
  /** Puts the files into the directory, in the place of older ones. */
  build(context: BuildContext): Promise<void>;
}

/** What is known of a part that has been built. */
export interface Built {
  digest: string;
  /** What the build took, with what Go's cache held then. */
  seconds: number;
  bytes: number;
}

/** Of a part that is there, and of what it would be made from now; undefined when it has to be built. */
export async function builtPart(part: Part): Promise<Built | undefined> {
  const text = await readIfExists(stampOf(part));
  if (text === undefined) return undefined;
  const built = JSON.parse(text) as Built;
  if (built.digest !== part.digest) return undefined;
  const there = await Promise.all(part.files.map((name) => exists(join(part.directory, name))));
  return there.every(Boolean) ? built : undefined;
}

/** Builds a part, and writes down that it is there when it is. */
export async function buildPart(part: Part, context: BuildContext): Promise<Built> {
  const began = performance.now();
  await mkdir(part.directory, { recursive: true });
  await rm(stampOf(part), { force: true });
  await part.build(context);
  const bytes = await bytesOf(join(part.directory, part.files[0]!));
  const built = {
    digest: part.digest,
    seconds: Math.round((performance.now() - began) / 1000),
    bytes,
  };
  await writeFileAtomic(stampOf(part), `${JSON.stringify(built)}\n`);
  return built;
}

/** Of a file, or of all files below a directory; names of a file count once. */
async function bytesOf(path: string): Promise<number> {
  const found = await lstat(path);
  if (!found.isDirectory()) return found.size;
  const sizes = new Map<number, number>();
  for (const entry of await readdir(path, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const { ino, size } = await lstat(join(entry.parentPath, entry.name));
    sizes.set(ino, size);
  }
  return sizes.values().reduce((sum, size) => sum + size, 0);
}

/** Written last. */
function stampOf({ directory, name }: Part): string {
  return join(directory, `.${name}.json`);
}
