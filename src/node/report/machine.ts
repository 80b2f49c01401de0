import { arch, release } from 'node:os';
import type { NodeReport } from '../../path/model/node-report.ts';
import { readHead, readKernelFile, readLinked } from '../../sys/bounded-file.ts';
import { unlessMissing } from '../../sys/errno.ts';
import { executableFormat, FORMAT_BYTES } from './elf.ts';

/** Where the kernel has the identifier of this boot; random(4). A kubelet reports the same for its node (`status.nodeInfo.bootID`). */
const BOOT_ID = '/proc/sys/kernel/random/boot_id';

/** Where the machine's own identifier is, in the order in which a kubelet looks for what it reports (`status.nodeInfo.machineID`); machine-id(5). */
const MACHINE_IDS = ['/etc/machine-id', '/var/lib/dbus/machine-id'];

/** A file of 32 digits and a line feed. */
const MACHINE_ID_BYTES = 4096;

/** Kernel, architecture, machine and boot. The machine number that executables must have is the one of the program that is running. */
export function readMachine(executable = '/proc/self/exe'): NodeReport['machine'] {
  const format = executableFormat(readHead(executable, FORMAT_BYTES));
  if (format.kind !== 'elf') throw new Error(`${executable}: not an ELF file`);
  return {
    kernel: release(),
    architecture: arch(),
    elfMachine: format.machine,
    ...machineId(),
    ...bootId(),
  };
}

function machineId(): { machineId?: string } {
  for (const path of MACHINE_IDS) {
    const id = machineIdIn(path);
    // Not yet set (`uninitialized`) on an image that has not booted.
    if (id !== undefined && /^[0-9a-f]{32}$/.test(id)) return { machineId: id };
  }
  return {};
}

/** What a file says; undefined where it cannot be read, or is something else than a file of one line. */
function machineIdIn(path: string): string | undefined {
  try {
    return readLinked(path, MACHINE_ID_BYTES).toString('utf8').trim();
  } catch {
    // Without it, a report is identified by the boot, by name and addresses.
    return undefined;
  }
}

function bootId(): { bootId?: string } {
  // Not in every sandbox; without it, a report is identified by name and addresses.
  const text = unlessMissing(() => readKernelFile(BOOT_ID), ['EACCES', 'EPERM']);
  return text === undefined ? {} : { bootId: text.trim() };
}
