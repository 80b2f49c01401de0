import { createWriteStream, rmSync, statSync } from 'node:fs';
import { basename } from 'node:path';
import { pipeline } from 'node:stream';
import { pipeline as piped } from 'node:stream/promises';
import { createGunzip, createGzip } from 'node:zlib';
import { streamLinked } from '../sys/bounded-file.ts';
import { calledAs } from '../sys/called-as.ts';
import { discard } from '../sys/discard.ts';
import { fileProblem } from '../sys/file-problem.ts';
import { readTar, type TarContent, type TarEntry, type TarReadEntry, writeTar } from '../sys/tar.ts';
import { InputError, messageOf } from '../util/errors.ts';
import type { BundleDocument } from './bundle-documents.ts';
import { KINDS, MAX_BYTES, MAX_REPORTS, NODE_FILE } from './bundle-layout.ts';
import { type BundleParts, broken } from './bundle-parts.ts';
import { PackedReports } from './packed-reports.ts';
import { inBlocks, writePieces } from './pieces.ts';

/** As much as an archive may hold. What is compressed may be anything. */
const MAX_UNPACKED = 16 * 1024 * 1024 * 1024;
/** Entries without bytes take time, too: twice as many as a bundle has at most. */
const MAX_ENTRIES = 2 * (MAX_REPORTS + 100);

/**
 * Writes the files of a bundle as an archive; in it they are in a directory that is called as the archive will be, which is unpacked so. Before a file
 * in an archive is its size, so the text of a long one is in a file beside the archive first.
 */
export async function writeArchive(
  path: string,
  name: string,
  documents: Iterable<BundleDocument>,
): Promise<void> {
  const directory = basename(name).replace(/\.tar\.gz$/, '') || 'bundle';
  const spool = `${path}.part`;
  const file = createWriteStream(path, { mode: 0o600, flags: 'wx' });
  try {
    await piped(writeTar(entriesOf(directory, documents, spool)), createGzip(), file);
  } finally {
    discard(spool);
  }
}

function* entriesOf(
  directory: string,
  documents: Iterable<BundleDocument>,
  spool: string,
): Generator<TarEntry> {
  for (const part of ['', '/objects', '/nodes'])
    yield { type: 'directory', path: `${directory}${part}`, mode: 0o700 };
  for (const { file, text } of documents) {
    yield { type: 'file', path: `${directory}/${file}`, mode: 0o600, content: contentOf(text, spool) };
  }
}

/** A text of one block as it is, a longer one by way of a file. */
function contentOf(text: Iterable<string>, spool: string): TarContent {
  const blocks = inBlocks(text);
  const [first, second] = [blocks.next(), blocks.next()];
  if (first.done || second.done) return Buffer.from(first.value ?? '');
  // That of an earlier text is in the archive by now.
  rmSync(spool, { force: true });
  writePieces(spool, joined([first.value, second.value], blocks));
  return { file: spool, size: statSync(spool).size };
}

function* joined(...parts: Iterable<string>[]): Generator<string> {
  for (const part of parts) yield* part;
}

/**
 * Reads the files of a bundle from an archive as it streams by; nothing is unpacked to disk. `name` is the archive's in errors.
 * @throws InputError when it is damaged, or a file of all nodes in it is.
 */
export async function readArchive(
  path: string,
  name: string,
  parts: BundleParts,
  maxBytes = MAX_UNPACKED,
): Promise<void> {
  const seen = new Set<string>();
  const reports = new PackedReports();
  let directory: string | undefined;
  let entries = 0;
  try {
    for await (const entry of readTar(limited(unzipped(path), maxBytes))) {
      if (++entries > MAX_ENTRIES)
        throw broken(entry.path, `the archive has more than ${MAX_ENTRIES} entries`);
      if (entry.type === 'directory') continue;
      const found = placeOf(entry.path);
      if (found === undefined) continue;
      directory ??= found.directory;
      if (found.directory !== directory)
        throw broken(entry.path, 'it is of another bundle than what is before it');
      if (seen.has(found.file)) throw broken(found.file, 'it is in the archive twice');
      seen.add(found.file);
      await take(entry, found.file, parts, reports);
    }
    parts.reports = reports.all();
  } catch (cause) {
    if (cause instanceof InputError) throw cause;
    // What the bytes come from says it through what reads them.
    if (cause instanceof Error && cause.cause instanceof InputError) throw cause.cause;
    const isZip = (cause as NodeJS.ErrnoException).code?.startsWith('Z_') === true;
    const problem = isZip
      ? `it is not compressed by gzip, or it is damaged: ${messageOf(cause)}`
      : (fileProblem(cause) ?? messageOf(cause));
    throw new InputError(
      `cannot read the bundle ${name}: ${problem}; give what "${calledAs()} doctor --save" wrote`,
    );
  }
}

/** The bytes of an archive with all that is in it, headers as well as what is skipped, as long as there are not too many. */
async function* limited(bytes: AsyncIterable<Uint8Array>, max: number): AsyncGenerator<Uint8Array> {
  let seen = 0;
  for await (const chunk of bytes) {
    seen += chunk.length;
    if (seen > max) throw broken('archive', `it has more than ${max} bytes`);
    yield chunk;
  }
}

function unzipped(path: string): AsyncIterable<Uint8Array> {
  const gunzip = createGunzip();
  // An error of reading ends the other, too, and is thrown to whoever reads it.
  pipeline(streamLinked(path), gunzip, () => {});
  return gunzip;
}

/** Files of a bundle that are no reports. */
const FILES: ReadonlySet<string> = new Set([
  ...['manifest.json', 'probes.json'],
  ...KINDS.map((kind) => `objects/${kind}.json`),
]);

/** Which file of a bundle a path in an archive is, and the directory before it; undefined for none. */
function placeOf(path: string): { directory: string; file: string } | undefined {
  const isOurs = (file: string) => FILES.has(file) || /^nodes\/[^/]+$/.test(file);
  if (isOurs(path)) return { directory: '', file: path };
  const slash = path.indexOf('/');
  const file = path.slice(slash + 1);
  return slash > 0 && isOurs(file) ? { directory: path.slice(0, slash), file } : undefined;
}

async function take(
  entry: TarReadEntry,
  file: string,
  parts: BundleParts,
  reports: PackedReports,
): Promise<void> {
  const isReport = file.startsWith('nodes/');
  const limit = limitOf(file);
  const problem =
    entry.type !== 'file'
      ? `a ${entry.type === 'symlink' ? 'symbolic ' : ''}${entry.type.replace('symlink', 'link')}, which is not followed`
      : entry.size > limit
        ? `longer than ${limit} bytes`
        : undefined;
  if (!isReport) {
    if (problem !== undefined) throw broken(file, problem);
    const part = parts.begin(file);
    for await (const chunk of entry.body) part.push(chunk);
    part.end();
    return;
  }
  const name = file.slice('nodes/'.length);
  const node = NODE_FILE.exec(name)?.[1];
  if (node === undefined) {
    parts.addStranger(name, 'nodes');
    return;
  }
  if (reports.size === MAX_REPORTS) throw broken('nodes', `has more than ${MAX_REPORTS} files`);
  if (problem === undefined) reports.addText(node, await textOf(entry), file);
  else reports.add(node, { unknown: `${file}: ${problem}` });
}

function limitOf(file: string): number {
  if (file === 'manifest.json') return MAX_BYTES.manifest;
  if (file === 'probes.json') return MAX_BYTES.probes;
  return file.startsWith('nodes/') ? MAX_BYTES.report : MAX_BYTES.objects;
}

async function textOf({ body }: TarReadEntry): Promise<string> {
  return Buffer.concat(await Array.fromAsync(body)).toString('utf8');
}
