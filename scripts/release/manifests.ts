import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import packageJson from '../../package.json';
import type { TarEntry } from '../../src/sys/tar.ts';
import { IMAGE_PREFIX } from '../../src/util/images.ts';
import type { BuildFacts } from '../../src/util/version.ts';
import { tarGzip, textEntry } from './archive.ts';
import type { ReleasedImage } from './images/release-images.ts';

/** Where a release's files are downloaded from, for what names them; a name that nobody can have unless given. */
export const DOWNLOADS = 'https://hostport.invalid/releases';

/** The manifests of deploy, with the images of a release by version and digest. By file name. */
export function releasedManifests(
  root: string,
  facts: BuildFacts,
  images: readonly ReleasedImage[],
): Map<string, string> {
  const directory = join(root, 'deploy');
  const names = readdirSync(directory).filter((name) => /\.(?:yaml|json)$/.test(name));
  return new Map(
    names.sort().map((name) => [name, released(readFileSync(join(directory, name), 'utf8'), facts, images)]),
  );
}

/** Texts of the source tree have its version, and no digests, which nobody knows before the images are made. */
function released(text: string, facts: BuildFacts, images: readonly ReleasedImage[]): string {
  const prefix = facts.registry ?? IMAGE_PREFIX;
  const named = images.reduce(
    (before, { name, digest }) =>
      before.replaceAll(
        `${IMAGE_PREFIX}/${name}:${packageJson.version}`,
        `${prefix}/${name}:${facts.version}@${digest}`,
      ),
    text,
  );
  return named.replaceAll(
    `app.kubernetes.io/version: ${packageJson.version}`,
    `app.kubernetes.io/version: ${facts.version}`,
  );
}

/** The chart of a release as `helm package` names and packs it. */
export async function chartArchive(
  root: string,
  facts: BuildFacts,
  images: readonly ReleasedImage[],
  papers: ReadonlyMap<string, string>,
): Promise<{ name: string; bytes: Uint8Array; metadata: string }> {
  const directory = join(root, 'deploy/chart');
  const agent = images.find(({ name }) => name === 'hostport-agent')!;
  const prefix = facts.registry ?? IMAGE_PREFIX;
  const entries: TarEntry[] = [];
  let metadata = '';
  for (const name of readdirSync(directory, { recursive: true, encoding: 'utf8' }).sort()) {
    if (!/\.\w+$/.test(name)) continue;
    let text = readFileSync(join(directory, name), 'utf8');
    if (name === 'Chart.yaml') metadata = text = replaced(text, packageJson.version, facts.version, 2);
    if (name === 'values.yaml') {
      text = replaced(text, `${IMAGE_PREFIX}/`, `${prefix}/`, 1);
      text = replaced(text, 'digest: ""', `digest: ${agent.digest}`, 1);
    }
    entries.push(textEntry(`hostport/${name}`, text));
  }
  entries.push(...[...papers].map(([name, text]) => textEntry(`hostport/${name}`, text)));
  return { name: `hostport-${facts.version}.tgz`, bytes: await tarGzip(entries), metadata };
}

/** Replaces a text that is there so often; another number means that the file is not what this was written for. */
function replaced(text: string, from: string, to: string, times: number): string {
  const parts = text.split(from);
  if (parts.length - 1 !== times)
    throw new Error(`${JSON.stringify(from)} is there ${parts.length - 1} times, not ${times}`);
  return parts.join(to);
}

/** The plugin of kubectl for krew: which archive is for which platform. `sha256` is that of each archive. Source: krew's developer guide. */
export function krewManifest(
  facts: BuildFacts,
  downloads: string,
  sha256: ReadonlyMap<string, string>,
): string {
  const platforms = [...sha256].flatMap(([platform, digest]) => [
    '  - selector:',
    '      matchLabels:',
    '        os: linux',
    `        arch: ${platform}`,
    `    uri: ${downloads}/v${facts.version}/hostport-${facts.version}-linux-${platform}.tar.gz`,
    `    sha256: ${digest}`,
    '    files:',
    `    - from: hostport-${facts.version}-linux-${platform}/bin/hostport`,
    '      to: kubectl-hostport',
    `    - from: hostport-${facts.version}-linux-${platform}/LICENSE`,
    '      to: .',
    '    bin: kubectl-hostport',
  ]);
  return `${[
    'apiVersion: krew.googlecontainertools.github.com/v1alpha2',
    'kind: Plugin',
    'metadata:',
    '  name: hostport',
    'spec:',
    `  version: v${facts.version}`,
    '  shortDescription: Find and fix broken hostPorts',
    '  description: |',
    '    Shows for every hostPort of a cluster at which stage it is broken, on what',
    '    evidence, and fixes it, mostly without restarting a pod.',
    // krew chooses by architecture, and knows no C libraries.
    '  caveats: |',
    '    It needs glibc. On a distribution with musl, such as Alpine, take the archive',
    '    for musl of the same release: its install.sh does.',
    '  platforms:',
    ...platforms,
  ].join('\n')}\n`;
}
