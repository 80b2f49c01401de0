import { words } from '../../model/message.ts';
import { known } from '../../model/observed.ts';
import type { Delegate } from '../../view/delegates.ts';
import { type ConfigFile, type NodeView, portmapIn } from '../../view/node-view.ts';
import { fileEvidence } from '../evidence.ts';
import { type Detection, defineFailure } from '../failure.ts';

interface Data {
  file: ConfigFile;
  delegate: Delegate;
  /** Which of the two does not declare it. */
  lacking: string;
}

export const delegateCapabilityMissing = defineFailure<Data>({
  code: 'delegate-capability-missing',
  stage: 'configured',
  severity: 'broken',
  title: 'port mappings do not get through a delegating plugin to portmap',
  explanation:
    'A runtime passes the port mappings of a pod to the plugin of its own configuration. Where that is one which delegates (Multus), it needs the ' +
    'portMappings capability to receive them, and the portmap entry of the chain that it delegates to needs it as well. If either lacks it, portmap ' +
    'runs without mappings, does nothing and reports success.',
  remedy:
    'Declare `"capabilities": {"portMappings": true}` for both: the delegating plugin, and portmap in its delegate.',
  restart: 'needed',
  restartReason: 'the delegating plugin runs its delegates only when a sandbox is created',
  sources: [
    'k8snetworkplumbingwg/multus-cni#544',
    'k8snetworkplumbingwg/multus-cni#208',
    'canonical/microk8s#2483',
  ],
  mutedBy: ['conflist-shadowed', 'conflist-renamed', 'conflist-invalid'],
  ofFirstConfig: true,

  detect(scene) {
    return [...scene.nodes.values()].flatMap((node): Detection<Data>[] => {
      const delegate = known(node.delegate);
      const portmap = portmapIn(delegate?.plugins);
      if (delegate === undefined || portmap === undefined) return [];
      const { by, from } = delegate;
      const file = node.active!;
      const isOuter = by.capabilities.portMappings !== true;
      if (!isOuter && portmap.capabilities.portMappings === true) return [];
      const lacking = isOuter ? `${by.type} in ${file.name}` : `portmap in ${from}`;
      return [
        {
          subject: { node: node.name },
          message: isOuter
            ? words(
                '{lacking} of {node} does not declare capabilities.portMappings, so portmap in {from}, to which it delegates, receives no port mappings',
                { lacking, node: node.name, from },
              )
            : words(
                '{lacking} of {node}, to which {file} delegates, does not declare capabilities.portMappings, so it receives no port mappings',
                { lacking, node: node.name, file: file.name },
              ),
          evidence: [fileEvidence(file), ...otherFile(node, from).map(fileEvidence)],
          data: { file, delegate, lacking },
        },
      ];
    });
  },

  heal: ({ data: { delegate, lacking } }) => ({
    by: 'hand',
    why: `${delegate.by.type} generates its configuration, and would write it again: declare the capability for ${lacking} where that comes from`,
  }),

  page: {
    see: 'Connections are refused. The pod is Running; portmap is in the chain of the delegate, runs, and reports nothing.',
    why: [
      'Multus before 3.7 wrote `00-multus.conf` without the capabilities of the configuration that it delegates to, and so do configurations that were ' +
        'written by hand. With `clusterNetwork`, the delegate is a file of the same directory, or an object (NetworkAttachmentDefinition), which the ' +
        'doctor does not read: then the stage is unknown.',
    ],
    check: {
      run: ['cat /etc/cni/net.d/*.conf*', 'grep -c portMappings -r /etc/cni/net.d'],
      look: 'The entry of type `multus` has no `"capabilities": {"portMappings": true}` of its own, or the portmap entry of its delegate has none.',
    },
    fix: 'Declare it in both places, in what generates the file (`--multus-conf-file=auto` of a newer Multus does), and recreate the pods.',
  },
});

/** The file that a delegate is written in, where that is not the delegating one. */
function otherFile(node: NodeView, from: string): ConfigFile[] {
  return (node.configs ?? []).filter(({ name }) => name === from);
}
