import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { imagesIn } from './written.ts';

/** What images have as their digests in a release: `DIGEST  NAME` a line. */
const IMAGE_DIGESTS = 'images/digests.txt';

/** The commands that sign a release: its checksums, which cover every file, and each image by its digest. */
export function signingCommands(release: string, registry: string): string[][] {
  const digests = new Map(
    readFileSync(join(release, IMAGE_DIGESTS), 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => line.split('  ').reverse() as [string, string]),
  );
  const sums = join(release, 'SHA256SUMS');
  return [
    ['cosign', 'sign-blob', '--yes', '--bundle', `${sums}.sigstore.json`, sums],
    ...imagesIn(release).map(({ name }) => {
      const digest = digests.get(name);
      if (digest === undefined) throw new Error(`${IMAGE_DIGESTS} has no ${name}`);
      return ['cosign', 'sign', '--yes', '--recursive', `${registry}/${name}@${digest}`];
    }),
  ];
}
