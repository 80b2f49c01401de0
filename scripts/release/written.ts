import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import type { Exec } from '../../src/sys/exec.ts';
import { InputError } from '../../src/util/errors.ts';
import { artefactsIn, parseSums } from './archive.ts';
import type { Artefact } from './sbom.ts';
import { readSource } from './source.ts';

/** The checksums of every other file, by its path. */
export const SUMS = 'SHA256SUMS';

/** A release that was written. */
export interface WrittenRelease {
  version: string;
  directory: string;
  /** Every file that its checksums list. */
  files: readonly Artefact[];
  /** Where its images and its files will be, as its own files say; absent when they say hostport.invalid. */
  registry?: string | undefined;
  downloads?: string | undefined;
}

const provenanceSchema = z.object({
  predicate: z.object({
    buildDefinition: z.object({
      externalParameters: z.object({
        version: z.string(),
        registry: z.string().optional(),
        downloads: z.string().optional(),
      }),
    }),
  }),
});

/** An image of a release, as an archive. */
export interface ImageArchive {
  file: string;
  name: string;
  tag: string;
}

/** The release of this commit, or in a directory. Throws when there is none, or another one, or its files are not those that were written. */
export async function releaseOf(exec: Exec, root: string, directory?: string): Promise<WrittenRelease> {
  const { version } = await readSource(exec, root);
  return readRelease(version, directory ?? join(root, 'dist/release', version));
}

/** The release of a version in a directory. Throws as {@link releaseOf} does. */
export async function readRelease(version: string, directory: string): Promise<WrittenRelease> {
  const cannot = (why: string) =>
    new InputError(`cannot use the release ${version}: ${why}; run "make release" first`);
  if (!existsSync(join(directory, SUMS))) throw cannot(`it is not in ${directory}`);
  const files = parseSums(readFileSync(join(directory, SUMS), 'utf8'));
  const there = new Map((await artefactsIn(directory)).map(({ name, sha256 }) => [name, sha256]));
  for (const { name, sha256 } of files)
    if (there.get(name) !== sha256)
      throw cannot(`${name} is ${there.has(name) ? `not the one of ${SUMS}` : 'missing'} in ${directory}`);
  const listed = new Set(files.map(({ name }) => name));
  for (const name of there.keys())
    if (!listed.has(name) && name !== SUMS && !name.endsWith('.sigstore.json'))
      throw cannot(`${name} in ${directory} is not in ${SUMS}`);
  const provenance = `hostport-${version}.intoto.json`;
  if (!listed.has(provenance)) throw cannot(`${directory} has another version`);
  const document = JSON.parse(readFileSync(join(directory, provenance), 'utf8'));
  const { registry, downloads, ...given } =
    provenanceSchema.parse(document).predicate.buildDefinition.externalParameters;
  if (given.version !== version) throw cannot(`${provenance} is of ${given.version}`);
  return { version, directory, files, registry, downloads };
}

/** The packed chart of a release. */
export function chartIn(release: string): string {
  const directory = join(release, 'chart');
  const [file] = readdirSync(directory);
  if (file === undefined) throw new Error(`${directory} is empty`);
  return join(directory, file);
}

export function imagesIn(release: string): ImageArchive[] {
  const directory = join(release, 'images');
  return readdirSync(directory)
    .filter((file) => file.endsWith('.oci.tar'))
    .sort()
    .map((file) => {
      const match = /^(hostport-[a-z]+)-(\d.*)\.oci\.tar$/.exec(file);
      if (match === null) throw new Error(`${file} is not named as an image of a release`);
      return { file: join(directory, file), name: match[1]!, tag: match[2]! };
    });
}
