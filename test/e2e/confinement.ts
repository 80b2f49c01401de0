/** What confines a process, by the kernel's own word. */

/** Bits of a capability set. Source: linux/capability.h. */
const CAPABILITIES = [
  ...['CHOWN', 'DAC_OVERRIDE', 'DAC_READ_SEARCH', 'FOWNER', 'FSETID', 'KILL', 'SETGID', 'SETUID', 'SETPCAP'],
  ...[
    'LINUX_IMMUTABLE',
    'NET_BIND_SERVICE',
    'NET_BROADCAST',
    'NET_ADMIN',
    'NET_RAW',
    'IPC_LOCK',
    'IPC_OWNER',
  ],
  ...[
    'SYS_MODULE',
    'SYS_RAWIO',
    'SYS_CHROOT',
    'SYS_PTRACE',
    'SYS_PACCT',
    'SYS_ADMIN',
    'SYS_BOOT',
    'SYS_NICE',
  ],
  ...[
    'SYS_RESOURCE',
    'SYS_TIME',
    'SYS_TTY_CONFIG',
    'MKNOD',
    'LEASE',
    'AUDIT_WRITE',
    'AUDIT_CONTROL',
    'SETFCAP',
  ],
  ...['MAC_OVERRIDE', 'MAC_ADMIN', 'SYSLOG', 'WAKE_ALARM', 'BLOCK_SUSPEND', 'AUDIT_READ', 'PERFMON', 'BPF'],
  'CHECKPOINT_RESTORE',
];

export interface Confinement {
  /** What it has, and all that it can ever get: sorted. */
  effective: string[];
  bounding: string[];
  /** Whether a filter of system calls is on. */
  hasSeccomp: boolean;
  hasNoNewPrivileges: boolean;
  isRootReadOnly: boolean;
}

/** Reads `/proc/PID/status` and `/proc/PID/mountinfo`. Source: proc_pid_status(5), proc_pid_mountinfo(5). */
export function confinementOf(status: string, mountinfo: string): Confinement {
  const field = (name: string) => new RegExp(`^${name}:\\s*(\\S+)$`, 'm').exec(status)?.[1] ?? '';
  const set = (name: string) =>
    CAPABILITIES.filter((_, bit) => (BigInt(`0x${field(name) || '0'}`) >> BigInt(bit)) & 1n).sort();
  const root = mountinfo.split('\n').find((line) => line.split(' ')[4] === '/');
  return {
    effective: set('CapEff'),
    bounding: set('CapBnd'),
    hasSeccomp: field('Seccomp') === '2',
    hasNoNewPrivileges: field('NoNewPrivs') === '1',
    isRootReadOnly: root?.split(' ')[5]?.split(',').includes('ro') === true,
  };
}

/** Whether what is mounted at a path cannot be written there; undefined when nothing is mounted there. The last mount covers those before it. */
export function isMountReadOnly(mountinfo: string, path: string): boolean | undefined {
  const mount = mountinfo.split('\n').findLast((line) => line.split(' ')[4] === path);
  return mount?.split(' ')[5]?.split(',').includes('ro');
}
