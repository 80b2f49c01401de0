import { posix } from 'node:path';

/** Nothing may be mounted on these, above them or inside them: a node that lacks its own content there cannot start. */
const SEALED = ['/proc', '/sys', '/etc/kubernetes/pki', '/etc/sv', '/run/containerd', '/var/lib/containerd'];

/** Nothing may be mounted on these or above them; a file or directory inside is the user's business. */
const KEPT = [
  '/bin',
  '/dev',
  '/etc/containerd',
  '/etc/hostname',
  '/etc/hosts',
  '/etc/kubernetes',
  '/etc/resolv.conf',
  '/lib',
  '/lib64',
  '/run',
  '/sbin',
  '/usr/bin',
  '/usr/lib',
  '/usr/lib64',
  '/usr/local/bin',
  '/usr/sbin',
  '/var/lib/kubelet',
  '/var/run',
];

/**
 * The links in a node's root (Debian's merged /usr, and /var/run): what is mounted in them is mounted where they lead.
 * `node-root.ts` makes them.
 */
export const NODE_LINKS: Readonly<Record<string, string>> = {
  '/bin': '/usr/bin',
  '/lib': '/usr/lib',
  '/lib64': '/usr/lib64',
  '/sbin': '/usr/sbin',
  '/var/run': '/run',
};

/** Where a path of a node leads: clean, and through the node's own links. `path` must be absolute. */
export function nodePath(path: string): string {
  const clean = posix.normalize(path).replace(/(?<=.)\/+$/, '');
  const link = Object.keys(NODE_LINKS).find((from) => clean.startsWith(`${from}/`));
  return link === undefined ? clean : `${NODE_LINKS[link]}${clean.slice(link.length)}`;
}

/** Whether `path` is `directory` or lies in it. Both are clean absolute paths. */
function isWithin(path: string, directory: string): boolean {
  return path === directory || path.startsWith(directory === '/' ? '/' : `${directory}/`);
}

/** The path of the lab's own that a mount on `containerPath` (clean, absolute) would hide or disturb, or undefined. */
export function ownedPathUnder(containerPath: string): string | undefined {
  return (
    SEALED.find((owned) => isWithin(owned, containerPath) || isWithin(containerPath, owned)) ??
    KEPT.find((owned) => isWithin(owned, containerPath))
  );
}
