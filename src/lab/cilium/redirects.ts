import { z } from 'zod';
import { type Exec, output } from '../../sys/exec.ts';
import { formatIPv4 } from '../../util/address.ts';
import { ROUTER_LINK } from './devices.ts';

/**
 * What Cilium does by eBPF: a packet that the node sends to a pod leaves by `cilium_host` and continues by the pod's `lxc…`. Here it is
 * a filter of traffic control for each pod, `u32` with a redirect: nothing of it is in routes, rules or netfilter.
 */
export interface Redirect {
  /** Which of the node's pod addresses, counted from the subnet's: the filter's number. */
  offset: number;
  address: string;
  link: string;
}

/** The largest number that a filter may have: `u32` has 12 bits for it. */
export const MOST_REDIRECTS = 0xfff;

const DEVICE = ['dev', ROUTER_LINK, 'egress'];
const handleOf = (offset: number) => ['handle', `800::${offset.toString(16)}`, 'u32'];

/** Has `cilium_host` take filters. */
export async function prepareRedirects(exec: Exec): Promise<void> {
  await output(exec, ['tc', 'qdisc', 'replace', 'dev', ROUTER_LINK, 'clsact']);
}

/** Sends packets to a pod's address by its link, which must be there; replaces what its filter did before. */
export async function setRedirect(exec: Exec, { offset, address, link }: Redirect): Promise<void> {
  await output(exec, [
    ...['tc', 'filter', 'replace', ...DEVICE, 'protocol', 'ip', 'pref', '1', ...handleOf(offset)],
    ...['match', 'ip', 'dst', `${address}/32`, 'action', 'mirred', 'egress', 'redirect', 'dev', link],
  ]);
}

/** Ends that, if it is there. */
export async function removeRedirect(exec: Exec, offset: number): Promise<void> {
  const argv = ['tc', 'filter', 'delete', ...DEVICE, 'protocol', 'ip', 'pref', '1', ...handleOf(offset)];
  const { code, stderr } = await exec.run(argv);
  if (code !== 0 && !/filter (?:handle|with specified priority\/protocol) not found/i.test(stderr)) {
    throw new Error(`${argv.join(' ')}: ${stderr.trim()}`);
  }
}

const filters = z.array(
  z.object({
    options: z
      .object({
        match: z.object({ value: z.string() }).optional(),
        actions: z.array(z.object({ to_dev: z.string().optional() })).optional(),
      })
      .optional(),
  }),
);

/** Where packets to pods go now. A filter whose link is gone has none and is left out. */
export async function readRedirects(exec: Exec): Promise<Omit<Redirect, 'offset'>[]> {
  const shown = await output(exec, ['tc', '-json', 'filter', 'show', ...DEVICE]);
  return filters.parse(JSON.parse(shown.trim() === '' ? '[]' : shown)).flatMap(({ options }) => {
    const link = options?.actions?.[0]?.to_dev;
    const value = options?.match?.value;
    return value === undefined || link === undefined || !/^lxc[0-9a-f]{12}$/.test(link)
      ? []
      : [{ address: formatIPv4(Number.parseInt(value, 16)), link }];
  });
}
