import {
  besideConfig,
  listDocument,
  nameBefore,
  PORTMAP_ENTRY,
  writeConfig,
  writeCopy,
} from '../../heal/conf-plans.ts';
import { words } from '../../model/message.ts';
import { known } from '../../model/observed.ts';
import { mappedByPortmap } from '../../view/chained-portmap.ts';
import type { Delegate } from '../../view/delegates.ts';
import { loadedMapsPorts } from '../../view/loaded-network.ts';
import { type ConfigFile, type NodeView, portmapIn } from '../../view/node-view.ts';
import { otherMapperOf } from '../../view/port-mapper.ts';
import { AWAY, failed, probesFrom } from '../../view/probe-facts.ts';
import { attachmentEvidence, fileEvidence } from '../evidence.ts';
import { type Detection, defineFailure } from '../failure.ts';

interface Data {
  node: NodeView;
  file: ConfigFile;
  /** The chain that lacks it, where the file delegates to another. */
  delegate: Delegate | undefined;
  /** The primary plugin, when that may map the ports itself and nothing has shown that it does not. */
  mayMap: string | undefined;
}

/**
 * Plugins that can map ports without portmap, depending on their agent's configuration, which the node does not show: Cilium with its kube-proxy
 * replacement. A port that does not answer shows that they do not map ports, and so does a running pod with a mapping from portmap: whoever lets
 * Cilium map ports does not chain portmap.
 */
const MAPPING_THEMSELVES: ReadonlySet<string> = new Set(['cilium-cni']);

const FIRST = '{file}, the first of {node}, has no portmap in its chain ({plugins})';
const USED = '{file}, which the runtime of {node} uses, has no portmap in its chain ({plugins})';

/** The how-to's worker3: everything runs, nothing is logged, and the port does not answer. */
export const portmapNotChained = defineFailure<Data>({
  code: 'portmap-not-chained',
  stage: 'configured',
  severity: 'broken',
  title: 'the configuration in use does not chain portmap',
  explanation:
    'The runtime runs the plugins of one configuration, the first in its directory. When portmap is not among them, the pod starts normally, ' +
    'but no hostPort mapping is created: nothing fails and nothing is logged.',
  remedy:
    'Chain portmap behind the primary plugin in the configuration that the runtime uses. Pods created earlier have no mapping: portmap is ' +
    'attached to them while they run.',
  restart: 'avoided',
  sources: ['cilium/cilium#25791', 'rancher/rke2#3490', 'https://www.cni.dev/plugins/current/meta/portmap/'],
  mutedBy: ['conflist-renamed', 'conflist-shadowed', 'conflist-invalid'],
  ofFirstConfig: true,

  detect(scene) {
    return [...scene.nodes.values()].flatMap((node): Detection<Data>[] => {
      // Of a delegating plugin, the chain that it delegates to, where that is known.
      const chain = node.mappingChain;
      if (chain === undefined || portmapIn(chain) !== undefined || portmapIn(node.chain) !== undefined)
        return [];
      const file = node.active!;
      const delegate = known(node.delegate);
      const paths = scene.pathsOn(node);
      if (paths.length === 0) return [];
      // Until now portmap has mapped them, as the runtime has it loaded.
      const isLoaded = loadedMapsPorts(node);
      if (!isLoaded && otherMapperOf(node, paths) !== undefined) return [];
      const isDead = paths.some((path) => probesFrom(path, AWAY).some(failed));
      const reliesOn = paths.map(({ attachment }) => attachment).find(mappedByPortmap);
      const mayMap =
        // Whoever declares the capability is given the mappings, to map the ports itself (kindnet).
        chain.find(({ capabilities }) => capabilities.portMappings === true)?.type ??
        (isLoaded || isDead || reliesOn
          ? undefined
          : chain.find(({ type }) => MAPPING_THEMSELVES.has(type))?.type);
      const names = { file: file.name, node: node.name, plugins: chain.map(({ type }) => type) };
      return [
        {
          subject: { node: node.name },
          message:
            delegate !== undefined
              ? words(
                  '{from}, to which {delegating} of {file} on {node} delegates, has no portmap in its chain ({plugins})',
                  { ...names, from: delegate.from, delegating: delegate.by.type },
                )
              : mayMap === undefined
                ? words(isLoaded ? FIRST : USED, names)
                : words(`${USED}; it is unknown whether {plugin} maps hostPorts itself`, {
                    ...names,
                    plugin: mayMap,
                  }),
          evidence: [fileEvidence(file), ...(reliesOn === undefined ? [] : [attachmentEvidence(reliesOn)])],
          ...(mayMap === undefined ? {} : { severity: 'risk' as const }),
          data: { node, file, delegate, mayMap },
        },
      ];
    });
  },

  heal({ data: { node, file, delegate, mayMap } }) {
    if (delegate !== undefined) {
      return {
        by: 'hand',
        why: `${delegate.by.type} generates its configuration or reads it from elsewhere: chain portmap in ${delegate.from}, where that comes from`,
      };
    }
    if (mayMap !== undefined) {
      return {
        by: 'hand',
        why: `${mayMap} may map the ports itself (${MAPPING_THEMSELVES.has(mayMap) ? "Cilium's kube-proxy replacement" : 'it declares the capability'}), and portmap would conflict with it: probe from another machine to find out`,
      };
    }
    const document = listDocument(file);
    const why = `chain portmap behind ${file.name}`;
    const chained = { ...document, plugins: [...document.plugins, PORTMAP_ENTRY] };
    if (file.name.endsWith('.conflist')) {
      return { by: 'steps', steps: [writeConfig(node, file.path, chained, why)] };
    }
    // The owner of a single configuration may overwrite it, so our list comes before it. The network keeps its name, so that earlier
    // attachments are found under it.
    const name = nameBefore(file.name, file.name.replace(/\.[^.]*$/, '-portmap.conflist'));
    return { by: 'steps', steps: [writeCopy(node, besideConfig(file.path, name), chained, why)] };
  },

  page: {
    see:
      'Connections are refused at once. The pod is Running and Ready; there is no event, and nothing is logged. New pods have the ' +
      'same problem.',
    why: [
      'Installers of primary CNIs write a configuration with only their own plugin; the chain with portmap is an option (Cilium: ' +
        '`cni.chainingMode=portmap`) or a file that must be copied to every node, including those added later. This is the third ' +
        'worker of the how-to.',
      'Cilium with its kube-proxy replacement (`kubeProxyReplacement=true`) maps hostPorts itself, in eBPF: then nothing is ' +
        'missing, and portmap behind it would conflict. No file on the node shows this. With `cilium-cni` the failure is therefore ' +
        'certain only when a probe from another machine has failed, or when a running pod has a mapping from portmap; otherwise it ' +
        'is a risk and needs a manual step.',
      'Where the runtime still has a list loaded that maps ports, the finding is a risk: new pods work until the runtime reads ' +
        'the file.',
    ],
    check: {
      run: [
        'ls /etc/cni/net.d',
        'grep -l portmap -r /etc/cni/net.d',
        'iptables -w -t nat -S CNI-HOSTPORT-DNAT',
      ],
      look:
        'The first `.conf`, `.conflist` or `.json` by name is the one in use, and portmap is not in it. The chain ' +
        '`CNI-HOSTPORT-DNAT` does not exist, or has no line for the pod.',
    },
    fix: [
      'Write a conflist whose name sorts first, with the primary plugin followed by `{"type": "portmap", "capabilities": ' +
        '{"portMappings": true}}`. Keep the network\'s name, so that pods created earlier can still be deleted cleanly. Then ' +
        "recreate the node's pods with hostPorts: the chain runs only when a sandbox is created.",
      'Write the file in place or create it in the directory. The runtime may not notice a file that is moved in from another ' +
        'directory: [conflist-not-loaded](conflist-not-loaded.md).',
    ],
  },
});
