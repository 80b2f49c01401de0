import { attachPortmap } from '../../heal/attach-plan.ts';
import { formatPort } from '../../model/host-ports.ts';
import { words } from '../../model/message.ts';
import type { Sandbox } from '../../model/node-report.ts';
import { chainedPortmap } from '../../view/chained-portmap.ts';
import { type NodeView, portmapIn } from '../../view/node-view.ts';
import { mappingFor, ownedMappings } from '../../view/owned-mappings.ts';
import { podName } from '../../view/pod-name.ts';
import { answersFromElsewhere, attachmentEvidence } from '../evidence.ts';
import { type Detection, defineFailure } from '../failure.ts';

interface Data {
  node: NodeView;
  sandbox: Sandbox;
}

/** What remains of the failure of the how-to's worker3 once its chain is fixed. */
export const podPredatesChain = defineFailure<Data>({
  code: 'pod-predates-chain',
  stage: 'attached',
  severity: 'broken',
  title: 'the pod was created before portmap was chained',
  explanation:
    'The chain runs once, when the sandbox of a pod is created. A pod that was created before portmap was chained (or before its entry declared ' +
    'the portMappings capability) has no mapping, while new pods have theirs: the configuration looks right, but the port does not answer.',
  remedy: 'Attach portmap to the running sandbox (`hostport heal` does), or recreate the pod.',
  restart: 'avoided',
  sources: [
    'https://docs.cilium.io/en/stable/installation/cni-chaining-portmap/ (restart existing pods)',
    'https://github.com/containernetworking/cni (libcni result cache)',
  ],
  mutedBy: 'earlier',

  detect(scene) {
    return scene.paths.flatMap((path): Detection<Data>[] => {
      const { attachment, port, subject } = path;
      if (attachment === undefined) return [];
      const [node, sandbox] = [path.node!, path.sandbox!];
      if (portmapIn(node.chain)?.capabilities.portMappings !== true) return [];
      // A cache that cannot be read proves nothing against the chain.
      if (chainedPortmap(attachment) !== false || answersFromElsewhere(path)) return [];
      // Attached by other means than the runtime's.
      const owned = ownedMappings(node);
      if (owned === undefined || mappingFor(owned, sandbox, attachment.ifName) !== undefined) return [];
      return [
        {
          subject,
          message: words(
            '{pod} was created before {file} chained portmap on {node}, so {port} has no mapping',
            { pod: podName(subject.pod!), file: node.active!.name, node: node.name, port: formatPort(port) },
          ),
          evidence: [
            attachmentEvidence(attachment),
            {
              kind: 'runtime',
              where: `sandbox ${sandbox.id.slice(0, 13)}`,
              saw: `created ${sandbox.createdAt}`,
            },
          ],
          data: { node, sandbox },
        },
      ];
    });
  },

  heal({ data: { node, sandbox } }) {
    return {
      by: 'steps',
      steps: [attachPortmap(node, sandbox, `attach portmap to ${podName(sandbox)} while it runs`)],
    };
  },

  page: {
    see: 'The configuration of the node is right and new pods answer, but connections to this pod are refused.',
    why:
      'A later change of the configuration applies only to new sandboxes. Documentation commonly says to restart the pods, which is ' +
      "not needed: ADD needs only the sandbox's network namespace and the result of the plugins before portmap, and both still " +
      'exist.',
    check: {
      run: ['grep -L portmap -r /var/lib/cni/results', 'iptables -w -t nat -S CNI-HOSTPORT-DNAT'],
      look:
        "The cache entry of the pod's sandbox (`<network>-<container ID>-eth0`) was written without portmap (its `config` is " +
        'base64), and the chain has no line with that ID.',
    },
    fix:
      'Delete the pod, if a controller recreates it. To avoid that, run `hostport cni add` with the cached result as `prevResult`. ' +
      "`heal` does the same, and also rewrites the cache entry, so that the runtime's later DEL calls portmap.",
  },
});
