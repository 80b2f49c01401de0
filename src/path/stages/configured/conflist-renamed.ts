import { parseNetworkConfig } from '../../../cni/conflist.ts';
import { nameBefore, renameConfig } from '../../heal/conf-plans.ts';
import { type Message, words } from '../../model/message.ts';
import { known } from '../../model/observed.ts';
import { chainedPortmap } from '../../view/chained-portmap.ts';
import { type NodeView, portmapIn } from '../../view/node-view.ts';
import { mappingFor, ownedMappings } from '../../view/owned-mappings.ts';
import { podName } from '../../view/pod-name.ts';
import { mapsHostPorts } from '../../view/port-mapper.ts';
import type { PathView, Scene } from '../../view/scene.ts';
import { attachmentEvidence, excerpt, fileEvidence } from '../evidence.ts';
import { type Detection, defineFailure } from '../failure.ts';

interface Data {
  node: NodeView;
  /** Path of the file as it is called now, and its name before. */
  path: string;
  original: string;
  active: string | undefined;
}

export const SUFFIX = '.cilium_bak';

/**
 * Name to rename to and file content, of each configuration that Cilium put aside and that chains portmap to the primary plugin in use. What
 * chains another primary plugin (kindnet, the AWS plugin) is the network that Cilium has replaced: restoring it would break the
 * node's network.
 */
function asideWithPortmap(node: NodeView): { original: string; content: string }[] {
  if (node.active !== undefined && node.chain === undefined) return [];
  const primary = node.chain?.[0]?.type;
  return known(node.seen!.cni.files)!.flatMap(({ name, content }) => {
    if (!name.endsWith(SUFFIX) || 'unknown' in content) return [];
    const original = name.slice(0, -SUFFIX.length);
    try {
      const { plugins } = parseNetworkConfig(content.value, original);
      const isOther = primary !== undefined && plugins[0]!.type !== primary;
      return isOther || portmapIn(plugins) === undefined ? [] : [{ original, content: content.value }];
    } catch {
      // A broken file that is not in use does not matter.
      return [];
    }
  });
}

const LASTS =
  'while cni.exclusive is not false in Cilium, its agent renames it again: since 1.14 at once, before that when it starts';

/** Attachments that are shown; one is as good as a hundred. */
const MAX_RESULTS = 3;

/** The mappings of pods for which a chain without portmap ran. */
function pathsWithoutPortmap(node: NodeView, scene: Scene): PathView[] {
  const owned = ownedMappings(node) ?? new Map();
  return scene
    .pathsOn(node)
    .filter(
      ({ attachment, sandbox }) =>
        attachment !== undefined &&
        chainedPortmap(attachment) === false &&
        mappingFor(owned, sandbox!, attachment.ifName) === undefined,
    );
}

const RENAMED = '{file} of {node}, which chains portmap, is called {renamed} and is not used';
const ATTACHED = `${RENAMED}; attached without portmap: {pods}` as const;

/** The message, with the pods that were attached without portmap. */
function renamedMessage(node: NodeView, file: string, names: readonly string[]): Message {
  const args = { file, node: node.name, renamed: `${file}${SUFFIX}` };
  if (names.length === 0) return words(RENAMED, args);
  const pods = names.slice(0, MAX_RESULTS);
  const more = names.length - pods.length;
  return more === 0
    ? words(ATTACHED, { ...args, pods })
    : words(`${ATTACHED} and {more} more`, { ...args, pods, more });
}

export const conflistRenamed = defineFailure<Data>({
  code: 'conflist-renamed',
  stage: 'configured',
  severity: 'broken',
  title: 'Cilium has renamed the configuration that chains portmap',
  explanation:
    'With `cni.exclusive=true`, its default, Cilium renames every other `.conf`, `.conflist` and `.json` file of the configuration directory to ' +
    '`*.cilium_bak`. Since 1.14 its agent watches the directory and renames any file within milliseconds of its appearance, including one that ' +
    'was renamed back; before 1.14 this happens whenever the agent starts. Pods created since then have no hostPort mapping.',
  remedy:
    'Fix it in Cilium first: set `cni.chainingMode=portmap`, so that Cilium chains portmap itself, or set `cni.exclusive=false`, restart its ' +
    'agents and then rename the file back.',
  restart: 'avoided',
  sources: [
    'cilium/cilium#24389',
    'k8snetworkplumbingwg/multus-cni#972',
    'https://docs.cilium.io/en/stable/installation/cni-chaining-portmap/',
  ],
  mutedBy: [],
  ofFirstConfig: true,

  detect(scene) {
    return [...scene.nodes.values()].flatMap((node): Detection<Data>[] => {
      if (node.configs === undefined || portmapIn(node.chain) !== undefined) return [];
      // Nobody misses portmap there.
      if (mapsHostPorts(node)) return [];
      return asideWithPortmap(node)
        .slice(0, 1)
        .map(({ original, content }) => {
          const path = `${node.seen!.cni.confDir}/${original}${SUFFIX}`;
          const without = pathsWithoutPortmap(node, scene);
          const names = [...new Set(without.map(({ subject }) => podName(subject.pod!)))];
          return {
            subject: { node: node.name },
            message: renamedMessage(node, original, names),
            evidence: [
              { kind: 'file', where: path, saw: excerpt(content) },
              ...(node.active === undefined ? [] : [fileEvidence(node.active)]),
              // A pod may have several mappings.
              ...[...new Set(without.map(({ attachment }) => attachment!))]
                .slice(0, MAX_RESULTS)
                .map(attachmentEvidence),
            ],
            data: { node, path, original, active: node.active?.name },
          };
        });
    });
  },

  heal({ data: { node, path, original, active } }) {
    const name = active === undefined ? original : nameBefore(active, original);
    return {
      by: 'steps',
      steps: [renameConfig(node, path, name, `restore the name ${original} (${LASTS})`)],
    };
  },

  page: {
    see:
      "hostPorts of older pods work; those of pods created since a certain moment do not. The file in use is Cilium's own, and the " +
      'file that chained portmap is called `*.cilium_bak`.',
    why: [
      [
        '| Cilium | its file | renames others | a file that is renamed back |',
        '|---|---|---|---|',
        '| 1.14 and later | `05-cilium.conflist` | at any time, within milliseconds | is renamed again at once |',
        '| before 1.14 | `05-cilium.conf` | when the agent starts | stays until the next start |',
      ].join('\n'),
      'Cilium renames a file even while it is being written, and overwrites an older `*.cilium_bak` of the same name. It does not ' +
        'touch files with other names (`*.conflist.disabled`) or directories. Other primary plugins with an exclusive mode delete ' +
        'foreign files, so there is nothing to restore.',
    ],
    check: {
      run: [
        'ls -l --time-style=full-iso /etc/cni/net.d',
        "kubectl -n kube-system get configmap cilium-config -o jsonpath='{.data.cni-exclusive} {.data.cni-chaining-mode}'",
      ],
      look: "There is a `*.cilium_bak` that contains portmap, and no other file beside Cilium's own.",
    },
    fix:
      'Fix it in Cilium, by its Helm values: either set `cni.chainingMode=portmap`, so that Cilium chains portmap in its own list; ' +
      'or set `cni.exclusive=false` and, after its agents have restarted, rename the file back with `mv`. If the file is renamed ' +
      'back earlier, Cilium renames it again.',
    heal:
      'Where the agent watches the directory, `hostport heal` does not rename the file by itself, because the agent would undo it ' +
      'at once: the plan and the finding say what to set in Cilium, and show the `mv` to run afterwards. Whether a running agent watches ' +
      'is read from the kernel (`/proc/PID/fdinfo`). Where no agent can be seen, one may watch if `05-cilium.conflist` is the only ' +
      'configuration; once `cni.exclusive=false` is set, `hostport heal --yes --only conflist-renamed` renames the file there. The plan in ' +
      'the lab, where no agent watches:',
  },
});
