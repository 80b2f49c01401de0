import type { Progress } from '../../src/lab/cluster/progress.ts';
import { type Exec, output } from '../../src/sys/exec.ts';
import { UserError } from '../../src/util/errors.ts';

/** What the installation of packages needs from outside. */
export interface InstallContext {
  exec: Exec;
  /** Whether packages of the distribution may be installed: by root, where there is apt-get. */
  canInstall: boolean;
  progress: Progress;
  signal: AbortSignal;
}

const APT_MS = 30 * 60_000;

/** Installs Debian's packages on this machine. `missing` ends the error where that may not be: `there is no Go`. */
export async function installPackages(
  names: readonly string[],
  missing: string,
  { exec, canInstall, progress, signal }: InstallContext,
): Promise<void> {
  if (!canInstall) {
    const command = `apt-get install ${names.join(' ')}`;
    throw new UserError(
      `cannot build: ${missing}; install ${names.length === 1 ? 'it' : 'them'} (Debian: ${command}), then run this again`,
    );
  }
  await progress.step(`Installing ${names.join(', ')}`, async () => {
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
    await output(exec, ['apt-get', 'update', '-qq'], { env, timeoutMs: APT_MS, signal });
    const install = ['apt-get', 'install', '-y', '-qq', '--no-install-recommends', ...names];
    await output(exec, install, { env, timeoutMs: APT_MS, signal });
  });
}
