import { createHash } from 'node:crypto';
import { createReadStream, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type TarEntry, writeTar } from '../../src/sys/tar.ts';
import type { Artefact } from './sbom.ts';

/** A file of an archive that is on the disk. */
export function fileEntry(path: string, file: string, mode: number): TarEntry {
  return { type: 'file', path, mode, content: { file, size: statSync(file).size } };
}

export function textEntry(path: string, text: string): TarEntry {
  return { type: 'file', path, mode: 0o644, content: Buffer.from(text) };
}

/**
 * The bytes of a tar archive with gzip; equal for equal input. Of the runtime's two compressors the one that does not choose its method by the
 * processor, and writes no time.
 */
export async function tarGzip(entries: Iterable<TarEntry>): Promise<Uint8Array> {
  const tar = await Array.fromAsync(writeTar(entries));
  return Bun.gzipSync(Buffer.concat(tar), { library: 'libdeflate', level: 6 });
}

/** Every file below a directory, sorted by name, with its SHA-256. */
export async function artefactsIn(directory: string): Promise<Artefact[]> {
  const names = readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .filter((name) => statSync(join(directory, name)).isFile())
    .sort();
  return Promise.all(names.map(async (name) => ({ name, sha256: await sha256(join(directory, name)) })));
}

async function sha256(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 }))
    hash.update(chunk as Uint8Array);
  return hash.digest('hex');
}

/** What `sha256sum --check` reads. */
export function sums(artefacts: readonly Artefact[]): string {
  return artefacts.map(({ name, sha256: digest }) => `${digest}  ${name}\n`).join('');
}

/** What {@link sums} has written. Throws for anything else. */
export function parseSums(text: string): Artefact[] {
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => {
      const match = /^([0-9a-f]{64}) {2}(.+)$/.exec(line);
      if (match === null) throw new Error(`not a checksum and a name: ${JSON.stringify(line.slice(0, 100))}`);
      return { sha256: match[1]!, name: match[2]! };
    });
}
