/** `make refresh-lock`: writes which packages of Debian the images are made from, as Debian has them now. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { realExec } from '../src/sys/exec.ts';
import { messageOf } from '../src/util/errors.ts';
import { formatLock, lockPath } from './release/images/debian-lock.ts';
import { currentLock } from './release/images/refresh-lock.ts';

try {
  const path = lockPath(join(import.meta.dir, '..'));
  const lock = await currentLock(realExec);
  writeFileSync(path, formatLock(lock));
  console.log(`${path}: ${lock.amd64.length} packages for amd64, ${lock.arm64.length} for arm64`);
} catch (error) {
  process.stderr.write(`error: cannot refresh the lock: ${messageOf(error)}\n`);
  process.exitCode = 1;
}
