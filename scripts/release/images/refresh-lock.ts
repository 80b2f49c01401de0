import { readFileSync, rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Exec } from '../../../src/sys/exec.ts';
import { Apt } from './apt.ts';
import { ARCHITECTURES, type Architecture, type DebianLock, type DebianPackage } from './debian-lock.ts';
import { digestOf, fieldsOf, filesOf } from './debian-packages.ts';
import { PackageFiles } from './package-files.ts';
import { toolsLayer, WANTED_PACKAGES } from './tools.ts';

/** A lock of the packages that Debian has now: those with the tools, and of all that they depend on those that files are taken from. */
export async function currentLock(exec: Exec): Promise<DebianLock> {
  const [amd64, arm64] = await Promise.all(ARCHITECTURES.map((each) => packagesNow(exec, each)));
  return { amd64: amd64!, arm64: arm64! };
}

async function packagesNow(exec: Exec, architecture: Architecture): Promise<DebianPackage[]> {
  const scratch = await mkdtemp(join(tmpdir(), 'hostport-apt-'));
  try {
    const apt = await Apt.begin(exec, architecture, scratch);
    const files = new PackageFiles();
    const packages: DebianPackage[] = [];
    for (const file of await apt.download(await apt.closure(WANTED_PACKAGES))) {
      const bytes = readFileSync(file);
      const { name, version } = await fieldsOf(exec, file);
      packages.push({ name, version, sha256: digestOf(bytes) });
      await files.add(name, await filesOf(exec, bytes));
    }
    const used = toolsLayer(files, architecture).packages;
    return packages.filter(({ name }) => used.has(name)).sort((a, b) => (a.name < b.name ? -1 : 1));
  } finally {
    rmSync(scratch, { recursive: true });
  }
}
