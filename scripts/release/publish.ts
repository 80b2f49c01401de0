import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { InputError } from '../../src/util/errors.ts';
import type { WrittenRelease } from './written.ts';

/** A version of a tag; those between tags have the commit. */
const BETWEEN_TAGS = /-g[0-9a-f]{12}(?:\.changed)?$|changed$/;
/** What is in the program's archives, too, or in the registry of npm. */
const NOT_BY_ITSELF = ['man', 'completion', 'npm'];

/** The commands that publish a release: packages of platforms first, since `hostport` names them. Throws for a version without a tag. */
export function publishingCommands({ version, directory }: WrittenRelease): string[][] {
  if (BETWEEN_TAGS.test(version))
    throw new InputError(`cannot publish ${version}: its commit has no tag; tag it vX.Y.Z, then release it`);
  const packages = readdirSync(join(directory, 'npm')).sort(
    (a, b) => weight(a) - weight(b) || (a < b ? -1 : 1),
  );
  const isEarly = version.includes('-');
  const npm = packages.map((file) => [
    'npm',
    'publish',
    '--access',
    'public',
    '--tag',
    isEarly ? 'next' : 'latest',
    join(directory, 'npm', file),
  ]);
  const files = readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .filter((name) => !NOT_BY_ITSELF.includes(name.split('/', 1)[0]!))
    .sort()
    .map((name) => join(directory, name))
    .filter((path) => statSync(path).isFile());
  const release = ['gh', 'release', 'create', `v${version}`, '--verify-tag', '--title', version];
  return [...npm, [...release, ...(isEarly ? ['--prerelease'] : []), '--generate-notes', ...files]];
}

function weight(file: string): number {
  return file.startsWith('hostport-linux-') ? 0 : 1;
}
