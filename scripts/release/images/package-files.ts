import { posix } from 'node:path';
import { readTar } from '../../../src/sys/tar.ts';
import { dynamicOf } from './elf.ts';

/** A file of a package. */
interface PackagedFile {
  package: string;
  mode: number;
  content: Buffer;
}

const MERGED = /^\/(?:bin|sbin|lib|lib64)(?=\/|$)/;
const MOST_LINKS = 8;

/** The files of several packages, where a machine would have them after their installation: /bin is /usr/bin. */
export class PackageFiles {
  readonly #files = new Map<string, PackagedFile>();
  readonly #links = new Map<string, string>();

  /** Adds the archive of a package's files. */
  async add(name: string, archive: Uint8Array): Promise<void> {
    async function* chunks() {
      yield archive;
    }
    for await (const { path, type, mode, target, body } of readTar(chunks())) {
      const place = merged(`/${path}`);
      if (type === 'symlink') this.#links.set(place, target);
      else if (type === 'link') this.#links.set(place, `/${target.replace(/^\.?\//, '')}`);
      else if (type === 'file') {
        const content = Buffer.concat(await Array.fromAsync(body));
        this.#files.set(place, { package: name, mode, content });
      }
    }
  }

  /** A file by its path or that of a link to it; undefined when there is none. */
  find(path: string): PackagedFile | undefined {
    let place = merged(path);
    for (let followed = 0; followed < MOST_LINKS; followed++) {
      const target = this.#links.get(place);
      if (target === undefined) return this.#files.get(place);
      place = merged(posix.resolve(posix.dirname(place), target));
    }
    throw new Error(`${path} is behind more than ${MOST_LINKS} links`);
  }

  /** The paths of files and links directly in a directory, sorted. */
  in(directory: string): string[] {
    const place = merged(directory);
    return [...this.#files.keys(), ...this.#links.keys()]
      .filter((path) => posix.dirname(path) === place)
      .sort();
  }

  /**
   * The paths of the shared libraries that these ELF files need, the loader included, and those that these need: sorted, under the names by which
   * they are looked up. Throws when one is in none of the packages.
   */
  librariesOf(files: readonly Buffer[], directory: string): string[] {
    const found = new Set<string>();
    const open = [...files];
    for (let file = open.pop(); file !== undefined; file = open.pop()) {
      const { interpreter, needed = [] } = dynamicOf(file) ?? {};
      const paths = needed.map((name) => `${directory}/${name}`);
      if (interpreter !== undefined) paths.push(interpreter);
      for (const path of paths.map(merged)) {
        if (found.has(path)) continue;
        const library = this.find(path);
        if (library === undefined) throw new Error(`${path} is needed, and in none of the packages`);
        found.add(path);
        open.push(library.content);
      }
    }
    return [...found].sort();
  }
}

function merged(path: string): string {
  const plain = posix.normalize(path).replace(/(?<=.)\/$/, '');
  return plain.replace(MERGED, (top) => `/usr${top}`);
}
