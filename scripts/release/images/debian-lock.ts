import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';

/** Architectures that there are images for, as Debian and OCI name them. */
export const ARCHITECTURES = ['amd64', 'arm64'] as const;
export type Architecture = (typeof ARCHITECTURES)[number];

const packageSchema = z.strictObject({
  name: z.string().regex(/^[a-z0-9][a-z0-9+.-]+$/),
  version: z.string().regex(/^[0-9][A-Za-z0-9.+:~-]*$/),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
});
const lockSchema = z.strictObject({
  amd64: packageSchema.array().min(1),
  arm64: packageSchema.array().min(1),
});

/** A package of Debian that an image has files of. */
export type DebianPackage = z.infer<typeof packageSchema>;
/** By architecture, sorted by name. */
export type DebianLock = z.infer<typeof lockSchema>;

/** Where the lock is. `make refresh-lock` writes it. */
export function lockPath(root: string): string {
  return join(root, 'deploy/images/debian.lock.json');
}

/** Throws when the file is not a lock. */
export function readLock(path: string): DebianLock {
  const parsed = lockSchema.safeParse(JSON.parse(readFileSync(path, 'utf8')));
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new Error(
    `cannot read ${path}: ${issue?.path.join('.')}: ${issue?.message}; run "make refresh-lock" to write it`,
  );
}

/** One package a line, so that a change of one shows as such. */
export function formatLock(lock: DebianLock): string {
  const lists = ARCHITECTURES.map((architecture) => {
    const lines = lock[architecture].map((each) => `    ${JSON.stringify(each)}`);
    return `  ${JSON.stringify(architecture)}: [\n${lines.join(',\n')}\n  ]`;
  });
  return `{\n${lists.join(',\n')}\n}\n`;
}
