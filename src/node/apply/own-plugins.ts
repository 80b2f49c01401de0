import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { distributionOf } from '../../sys/distribution.ts';

/** The plugins that belong to this program. */
export const OWN_PLUGINS = ['loopback', 'portmap'] as const;

/**
 * The directory of the plugins that belong to a program: `lib/hostport/cni` beside its `bin` where it is installed (a node, say), `cni` beside
 * it where it was sent into a pod, `dist/cni` where it was built.
 */
export function ownPluginDirectory(program: string = process.execPath): string {
  const installed = join(dirname(dirname(program)), 'lib/hostport/cni');
  const sent = join(dirname(program), 'cni');
  return [installed, sent].find((path) => existsSync(path)) ?? distributionOf(program).plugins;
}
