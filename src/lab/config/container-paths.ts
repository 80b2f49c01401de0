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
  '/usr/local/bin',
  '/usr/sbin',
  '/var/lib/kubelet',
  '/var/run',
];

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
