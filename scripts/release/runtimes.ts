import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type Exec, output } from '../../src/sys/exec.ts';
import { exists } from '../../src/sys/files.ts';
import { lockedPackage } from './npm-packages.ts';

/** A platform that there is a program for. */
export interface Runtime {
  /** In the names of files: `amd64`, `arm64-musl`. */
  platform: string;
  architecture: 'amd64' | 'arm64';
  libc: 'glibc' | 'musl';
  /** Bun's name for it. */
  target: Bun.Build.CompileTarget;
  /** The package that has the runtime. */
  npm: string;
}

export const RUNTIMES: readonly Runtime[] = [
  runtime('amd64', 'glibc', 'bun-linux-x64', '@oven/bun-linux-x64'),
  runtime('amd64', 'musl', 'bun-linux-x64-musl', '@oven/bun-linux-x64-musl'),
  runtime('arm64', 'glibc', 'bun-linux-arm64', '@oven/bun-linux-aarch64'),
  runtime('arm64', 'musl', 'bun-linux-arm64-musl', '@oven/bun-linux-aarch64-musl'),
];

function runtime(
  architecture: Runtime['architecture'],
  libc: Runtime['libc'],
  target: Bun.Build.CompileTarget,
  npm: string,
): Runtime {
  return {
    platform: libc === 'musl' ? `${architecture}-musl` : architecture,
    architecture,
    libc,
    target,
    npm,
  };
}

const DOWNLOAD_MS = 10 * 60_000;

/**
 * The runtime's executable for a platform. It is taken by npm from the registry that npm is configured for, at the version of the lock file,
 * checked against the lock file's integrity, and kept in `cache`.
 */
export async function runtimeFor(exec: Exec, root: string, { npm }: Runtime, cache: string): Promise<string> {
  const { version, integrity } = lockedPackage(root, npm);
  const kept = join(cache, `${npm.replace('@oven/', '')}-${version}`);
  const executable = join(kept, 'package/bin/bun');
  if (await exists(executable)) return executable;
  mkdirSync(cache, { recursive: true });
  const scratch = mkdtempSync(join(cache, '.fetch-'));
  try {
    const argv = [
      'npm',
      'pack',
      '--silent',
      '--ignore-scripts',
      '--pack-destination',
      scratch,
      `${npm}@${version}`,
    ];
    // Outside of the project, whose scripts and workspaces are of no concern.
    const [file = ''] = (await output(exec, argv, { cwd: scratch, timeoutMs: DOWNLOAD_MS }))
      .trim()
      .split('\n');
    const archive = join(scratch, file);
    checkIntegrity(`${npm}@${version}`, readFileSync(archive), integrity);
    await output(exec, ['tar', '-xzf', archive, '-C', scratch, 'package/bin/bun'], {
      timeoutMs: DOWNLOAD_MS,
    });
    rmSync(archive);
    rmSync(kept, { recursive: true, force: true });
    renameSync(scratch, kept);
    return executable;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** Throws unless the bytes are those that the lock file means. */
export function checkIntegrity(name: string, bytes: Uint8Array, integrity: string): void {
  const seen = `sha512-${createHash('sha512').update(bytes).digest('base64')}`;
  if (seen !== integrity)
    throw new Error(`cannot use ${name}: its integrity is ${seen}, and package-lock.json has ${integrity}`);
}
