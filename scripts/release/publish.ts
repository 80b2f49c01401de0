import { join } from 'node:path';
import { InputError } from '../../src/util/errors.ts';
import { ASSET_SUMS, assetsOf } from './assets.ts';
import type { Published } from './published.ts';
import { signatureOf } from './sign.ts';
import type { WrittenRelease } from './written.ts';

/** A version of a tag; those between tags have the commit. */
const BETWEEN_TAGS = /-g[0-9a-f]{12}(?:\.changed)?$|changed$/;

/** Throws for a release that nobody could use: of a version without a tag, or one that names places that do not exist. */
export function checkPublishable({ version, registry, downloads }: WrittenRelease): void {
  if (BETWEEN_TAGS.test(version))
    throw new InputError(`cannot publish ${version}: its commit has no tag; tag it vX.Y.Z, then release it`);
  const missing = registry === undefined ? 'REGISTRY' : downloads === undefined ? 'DOWNLOADS' : undefined;
  if (missing !== undefined)
    throw new InputError(
      `cannot publish ${version}: its files name hostport.invalid, for want of ${missing}; run "make release" with it`,
    );
}

/**
 * The commands that publish what is not published yet: the files as a draft; packages, those of platforms first, since `hostport` names them; and
 * the draft becomes the release when all else is there.
 */
export function publishingCommands(
  { version, directory, files }: WrittenRelease,
  published: Published,
): string[][] {
  const isEarly = version.includes('-');
  const at = (name: string) => join(directory, name);
  const npm = files
    .map(({ name }) => name)
    .filter((name) => name.startsWith('npm/') && !published.packages.has(name))
    .sort((a, b) => weight(a) - weight(b) || (a < b ? -1 : 1))
    .map((name) => ['npm', 'publish', '--access', 'public', '--tag', isEarly ? 'next' : 'latest', at(name)]);
  if (published.release === 'published') return npm;
  const tag = `v${version}`;
  const create = ['gh', 'release', 'create', tag, '--draft', '--verify-tag', '--title', version];
  const assets = [...assetsOf(files).map(({ name }) => name), ASSET_SUMS, signatureOf(ASSET_SUMS)];
  return [
    ...(published.release === 'draft'
      ? []
      : [[...create, ...(isEarly ? ['--prerelease'] : []), '--generate-notes']]),
    ['gh', 'release', 'upload', tag, '--clobber', ...assets.map(at)],
    ...npm,
    ['gh', 'release', 'edit', tag, '--draft=false'],
  ];
}

function weight(name: string): number {
  return name.startsWith('npm/hostport-linux-') ? 0 : 1;
}
