import packageJson from '../../package.json';

/** What a build says about itself. The same source gives the same, whenever and wherever it is built. */
export interface BuildFacts {
  /** The tag without its `v`; between tags the version of package.json and the commit. */
  version: string;
  /** The commit it was built from; absent outside of a repository. */
  commit?: string;
  /** When that commit was made, not when the build ran: RFC 3339, in UTC. */
  date?: string;
  /** The C library that a program of a release is linked with. */
  libc?: 'glibc' | 'musl';
  /** Where the images of a release are: `ghcr.io/owner`. */
  registry?: string;
}

/** Put in by the build (scripts/release/compile.ts); without one, when run from source. */
declare const HOSTPORT_BUILD: BuildFacts | undefined;

export const BUILD: BuildFacts =
  typeof HOSTPORT_BUILD === 'undefined' ? { version: packageJson.version } : HOSTPORT_BUILD;

/** The program's version. */
export const VERSION: string = BUILD.version;
