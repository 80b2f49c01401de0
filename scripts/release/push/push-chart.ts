import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { parse } from 'yaml';
import { type Descriptor, type ImageManifest, MEDIA_TYPE } from '../../../src/lab/images/oci.ts';
import { readTar } from '../../../src/sys/tar.ts';
import type { RegistryClient } from './registry-client.ts';

/** Media types of Helm's charts. Source: helm.sh/helm/v3/pkg/registry. */
const CONFIG = 'application/vnd.cncf.helm.config.v1+json';
const CONTENT = 'application/vnd.cncf.helm.chart.content.v1.tar+gzip';

/** Pushes a packed chart as `helm push` does, under its version. Returns the digest of what `helm install oci://…` then finds. */
export async function pushChart(archive: string, client: RegistryClient): Promise<string> {
  const content = readFileSync(archive);
  const metadata = await metadataOf(content);
  const put = async (mediaType: string, bytes: Buffer): Promise<Descriptor> => {
    const descriptor = describe(mediaType, bytes);
    await client.blob(descriptor, new Blob([new Uint8Array(bytes)]));
    return descriptor;
  };
  const manifest: ImageManifest = {
    schemaVersion: 2,
    mediaType: MEDIA_TYPE.manifest,
    config: await put(CONFIG, Buffer.from(JSON.stringify(metadata))),
    layers: [await put(CONTENT, content)],
    annotations: {
      'org.opencontainers.image.title': metadata.name,
      'org.opencontainers.image.version': metadata.version,
      'org.opencontainers.image.description': metadata.description,
    },
  };
  const bytes = Buffer.from(JSON.stringify(manifest));
  const descriptor = describe(MEDIA_TYPE.manifest, bytes);
  await client.manifest(descriptor, bytes, metadata.version);
  return descriptor.digest;
}

function describe(mediaType: string, bytes: Buffer): Descriptor {
  const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
  return { mediaType, digest, size: bytes.length };
}

interface Metadata {
  name: string;
  version: string;
  description: string;
}

async function metadataOf(archive: Buffer): Promise<Metadata> {
  async function* chunks() {
    yield gunzipSync(archive);
  }
  for await (const { path, body } of readTar(chunks())) {
    if (/^[^/]+\/Chart\.yaml$/.test(path))
      return parse(Buffer.concat(await Array.fromAsync(body)).toString('utf8')) as Metadata;
  }
  throw new Error('the chart has no Chart.yaml');
}
