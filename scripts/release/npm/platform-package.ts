/** The machine that Node runs on. */
export interface Machine {
  /** As Node names it: `linux`. */
  platform: string;
  /** `x64`, `arm64`. */
  arch: string;
  exists(path: string): boolean;
}

/** Loaders of the two C libraries: what a program needs first. */
const LOADERS: Readonly<Record<string, { glibc: string; musl: string }>> = {
  x64: { glibc: '/lib64/ld-linux-x86-64.so.2', musl: '/lib/ld-musl-x86_64.so.1' },
  arm64: { glibc: '/lib/ld-linux-aarch64.so.1', musl: '/lib/ld-musl-aarch64.so.1' },
};

/** The package with the program for a machine. Throws where there is none. */
export function platformPackage({ platform, arch, exists }: Machine): string {
  const loaders = LOADERS[arch];
  if (platform !== 'linux' || loaders === undefined)
    throw new Error(
      `cannot run hostport: there is none for ${platform} on ${arch}; run it on Linux, on x64 or arm64`,
    );
  if (exists(loaders.glibc)) return `@hostport/linux-${arch}`;
  if (exists(loaders.musl)) return `@hostport/linux-${arch}-musl`;
  throw new Error(
    `cannot run hostport: neither ${loaders.glibc} nor ${loaders.musl} is here; it needs glibc or musl`,
  );
}
