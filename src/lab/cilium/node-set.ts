import { type Exec, output } from '../../sys/exec.ts';

/** The set of the nodes' addresses, to which pods go unmasqueraded. Source: Cilium 1.20, pkg/datapath/iptables/ipset. */
export const NODE_SET = 'cilium_node_set_v4';

/** Makes the set, which rules can only name when it is there; leaves one that is there as it is. */
export async function createNodeSet(exec: Exec): Promise<void> {
  await restore(exec, [create(NODE_SET)]);
}

/** Makes the set hold these addresses and no others. */
export async function syncNodeSet(exec: Exec, addresses: readonly string[]): Promise<void> {
  const next = `${NODE_SET}_next`;
  await restore(exec, [
    ...[NODE_SET, next].map(create),
    `flush ${next}`,
    ...addresses.map((address) => `add ${next} ${address} -exist`),
    // At one stroke: no packet sees the set without a node that stays.
    `swap ${next} ${NODE_SET}`,
    `destroy ${next}`,
  ]);
}

const create = (name: string) => `create ${name} hash:ip family inet -exist`;

async function restore(exec: Exec, commands: readonly string[]): Promise<void> {
  await output(exec, ['ipset', 'restore'], { stdin: `${commands.join('\n')}\n` });
}
