import { join, posix, resolve } from 'node:path';
import { nodePath, ownedPathUnder } from './container-paths.ts';
import type { Field } from './document.ts';
import type { ExtraMount, MountType } from './types.ts';

/** What a path of the machine is, links followed; undefined when there is nothing. */
export type PathKind = 'file' | 'directory' | 'other';

export interface HostPaths {
  /** The directory that relative host paths start from: the current one, as for kind. */
  cwd: string;
  /** Rejects when the kind is unknown (without permission, for example). */
  kindOf(path: string): Promise<PathKind | undefined>;
  /** Whether the path itself is a symbolic link. */
  isLink(path: string): Promise<boolean>;
}

/** Reads `extraMounts` of one node; what is wrong is reported on the fields. */
export async function readMounts(field: Field | undefined, host: HostPaths): Promise<ExtraMount[]> {
  const mounts: ExtraMount[] = [];
  const places = new Map<ExtraMount, Field>();
  const lines = new Map<string, number>();
  for (const entry of field?.list() ?? []) {
    const fields = entry.fields(
      ['containerPath', 'hostPath', 'readOnly', 'type', 'propagation'],
      ['selinuxRelabel'],
    );
    const containerPath = readContainerPath(entry, fields.get('containerPath'), lines);
    const declared = fields.get('type')?.oneOf(['File', 'Directory']);
    const found = await readHostPath(entry, fields.get('hostPath'), declared, host);
    const readOnly = fields.get('readOnly')?.boolean() ?? false;
    const propagation =
      fields.get('propagation')?.oneOf(['None', 'HostToContainer', 'Bidirectional']) ?? 'None';
    if (containerPath !== undefined && found !== undefined) {
      const mount: ExtraMount = { ...found, containerPath, readOnly, propagation };
      mounts.push(mount);
      places.set(mount, fields.get('containerPath')!);
    }
  }
  // As docker does for kind: a mount inside another must come after it, or it would be covered.
  mounts.sort((a, b) => depth(a.containerPath) - depth(b.containerPath));
  for (const mount of mounts) {
    const detour = await linkOnTheWay(mount.containerPath, mounts, host);
    if (detour !== undefined) {
      places
        .get(mount)!
        .error(
          `${mount.containerPath} leads through the link ${detour}, and so to somewhere else in the node: mount where that is`,
        );
    }
  }
  return mounts;
}

/** A link of this machine that a container path comes through because it lies in another mount; undefined when there is none. */
async function linkOnTheWay(
  containerPath: string,
  mounts: readonly ExtraMount[],
  host: HostPaths,
): Promise<string | undefined> {
  const outer = mounts.findLast(
    (other) => other.type === 'Directory' && containerPath.startsWith(`${other.containerPath}/`),
  );
  if (outer === undefined) return undefined;
  let path = outer.hostPath;
  for (const name of containerPath.slice(outer.containerPath.length + 1).split('/')) {
    path = join(path, name);
    if (await host.isLink(path)) return path;
  }
  return undefined;
}

function depth(path: string): number {
  return path.split('/').length;
}

function readContainerPath(
  entry: Field,
  field: Field | undefined,
  lines: Map<string, number>,
): string | undefined {
  const text = field?.string() ?? '';
  if (field === undefined || text === '') {
    (field ?? entry).error('has no containerPath: say where in the node to mount it');
    return undefined;
  }
  if (!posix.isAbsolute(text) || text.includes('\0')) {
    field.error(`${JSON.stringify(text)} is not an absolute path: want one that starts with /`);
    return undefined;
  }
  const path = nodePath(text);
  const owned = ownedPathUnder(path);
  if (owned !== undefined) {
    field.error(`${path} would hide or disturb ${owned}, which the node needs: mount somewhere else`);
    return undefined;
  }
  const line = lines.get(path);
  if (line !== undefined) {
    field.error(`${path} is mounted twice on this node, first on line ${line}: remove one`);
    return undefined;
  }
  lines.set(path, field.line);
  return path;
}

async function readHostPath(
  entry: Field,
  field: Field | undefined,
  declared: MountType | undefined,
  host: HostPaths,
): Promise<Pick<ExtraMount, 'hostPath' | 'type'> | undefined> {
  const text = field?.string() ?? '';
  if (field === undefined || text === '') {
    (field ?? entry).error('has no hostPath: say what of this machine to mount');
    return undefined;
  }
  if (text.includes('\0')) {
    field.error('contains a NUL character: no path does');
    return undefined;
  }
  const hostPath = resolve(host.cwd, text);
  let kind: PathKind | undefined;
  try {
    kind = await host.kindOf(hostPath);
  } catch (cause) {
    field.error(`cannot look at ${hostPath}: ${(cause as Error).message}`);
    return undefined;
  }
  if (kind === undefined) {
    field.error(`${hostPath} does not exist: create it or correct the path`);
    return undefined;
  }
  if (declared === 'File' && kind !== 'file') {
    const seen = kind === 'directory' ? 'a directory' : 'neither a file nor a directory';
    field.error(`${hostPath} is ${seen}, but type says File: correct one of them`);
    return undefined;
  }
  if (declared === 'Directory' && kind !== 'directory') {
    field.error(`${hostPath} is not a directory, but type says Directory: correct one of them`);
    return undefined;
  }
  return { hostPath, type: kind === 'directory' ? 'Directory' : 'File' };
}
