import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { InputError } from '../../src/util/errors.ts';
import { ASSET_SUMS } from './assets.ts';
import { imagesIn, SUMS, type WrittenRelease } from './written.ts';

/** What images have as their digests in a release: `DIGEST  NAME` a line. */
const IMAGE_DIGESTS = 'images/digests.txt';

/** Where the signature of a file is. */
export function signatureOf(name: string): string {
  return `${name}.sigstore.json`;
}

/** Throws when what is published would have no signature. */
export function checkSigned({ version, directory }: WrittenRelease): void {
  if (!existsSync(join(directory, signatureOf(ASSET_SUMS))))
    throw new InputError(`cannot publish ${version}: it is not signed; run "make sign" first`);
}

/** The commands that sign a release: its checksums, which cover every file, and each image by its digest. */
export function signingCommands(release: string, registry: string): string[][] {
  const digests = new Map(
    readFileSync(join(release, IMAGE_DIGESTS), 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => line.split('  ').reverse() as [string, string]),
  );
  const sums = [SUMS, ASSET_SUMS].map((name) => join(release, name));
  return [
    ...sums.map((file) => ['cosign', 'sign-blob', '--yes', '--bundle', signatureOf(file), file]),
    ...imagesIn(release).map(({ name }) => {
      const digest = digests.get(name);
      if (digest === undefined) throw new Error(`${IMAGE_DIGESTS} has no ${name}`);
      return ['cosign', 'sign', '--yes', '--recursive', `${registry}/${name}@${digest}`];
    }),
  ];
}
