import { splitWords } from '../../netfilter/iptables/rule-text.ts';
import { restoreConfDir, snapshotConfDir } from '../inject/conf-dir.ts';
import type { Fault, FaultDoor } from '../inject/fault.ts';
import { hasRule, iptablesIn } from '../inject/table.ts';

/** Matches packets that belong to no mapping: the fault must show, and do no harm. */
const FOREIGN = [
  ...['PREROUTING', '-p', 'tcp', '-m', 'tcp', '--dport', '9099'],
  ...['-j', 'MARK', '--set-xmark', '0x2000/0x2000'],
];

const MARK = '0x2000/0x2000';

/** Gives portmap's shared rules the bit of its configuration again: those of another bit would be a finding of their own. */
async function restoreSharedRules(door: FaultDoor, node: string): Promise<void> {
  for (const program of ['iptables', 'ip6tables']) {
    const saved = await door.run(node, [`${program}-save`, '-t', 'nat']);
    const rules = saved.split('\n').filter((line) => /^-A CNI-HOSTPORT-(SETMARK|MASQ) /.test(line));
    for (const rule of rules) {
      const words = splitWords(rule).slice(1);
      const own = words.map((word) => (/^0x[0-9a-f]+\/0x[0-9a-f]+$/.test(word) ? MARK : word));
      if (own.join(' ') === words.join(' ')) continue;
      const change = (verb: string, rest: string[]) =>
        door.run(node, [program, '-w', '-t', 'nat', verb, ...rest]);
      if (!rules.some((other) => splitWords(other).slice(1).join(' ') === own.join(' '))) {
        await change('-A', own);
      }
      await change('-D', words);
    }
  }
}

export const fault: Fault = {
  does: 'adds a rule by which another component marks its packets with the same bit',
  remember: (door, { node }) => snapshotConfDir(door, node),
  async inject(door, { node }) {
    await iptablesIn(door, node, 'mangle', '-A', ...FOREIGN);
  },
  async restore(door, { node }, memo) {
    // Healing has given portmap another bit, in its configuration and in its rules.
    await restoreConfDir(door, node, memo);
    await restoreSharedRules(door, node);
    if (await hasRule(door, node, 'mangle', ...FOREIGN)) {
      await iptablesIn(door, node, 'mangle', '-D', ...FOREIGN);
    }
  },
};
