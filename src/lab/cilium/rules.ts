import { joinWords } from '../../netfilter/iptables/rule-text.ts';
import type { Exec } from '../../sys/exec.ts';
import { output } from '../../sys/exec.ts';
import { NODE_SET } from './node-set.ts';

/** What the rules of one node depend on. */
export interface NodeAddressing {
  podCIDR: string;
  /** Packets from pods to these addresses keep their source: the pods of all nodes. */
  nativeCIDR: string;
  router: string;
}

/** Where each of Cilium's chains is called, and what it does. Source: `iptables-save` of a node with Cilium 1.20.2. */
type Chains = Readonly<Record<string, { hook: string; rules: readonly (readonly string[])[] }>>;

/** The jump to a chain of Cilium's. */
function feeder(hook: string, chain: string): string[] {
  return [hook, ...comment(`cilium-feeder: ${chain}`), '-j', chain];
}

const comment = (text: string) => ['-m', 'comment', '--comment', text];
const mark = (value: string) => ['-m', 'mark', '--mark', value];
const notMark = (value: string) => ['-m', 'mark', '!', '--mark', value];
const ACCEPT = ['-j', 'ACCEPT'];
const NOTRACK = ['-j', 'CT', '--notrack'];

function tables({ podCIDR, nativeCIDR, router }: NodeAddressing): Readonly<Record<string, Chains>> {
  const toRouter = ['-j', 'SNAT', '--to-source', router];
  return {
    mangle: {
      CILIUM_PRE_mangle: {
        hook: 'PREROUTING',
        rules: [
          [
            ...['!', '-o', 'lo', '-m', 'socket', '--transparent', ...notMark('0xe00/0xf00')],
            ...[
              ...notMark('0x800/0xf00'),
              ...comment('cilium: any->pod redirect proxied traffic to host proxy'),
            ],
            ...['-j', 'MARK', '--set-xmark', '0x200/0xffffffff'],
          ],
        ],
      },
      CILIUM_POST_mangle: { hook: 'POSTROUTING', rules: [] },
    },
    raw: {
      CILIUM_OUTPUT_raw: {
        hook: 'OUTPUT',
        rules: [
          [
            ...['-o', 'cilium_host', ...mark('0xa00/0xfffffeff')],
            ...[...comment('cilium: NOTRACK for proxy return traffic'), ...NOTRACK],
          ],
          [
            ...['-o', 'cilium_host', ...mark('0x800/0xe00')],
            ...[...comment('cilium: NOTRACK for L7 proxy upstream traffic'), ...NOTRACK],
          ],
        ],
      },
      CILIUM_PRE_raw: {
        hook: 'PREROUTING',
        rules: [[...mark('0x200/0xf00'), ...comment('cilium: NOTRACK for proxy traffic'), ...NOTRACK]],
      },
    },
    filter: {
      CILIUM_FORWARD: {
        hook: 'FORWARD',
        rules: [
          ['-o', 'cilium_host', ...comment('cilium: any->cluster on cilium_host forward accept'), ...ACCEPT],
          [
            ...['-i', 'cilium_host'],
            ...[...comment('cilium: cluster->any on cilium_host forward accept (nodeport)'), ...ACCEPT],
          ],
          ['-i', 'lxc+', ...comment('cilium: cluster->any on lxc+ forward accept'), ...ACCEPT],
          [
            ...['-i', 'cilium_net'],
            ...[...comment('cilium: cluster->any on cilium_net forward accept (nodeport)'), ...ACCEPT],
          ],
        ],
      },
      CILIUM_INPUT: {
        hook: 'INPUT',
        rules: [[...mark('0x200/0xf00'), ...comment('cilium: ACCEPT for proxy traffic'), ...ACCEPT]],
      },
      CILIUM_OUTPUT: {
        hook: 'OUTPUT',
        rules: [
          [...mark('0xa00/0xe00'), ...comment('cilium: ACCEPT for proxy traffic'), ...ACCEPT],
          [...mark('0x800/0xe00'), ...comment('cilium: ACCEPT for l7 proxy upstream traffic'), ...ACCEPT],
          [
            ...['0xd00/0xf00', '0xe00/0xf00', '0x400/0xf00', '0xa00/0xe00', '0x800/0xe00'].flatMap(notMark),
            ...comment('cilium: host->any mark as from host'),
            ...['-j', 'MARK', '--set-xmark', '0xc00/0xf00'],
          ],
        ],
      },
    },
    nat: {
      CILIUM_PRE_nat: { hook: 'PREROUTING', rules: [] },
      CILIUM_OUTPUT_nat: { hook: 'OUTPUT', rules: [] },
      CILIUM_POST_nat: {
        hook: 'POSTROUTING',
        rules: [
          [
            ...['-s', podCIDR, '-m', 'set', '--match-set', NODE_SET, 'dst'],
            ...[...comment('exclude traffic to cluster nodes from masquerade'), ...ACCEPT],
          ],
          [
            ...['-s', podCIDR, '!', '-d', nativeCIDR, '!', '-o', 'cilium_+'],
            ...[...comment('cilium masquerade non-cluster'), '-j', 'MASQUERADE'],
          ],
          [...mark('0xa00/0xe00'), ...comment('exclude proxy return traffic from masquerade'), ...ACCEPT],
          [
            ...['-s', '127.0.0.1/32', '-o', 'cilium_host'],
            ...[...comment('cilium host->cluster from 127.0.0.1 masquerade'), ...toRouter],
          ],
          [
            ...['-o', 'cilium_host', ...mark('0xf00/0xf00'), '-m', 'conntrack', '--ctstate', 'DNAT'],
            ...[...comment('hairpin traffic that originated from a local pod'), ...toRouter],
          ],
        ],
      },
    },
  };
}

/** How long the xtables lock is waited for, in seconds. The nft variant needs none. */
const LOCK_WAIT_SECONDS = 5;

/**
 * Writes Cilium's chains into the tables of iptables, each with the jump to it at the top of its hook; a jump that is there stays
 * where it is. One document; a table is changed as a whole or not at all.
 */
export async function syncRules(exec: Exec, addressing: NodeAddressing): Promise<void> {
  const present = new Set((await output(exec, ['iptables-save'])).split('\n'));
  const lines = Object.entries(tables(addressing)).flatMap(([table, chains]) => [
    `*${table}`,
    // Declared in a document, a chain that exists is emptied.
    ...Object.keys(chains).map((chain) => `:${chain} - [0:0]`),
    ...Object.entries(chains).flatMap(([chain, { hook, rules }]) => {
      const jump = joinWords(feeder(hook, chain));
      return [
        ...(present.has(`-A ${jump}`) ? [] : [`-I ${jump}`]),
        ...rules.map((rule) => joinWords(['-A', chain, ...rule])),
      ];
    }),
    'COMMIT',
  ]);
  await output(exec, ['iptables-restore', '--noflush', '-w', String(LOCK_WAIT_SECONDS)], {
    stdin: `${lines.join('\n')}\n`,
  });
}
