import { readFileSync } from 'node:fs';
import { blobsOf } from '../../../src/lab/images/archive.ts';
import {
  blobPath,
  type Descriptor,
  type ImageIndex,
  type ImageManifest,
  MEDIA_TYPE,
  REF_NAME,
  readIndex,
} from '../../../src/lab/images/oci.ts';
import type { RegistryClient } from './registry-client.ts';

/** What was pushed. */
export interface Pushed {
  /** The name that the image was made for. */
  reference: string | undefined;
  digest: string;
  /** Bytes that the registry did not have. */
  sent: number;
}

/**
 * Pushes the image of a layout, with what is attached to it, under a tag: blobs first, then what refers to them, the tag last, so that it never
 * names something that is not whole. Repeatable.
 */
export async function pushImage(layout: string, client: RegistryClient, tag: string): Promise<Pushed> {
  const { manifests } = await readIndex(layout);
  const named = manifests.filter(({ artifactType }) => artifactType === undefined);
  const [image] = named;
  if (image === undefined || named.length > 1)
    throw new Error(`the archive has ${named.length} images, and one was to be pushed`);
  let sent = 0;
  const bytesOf = ({ digest }: Descriptor) => readFileSync(blobPath(layout, digest));
  const push = async (entry: Descriptor, name?: string) => {
    for await (const part of blobsOf(layout, entry)) {
      if (isManifest(part)) {
        const isLast = part === entry;
        await client.manifest(part, bytesOf(part), isLast && name !== undefined ? name : part.digest);
      } else if (await client.blob(part, Bun.file(blobPath(layout, part.digest)))) sent += part.size;
    }
  };
  await push(image);
  for (const attached of manifests.filter((entry) => entry !== image)) {
    for await (const part of blobsOf(layout, attached))
      if (!isManifest(part) && (await client.blob(part, Bun.file(blobPath(layout, part.digest)))))
        sent += part.size;
    const isKept = await client.manifest(attached, bytesOf(attached), attached.digest);
    if (!isKept) await nameReferrer(client, attached, bytesOf(attached));
  }
  await client.manifest(image, bytesOf(image), tag);
  return { reference: image.annotations?.[REF_NAME], digest: image.digest, sent };
}

function isManifest({ mediaType }: Descriptor): boolean {
  return mediaType === MEDIA_TYPE.manifest || mediaType === MEDIA_TYPE.index;
}

/**
 * In a registry that does not know subjects yet, a tag named for the subject's digest lists what is attached to it. Source: OCI distribution
 * specification 1.1, "Referrers Tag Schema".
 */
async function nameReferrer(client: RegistryClient, entry: Descriptor, document: Buffer): Promise<void> {
  const { subject } = JSON.parse(document.toString('utf8')) as ImageManifest;
  if (subject === undefined) throw new Error(`${entry.digest} is attached to nothing`);
  const tag = subject.digest.replace(':', '-');
  const before = (await client.current(tag)) as ImageIndex | undefined;
  const { mediaType, digest, size, artifactType } = entry;
  const others = (before?.manifests ?? []).filter((other) => other.digest !== digest);
  const index = {
    schemaVersion: 2,
    mediaType: MEDIA_TYPE.index,
    manifests: [...others, { mediaType, digest, size, artifactType }],
  };
  const bytes = Buffer.from(JSON.stringify(index));
  await client.manifest({ mediaType: MEDIA_TYPE.index, digest: tag, size: bytes.length }, bytes, tag);
}
