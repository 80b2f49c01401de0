/**
 * Why a test may be skipped in CI, too: nothing that could be installed would run it. qemu's user mode has no sockets to the kernel's netfilter (as of
 * 7.2), so what the plugin for another architecture does by them is tested on a machine of that architecture only.
 */
export const NO_NETFILTER = 'qemu has no NETLINK_NETFILTER';

/** Whether a test of this name may be skipped for that reason, which its name ends with. */
export function isExcused(name: string): boolean {
  return name.endsWith(`(${NO_NETFILTER})`);
}

/** How many tests of a JUnit report were skipped for that reason. */
export function excusedSkips(report: string): number {
  const cases = report.matchAll(/<testcase name="([^"]*)"[^>]*[^/]>\s*<skipped/g);
  return [...cases].filter(([, name]) => isExcused(name!)).length;
}
