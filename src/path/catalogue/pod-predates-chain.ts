import { attachPortmap } from '../attach-plan.ts';
import { chainedPortmap } from '../chained-portmap.ts';
import {
  editActiveList,
  puttingBackConfDir,
  restoreConfDir,
  snapshotConfDir,
  withoutPortmap,
} from '../conf-dir.ts';
import { answersFromElsewhere, excerpt } from '../evidence.ts';
import { type Detection, defineFailure } from '../failure.ts';
import { formatPort } from '../host-ports.ts';
import type { Sandbox } from '../node-report.ts';
import { type NodeView, portmapIn } from '../node-view.ts';
import { mappingFor, ownedMappings } from '../owned-mappings.ts';
import { podName } from '../pod-of.ts';

interface Data {
  node: NodeView;
  sandbox: Sandbox;
}

/** What is left of the how-to's worker3 once its chain is put right. */
export const podPredatesChain = defineFailure<Data>({
  code: 'pod-predates-chain',
  stage: 'attached',
  severity: 'broken',
  title: 'the pod was made before portmap was chained',
  explanation:
    "A chain runs when a pod's sandbox is made, and not again. A pod that was made before portmap was chained (or told of ports) has no mapping, while " +
    'new pods have theirs: the configuration looks right and the port stays dead.',
  remedy: 'Attach portmap to the running sandbox (`hostport heal` does), or make the pod again.',
  restart: 'avoided',
  sources: [
    'https://docs.cilium.io/en/stable/installation/cni-chaining-portmap/ (restart existing pods)',
    'https://github.com/containernetworking/cni (libcni result cache)',
  ],
  mutedBy: 'earlier',

  detect(scene) {
    return scene.paths.flatMap((path): Detection<Data>[] => {
      const { node, sandbox, attachment, port, subject } = path;
      if (node === undefined || sandbox === undefined || attachment === undefined) return [];
      if (node.chain === undefined || portmapIn(node.chain)?.capabilities.portMappings !== true) return [];
      // A cache that cannot be read proves nothing against the chain.
      if (chainedPortmap(attachment) !== false || answersFromElsewhere(path)) return [];
      // Attached by other means than the runtime's.
      const owned = ownedMappings(node);
      if (owned === undefined || mappingFor(owned, sandbox.id, attachment.ifName) !== undefined) return [];
      return [
        {
          subject,
          message: `${podName(subject.pod!)} was made before ${node.active!.name} chained portmap on ${node.name}, so ${formatPort(port)} has no mapping`,
          evidence: [
            {
              kind: 'result',
              where: `${attachment.file} (${attachment.modified})`,
              saw: excerpt(attachment.config),
            },
            {
              kind: 'runtime',
              where: `sandbox ${sandbox.id.slice(0, 13)}`,
              saw: `made ${sandbox.createdAt}`,
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
      steps: [attachPortmap(node, sandbox, `attach portmap to ${podName(sandbox)} as it runs`)],
    };
  },

  fault: {
    does: 'makes the pod while the configuration has no portmap, then puts the configuration right',
    ...puttingBackConfDir,
    async inject(door, target) {
      const before = await snapshotConfDir(door, target.node);
      await door.recreate(target, () => editActiveList(door, target.node, withoutPortmap));
      await door.untilRunning(target);
      await restoreConfDir(door, target.node, before);
    },
  },
});
