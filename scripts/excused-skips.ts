import type { JunitCase } from './junit-report.ts';

/**
 * Why a test may be skipped in CI, too: nothing that could be installed would run it. qemu's user mode has no sockets to the kernel's netfilter (as of
 * 7.2), so what the plugin for another architecture does by them is tested on a machine of that architecture only.
 */
export const NO_NETFILTER = 'qemu has no NETLINK_NETFILTER';

/** SCTP is a module of the kernel's, and of the machine's. */
export const NO_SCTP = 'this kernel has no protocol 132';

const EXCUSES: readonly string[] = [NO_NETFILTER, NO_SCTP];

/** Why a test of this name may be skipped, which its name ends with; undefined where it may not. */
function excuseOf(name: string): string | undefined {
  return EXCUSES.find((excuse) => name.endsWith(`(${excuse})`));
}

/** For each reason how many tests were skipped for it. */
export function excusedSkips(cases: readonly JunitCase[]): Map<string, number> {
  const found = new Map<string, number>();
  for (const { name, outcome } of cases) {
    const excuse = outcome === 'skipped' ? excuseOf(name) : undefined;
    if (excuse !== undefined) found.set(excuse, (found.get(excuse) ?? 0) + 1);
  }
  return found;
}
