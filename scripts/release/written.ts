import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Exec } from '../../src/sys/exec.ts';
import { InputError } from '../../src/util/errors.ts';
import { readSource } from './source.ts';

/** A release that was written. */
export interface WrittenRelease {
  version: string;
  directory: string;
}

/** An image of a release, as an archive. */
export interface ImageArchive {
  file: string;
  name: string;
  tag: string;
}

/** The release of this commit, or in a directory. Throws when there is none. */
export async function releaseOf(exec: Exec, root: string, directory?: string): Promise<WrittenRelease> {
  const { version } = await readSource(exec, root);
  const found = directory ?? join(root, 'dist/release', version);
  if (!existsSync(join(found, 'SHA256SUMS')))
    throw new InputError(
      `cannot use the release ${version}: it is not in ${found}; run "make release" first`,
    );
  return { version, directory: found };
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
