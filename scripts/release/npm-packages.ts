import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** A package of npm as the lock file pins it. */
export interface NpmPackage {
  name: string;
  version: string;
  /** An SPDX expression. */
  license: string;
  /** Subresource integrity: `sha512-…`. */
  integrity: string;
  /** Where it is installed. */
  directory: string;
}

interface LockEntry {
  name?: string;
  version?: string;
  license?: string;
  integrity?: string;
  dev?: true;
}

/** For development only, but the schemas of the lab's API server are generated from them: scripts/generate-schema.ts. */
const GENERATED_FROM = ['node_modules/kubernetes-models', 'node_modules/kubernetes-types'];

/** Licence texts of packages that keep them in the heads of their files. */
const HEADS: Readonly<Record<string, readonly string[]>> = {
  '@bufbuild/protobuf': ['dist/esm/wire/varint.js', 'dist/esm/create.js'],
};

function lockEntries(root: string): Map<string, LockEntry> {
  const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'));
  return new Map(Object.entries(lock.packages as Record<string, LockEntry>));
}

/** The packages whose code, or what was generated from it, is in the program; by name, then version. */
export function bundledPackages(root: string): NpmPackage[] {
  const found = new Map<string, NpmPackage>();
  for (const [path, entry] of lockEntries(root)) {
    if (path === '' || (entry.dev === true && !GENERATED_FROM.includes(path))) continue;
    const { version, license, integrity } = entry;
    const name = entry.name ?? path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length);
    if (version === undefined || license === undefined || integrity === undefined)
      throw new Error(`package-lock.json: ${path} has no version, licence or integrity`);
    found.set(`${name}@${version}`, { name, version, license, integrity, directory: join(root, path) });
  }
  return [...found.keys()].sort().map((key) => found.get(key)!);
}

/** Version and integrity of the lock file for a package that need not be installed here. */
export function lockedPackage(root: string, name: string): { version: string; integrity: string } {
  const entry = lockEntries(root).get(`node_modules/${name}`);
  if (entry?.version === undefined || entry.integrity === undefined)
    throw new Error(`package-lock.json has no ${name} with its version and integrity`);
  return { version: entry.version, integrity: entry.integrity };
}

/** The licence of a package in its own words; undefined for one that comes without any. */
export function licenceText({ name, directory }: NpmPackage): string | undefined {
  const files = readdirSync(directory).filter((file) =>
    /^(?:licen[cs]e|copying|notice)(?:\.\w+)?$/i.test(file),
  );
  const texts = [
    ...files.sort().map((file) => readFileSync(join(directory, file), 'utf8')),
    ...(HEADS[name] ?? []).map((file) => headOf(join(directory, file))),
  ];
  return texts.length === 0
    ? undefined
    : texts.map((text) => text.replaceAll('\r\n', '\n').trim()).join('\n\n');
}

/** The comment that a file begins with. */
function headOf(path: string): string {
  if (!existsSync(path)) throw new Error(`${path}, which has a licence in its head, does not exist`);
  const lines = readFileSync(path, 'utf8').split('\n');
  const end = lines.findIndex((line) => !line.startsWith('//'));
  if (end === 0) throw new Error(`${path} does not begin with a comment`);
  return lines
    .slice(0, end)
    .map((line) => line.replace(/^\/\/ ?/, ''))
    .join('\n');
}
