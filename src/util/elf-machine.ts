/** e_machine of the common architectures (ELF specification, elf.h). */
const MACHINES: Readonly<Record<number, string>> = {
  3: 'x86',
  8: 'MIPS',
  21: 'ppc64',
  22: 's390x',
  40: 'ARM',
  62: 'x86-64',
  183: 'arm64',
  243: 'RISC-V',
};

/** The name of an architecture by its number in an ELF file. */
export function machineName(machine: number): string {
  return MACHINES[machine] ?? `machine ${machine}`;
}
