import type { Fault } from '../inject/fault.ts';

const RULE = ['PREROUTING', '-p', 'tcp', '-m', 'tcp', '--dport', '9098', '-j', 'RETURN'];

export const fault: Fault = {
  does: 'adds a rule with iptables-legacy where the node uses iptables-nft',
  async inject(door, target) {
    await door.run(target.node, ['iptables-legacy', '-w', '-t', 'nat', '-A', ...RULE]);
  },
  async restore(door, target) {
    const rules = await door.run(target.node, ['iptables-legacy', '-w', '-t', 'nat', '-S', 'PREROUTING']);
    if (!rules.split('\n').includes(`-A ${RULE.join(' ')}`)) return;
    await door.run(target.node, ['iptables-legacy', '-w', '-t', 'nat', '-D', ...RULE]);
  },
};
