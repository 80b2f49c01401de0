import type { PluginConfigInList } from '../../../cni/conflist.ts';
import { formatPort } from '../../model/host-ports.ts';
import { words } from '../../model/message.ts';
import { known } from '../../model/observed.ts';
import { type NodeView, portmapIn } from '../../view/node-view.ts';
import { mappingOwner } from '../../view/owned-mappings.ts';
import { podName } from '../../view/pod-name.ts';
import { agentMapping, mapsHostPorts } from '../../view/port-mapper.ts';
import { probeEvidence, probesFrom } from '../../view/probe-facts.ts';
import type { PathView, Scene } from '../../view/scene.ts';
import { takersOf, translatesTo } from '../../view/traces.ts';
import { answersFromElsewhere, fileEvidence, ruleAtEvidence } from '../evidence.ts';
import { type Detection, defineFailure } from '../failure.ts';

/** What portmap's entry can ask for that has no effect where portmap is given no mappings. */
const OPTIONS = ['conditionsV4', 'conditionsV6', 'snat', 'masqAll', 'markMasqBit', 'externalSetMarkChain'];

export const runtimeOwnsHostports = defineFailure<null>({
  code: 'runtime-owns-hostports',
  stage: 'configured',
  severity: 'broken',
  title: 'CRI-O hands port mappings to no plugin, and does not map the port either',
  explanation:
    'CRI-O maps hostPorts itself and gives them to no CNI plugin: a chained portmap receives no mappings and does nothing. With ' +
    '`disable_hostport_mapping`, which is meant to leave the ports to the plugins, nobody maps them. What is configured for portmap (conditions, ' +
    "masquerading) has no effect on CRI-O's own mappings.",
  remedy:
    'Let CRI-O map the ports: remove `disable_hostport_mapping` from /etc/crio/crio.conf and crio.conf.d, restart CRI-O, and recreate the pods.',
  restart: 'needed',
  restartReason: 'CRI-O maps the ports of a pod when it creates the sandbox',
  sources: ['cri-o/cri-o#7217', 'cri-o/cri-o#941'],
  mutedBy: [],

  detect(scene) {
    return [...scene.nodes.values()].flatMap((node): Detection<null>[] => {
      const runtime = known(node.seen?.runtime);
      if (runtime?.name !== 'cri-o') return [];
      const paths = scene.pathsOn(node);
      const unmapped = paths.filter((path) => isUnmapped(path, scene));
      const ofRuntime = {
        kind: 'runtime' as const,
        where: `runtime of ${node.name}`,
        saw: `cri-o ${runtime.version}`,
      };
      const found = unmapped.map((path): Detection<null> => {
        const names = { node: node.name, port: formatPort(path.port), pod: podName(path.subject.pod!) };
        return {
          subject: path.subject,
          message: words(
            'CRI-O of {node} hands port mappings to no plugin, and has no mapping of its own for {port} of {pod}',
            names,
          ),
          evidence: [
            ofRuntime,
            ...activeFile(node),
            ...probeEvidence(probesFrom(path, ['direct', 'node', 'other-node', 'outside'])),
          ],
          data: null,
        };
      });
      return [...found, ...withoutEffect(node, paths, scene)];
    });
  },

  heal: () => ({
    by: 'hand',
    why: 'the configuration of the runtime decides it, and changing that takes a restart of the runtime and of the pods',
  }),

  page: {
    see: 'Connections are refused. The pod is Running and Ready; portmap is chained as it should be, and there is no rule for the port.',
    why: [
      'CRI-O has a mapper of its own (`KUBE-HOSTPORTS` in iptables, or a table of its own in nftables), and does not set `runtimeConfig.portMappings` ' +
        'for plugins. Where the mapper is on, ports work, and a chained portmap is idle. Options of an idle portmap are a risk: whoever wrote a condition ' +
        'there believes that it holds.',
    ],
    check: {
      run: ['iptables -w -t nat -S PREROUTING', 'iptables -w -t nat -S OUTPUT'],
      look:
        'Neither leads to `KUBE-HOSTPORTS`, nor to `CNI-HOSTPORT-DNAT`. `crio config` on the node shows `disable_hostport_mapping = true`, as do the files ' +
        'in `/etc/crio/crio.conf.d`.',
    },
    fix: 'Remove the setting, restart CRI-O, and recreate the pods. What portmap would be configured for has to be done in another way: CRI-O has no such options.',
  },
});

/** Whether no rule of the node leads to the pod, no agent maps ports past the rules, and nobody has seen it answer. */
function isUnmapped(path: PathView, scene: Scene): boolean {
  const { sandbox, node } = path;
  const takers = takersOf(path, scene);
  if (sandbox === undefined || takers === undefined || answersFromElsewhere(path)) return false;
  if ((node !== undefined && mapsHostPorts(node)) || agentMapping(path) !== undefined) return false;
  return !takers.some(({ to }) => sandbox.ips.some((ip) => translatesTo(to, ip)));
}

/** A portmap with options, on a node whose mappings are CRI-O's. */
function withoutEffect(node: NodeView, paths: readonly PathView[], scene: Scene): Detection<null>[] {
  const portmap = portmapIn(node.mappingChain);
  const options = portmap === undefined ? [] : optionsOf(portmap);
  if (options.length === 0) return [];
  const mapped = paths.flatMap((path) => {
    const taker = takersOf(path, scene)?.find(({ to }) =>
      path.sandbox?.ips.some((ip) => translatesTo(to, ip)),
    );
    return taker === undefined ? [] : [taker];
  });
  // A mapping of portmap's shows that it is given some after all.
  const [first] = mapped;
  if (first === undefined || mapped.some((taker) => mappingOwner(taker) !== undefined)) return [];
  const file = node.active!;
  return [
    {
      subject: { node: node.name },
      message: words(
        '{options:and} of portmap in {file} {options:has|have} no effect on {node}: CRI-O maps the ports itself',
        { options, file: file.name, node: node.name },
      ),
      evidence: [...activeFile(node), ruleAtEvidence(first.rule)],
      severity: 'risk',
      remedy:
        'Remove the options, or run a runtime that leaves ports to portmap: CRI-O has nothing like them.',
      data: null,
    },
  ];
}

/** The options that differ from what portmap does anyway. */
function optionsOf({ fields }: PluginConfigInList): string[] {
  return OPTIONS.filter((name) => {
    const value = fields[name];
    if (value === undefined || value === null || value === false) return name === 'snat' && value === false;
    return Array.isArray(value) ? value.length > 0 : !(name === 'snat' && value === true);
  });
}

function activeFile(node: NodeView) {
  return node.active === undefined ? [] : [fileEvidence(node.active)];
}
