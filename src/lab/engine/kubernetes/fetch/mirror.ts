import { InputError } from '../../../../util/errors.ts';

/** Where Kubernetes publishes its releases. */
export const OFFICIAL_MIRROR = 'https://dl.k8s.io';

/** Kubernetes' names of the architectures that it publishes servers for, by `e_machine` of their executables. */
const ARCHITECTURES: Readonly<Record<number, string>> = {
  21: 'ppc64le',
  22: 's390x',
  62: 'amd64',
  183: 'arm64',
};

/**
 * Reads the address of a mirror: what comes before `vX.Y.Z/bin/linux/…` in the addresses of a release's programs.
 * @throws InputError when it is not one. A user in it is refused, because addresses are shown.
 */
export function readMirror(text: string): URL {
  const refuse = (problem: string): never => {
    throw new InputError(
      `cannot fetch from ${JSON.stringify(text)}: ${problem}; want ${OFFICIAL_MIRROR}, say`,
    );
  };
  const url = URL.parse(text);
  if (url === null) return refuse('it is not a URL');
  if (!['http:', 'https:'].includes(url.protocol))
    refuse(`its scheme is ${url.protocol.slice(0, -1)}, and must be https or http`);
  if (url.username !== '' || url.password !== '') {
    throw new InputError(
      `cannot fetch from ${url.host}: the address has a user or a password, and would be shown; leave them out`,
    );
  }
  if (url.search !== '' || url.hash !== '') refuse('it has a query or a fragment');
  url.pathname = url.pathname.replace(/\/*$/, '/');
  return url;
}

/** Kubernetes' name of an architecture. @throws InputError when it publishes nothing for it. */
export function architectureOf(elfMachine: number): string {
  const name = ARCHITECTURES[elfMachine];
  if (name === undefined) {
    throw new InputError(
      `cannot fetch Kubernetes: it is published for ${Object.values(ARCHITECTURES).join(', ')}, and not for this machine (ELF machine ${elfMachine})`,
    );
  }
  return name;
}

/**
 * The address of a program of a release; with `.sha512` after it, that of its checksum. Source: k8s.io/release, pkg/release (CopyBinaries,
 * WriteChecksums).
 */
export function programUrl(mirror: URL, version: string, architecture: string, name: string): URL {
  return new URL(`${version}/bin/linux/${architecture}/${name}`, mirror);
}
