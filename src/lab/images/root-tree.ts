import type { TarContent, TarEntry } from '../../sys/tar.ts';

/** The directories that a merged root keeps below /usr, as Debian and the images here have it. */
const MERGED = ['bin', 'sbin', 'lib', 'lib64'];

/**
 * The files of an image layer, collected in any order and written sorted, parents first. Paths are absolute in the
 * image; `/bin/x` and `/usr/bin/x` are the same place (merged /usr).
 */
export class RootTree {
  readonly #entries = new Map<string, TarEntry>();

  /** Adds a directory; one that is only a parent of something else is added by itself, with mode 0755. */
  directory(path: string, mode = 0o755): this {
    return this.#add({ type: 'directory', path: inRoot(path), mode });
  }

  /** Adds one file under one or several names: hard links, so that its bytes are in the layer and on the disk once. */
  file(names: readonly string[], mode: number, content: TarContent | string): this {
    const bytes = typeof content === 'string' ? Buffer.from(content) : content;
    // A hard link must come after what it links to, and entries are written in the order of their names.
    const [first, ...links] = [...new Set(names.map(inRoot))].sort();
    if (first === undefined) throw new Error('a file needs a name');
    this.#add({ type: 'file', path: first, mode, content: bytes });
    for (const path of links) this.#add({ type: 'link', path, target: first });
    return this;
  }

  symlink(path: string, target: string): this {
    return this.#add({ type: 'symlink', path: inRoot(path), target });
  }

  /** The links of a merged /usr, for the bottom layer of an image. */
  mergedUsr(): this {
    for (const name of MERGED) {
      this.directory(`/usr/${name}`);
      this.#entries.set(name, { type: 'symlink', path: name, target: `usr/${name}` });
    }
    return this;
  }

  has(path: string): boolean {
    return this.#entries.has(inRoot(path));
  }

  /** What was collected, in the order of its paths (by code unit, so the same everywhere). */
  entries(): TarEntry[] {
    return [...this.#entries.keys()].sort().map((path) => this.#entries.get(path)!);
  }

  #add(entry: TarEntry): this {
    const before = this.#entries.get(entry.path);
    const isParent = before?.type === 'directory' && entry.type === 'directory';
    if (before !== undefined && !isParent) throw new Error(`/${entry.path} is twice in the layer`);
    const slash = entry.path.lastIndexOf('/');
    const parent = entry.path.slice(0, Math.max(slash, 0));
    if (parent !== '' && !this.#entries.has(parent)) this.directory(`/${parent}`);
    this.#entries.set(entry.path, entry);
    return this;
  }
}

function inRoot(path: string): string {
  if (!path.startsWith('/')) throw new Error(`${path}: not an absolute path`);
  const relative = path.slice(1);
  return MERGED.includes(relative.split('/')[0]!) ? `usr/${relative}` : relative;
}
