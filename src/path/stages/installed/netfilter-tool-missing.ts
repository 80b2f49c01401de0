import { words } from '../../model/message.ts';
import { type NodeView, portmapIn } from '../../view/node-view.ts';
import { nodeEventEvidence } from '../evidence.ts';
import { type Detection, defineFailure } from '../failure.ts';

interface Data {
  node: NodeView;
  backend: 'iptables' | 'nftables';
}

/**
 * portmap's own error that it has no tool: ours, and the reference's with either backend ("failed to locate iptables", "could not find nftables
 * binary"). Which tools the reporter finds proves nothing: k3s, RKE2 and MicroK8s bring their own for what their runtime starts, and an agent
 * in a container sees those of its image.
 */
const COMPLAINT =
  /portmap[\s\S]*?(?:(?:iptables|nft(?:ables)?)\b[^\n]{0,100}?(?:cannot be used|not found|no such file)|(?:failed to locate|could not find|could not initialize) (?:iptables|nft))/i;

export const netfilterToolMissing = defineFailure<Data>({
  code: 'netfilter-tool-missing',
  stage: 'installed',
  severity: 'broken',
  title: 'the node lacks the netfilter tool that portmap uses',
  explanation:
    'portmap writes its rules with iptables, or with nft when its entry has `"backend": "nftables"`. Minimal operating systems do not include ' +
    'these tools, and portmap then fails for every pod with a hostPort.',
  remedy: 'Install the package (`iptables` or `nftables`), or choose the backend whose tool is installed.',
  restart: 'no',
  sources: ['siderolabs/extensions#826'],
  mutedBy: ['plugin-missing', 'plugin-not-executable', 'plugin-wrong-architecture'],

  detect(scene) {
    return [...scene.nodes.values()].flatMap((node): Detection<Data>[] => {
      const portmap = portmapIn(node.mappingChain);
      const tools = node.seen?.netfilter.tools;
      if (portmap === undefined || tools === undefined) return [];
      const backend = portmap.fields.backend === 'nftables' ? 'nftables' : 'iptables';
      const tool = backend === 'nftables' ? 'nft' : 'iptables';
      // Without a backend in the configuration portmap takes the one that it finds.
      if (tools[tool] !== undefined || (portmap.fields.backend === undefined && tools.nft !== undefined))
        return [];
      const complaint = nodeEventEvidence(scene, node, COMPLAINT);
      if (complaint.length === 0) return [];
      const there = Object.keys(tools).sort().join(' ');
      return [
        {
          subject: { node: node.name },
          message: words('portmap of {node} needs {tool}, which it did not find', { node: node.name, tool }),
          evidence: [
            { kind: 'file', where: `netfilter tools of ${node.name}`, saw: there === '' ? '(none)' : there },
            ...complaint,
          ],
          data: { node, backend },
        },
      ];
    });
  },

  heal: ({ data: { node, backend } }) => ({
    by: 'hand',
    why: `the administrator of ${node.name} manages its packages: install ${backend === 'nftables' ? 'nftables' : 'iptables'}`,
  }),

  page: {
    see:
      "Pods with hostPorts stay in ContainerCreating; the event has `executable file not found` and the tool's name. Pods without " +
      'hostPorts start.',
    why:
      "portmap runs the node's `iptables` or `nft`. Talos, Flatcar and other minimal systems lack one or the other; Debian removed " +
      'iptables from its default installation.',
    check: {
      run: ['ls -l /usr/sbin/iptables /usr/sbin/nft', 'grep backend -r /etc/cni/net.d'],
      look:
        'The tool of the `backend` (iptables when none is set) is not on the node. k3s, RKE2 and MicroK8s bring their own tools for ' +
        "the processes that their runtime starts: portmap may find a tool there that the node's shell does not find. The doctor " +
        'therefore relies on the event.',
    },
    fix: 'Install the package, or set `"backend"` in the portmap entry to the one whose tool is installed.',
  },
});
