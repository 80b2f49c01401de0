import { basename, dirname, join } from 'node:path';

/** What `make build` left beside the program. */
export interface Distribution {
  readonly program: string;
  readonly plugins: string;
  readonly images: string;
  /** Directory of node images, each named for the digest of what it was made from. */
  readonly nodeImages: string;
  /** The how-to's files: kind configuration, CNI files, manifests. */
  readonly example: string;
  /** Directory with `hostport`, `docker` and `kind`: this program under names of the how-to. */
  readonly standIns: string;
  /** Directory with `sudo`, for machines that have none. */
  readonly fallbacks: string;
}

/** The distribution that the running program belongs to: `bin/hostport` and `dist/` side by side. */
export function distributionOf(program: string = process.execPath): Distribution {
  const directory = dirname(program);
  const name = basename(directory);
  // Called under one of the names in `dist/stand-ins` or `dist/fallbacks`, the program is one step deeper.
  const root =
    name === 'stand-ins' || name === 'fallbacks' ? dirname(dirname(directory)) : dirname(directory);
  const dist = join(root, 'dist');
  return {
    program: join(root, 'bin/hostport'),
    plugins: join(dist, 'cni'),
    images: join(dist, 'images'),
    nodeImages: join(dist, 'node-images'),
    example: join(root, 'examples/kind-cilium-portmap'),
    standIns: join(dist, 'stand-ins'),
    fallbacks: join(dist, 'fallbacks'),
  };
}
