/**
 * `make release`: writes what is given to users into dist/release/VERSION, docs/release.md. The same commit gives the same bytes. Only a tree
 * without changes has a version that says what is in it. `--out DIR` writes below another directory, `--plugins DIR` takes the CNI plugins
 * from there, `--registry ghcr.io/owner`, by default $REGISTRY, is where the images will be. $DOWNLOADS is where the files will be, $REPOSITORY the page
 * of the repository that packages name.
 */
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { hostport } from '../src/cli/command-line.ts';
import { SCRIPTS, SHELLS } from '../src/cli/completion/scripts.ts';
import { cacheRoot } from '../src/lab/engine/kubernetes/release-cache.ts';
import { realExec } from '../src/sys/exec.ts';
import type { TarEntry } from '../src/sys/tar.ts';
import type { BuildFacts } from '../src/util/version.ts';
import { ending } from './ending.ts';
import { artefactsIn, fileEntry, sums, tarGzip, textEntry } from './release/archive.ts';
import { ASSET_SUMS, assetSums } from './release/assets.ts';
import { compile } from './release/compile.ts';
import { type DebianLock, lockPath, readLock } from './release/images/debian-lock.ts';
import { type ReleasedImage, releaseImages } from './release/images/release-images.ts';
import { manPages } from './release/man-pages.ts';
import { chartArchive, DOWNLOADS, krewManifest, releasedManifests } from './release/manifests.ts';
import { notice } from './release/notice.ts';
import { libraryPackages, platformPackageOf, programPackage } from './release/npm/packages.ts';
import { parseRepository } from './release/npm/repository.ts';
import { lockedPackage } from './release/npm-packages.ts';
import { type PluginEngine, pluginEngine } from './release/plugin-engine.ts';
import { type PluginFiles, pluginsIn } from './release/plugins.ts';
import { type Given, provenance } from './release/provenance.ts';
import { parseRegistry } from './release/registry.ts';
import { RUNTIMES, type Runtime, runtimeFor } from './release/runtimes.ts';
import { sbom } from './release/sbom.ts';
import { readSource } from './release/source.ts';
import { SUMS } from './release/written.ts';

const root = join(import.meta.dir, '..');

/** What every part of the release is made from. */
interface Release {
  facts: BuildFacts;
  given: Given;
  /** What was written so far. */
  directory: string;
  /** For files that are on their way into an archive. */
  scratch: string;
  engine: PluginEngine;
  debian: DebianLock;
  /** By name: texts that go with every archive. */
  papers: ReadonlyMap<string, string>;
  completion: ReadonlyMap<string, string>;
  manual: ReadonlyMap<string, string>;
}

await ending(main);

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      out: { type: 'string', default: join(root, 'dist/release') },
      plugins: { type: 'string', default: join(root, 'dist/cni') },
      registry: { type: 'string', default: process.env.REGISTRY ?? '' },
    },
  });
  if (values.registry !== '') parseRegistry(values.registry);
  const { DOWNLOADS: downloads, REPOSITORY: repository } = process.env;
  const given: Given = { ...(downloads && { downloads }), ...(repository && { repository }) };
  if (given.repository !== undefined) parseRepository(given.repository);
  const { isChanged, ...source } = await readSource(realExec, root);
  if (isChanged)
    throw new Error(
      `cannot release ${source.version}: tracked files differ from the commit; commit or stash them`,
    );
  const facts: BuildFacts = { ...source, ...(values.registry !== '' && { registry: values.registry }) };
  mkdirSync(values.out, { recursive: true });
  const scratch = mkdtempSync(join(values.out, '.build-'));
  try {
    const release = await begin(facts, given, scratch);
    const plugins = pluginsIn(values.plugins);
    const programs = await addPrograms(release);
    for (const [architecture, files] of plugins) await addPlugins(release, architecture, files);
    const images = await addImages(release, programs, plugins);
    await addManifests(release, images);
    await addPackages(release, programs);
    await addPapers(release);
    const destination = join(values.out, facts.version);
    rmSync(destination, { recursive: true, force: true });
    renameSync(release.directory, destination);
    for (const { name } of await artefactsIn(destination))
      console.log(`${megabytes(statSync(join(destination, name)).size)}  ${name}`);
    for (const { name, digest, sizes } of images)
      console.log(
        `image ${name}: amd64 ${megabytes(sizes.amd64)}, arm64 ${megabytes(sizes.arm64)}, ${digest}`,
      );
    console.log(`hostport ${facts.version} is in ${destination}`);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

async function begin(facts: BuildFacts, given: Given, scratch: string): Promise<Release> {
  const directory = join(scratch, 'release');
  mkdirSync(directory);
  const date = (facts.date ?? '').slice(0, 10);
  const engine = await pluginEngine(root);
  return {
    facts,
    given,
    directory,
    scratch,
    engine,
    debian: readLock(lockPath(root)),
    papers: new Map([
      ['LICENSE', readFileSync(join(root, 'LICENSE'), 'utf8')],
      ['NOTICE', notice(root, lockedPackage(root, 'bun').version, engine)],
    ]),
    completion: new Map(SHELLS.map((shell) => [`hostport.${shell}`, SCRIPTS[shell]])),
    manual: manPages(await hostport(), { version: facts.version, date }),
  };
}

/** The program for every platform, by the platform's name. */
async function addPrograms(release: Release): Promise<Map<string, string>> {
  const programs = new Map<string, string>();
  for (const runtime of RUNTIMES) programs.set(runtime.platform, await addProgram(release, runtime));
  return programs;
}

/** An archive with the program for one platform, and what belongs beside it. Returns where the program itself is. */
async function addProgram(release: Release, runtime: Runtime): Promise<string> {
  const { facts, scratch } = release;
  const directory = join(scratch, runtime.platform);
  mkdirSync(directory);
  const program = join(directory, 'hostport');
  const executablePath = await runtimeFor(realExec, root, runtime, join(root, 'dist/runtimes'));
  await compile({
    entry: join(root, 'src/cli/main.ts'),
    outfile: program,
    facts: { ...facts, libc: runtime.libc },
    splitting: true,
    on: { target: runtime.target, executablePath },
  });
  const top = `hostport-${facts.version}-linux-${runtime.platform}`;
  await addArchive(release, top, [
    fileEntry(`${top}/bin/hostport`, program, 0o755),
    ...texts(`${top}/share/completion`, release.completion),
    ...texts(`${top}/share/man/man1`, release.manual),
    ...texts(top, release.papers),
  ]);
  return program;
}

async function addPlugins(release: Release, architecture: string, files: PluginFiles): Promise<void> {
  const top = `hostport-cni-${release.facts.version}-linux-${architecture}`;
  await addArchive(release, top, [...pluginEntries(top, files), ...texts(top, release.papers)]);
}

/** The plugins, as links of one another where one executable has several names. */
function* pluginEntries(top: string, files: PluginFiles): Generator<TarEntry> {
  const seen = new Map<number, string>();
  for (const [name, file] of files) {
    const path = `${top}/${name}`;
    const { ino } = statSync(file);
    const target = seen.get(ino);
    seen.set(ino, target ?? path);
    yield target === undefined ? fileEntry(path, file, 0o755) : { type: 'link', path, target };
  }
}

function addImages(
  { facts, engine, debian, directory, scratch }: Release,
  programs: ReadonlyMap<string, string>,
  plugins: ReadonlyMap<string, PluginFiles>,
): Promise<ReleasedImage[]> {
  return releaseImages({
    ...{ exec: realExec, root, facts, engine, plugins, scratch },
    lock: debian,
    cache: join(cacheRoot(), 'debian-packages'),
    programs: { amd64: programs.get('amd64')!, arm64: programs.get('arm64')! },
    out: join(directory, 'images'),
  });
}

/** What installs the release elsewhere: manifests, the chart, kubectl's plugin for krew, and a script. */
async function addManifests(release: Release, images: readonly ReleasedImage[]): Promise<void> {
  const { facts, given, directory, papers } = release;
  for (const [name, text] of releasedManifests(root, facts, images))
    write(release, `manifests/${name}`, text);
  const chart = await chartArchive(root, facts, images, papers);
  write(release, `chart/${chart.name}`, chart.bytes);
  const archives = await artefactsIn(directory);
  const digestOf = (platform: string) =>
    archives.find(({ name }) => name === `hostport-${facts.version}-linux-${platform}.tar.gz`)!.sha256;
  const platforms = new Map(['amd64', 'arm64'].map((platform) => [platform, digestOf(platform)]));
  write(release, 'krew/hostport.yaml', krewManifest(facts, given.downloads ?? DOWNLOADS, platforms));
  write(release, 'install.sh', readFileSync(join(root, 'deploy/install.sh'), 'utf8'));
}

/** The packages for npm: the program, by platform, and the libraries. */
async function addPackages(
  { facts, given, directory, scratch, papers }: Release,
  programs: ReadonlyMap<string, string>,
): Promise<void> {
  const inputs = {
    ...{ exec: realExec, root, facts, scratch, out: join(directory, 'npm'), papers },
    ...(given.repository !== undefined && { repository: parseRepository(given.repository) }),
  };
  for (const { platform, architecture, libc } of RUNTIMES)
    await platformPackageOf(
      inputs,
      { arch: architecture === 'amd64' ? 'x64' : 'arm64', libc },
      programs.get(platform)!,
    );
  await programPackage(inputs);
  await libraryPackages(inputs);
}

function texts(directory: string, files: ReadonlyMap<string, string>): TarEntry[] {
  return [...files].map(([name, text]) => textEntry(`${directory}/${name}`, text));
}

async function addArchive({ directory }: Release, top: string, entries: readonly TarEntry[]): Promise<void> {
  writeFileSync(join(directory, `${top}.tar.gz`), await tarGzip(entries));
}

/** Everything that is not in an archive; the checksums of all others at last. */
async function addPapers(release: Release): Promise<void> {
  const { directory, facts, given, papers, completion, manual, engine, debian } = release;
  for (const [name, text] of papers) write(release, name, text);
  for (const [name, text] of completion) write(release, `completion/${name}`, text);
  for (const [name, text] of manual) write(release, `man/${name}`, text);
  write(release, `hostport-${facts.version}.cdx.json`, sbom(root, facts, engine));
  const artefacts = await artefactsIn(directory);
  write(
    release,
    `hostport-${facts.version}.intoto.json`,
    provenance(root, facts, artefacts, { plugins: engine, debian, given }),
  );
  write(release, ASSET_SUMS, assetSums(await artefactsIn(directory)));
  write(release, SUMS, sums(await artefactsIn(directory)));
}

function write({ directory }: Release, name: string, content: string | Uint8Array): void {
  mkdirSync(dirname(join(directory, name)), { recursive: true });
  writeFileSync(join(directory, name), content);
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`.padStart(9);
}
