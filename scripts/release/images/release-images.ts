import { mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeLayoutArchive } from '../../../src/lab/images/archive.ts';
import { type Descriptor, type Layer, LayoutWriter, type RunConfig } from '../../../src/lab/images/oci.ts';
import { RootTree } from '../../../src/lab/images/root-tree.ts';
import type { Exec } from '../../../src/sys/exec.ts';
import { IMAGE_PREFIX } from '../../../src/util/images.ts';
import type { BuildFacts } from '../../../src/util/version.ts';
import type { PluginEngine } from '../plugin-engine.ts';
import type { PluginFiles } from '../plugins.ts';
import { type Component, library, pluginSbom, sbom } from '../sbom.ts';
import { ARCHITECTURES, type Architecture, type DebianLock, type DebianPackage } from './debian-lock.ts';
import { filesOf, lockedPackages } from './debian-packages.ts';
import { PackageFiles } from './package-files.ts';
import { toolsLayer } from './tools.ts';

/** Of zstd: 19 saves another megabyte, and takes twenty times as long. */
const LEVEL = 9;
const PATH = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
/** As in the image's /etc/passwd: user and group. */
const NOBODY = '65534:65534';
const SBOM_TYPE = 'application/vnd.cyclonedx+json';
/** Where the agent looks for the plugin that it brings, and the plugin's own image has it. */
const BROUGHT = '/usr/local/lib/hostport/cni';

/** What images are made from. */
export interface ImageInputs {
  exec: Exec;
  root: string;
  facts: BuildFacts;
  lock: DebianLock;
  /** Where packages of Debian are kept. */
  cache: string;
  /** The program for distributions with glibc, by architecture. */
  programs: Readonly<Record<Architecture, string>>;
  plugins: ReadonlyMap<string, PluginFiles>;
  engine: PluginEngine;
  /** For files that are on their way into an archive. */
  scratch: string;
  /** Where the archives are written. */
  out: string;
}

/** An image that was written. */
export interface ReleasedImage {
  name: string;
  /** Of its index of both architectures. */
  digest: string;
  /** By architecture: bytes that a node downloads. */
  sizes: Readonly<Record<Architecture, number>>;
}

interface Part {
  manifest: Descriptor;
  layers: readonly Layer[];
}

/** Writes the agent's image, and the plugin's own, as an OCI archive each: for both architectures, with a bill of materials. */
export async function releaseImages(inputs: ImageInputs): Promise<ReleasedImage[]> {
  mkdirSync(inputs.out, { recursive: true });
  const images = [await agent(inputs), await plugin(inputs)];
  writeFileSync(
    join(inputs.out, 'digests.txt'),
    images.map(({ name, digest }) => `${digest}  ${name}\n`).join(''),
  );
  return images;
}

async function agent(inputs: ImageInputs): Promise<ReleasedImage> {
  const { exec, root, facts, lock, cache, programs, plugins } = inputs;
  const title = 'the agent of hostport, and what its doctor examines nodes with';
  const used: Component[] = [];
  const build = async (writer: LayoutWriter, architecture: Architecture, labels: Labels) => {
    const files = new PackageFiles();
    for (const [name, deb] of await lockedPackages(exec, architecture, lock[architecture], cache))
      await files.add(name, await filesOf(exec, deb));
    const { tree, packages } = toolsLayer(files, architecture);
    used.push(...lock[architecture].filter(({ name }) => packages.has(name)).map(componentOf(architecture)));
    const layers = [
      await writer.zstdLayer(tree.entries(), LEVEL),
      await writer.zstdLayer(
        programTree(programs[architecture], pluginsOf(plugins, architecture)).entries(),
        LEVEL,
      ),
    ];
    const config: RunConfig = {
      Entrypoint: ['/usr/local/bin/hostport'],
      Env: [PATH, 'HOME=/'],
      // Manifests ask for root where a node is read or changed; whoever starts the image otherwise has not asked for it.
      User: NOBODY,
      Labels: labels,
    };
    return {
      manifest: await writer.platformImage({ ...common(facts, architecture), layers, config }),
      layers,
    };
  };
  return image(inputs, 'hostport-agent', title, build, () => sbom(root, facts, inputs.engine, used));
}

async function plugin(inputs: ImageInputs): Promise<ReleasedImage> {
  const { facts, plugins } = inputs;
  const title = "hostport's portmap CNI plugin, and what installs it on a node";
  const build = async (writer: LayoutWriter, architecture: Architecture, labels: Labels) => {
    const { portmap } = pluginsOf(plugins, architecture);
    // Names by which the plugin's executable is its own installer.
    const tree = new RootTree().file(['/portmap', '/install', '/keep'], 0o755, contentOf(portmap));
    const layers = [await writer.zstdLayer(tree.entries(), LEVEL)];
    // As root, who the directories of a node's plugins belong to: it does nothing else.
    const config: RunConfig = { Entrypoint: ['/install'], Labels: labels };
    return {
      manifest: await writer.platformImage({ ...common(facts, architecture), layers, config }),
      layers,
    };
  };
  return image(inputs, 'hostport-cni', title, build, () => pluginSbom(facts, inputs.engine));
}

type Labels = Record<string, string>;

async function image(
  { facts, scratch, out }: ImageInputs,
  name: string,
  title: string,
  build: (writer: LayoutWriter, architecture: Architecture, labels: Labels) => Promise<Part>,
  bill: () => string,
): Promise<ReleasedImage> {
  const layout = join(scratch, name);
  const writer = new LayoutWriter(layout);
  const labels = labelsOf(facts, name, title);
  const parts: Part[] = [];
  for (const architecture of ARCHITECTURES) parts.push(await build(writer, architecture, labels));
  const index = await writer.platformIndex(
    parts.map(({ manifest }) => manifest),
    labels,
  );
  const prefix = facts.registry ?? IMAGE_PREFIX;
  writer.name(index, `${prefix}/${name}:${facts.version}`);
  await writer.attach(index, SBOM_TYPE, bill());
  const { manifests } = await writer.finish();
  await writeLayoutArchive(layout, manifests, join(out, `${name}-${facts.version}.oci.tar`));
  rmSync(layout, { recursive: true });
  const [amd64, arm64] = parts.map(({ layers }) => layers.reduce((sum, { blob }) => sum + blob.size, 0));
  return { name, digest: index.digest, sizes: { amd64: amd64!, arm64: arm64! } };
}

function common(facts: BuildFacts, architecture: Architecture) {
  return { architecture, created: facts.date ?? '1970-01-01T00:00:00Z' };
}

/** Source: OCI image specification, "Pre-Defined Annotation Keys". */
function labelsOf(facts: BuildFacts, title: string, description: string): Labels {
  const key = (name: string) => `org.opencontainers.image.${name}`;
  return {
    [key('title')]: title,
    [key('description')]: description,
    [key('version')]: facts.version,
    [key('licenses')]: 'Apache-2.0',
    ...(facts.commit !== undefined && { [key('revision')]: facts.commit }),
    ...(facts.date !== undefined && { [key('created')]: facts.date }),
  };
}

function programTree(program: string, { portmap }: Plugins): RootTree {
  return new RootTree()
    .file(['/usr/local/bin/hostport'], 0o755, contentOf(program))
    .file([`${BROUGHT}/portmap`, `${BROUGHT}/loopback`], 0o755, contentOf(portmap));
}

interface Plugins {
  /** One executable for both names. */
  portmap: string;
}

function pluginsOf(plugins: ReadonlyMap<string, PluginFiles>, architecture: Architecture): Plugins {
  const portmap = plugins.get(architecture)?.get('portmap');
  if (portmap === undefined)
    throw new Error(`cannot build the images: no plugins for ${architecture}; run "make build"`);
  return { portmap };
}

function contentOf(file: string) {
  return { file, size: statSync(file).size };
}

function componentOf(architecture: Architecture) {
  return ({ name, version, sha256 }: DebianPackage): Component => {
    const purl = `pkg:deb/debian/${name}@${encodeURIComponent(version)}?arch=${architecture}`;
    return { ...library(name, version, purl), hashes: [{ alg: 'SHA-256', content: sha256 }] };
  };
}
