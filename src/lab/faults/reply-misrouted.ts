import type { Fault, FaultTarget } from '../inject/fault.ts';

/** A table that the lab's nodes do not use, and a priority before that of table main. */
const TABLE = '4080';
const PRIORITY = '1080';

/** Leaves alone what is delivered on the node, which table local says before. */
const ruleOf = ({ pod }: FaultTarget) => ['priority', PRIORITY, 'from', `${pod.address}/32`, 'lookup', TABLE];

export const fault: Fault = {
  does: "adds a policy rule that looks for the pod's answers in a table that leads nowhere",
  async inject(door, target) {
    await door.run(target.node, ['ip', 'route', 'replace', 'unreachable', 'default', 'table', TABLE]);
    await door.run(target.node, ['ip', 'rule', 'add', ...ruleOf(target)]);
  },
  async restore(door, target) {
    const { node } = target;
    const rules = await door.run(node, ['ip', 'rule', 'show', 'priority', PRIORITY]);
    if (rules.trim() !== '') await door.run(node, ['ip', 'rule', 'del', 'priority', PRIORITY]);
    // Of a table that does not exist nothing can be listed.
    const routes = await door.run(node, ['ip', '-j', 'route', 'show', 'table', 'all']);
    if (routes.includes(`"table":"${TABLE}"`)) await door.run(node, ['ip', 'route', 'flush', 'table', TABLE]);
  },
};
