import { changePortmap, editActiveList, puttingBackConfDir } from '../conf-dir.ts';
import { listDocument, writeConfig } from '../conf-plans.ts';
import { fileEvidence } from '../evidence.ts';
import { type Detection, defineFailure } from '../failure.ts';
import { type ConfigFile, type NodeView, portmapIn } from '../node-view.ts';
import { known } from '../observed.ts';

interface Data {
  node: NodeView;
  file: ConfigFile;
}

export const capabilityMissing = defineFailure<Data>({
  code: 'capability-missing',
  stage: 'configured',
  severity: 'broken',
  title: 'portmap is chained without the portMappings capability',
  explanation:
    'A runtime hands the mappings of a pod only to plugins whose entry says `"capabilities": {"portMappings": true}`. Without it portmap is ' +
    'called with none, does nothing and succeeds.',
  remedy: 'Add the capability to the portmap entry of the configuration in use.',
  restart: 'avoided',
  sources: [
    'k8snetworkplumbingwg/multus-cni#544',
    'k8snetworkplumbingwg/multus-cni#208',
    'https://www.cni.dev/docs/conventions/#dynamic-plugin-specific-fields-capabilities--runtime-configuration',
  ],
  mutedBy: ['conflist-shadowed', 'conflist-renamed', 'conflist-invalid'],
  ofFirstConfig: true,

  detect(scene) {
    return [...scene.nodes.values()].flatMap((node): Detection<Data>[] => {
      const file = node.active;
      const portmap = portmapIn(node.chain);
      if (file === undefined || portmap === undefined || portmap.capabilities.portMappings === true)
        return [];
      // CRI-O maps the ports itself, and hands them to no plugin.
      if (known(node.seen?.runtime)?.name === 'cri-o') return [];
      return [
        {
          subject: { node: node.name },
          message: `portmap in ${file.name} of ${node.name} does not declare capabilities.portMappings, so it is never told of a port`,
          evidence: [fileEvidence(file)],
          data: { node, file },
        },
      ];
    });
  },

  heal({ data: { node, file } }) {
    const document = changePortmap(listDocument(file), (portmap) => ({
      ...portmap,
      capabilities: { ...(portmap.capabilities as object | undefined), portMappings: true },
    }));
    return {
      by: 'steps',
      steps: [writeConfig(node, file.path, document, `declare the capability in ${file.name}`)],
    };
  },

  fault: {
    does: 'takes the capability from the portmap entry of the configuration in use, and makes the pod again',
    ...puttingBackConfDir,
    async inject(door, target) {
      await door.recreate(target, async () => {
        await editActiveList(door, target.node, (list) =>
          changePortmap(list, ({ capabilities, ...rest }) => rest),
        );
      });
    },
  },
});
