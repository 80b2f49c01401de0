import { basename } from 'node:path';
import { sums } from './archive.ts';
import type { Artefact } from './sbom.ts';

/** The checksums of what is published by itself, under the names that it has there. */
export const ASSET_SUMS = 'assets/SHA256SUMS';
/** What is in the program's archives, too, or in the registry of npm, or a file of checksums. */
const NOT_BY_ITSELF = ['man', 'completion', 'npm', 'assets', 'SHA256SUMS'];

/** The files of a release that are published by themselves. */
export function assetsOf(files: readonly Artefact[]): Artefact[] {
  return files.filter(({ name }) => !NOT_BY_ITSELF.includes(name.split('/', 1)[0]!));
}

/** Their checksums by base name, since a release's files are in no directories where they are published. Throws when two have the same. */
export function assetSums(files: readonly Artefact[]): string {
  const byName = Map.groupBy(assetsOf(files), ({ name }) => basename(name));
  for (const [name, all] of byName)
    if (all.length > 1)
      throw new Error(`${all.map((each) => each.name).join(' and ')} would both be published as ${name}`);
  return sums([...byName].sort().map(([name, [file]]) => ({ name, sha256: file!.sha256 })));
}
