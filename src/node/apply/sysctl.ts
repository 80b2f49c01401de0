import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { NodeAction } from '../../path/model/action.ts';
import { readKernelFile } from '../../sys/bounded-file.ts';
import { sysctlPath } from '../report/sysctls.ts';
import type { Applied } from './result.ts';

/** Sets a setting of the node's network. Anything but `net.` is not ours to change. */
export async function setSysctlAction(
  { name, value }: Extract<NodeAction, { do: 'set-sysctl' }>,
  procSys = '/proc/sys',
): Promise<Applied> {
  const steps = sysctlPath(name).split('/');
  if (steps[0] !== 'net' || steps.some((step) => step === '' || step === '.' || step === '..')) {
    throw new Error(`${name}: not a setting of the network`);
  }
  const path = join(procSys, ...steps);
  const before = readKernelFile(path).trim();
  if (before === value) return { changed: false, detail: `${name} is ${value}` };
  try {
    writeFileSync(path, value);
  } catch (cause) {
    throw new Error(`cannot set ${name} to ${value}: it is still ${before}`, { cause });
  }
  const after = readKernelFile(path).trim();
  if (after !== value) throw new Error(`cannot set ${name} to ${value}: the kernel made it ${after}`);
  return { changed: true, detail: `${name}: ${before} is now ${value}` };
}
