import type { Stats } from 'node:fs';
import { mkdir, open, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { ignoring } from '../../../sys/errno.ts';
import { VolumeError } from './volume-error.ts';

const CHECKS: Record<string, [what: string, holds: (found: Stats) => boolean]> = {
  Directory: ['directory', (found) => found.isDirectory()],
  DirectoryOrCreate: ['directory', (found) => found.isDirectory()],
  File: ['file', (found) => found.isFile()],
  FileOrCreate: ['file', (found) => found.isFile()],
  Socket: ['socket', (found) => found.isSocket()],
  CharDevice: ['character device', (found) => found.isCharacterDevice()],
  BlockDevice: ['block device', (found) => found.isBlockDevice()],
};

/**
 * Checks (and for the OrCreate types makes) what a hostPath volume names.
 * https://kubernetes.io/docs/concepts/storage/volumes/#hostpath-volume-types
 * @throws VolumeError with Kubernetes' words.
 */
export async function prepareHostPath(path: string, type: string | undefined): Promise<void> {
  if (type === undefined || type === '') return;
  const check = CHECKS[type];
  if (check === undefined) throw new VolumeError(`hostPath type ${JSON.stringify(type)} is not known`);
  let found = await stat(path).catch(ignoring('ENOENT'));
  if (found === undefined && type === 'DirectoryOrCreate') {
    await mkdir(path, { recursive: true, mode: 0o755 });
    found = await stat(path);
  }
  if (found === undefined && type === 'FileOrCreate') {
    await mkdir(dirname(path), { recursive: true, mode: 0o755 });
    await (await open(path, 'a', 0o644)).close();
    found = await stat(path);
  }
  const [what, holds] = check;
  if (found === undefined || !holds(found)) {
    throw new VolumeError(`hostPath type check failed: ${path} is not a ${what}`);
  }
}
