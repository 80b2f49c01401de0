import { createHash } from 'node:crypto';
import { closeSync, mkdirSync, openSync, readdirSync, renameSync, rmSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { discard } from '../../sys/discard.ts';
import { aboutPath } from '../../sys/errno.ts';
import { readIfExists, writeFileAtomic } from '../../sys/files.ts';
import { type TarEntry, writeTar } from '../../sys/tar.ts';

/** Media types of the OCI image specification, v1. */
export const MEDIA_TYPE = {
  index: 'application/vnd.oci.image.index.v1+json',
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  config: 'application/vnd.oci.image.config.v1+json',
  layer: 'application/vnd.oci.image.layer.v1.tar',
  zstdLayer: 'application/vnd.oci.image.layer.v1.tar+zstd',
  empty: 'application/vnd.oci.empty.v1+json',
} as const;

/** The annotation of an index entry that carries its name; ours hold the full reference. */
export const REF_NAME = 'org.opencontainers.image.ref.name';
/** Where containerd looks first for the name of an image that it imports. */
const CONTAINERD_NAME = 'io.containerd.image.name';

/** A pointer to a blob (OCI image specification, "Content Descriptors"). */
export interface Descriptor {
  mediaType: string;
  digest: string;
  size: number;
  annotations?: Record<string, string>;
  platform?: { architecture: string; os: string };
  artifactType?: string;
}

export interface ImageIndex {
  schemaVersion: 2;
  mediaType?: string;
  manifests: Descriptor[];
}

export interface ImageManifest {
  schemaVersion: 2;
  mediaType?: string;
  config: Descriptor;
  layers: Descriptor[];
  annotations?: Record<string, string>;
  artifactType?: string;
  /** What the document is attached to: an image or an index. */
  subject?: Descriptor;
}

/** What a container of the image starts with: the `config` of an OCI image configuration. */
export interface RunConfig {
  Entrypoint?: string[];
  Cmd?: string[];
  Env?: string[];
  ExposedPorts?: Record<string, Record<string, never>>;
  /** Name or number; root unless given. */
  User?: string;
  WorkingDir?: string;
  StopSignal?: string;
  Labels?: Record<string, string>;
}

/** A layer as it is stored, and the digest of its archive. */
export interface Layer {
  blob: Descriptor;
  diffId: string;
}

/** What an image of one platform is made of. */
export interface ImageParts {
  layers: readonly Layer[];
  config: RunConfig;
  architecture: string;
  /** RFC 3339. */
  created: string;
  annotations?: Record<string, string>;
}

/** The architecture's name in OCI and Go, of the machine this runs on. */
export function architecture(): string {
  return process.arch === 'x64' ? 'amd64' : process.arch;
}

export function blobPath(layout: string, digest: string): string {
  const match = /^sha256:([a-f0-9]{64})$/.exec(digest);
  if (match === null) throw new Error(`not a sha256 digest: ${JSON.stringify(digest)}`);
  return join(layout, 'blobs', 'sha256', match[1]!);
}

/**
 * An OCI image layout being written: blobs first, the index last and at once, so that whoever reads the directory
 * meanwhile sees the old images or the new ones. Equal input gives equal digests.
 */
export class LayoutWriter {
  readonly #directory: string;
  readonly #kept = new Set<string>();
  readonly #images: Descriptor[] = [];

  constructor(directory: string) {
    this.#directory = directory;
    mkdirSync(join(directory, 'blobs', 'sha256'), { recursive: true });
  }

  /** Stores an uncompressed layer; its digest is also its diff ID. */
  layer(entries: Iterable<TarEntry>): Promise<Descriptor> {
    return this.#blob(MEDIA_TYPE.layer, writeTar(entries));
  }

  /** Stores a layer compressed by zstd, of which the runtime's is deterministic. It is in memory meanwhile. */
  async zstdLayer(entries: Iterable<TarEntry>, level: number): Promise<Layer> {
    const archive = Buffer.concat(await Array.fromAsync(writeTar(entries)));
    const blob = await this.#blob(MEDIA_TYPE.zstdLayer, [Bun.zstdCompressSync(archive, { level })]);
    return { blob, diffId: `sha256:${createHash('sha256').update(archive).digest('hex')}` };
  }

  /** Adds an image of `layers` under its full reference. */
  async image(reference: string, layers: Descriptor[], config: RunConfig): Promise<Descriptor> {
    const manifest = await this.platformImage({
      layers: layers.map((blob) => ({ blob, diffId: blob.digest })),
      config,
      architecture: architecture(),
      created: '1970-01-01T00:00:00Z',
    });
    return this.name(manifest, reference);
  }

  /** Stores an image of one platform, without a name. */
  async platformImage({
    layers,
    config,
    created,
    architecture,
    annotations,
  }: ImageParts): Promise<Descriptor> {
    const platform = { architecture, os: 'linux' };
    const configBlob = await this.#json(MEDIA_TYPE.config, {
      created,
      ...platform,
      config,
      rootfs: { type: 'layers', diff_ids: layers.map(({ diffId }) => diffId) },
      history: layers.map(() => ({ created, created_by: 'hostport' })),
    });
    const manifest = await this.#json(MEDIA_TYPE.manifest, {
      schemaVersion: 2,
      mediaType: MEDIA_TYPE.manifest,
      config: configBlob,
      layers: layers.map(({ blob }) => blob),
      ...(annotations && { annotations }),
    } satisfies ImageManifest);
    return { ...manifest, platform };
  }

  /** Stores an index of the images of several platforms, without a name. */
  platformIndex(manifests: readonly Descriptor[], annotations: Record<string, string>): Promise<Descriptor> {
    const index = { schemaVersion: 2, mediaType: MEDIA_TYPE.index, manifests, annotations };
    return this.#json(MEDIA_TYPE.index, index);
  }

  /** Stores a document that is attached to an image or an index, and publishes it beside that. */
  async attach(subject: Descriptor, artifactType: string, document: string): Promise<Descriptor> {
    const { mediaType, digest, size } = subject;
    const manifest = await this.#json(MEDIA_TYPE.manifest, {
      schemaVersion: 2,
      mediaType: MEDIA_TYPE.manifest,
      artifactType,
      config: await this.#blob(MEDIA_TYPE.empty, [Buffer.from('{}')]),
      layers: [await this.#blob(artifactType, [Buffer.from(document)])],
      subject: { mediaType, digest, size },
    } satisfies ImageManifest);
    const entry = { ...manifest, artifactType };
    this.#images.push(entry);
    return entry;
  }

  /** Publishes what was stored under its full reference. */
  name(stored: Descriptor, reference: string): Descriptor {
    const entry = { ...stored, annotations: { [REF_NAME]: reference, [CONTAINERD_NAME]: reference } };
    this.#images.push(entry);
    return entry;
  }

  /** Publishes the images and removes blobs that none of them needs. */
  async finish(): Promise<ImageIndex> {
    const index: ImageIndex = { schemaVersion: 2, mediaType: MEDIA_TYPE.index, manifests: this.#images };
    await writeFileAtomic(join(this.#directory, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
    await writeFileAtomic(join(this.#directory, 'index.json'), JSON.stringify(index));
    const blobs = join(this.#directory, 'blobs', 'sha256');
    for (const name of readdirSync(blobs)) {
      if (!this.#kept.has(`sha256:${name}`)) rmSync(join(blobs, name));
    }
    return index;
  }

  #json(mediaType: string, value: unknown): Promise<Descriptor> {
    return this.#blob(mediaType, [Buffer.from(JSON.stringify(value))]);
  }

  async #blob(
    mediaType: string,
    chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  ): Promise<Descriptor> {
    const temporary = join(this.#directory, 'blobs', 'sha256', `.tmp-${process.pid}`);
    const hash = createHash('sha256');
    let size = 0;
    try {
      const fd = openSync(temporary, 'w', 0o644);
      try {
        for await (const chunk of chunks) {
          hash.update(chunk);
          size += chunk.length;
          for (let written = 0; written < chunk.length; ) written += writeSync(fd, chunk, written);
        }
      } finally {
        closeSync(fd);
      }
    } catch (cause) {
      discard(temporary);
      throw aboutPath(cause, dirname(temporary));
    }
    const digest = `sha256:${hash.digest('hex')}`;
    renameSync(temporary, blobPath(this.#directory, digest));
    this.#kept.add(digest);
    return { mediaType, digest, size };
  }
}

/** The index of a layout. Throws when the directory is not one. */
export async function readIndex(layout: string): Promise<ImageIndex> {
  const path = join(layout, 'index.json');
  const text = await readIfExists(path);
  if (text === undefined) throw new Error(`${layout}: not an OCI image layout (no index.json)`);
  const index = JSON.parse(text) as ImageIndex;
  if (!Array.isArray(index.manifests)) throw new Error(`${path}: has no list of manifests`);
  return index;
}
