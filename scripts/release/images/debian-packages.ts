import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Exec, output } from '../../../src/sys/exec.ts';
import { exists, writeFileAtomic } from '../../../src/sys/files.ts';
import { messageOf } from '../../../src/util/errors.ts';
import { Apt } from './apt.ts';
import type { Architecture, DebianPackage } from './debian-lock.ts';

const REFRESH = 'run "make refresh-lock" on Debian 12';

/**
 * The files of the packages that the lock names, each with the SHA-256 there. They are kept in `cache` by that, so that a release can be repeated
 * after Debian has replaced a version. Throws when one is neither kept nor in Debian any more.
 */
export async function lockedPackages(
  exec: Exec,
  architecture: Architecture,
  packages: readonly DebianPackage[],
  cache: string,
): Promise<Map<string, Buffer>> {
  const kept = ({ sha256 }: DebianPackage) => join(cache, `${sha256}.deb`);
  const missing: DebianPackage[] = [];
  for (const each of packages) if (!(await exists(kept(each)))) missing.push(each);
  if (missing.length > 0) {
    mkdirSync(cache, { recursive: true });
    const scratch = mkdtempSync(join(tmpdir(), 'hostport-apt-'));
    try {
      const files = await download(exec, architecture, missing, scratch);
      for (const each of missing) await writeFileAtomic(kept(each), found(each, architecture, files));
    } finally {
      rmSync(scratch, { recursive: true });
    }
  }
  return new Map(
    packages.map((each) => {
      const bytes = readFileSync(kept(each));
      if (digestOf(bytes) !== each.sha256)
        throw new Error(`cannot use ${kept(each)}: it is damaged; remove it, then run this again`);
      return [each.name, bytes];
    }),
  );
}

async function download(
  exec: Exec,
  architecture: Architecture,
  packages: readonly DebianPackage[],
  scratch: string,
): Promise<Map<string, Buffer>> {
  try {
    const apt = await Apt.begin(exec, architecture, scratch);
    const files = await apt.download(packages.map(({ name, version }) => `${name}=${version}`));
    return new Map(files.map((file) => [digestOf(readFileSync(file)), readFileSync(file)]));
  } catch (cause) {
    throw new Error(
      `cannot download the packages of the images for ${architecture}: ${firstProblem(cause)}; ${REFRESH} when a version is gone`,
      { cause },
    );
  }
}

/** What apt has against it, of all that it prints. */
function firstProblem(cause: unknown): string {
  const said = messageOf(cause);
  return /\bE: (.*)/.exec(said)?.[1] ?? said.split('\n', 1)[0]!;
}

function found(
  { name, version, sha256 }: DebianPackage,
  architecture: Architecture,
  files: ReadonlyMap<string, Buffer>,
): Buffer {
  const bytes = files.get(sha256);
  if (bytes !== undefined) return bytes;
  throw new Error(
    `cannot use ${name} ${version} for ${architecture}: Debian has it with another SHA-256 than the lock; ${REFRESH} when that is right`,
  );
}

export function digestOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** The archive of a package's files. */
export async function filesOf(exec: Exec, deb: Uint8Array): Promise<Uint8Array> {
  const scratch = mkdtempSync(join(tmpdir(), 'hostport-deb-'));
  try {
    const path = join(scratch, 'package.deb');
    await writeFileAtomic(path, deb);
    const argv = ['dpkg-deb', '--fsys-tarfile', path];
    const result = await exec.run(argv, { binary: true, timeoutMs: 60_000 });
    if (result.code !== 0 || result.stdoutBytes === undefined)
      throw new Error(`${argv.join(' ')}: exit status ${result.code}: ${result.stderr.trim()}`);
    return result.stdoutBytes;
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

/** What `dpkg-deb --field` says of a package. */
export async function fieldsOf(exec: Exec, file: string): Promise<{ name: string; version: string }> {
  const text = await output(exec, ['dpkg-deb', '--showformat=${Package}\\n${Version}\\n', '--show', file]);
  const [name = '', version = ''] = text.split('\n');
  return { name, version };
}
