import { activeList } from '../conf-dir.ts';
import { excerpt } from '../evidence.ts';
import { type Detection, defineFailure } from '../failure.ts';
import type { CachedAttachment } from '../node-report.ts';
import type { NodeView } from '../node-view.ts';
import { sandboxIds } from '../owned-mappings.ts';

interface Data {
  node: NodeView;
  attachment: CachedAttachment;
}

const NETNS = 'never-deleted';

export const deleteAborted = defineFailure<Data>({
  code: 'delete-aborted',
  stage: 'attached',
  severity: 'risk',
  leftover: true,
  title: 'an attachment was never deleted to the end',
  explanation:
    'A runtime runs DEL of the chain from its last plugin to its first and stops at the first that fails, or dies in between. What the others hold is ' +
    'never given back: addresses, links, rules. The runtime forgets the sandbox; only its cached result remains.',
  remedy: 'Run DEL for the attachments whose sandbox is gone, and GC.',
  restart: 'no',
  sources: [
    'containerd/containerd#12130',
    'containerd/go-cni#60',
    'https://www.cni.dev/docs/spec/#gc-clean-up-any-stale-resources',
  ],
  mutedBy: [],

  detect(scene) {
    return [...scene.nodes.values()].flatMap((node) =>
      (node.attachments ?? []).flatMap((attachment): Detection<Data>[] => {
        const { containerId, networkName, file, ifName } = attachment;
        if (sandboxIds(node)?.has(containerId) !== false) return [];
        // While its namespace is there it is being made or taken down: a runtime lists a sandbox only once it is made.
        if (attachment.netnsExists) return [];
        // Other runtimes keep their results in the same place: only networks of this one are judged.
        if (ifName === 'lo' || node.active === undefined || !('value' in node.active.list)) return [];
        if (node.active.list.value.name !== networkName) return [];
        return [
          {
            subject: { node: node.name },
            message: `${node.name} remembers an attachment of container ${containerId.slice(0, 13)} to ${networkName}, whose sandbox is gone`,
            evidence: [{ kind: 'result', where: file, saw: excerpt(JSON.stringify(attachment.result)) }],
            data: { node, attachment },
          },
        ];
      }),
    );
  },

  heal: ({ data: { node } }) => ({
    by: 'steps',
    steps: [
      {
        on: 'node',
        node: node.name,
        why: `give back what sandboxes that are gone held on ${node.name}`,
        action: { do: 'collect', config: node.active!.path },
      },
    ],
  }),

  fault: {
    does: 'attaches a network namespace of its own to the network, and deletes it without a DEL',
    async inject(door, target) {
      const { path } = await activeList(door, target.node);
      await door.run(target.node, ['ip', 'netns', 'add', NETNS]);
      await door.run(target.node, [
        ...['hostport', 'cni', 'add', '--conf', path, '--netns', `/run/netns/${NETNS}`],
        ...['--container-id', NETNS, '--ifname', 'eth0', '--cap', 'portMappings=8094:8080'],
      ]);
      await door.run(target.node, ['ip', 'netns', 'del', NETNS]);
    },
    async restore(door, target) {
      const { path } = await activeList(door, target.node);
      await door.run(target.node, [
        ...['hostport', 'cni', 'del', '--conf', path, '--netns', `/run/netns/${NETNS}`],
        ...['--container-id', NETNS, '--ifname', 'eth0'],
      ]);
      if ((await door.list(target.node, '/run/netns')).includes(NETNS)) {
        await door.run(target.node, ['ip', 'netns', 'del', NETNS]);
      }
    },
  },
});
