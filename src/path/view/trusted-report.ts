import { nodeAddresses } from '../../kube/node-addresses.ts';
import type { Node } from '../../kube/types.ts';
import { canonicalAddress, parseIp } from '../../util/ip.ts';
import { LazyMap } from '../../util/lazy-map.ts';
import type { NodeReport } from '../model/node-report.ts';
import { known, type Observed } from '../model/observed.ts';
import type { World } from '../model/world.ts';

/**
 * How far apart a report and the API's objects may have been taken, in milliseconds: a day, in which the reports of a large cluster can be carried
 * together by hand, and in which pods come and go. A clock that is further off than that is wrong.
 */
const MAX_AGE_MS = 24 * 60 * 60 * 1000;

/**
 * The reports of a world by node name. One that cannot be of its node, or not of this time, is unknown with the reason: what it says would be
 * believed of another node.
 */
export function trustedReports(world: World): ReadonlyMap<string, Observed<NodeReport>> {
  const nodes = new Map(world.nodes.map((node) => [node.metadata?.name ?? '', node]));
  const owners = new Map(
    world.nodes.flatMap((node) =>
      addressesOf(node).map((address) => [address, node.metadata?.name ?? ''] as const),
    ),
  );
  return new LazyMap(world.reports.keys(), (name) => {
    const report = world.reports.get(name)!;
    const doubt =
      'value' in report
        ? (ofAnother(name, report.value) ??
          ofAnotherTime(report.value, world.observedAt) ??
          ofAnotherMachine(nodes.get(name), report.value, owners))
        : undefined;
    return doubt === undefined ? report : { unknown: doubt };
  });
}

function ofAnother(name: string, { node }: NodeReport): string | undefined {
  return node === name ? undefined : `the report named for ${name} was taken on ${node}`;
}

function ofAnotherTime({ takenAt }: NodeReport, observedAt: string): string | undefined {
  const [taken, observed] = [Date.parse(takenAt), Date.parse(observedAt)];
  if (Number.isNaN(taken))
    return `the report was taken at ${JSON.stringify(takenAt)}, which is not a valid time`;
  // The time at which the objects were read is reliable.
  if (Number.isNaN(observed) || Math.abs(observed - taken) <= MAX_AGE_MS) return undefined;
  const hours = Math.round(Math.abs(observed - taken) / (60 * 60 * 1000));
  return taken < observed
    ? `the report is ${hours} hours old (taken ${takenAt}): take a new one`
    : `the report was taken ${hours} hours in the future (${takenAt}): a clock is wrong`;
}

function ofAnotherMachine(
  node: Node | undefined,
  { node: name, machine, network }: NodeReport,
  owners: ReadonlyMap<string, string>,
): string | undefined {
  if (node === undefined) return undefined;
  const bootId = node.status?.nodeInfo?.bootID ?? '';
  const bothReported = bootId !== '' && machine.bootId !== undefined;
  if (bothReported && bootId !== machine.bootId) {
    return `the report was taken on another machine than ${name}, or before its last boot: it has boot ID ${machine.bootId}, but the kubelet reports ${bootId}`;
  }
  const machineId = plainId(node.status?.nodeInfo?.machineID);
  if (machineId !== '' && machine.machineId !== undefined && machineId !== plainId(machine.machineId)) {
    return `the report was taken on another machine than ${name}: it has machine ID ${machine.machineId}, but the kubelet reports ${machineId}`;
  }
  const wanted = addressesOf(node);
  const there = (known(network.addresses) ?? []).map(({ address }) => canonicalAddress(address));
  if (wanted.length === 0 || there.length === 0) return undefined;
  const own = new Set(there);
  if (wanted.some((address) => own.has(address))) return undefined;
  const other = there.find((address) => owners.has(address));
  // The API may know a node by an address that a cloud translates and no interface has. Nodes that are containers of one machine share its boot.
  if (bothReported && other === undefined) return undefined;
  const whose = other === undefined ? '' : `, but has ${other} of ${owners.get(other)}`;
  return `the report was taken on a machine that has no address of ${name} (${wanted.join(', ')})${whose}`;
}

/** Where a kubelet falls back on the machine's firmware, it reports the same with hyphens, or in capitals. */
function plainId(id = ''): string {
  return id.trim().toLowerCase().replaceAll('-', '');
}

/** The addresses by which the API knows a node, in one spelling; what is none is left out. */
function addressesOf(node: Node): string[] {
  return [...nodeAddresses(node), ...nodeAddresses(node, 'ExternalIP')]
    .filter((address) => parseIp(address) !== undefined)
    .map(canonicalAddress);
}
