import { listDocument, writeConfig } from '../../heal/conf-plans.ts';
import { changePortmap } from '../../heal/list-document.ts';
import { words } from '../../model/message.ts';
import { known } from '../../model/observed.ts';
import { type ConfigFile, type NodeView, portmapIn } from '../../view/node-view.ts';
import { excerpt, fileEvidence, nodeEventEvidence } from '../evidence.ts';
import { type Detection, defineFailure } from '../failure.ts';

interface Data {
  node: NodeView;
  file: ConfigFile;
  chain: string;
}

export const setMarkChainMissing = defineFailure<Data>({
  code: 'set-mark-chain-missing',
  stage: 'configured',
  severity: 'broken',
  title: 'externalSetMarkChain names a chain that does not exist',
  explanation:
    "With `externalSetMarkChain`, portmap uses a chain of another component, usually kube-proxy's KUBE-MARK-MASQ, to mark packets for " +
    'masquerading. On a node where that component does not run, or runs in another mode, the chain does not exist and portmap fails.',
  remedy: 'Remove `externalSetMarkChain`, so that portmap uses its own chain.',
  restart: 'no',
  sources: ['cri-o/cri-o#6772', 'https://www.cni.dev/plugins/current/meta/portmap/'],
  mutedBy: ['conflist-shadowed', 'conflist-renamed', 'capability-missing'],

  detect(scene) {
    return [...scene.nodes.values()].flatMap((node): Detection<Data>[] => {
      const chain = portmapIn(node.mappingChain)?.fields.externalSetMarkChain;
      if (typeof chain !== 'string' || chain === '') return [];
      const file = node.active!;
      const variant = node.seen!.netfilter.defaultVariant;
      const tables = node.seen!.netfilter.iptables.find(
        (entry) => entry.family === 'ipv4' && entry.variant === variant,
      );
      const text = known(tables?.text);
      if (text === undefined || natChains(text).includes(chain)) return [];
      return [
        {
          subject: { node: node.name },
          message: words(
            'portmap in {file} of {node} uses the chain {chain}, which does not exist in table nat',
            { file: file.name, node: node.name, chain },
          ),
          evidence: [
            fileEvidence(file),
            {
              kind: 'rule',
              where: `chains of table nat (${variant})`,
              saw: excerpt(natChains(text).join(' ')),
            },
            ...nodeEventEvidence(scene, node, new RegExp(chain.replace(/[^\w-]/g, '.'))),
          ],
          data: { node, file, chain },
        },
      ];
    });
  },

  heal({ data: { node, file, chain } }) {
    const document = changePortmap(listDocument(file), ({ externalSetMarkChain, ...rest }) => rest);
    return {
      by: 'steps',
      steps: [writeConfig(node, file.path, document, `no longer rely on ${chain}`)],
    };
  },

  page: {
    see: "Pods with hostPorts stay in ContainerCreating; the event has the error of iptables: `Chain 'KUBE-MARK-MASQ' does not exist`.",
    why:
      '`externalSetMarkChain` saves a rule on nodes with kube-proxy in iptables mode. When kube-proxy runs in nftables or IPVS ' +
      'mode, is replaced (Cilium), or has not started yet, the chain does not exist.',
    check: {
      run: ['grep externalSetMarkChain -r /etc/cni/net.d', 'iptables -w -t nat -S'],
      look: 'The list has no `-N KUBE-MARK-MASQ` (or whichever chain is named).',
    },
    fix: 'Remove the key; portmap then uses its own chain, `CNI-HOSTPORT-SETMARK`.',
  },
});

/** Names of the chains that a `-save` document declares in table nat. */
function natChains(text: string): string[] {
  const start = text.indexOf('*nat\n');
  if (start < 0) return [];
  const table = text.slice(start, text.indexOf('\nCOMMIT', start));
  return [...table.matchAll(/^:(\S+) /gm)].map((match) => match[1]!);
}
