import { listDocument, writeConfig } from '../../heal/conf-plans.ts';
import { changePortmap } from '../../heal/list-document.ts';
import { words } from '../../model/message.ts';
import { known } from '../../model/observed.ts';
import { type ConfigFile, type NodeView, portmapIn } from '../../view/node-view.ts';
import { fileEvidence } from '../evidence.ts';
import { type Detection, defineFailure } from '../failure.ts';

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
    'A runtime passes the port mappings of a pod only to plugins whose entry has `"capabilities": {"portMappings": true}`. Without it, portmap ' +
    'receives no mappings, does nothing and reports success.',
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
      const portmap = portmapIn(node.chain);
      if (portmap === undefined || portmap.capabilities.portMappings === true) return [];
      const file = node.active!;
      // CRI-O maps the ports itself, and hands them to no plugin.
      if (known(node.seen!.runtime)?.name === 'cri-o') return [];
      return [
        {
          subject: { node: node.name },
          message: words(
            'portmap in {file} of {node} does not declare capabilities.portMappings, so it receives no port mappings',
            { file: file.name, node: node.name },
          ),
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

  page: {
    see: 'Connections are refused. The pod is Running; portmap is in the chain, runs, and reports nothing.',
    why: [
      'The CNI conventions define this: the runtime sets `runtimeConfig.portMappings` only for plugins whose entry declares the ' +
        'capability.',
      'Where the runtime still has a list loaded that maps ports, the finding is a risk: new pods work until the runtime reads ' +
        'the file.',
    ],
    check: {
      run: [
        'grep -A3 portmap /etc/cni/net.d/000-cilium-portmap.conflist',
        'grep -l portMappings -r /etc/cni/net.d',
      ],
      look: 'The portmap entry has no `"capabilities": {"portMappings": true}`.',
    },
    fix: 'Add it, in the file that is in use. Pods created earlier have no mapping: recreate them.',
  },
});
