import { editActiveList, restoreConfDir, snapshotConfDir } from '../conf-dir.ts';
import { nodeEventEvidence } from '../evidence.ts';
import { type Detection, defineFailure } from '../failure.ts';
import type { NodeView } from '../node-view.ts';
import { bringPortmapBack, installPlugin, portmapPaths, putPortmapAside } from '../plugin-files.ts';
import { chainVersions, effectiveVersion } from '../plugin-versions.ts';

interface Data {
  node: NodeView;
}

/** What a portmap of the first releases answers, which know nothing newer than 0.3.1. */
const OLD_PORTMAP = `#!/bin/sh
if [ "$CNI_COMMAND" = VERSION ]; then
  echo '{"cniVersion":"0.3.1","supportedVersions":["0.1.0","0.2.0","0.3.0","0.3.1"]}'
  exit 0
fi
echo '{"code":1,"msg":"incompatible CNI versions","details":"plugin supports [\\"0.1.0\\" \\"0.2.0\\" \\"0.3.0\\" \\"0.3.1\\"]"}'
exit 1
`;

export const pluginTooOld = defineFailure<Data>({
  code: 'plugin-too-old',
  stage: 'installed',
  severity: 'broken',
  title: "portmap does not speak the configuration's CNI version",
  explanation:
    'The configuration asks for a version of the CNI specification that the other plugins of the chain speak and the installed portmap does not: ' +
    'it was left behind when the others were upgraded. It refuses every new pod (`incompatible CNI versions`).',
  remedy: 'Replace portmap by a current one. The runtime tries again by itself.',
  restart: 'no',
  sources: ['containernetworking/plugins#359', 'https://www.cni.dev/docs/spec/#version-negotiation'],
  mutedBy: ['cni-version-unsupported'],

  detect(scene) {
    return [...scene.nodes.values()].flatMap((node): Detection<Data>[] => {
      const wanted = effectiveVersion(node);
      const plugins = chainVersions(node);
      const portmap = plugins?.find(({ type }) => type === 'portmap');
      if (wanted === undefined || portmap === undefined || portmap.versions.includes(wanted)) return [];
      if (plugins!.some(({ type, versions }) => type !== 'portmap' && !versions.includes(wanted))) return [];
      return [
        {
          subject: { node: node.name },
          message: `${node.active?.name} of ${node.name} asks for CNI ${wanted}, and the installed portmap speaks only ${portmap.versions.join(', ')}`,
          evidence: [
            { kind: 'file', where: portmap.path, saw: `supports ${portmap.versions.join(', ')}` },
            ...nodeEventEvidence(scene, node, /incompatible CNI versions|unsupported CNI/i),
          ],
          data: { node },
        },
      ];
    });
  },

  heal({ data: { node } }) {
    return {
      by: 'steps',
      steps: [
        {
          on: 'node',
          node: node.name,
          why: 'replace portmap by a current one',
          action: installPlugin(node, 'portmap'),
        },
      ],
    };
  },

  fault: {
    does: "puts a portmap that speaks no newer CNI than 0.3.1 in portmap's place, has the configuration ask for 0.4.0, and makes the pod again",
    remember: (door, { node }) => snapshotConfDir(door, node),
    async inject(door, target) {
      await door.recreate(target, async () => {
        await putPortmapAside(door, target);
        await door.write(target.node, portmapPaths.inPlace, OLD_PORTMAP, '0755');
        await editActiveList(door, target.node, (list) => ({ ...list, cniVersion: '0.4.0' }));
      });
    },
    async restore(door, target, memo) {
      await bringPortmapBack(door, target);
      await restoreConfDir(door, target.node, memo);
    },
  },
});
