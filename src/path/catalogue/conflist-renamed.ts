import { parseNetworkConfig } from '../../cni/conflist.ts';
import { activeList, CONF_DIR, formatDocument, puttingBackConfDir, withoutPortmap } from '../conf-dir.ts';
import { nameBefore, renameConfig } from '../conf-plans.ts';
import { excerpt } from '../evidence.ts';
import { type Detection, defineFailure } from '../failure.ts';
import { type NodeView, portmapIn } from '../node-view.ts';
import { known } from '../observed.ts';

interface Data {
  node: NodeView;
  /** Path of the file as it is called now, and its name before. */
  path: string;
  original: string;
  active: string | undefined;
}

const SUFFIX = '.cilium_bak';

/**
 * Name to rename to and file content, of each configuration that Cilium put aside and that chains portmap to the primary plugin in use. What
 * chains another primary plugin (kindnet, the AWS plugin) is the network that Cilium has replaced: to bring it back would take the node's
 * network away.
 */
function asideWithPortmap(node: NodeView): { original: string; content: string }[] {
  if (node.active !== undefined && node.chain === undefined) return [];
  const primary = node.chain?.[0]?.type;
  return (known(node.seen?.cni.files) ?? []).flatMap(({ name, content }) => {
    if (!name.endsWith(SUFFIX) || 'unknown' in content) return [];
    const original = name.slice(0, -SUFFIX.length);
    try {
      const { plugins } = parseNetworkConfig(content.value, original);
      const isOther = primary !== undefined && plugins[0]?.type !== primary;
      return isOther || portmapIn(plugins) === undefined ? [] : [{ original, content: content.value }];
    } catch {
      // A broken file that nobody uses is nobody's failure.
      return [];
    }
  });
}

export const conflistRenamed = defineFailure<Data>({
  code: 'conflist-renamed',
  stage: 'configured',
  severity: 'broken',
  title: 'Cilium has renamed the configuration that chains portmap',
  explanation:
    'With `cni.exclusive=true`, its default, Cilium renames every other file of the configuration directory to `*.cilium_bak` whenever its ' +
    'agent starts. A chain that worked is gone after the next rollout, and only pods made from then on are hit.',
  remedy:
    'Give the file its name back, and set `cni.exclusive=false` (or `cni.chainingMode=portmap`) in Cilium, or the next start of its agent renames it again.',
  restart: 'avoided',
  sources: [
    'k8snetworkplumbingwg/multus-cni#972',
    'https://docs.cilium.io/en/stable/installation/cni-chaining-portmap/',
  ],
  mutedBy: [],
  ofFirstConfig: true,

  detect(scene) {
    return [...scene.nodes.values()].flatMap((node): Detection<Data>[] => {
      if (node.configs === undefined || portmapIn(node.chain) !== undefined) return [];
      return asideWithPortmap(node)
        .slice(0, 1)
        .map(({ original, content }) => {
          const path = `${node.seen!.cni.confDir}/${original}${SUFFIX}`;
          return {
            subject: { node: node.name },
            message: `${original} of ${node.name}, which chains portmap, is called ${original}${SUFFIX} and is not used`,
            evidence: [{ kind: 'file', where: path, saw: excerpt(content) }],
            data: { node, path, original, active: node.active?.name },
          };
        });
    });
  },

  heal({ data: { node, path, original, active } }) {
    const name = active === undefined ? original : nameBefore(active, original);
    return { by: 'steps', steps: [renameConfig(node, path, name, `give ${original} its name back`)] };
  },

  fault: {
    does: "does what Cilium's exclusive mode does: renames the configuration in use, writes one of the primary plugin alone; and makes the pod again",
    ...puttingBackConfDir,
    async inject(door, target) {
      await door.recreate(target, async () => {
        const { path, list } = await activeList(door, target.node);
        const alone = formatDocument(withoutPortmap(list));
        await door.write(target.node, `${CONF_DIR}/05-cilium.conflist`, alone);
        await door.run(target.node, ['mv', '--', path, `${path}${SUFFIX}`]);
      });
    },
  },
});
