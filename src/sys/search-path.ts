/** Where system tools are when the runtime passes no useful PATH (kubelet and containerd services often do not). */
const SYSTEM_PATH = '/usr/sbin:/usr/bin:/sbin:/bin';

/** The directories in which a plugin looks for programs: PATH, then those of the system. */
export function searchPath(): string {
  return `${process.env.PATH ?? ''}:${SYSTEM_PATH}`;
}
