import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { architecture } from '../../src/lab/images/oci.ts';

/** The CNI plugins of one architecture, by name. */
export type PluginFiles = ReadonlyMap<string, string>;

const ARCHITECTURES = ['amd64', 'arm64'] as const;
/** The product's; `dist/cni` has the lab's, too. */
const NAMES = ['portmap', 'loopback'];

/**
 * The plugins in a directory, by architecture: in directories of its name (`arm64/portmap`), or for this machine's directly in it. A directory
 * without any is an error.
 */
export function pluginsIn(directory: string): Map<string, PluginFiles> {
  const found = new Map<string, PluginFiles>();
  for (const each of ARCHITECTURES) {
    const apart = join(directory, each);
    const files = named(existsSync(apart) ? apart : each === architecture() ? directory : undefined);
    if (files.size > 0) found.set(each, files);
  }
  if (found.size === 0)
    throw new Error(`cannot take the plugins from ${directory}: it has none; run "make build"`);
  return found;
}

function named(directory: string | undefined): PluginFiles {
  if (directory === undefined || !existsSync(directory)) return new Map();
  const names = readdirSync(directory).filter((name) => NAMES.includes(name));
  return new Map(names.sort().map((name) => [name, join(directory, name)]));
}
