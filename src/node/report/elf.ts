import type { PluginFile } from '../../path/model/node-report.ts';

/** What an executable is, by its first bytes: an ELF file with the machine it is for, or a script with its interpreter. */
export function executableFormat(head: Buffer): PluginFile['format'] {
  if (head.length >= 20 && head.readUInt32BE(0) === ELF_MAGIC) {
    const machine =
      head[EI_DATA] === ELFDATA2MSB ? head.readUInt16BE(E_MACHINE) : head.readUInt16LE(E_MACHINE);
    return { kind: 'elf', machine, bits: head[EI_CLASS] === ELFCLASS64 ? 64 : 32 };
  }
  if (head.length > 2 && head[0] === 0x23 && head[1] === 0x21) {
    const line = head.subarray(2).toString('utf8').split('\n')[0]!;
    const word = line.trim().split(/\s+/)[0] ?? '';
    // The file may hold anything: only a path is reported.
    return { kind: 'script', interpreter: /^\/[\w./+-]*$/.test(word) ? word : '' };
  }
  return { kind: 'other' };
}

/** Bytes of a file that {@link executableFormat} needs: an interpreter's line is at most so long (BINPRM_BUF_SIZE). */
export const FORMAT_BYTES = 256;

// elf(5)
const ELF_MAGIC = 0x7f454c46;
const EI_CLASS = 4;
const ELFCLASS64 = 2;
const EI_DATA = 5;
const ELFDATA2MSB = 2;
const E_MACHINE = 18;
