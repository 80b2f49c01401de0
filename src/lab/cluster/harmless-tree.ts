import { readTar, type TarEntry, type TarReadEntry, writeTar } from '../../sys/tar.ts';

/** Permissions without those by which a program runs as somebody else (setuid, setgid). */
export function harmlessMode(mode: number): number {
  return mode & 0o1777;
}

/**
 * A tar archive that came out of a node, with what this machine should get of it: files, directories and links, none of which runs as its owner. Devices,
 * FIFOs and sockets of a node are those of this machine's kernel; they are left out, and their paths returned.
 */
export async function harmlessTree(archive: Uint8Array): Promise<{ archive: Uint8Array; leftOut: string[] }> {
  const kept: TarEntry[] = [];
  const leftOut: string[] = [];
  const bytes = async function* () {
    yield archive;
  };
  for await (const entry of readTar(bytes())) {
    const copied = await copyOf(entry);
    if (copied === undefined) leftOut.push(entry.path);
    else kept.push(copied);
  }
  return { archive: Buffer.concat(await Array.fromAsync(writeTar(kept))), leftOut: leftOut.sort() };
}

async function copyOf({
  type,
  mode,
  target,
  body,
  about,
  ...entry
}: TarReadEntry): Promise<TarEntry | undefined> {
  // The directory itself is called `.`.
  const path = entry.path === '' ? '.' : entry.path;
  switch (type) {
    case 'file':
      return {
        ...{ type, path, mode: harmlessMode(mode), about },
        content: Buffer.concat(await Array.fromAsync(body)),
      };
    case 'directory':
      return { type, path, mode: harmlessMode(mode), about };
    case 'symlink':
    case 'link':
      return { type, path, target, about };
    default:
      return undefined;
  }
}
