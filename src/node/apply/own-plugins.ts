import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { distributionOf } from '../../sys/distribution.ts';

/**
 * The directory of the plugins that belong to a program: `lib/hostport/cni` beside its `bin` where it is installed (a node, say),
 * `dist/cni` where it was built.
 */
export function ownPluginDirectory(program: string = process.execPath): string {
  const installed = join(dirname(dirname(program)), 'lib/hostport/cni');
  return existsSync(installed) ? installed : distributionOf(program).plugins;
}
