import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { discard } from '../../sys/discard.ts';
import { aboutPath } from '../../sys/errno.ts';
import { fileProblem } from '../../sys/file-problem.ts';
import { readTar, type TarEntry, writeTar } from '../../sys/tar.ts';
import { InputError, messageOf } from '../../util/errors.ts';
import {
  blobPath,
  type Descriptor,
  type ImageIndex,
  type ImageManifest,
  MEDIA_TYPE,
  REF_NAME,
} from './oci.ts';
import { formatReference, parseReference } from './reference.ts';

/** One image of an archive. */
export interface ArchivedImage {
  /** Full references (`docker.io/library/busybox:latest`); empty when the archive does not name the image. */
  references: string[];
  /** What the image was made for: `linux`, `amd64`. Empty when the image does not say. */
  os: string;
  architecture: string;
  layers: number;
}

/** What an image archive holds, as `docker save` or an OCI tool wrote it. */
export interface ArchiveDescription {
  format: 'docker' | 'oci';
  images: ArchivedImage[];
}

/** JSON documents of an archive are small; what is larger is a layer and is not kept. */
const MAX_DOCUMENT = 4 << 20;
const GZIP_MAGIC = Buffer.from([0x1f, 0x8b]);

/** What one pass over an archive leaves: its small documents, and the name and size of every file. */
interface Scan {
  documents: Map<string, Buffer>;
  sizes: Map<string, number>;
}

/**
 * Reads a docker or OCI image archive (tar, or tar with gzip) without unpacking it, and checks it: the index is there,
 * everything that it needs is there, and every blob has the digest that it is named by. What passes can be handed to
 * `ctr images import`. Everything that is wrong is a {@link InputError} naming the file and what was seen.
 */
export async function describeArchive(path: string): Promise<ArchiveDescription> {
  try {
    const scan = await scanArchive(path);
    // A docker archive of today is both: the OCI index is the complete one, manifest.json the one for older readers.
    if (scan.documents.has('index.json')) return { format: 'oci', images: ociImages(scan) };
    if (scan.documents.has('manifest.json')) return { format: 'docker', images: dockerImages(scan) };
    throw new Error('it has neither index.json (OCI) nor manifest.json (docker save)');
  } catch (cause) {
    const problem = fileProblem(cause) ?? messageOf(cause);
    throw new InputError(`cannot load ${path}: not an image archive: ${problem}`);
  }
}

async function scanArchive(path: string): Promise<Scan> {
  const file = await stat(path);
  if (!file.isFile()) throw new Error('it is not a file');
  const documents = new Map<string, Buffer>();
  const sizes = new Map<string, number>();
  for await (const entry of readTar(await openArchive(path))) {
    const { path: name, type, size, target, body } = entry;
    if (type === 'link' || type === 'symlink') {
      // `docker save` links layers that images share; the target's size stands for it.
      sizes.set(name, sizes.get(target) ?? 0);
      continue;
    }
    if (type !== 'file') continue;
    const digest = /^blobs\/sha256\/([a-f0-9]{64})$/.exec(name)?.[1];
    const hash = digest === undefined ? undefined : createHash('sha256');
    const kept: Uint8Array[] | undefined = size <= MAX_DOCUMENT ? [] : undefined;
    for await (const chunk of body) {
      hash?.update(chunk);
      kept?.push(chunk);
    }
    const actual = hash?.digest('hex');
    if (actual !== digest) throw new Error(`blob ${digest} is damaged: its content has the digest ${actual}`);
    sizes.set(name, size);
    // A layer begins with a path, compressed or not; only JSON is looked at later.
    const content = kept === undefined ? undefined : Buffer.concat(kept);
    if (content !== undefined && (content[0] === 0x7b || content[0] === 0x5b)) documents.set(name, content);
  }
  return { documents, sizes };
}

/** The tar bytes of an archive, gunzipped when they begin as gzip does. */
async function openArchive(path: string): Promise<AsyncIterable<Uint8Array>> {
  const magic = Buffer.alloc(2);
  const file = await open(path);
  try {
    await file.read(magic, 0, 2, 0);
  } finally {
    await file.close();
  }
  const stream = createReadStream(path, { highWaterMark: 1 << 20 });
  if (!magic.equals(GZIP_MAGIC)) return stream;
  const gunzip = createGunzip({ chunkSize: 1 << 20 });
  // pipe() does not hand errors on, and an unread error of the file would end the process.
  stream.on('error', (error) => gunzip.destroy(error));
  return stream.pipe(gunzip);
}

function json<T>(scan: Scan, name: string): T {
  const content = scan.documents.get(name);
  if (content === undefined) {
    throw new Error(scan.sizes.has(name) ? `${name} is not a JSON document` : `${name} is missing`);
  }
  try {
    return JSON.parse(content.toString('utf8')) as T;
  } catch (cause) {
    throw new Error(`${name} is not valid JSON`, { cause });
  }
}

interface ImageConfig {
  os?: string;
  architecture?: string;
}

function dockerImages(scan: Scan): ArchivedImage[] {
  const manifest = json<{ Config?: string; RepoTags?: string[] | null; Layers?: string[] }[]>(
    scan,
    'manifest.json',
  );
  if (!Array.isArray(manifest) || manifest.length === 0) throw new Error('manifest.json lists no image');
  return manifest.map((image, i) => {
    if (typeof image.Config !== 'string' || !Array.isArray(image.Layers)) {
      throw new Error(`manifest.json[${i}] has no Config or no Layers`);
    }
    for (const layer of image.Layers) {
      if (!scan.sizes.has(layer)) throw new Error(`layer ${layer} of manifest.json[${i}] is missing`);
    }
    const config = json<ImageConfig>(scan, image.Config);
    return {
      references: (image.RepoTags ?? []).map((tag) => normalised(tag, `manifest.json[${i}].RepoTags`)),
      os: config.os ?? '',
      architecture: config.architecture ?? '',
      layers: image.Layers.length,
    };
  });
}

function ociImages(scan: Scan): ArchivedImage[] {
  const index = json<ImageIndex>(scan, 'index.json');
  if (!Array.isArray(index.manifests) || index.manifests.length === 0) {
    throw new Error('index.json lists no image');
  }
  const byDigest = new Map<string, ArchivedImage>();
  for (const entry of index.manifests) {
    const reference = referenceOf(entry);
    const known = byDigest.get(entry.digest);
    if (known !== undefined) {
      if (reference !== undefined) known.references.push(reference);
      continue;
    }
    byDigest.set(entry.digest, {
      references: reference === undefined ? [] : [reference],
      ...describeManifest(scan, entry, 0),
    });
  }
  return [...byDigest.values()];
}

/** containerd's own annotation holds a full name; the specification's holds one, or a tag alone, which names nothing. */
function referenceOf(entry: Descriptor): string | undefined {
  const full = entry.annotations?.['io.containerd.image.name'];
  if (full !== undefined) return normalised(full, 'index.json');
  const name = entry.annotations?.[REF_NAME];
  return name?.includes('/') || name?.includes(':') ? normalised(name, 'index.json') : undefined;
}

function describeManifest(scan: Scan, entry: Descriptor, depth: number): Omit<ArchivedImage, 'references'> {
  const name = blobPath('', entry.digest);
  const document = json<Partial<ImageManifest & ImageIndex>>(scan, name);
  if (document.config !== undefined && Array.isArray(document.layers)) {
    for (const layer of document.layers) {
      if (!scan.sizes.has(blobPath('', layer.digest))) throw new Error(`layer ${layer.digest} is missing`);
    }
    const config = json<ImageConfig>(scan, blobPath('', document.config.digest));
    return {
      os: config.os ?? '',
      architecture: config.architecture ?? '',
      layers: document.layers.length,
    };
  }
  // An index of platforms: those that were left out of the archive are not an error, one has to be there.
  const present = (document.manifests ?? []).filter((child) =>
    scan.documents.has(blobPath('', child.digest)),
  );
  if (present.length === 0 || depth > 2) throw new Error(`${name} is neither an image nor an index of one`);
  return describeManifest(scan, present[0]!, depth + 1);
}

function normalised(text: string, where: string): string {
  const reference = parseReference(text);
  if (reference === undefined) throw new Error(`${where}: ${JSON.stringify(text)} is not an image name`);
  return formatReference(reference);
}

/**
 * Writes images of a layout as one OCI archive, for `ctr images import`. `references` are full ones; one that the layout
 * does not have is an error.
 */
export async function writeArchive(
  layout: string,
  index: ImageIndex,
  references: readonly string[],
  path: string,
): Promise<void> {
  const manifests = references.map((reference) => {
    const found = index.manifests.find((entry) => entry.annotations?.[REF_NAME] === reference);
    if (found === undefined) throw new Error(`${layout}: no image ${reference}`);
    return found;
  });
  await writeLayoutArchive(layout, manifests, path);
}

/** Writes these entries of a layout's index, with all that they refer to, as one OCI archive. */
export async function writeLayoutArchive(
  layout: string,
  manifests: Descriptor[],
  path: string,
): Promise<void> {
  const blobs = new Map<string, Descriptor>();
  for (const entry of manifests)
    for await (const blob of blobsOf(layout, entry)) blobs.set(blob.digest, blob);
  const subset: ImageIndex = { schemaVersion: 2, mediaType: MEDIA_TYPE.index, manifests };
  const entries: TarEntry[] = [
    document('oci-layout', '{"imageLayoutVersion":"1.0.0"}'),
    document('index.json', JSON.stringify(subset)),
    { type: 'directory', path: 'blobs', mode: 0o755 },
    { type: 'directory', path: 'blobs/sha256', mode: 0o755 },
    ...[...blobs.keys()].sort().map(
      (digest): TarEntry => ({
        type: 'file',
        path: blobPath('', digest),
        mode: 0o644,
        content: { file: blobPath(layout, digest), size: blobs.get(digest)!.size },
      }),
    ),
  ];
  try {
    await pipeline(writeTar(entries), createWriteStream(path, { mode: 0o644 }));
  } catch (cause) {
    discard(path);
    throw aboutPath(cause, path);
  }
}

/** What an index or a manifest refers to, all the way down, and itself last: a registry takes them in this order. */
export async function* blobsOf(layout: string, entry: Descriptor): AsyncGenerator<Descriptor> {
  const { manifests, config, layers } = JSON.parse(
    await Bun.file(blobPath(layout, entry.digest)).text(),
  ) as Partial<ImageManifest & ImageIndex>;
  for (const inner of manifests ?? []) yield* blobsOf(layout, inner);
  if (config !== undefined) yield config;
  yield* layers ?? [];
  yield entry;
}

function document(path: string, text: string): TarEntry {
  return { type: 'file', path, mode: 0o644, content: Buffer.from(text) };
}
