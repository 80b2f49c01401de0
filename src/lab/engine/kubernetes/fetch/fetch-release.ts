import { chmod, mkdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { tryFileLock } from '../../../../sys/file-lock.ts';
import { exists } from '../../../../sys/files.ts';
import { InputError, messageOf, UserError } from '../../../../util/errors.ts';
import type { Progress } from '../../../cluster/progress.ts';
import { checkVersion, PROGRAMS, type ReleaseHost, readRelease } from '../release.ts';
import { cacheLock, releaseCache } from '../release-cache.ts';
import { type DownloadContext, download } from './download.ts';
import { ask, brokenOff, type MirrorAccess, Silence } from './http.ts';
import { architectureOf, programUrl } from './mirror.ts';

export interface FetchContext {
  host: ReleaseHost;
  access: MirrorAccess;
  /** Of the user, for where the cache is. */
  env: Readonly<Record<string, string | undefined>>;
  progress: Progress;
  signal: AbortSignal;
  /** Only tests need others than {@link DownloadContext}'s. */
  limits?: Pick<DownloadContext, 'maxBytes' | 'silenceMs' | 'clock'>;
}

export interface FetchedProgram {
  name: string;
  bytes: number;
  sha512: string;
  from: string;
  checksumFrom: string;
}

/** What was done for a release. */
export interface FetchedRelease {
  version: string;
  /** Where its programs are. */
  directory: string;
  /** Empty when they had been there. */
  programs: FetchedProgram[];
}

/** A checksum with its file's name is some 200 bytes. */
const CHECKSUM_BYTES = 4096;

/**
 * Downloads the programs of a release from a mirror that has Kubernetes' own layout into the user's cache, each checked against the SHA-512
 * that the same mirror publishes beside it. The release is in the cache as a whole, or not at all; an interrupted run leaves what it has, and
 * the next one continues.
 * @throws InputError for a version that this machine cannot run, or that the mirror does not have; UserError.
 */
export async function fetchRelease(
  version: string,
  mirror: URL,
  context: FetchContext,
): Promise<FetchedRelease> {
  const { host, env } = context;
  const architecture = architectureOf(host.elfMachine);
  try {
    checkVersion(version);
  } catch (cause) {
    throw new InputError(`cannot fetch Kubernetes ${version}: ${messageOf(cause)}`, { cause });
  }
  const lock = tryFileLock(cacheLock(env), `process ${process.pid}`);
  if ('heldBy' in lock) {
    throw new UserError(
      `cannot fetch Kubernetes ${version}: ${lock.heldBy} is writing to the cache; run this again when it has ended`,
    );
  }
  try {
    const directory = releaseCache(version, env);
    if (await isWhole(directory, version, host)) return { version, directory, programs: [] };
    return {
      version,
      directory,
      programs: await fetchInto(directory, version, mirror, architecture, context),
    };
  } finally {
    lock.release();
  }
}

/** Whether a directory has this release; one that a build has left unfinished, or that is of another version, is replaced. */
async function isWhole(directory: string, version: string, host: ReleaseHost): Promise<boolean> {
  if (!(await exists(directory))) return false;
  return readRelease(directory, host).then(
    (found) => found.version === version,
    (cause) => {
      if (cause instanceof InputError) return false;
      throw cause;
    },
  );
}

async function fetchInto(
  directory: string,
  version: string,
  mirror: URL,
  architecture: string,
  context: FetchContext,
): Promise<FetchedProgram[]> {
  const { host, progress, signal } = context;
  const wanted = await progress.step(`Reading the checksums of ${version}`, async () => {
    const found = [];
    for (const name of PROGRAMS) {
      const url = programUrl(mirror, version, architecture, name);
      found.push({ name, url, ...(await checksumOf(url, version, context)) });
    }
    return found;
  });
  const unfinished = join(dirname(directory), `.fetching-${version}`);
  await mkdir(unfinished, { recursive: true });
  const programs: FetchedProgram[] = [];
  for (const { name, url, sha512, checksumFrom } of wanted) {
    const path = join(unfinished, name);
    const bytes = await progress.step(`Fetching ${name}`, (say) =>
      download(
        { url, path, sha512, checksumFrom },
        {
          ...context.limits,
          access: context.access,
          signal,
          onProgress: (at, total) =>
            say(`${megabytes(at)}${total === undefined ? '' : ` of ${megabytes(total)}`} MB`),
        },
      ),
    );
    await chmod(path, 0o755);
    programs.push({ name, bytes, sha512, from: url.href, checksumFrom: checksumFrom.href });
  }
  await checkFetched(unfinished, version, mirror, host);
  await rm(directory, { recursive: true, force: true });
  await rename(unfinished, directory);
  return programs;
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(1);
}

/** Looks at what was fetched as a cluster would; what is not a release that can run here is removed. */
async function checkFetched(
  directory: string,
  version: string,
  mirror: URL,
  host: ReleaseHost,
): Promise<void> {
  let problem: string | undefined;
  try {
    const found = await readRelease(directory, host);
    if (found.version !== version) problem = `its programs are ${found.version}`;
  } catch (cause) {
    problem = messageOf((cause as Error).cause ?? cause);
  }
  if (problem === undefined) return;
  await rm(directory, { recursive: true, force: true });
  throw new UserError(
    `cannot fetch Kubernetes ${version} from ${mirror}: ${problem}; what was fetched is removed`,
  );
}

/** The SHA-512 that a mirror publishes beside a program, and where. */
async function checksumOf(
  program: URL,
  version: string,
  { access, signal, limits }: FetchContext,
): Promise<{ sha512: string; checksumFrom: URL }> {
  const asked = new URL(`${program.href}.sha512`);
  const silence = new Silence(asked, limits?.silenceMs, signal);
  try {
    const { response, url } = await ask(asked, {}, access, silence.signal);
    const text = await beginningOf(response, url, silence.signal);
    if (response.status === 404) {
      throw new InputError(
        `cannot fetch Kubernetes ${version}: there is no ${url}; want a published version, and a mirror with the layout of dl.k8s.io`,
      );
    }
    const problem = response.status === 200 ? undefined : `HTTP status ${response.status}`;
    const sha512 = /^([0-9a-f]{128})(?:\s|$)/i.exec(text)?.[1]?.toLowerCase();
    if (problem === undefined && sha512 !== undefined) return { sha512, checksumFrom: url };
    throw new UserError(
      `cannot fetch Kubernetes ${version}: ${url}: ${problem ?? `it has ${JSON.stringify(text.slice(0, 40))}, and no SHA-512`}`,
    );
  } finally {
    silence.end();
  }
}

/** The beginning of a body, as text. */
async function beginningOf(response: Response, url: URL, signal: AbortSignal): Promise<string> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  try {
    for await (const piece of (response.body ?? []) as AsyncIterable<Uint8Array>) {
      pieces.push(piece);
      length += piece.length;
      if (length > CHECKSUM_BYTES) break;
    }
  } catch (cause) {
    brokenOff(url, {}, signal, cause);
  }
  return Buffer.concat(pieces).toString('latin1', 0, CHECKSUM_BYTES);
}
