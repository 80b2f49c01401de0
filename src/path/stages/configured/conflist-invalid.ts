import { writeConfig } from '../../heal/conf-plans.ts';
import { words } from '../../model/message.ts';
import { known } from '../../model/observed.ts';
import { chainedPortmap } from '../../view/chained-portmap.ts';
import type { ConfigFile, NodeView } from '../../view/node-view.ts';
import { sandboxIds } from '../../view/owned-mappings.ts';
import { fileEvidence } from '../evidence.ts';
import { type Detection, defineFailure } from '../failure.ts';

interface Data {
  node: NodeView;
  file: ConfigFile;
}

export const conflistInvalid = defineFailure<Data>({
  code: 'conflist-invalid',
  stage: 'configured',
  severity: 'broken',
  title: 'the first configuration file cannot be read',
  explanation:
    'The runtime uses the first file of its configuration directory. When that file is invalid, it uses none: the node loses its network (`cni ' +
    'plugin not initialized`), becomes NotReady, and no pod can start. Running pods are not affected.',
  remedy: 'Fix the file, or remove it so that the next one is used.',
  restart: 'no',
  sources: ['https://github.com/containerd/go-cni (loadFromConfDir returns at the first error)'],
  mutedBy: [],
  ofFirstConfig: true,

  detect(scene) {
    return [...scene.nodes.values()].flatMap((node): Detection<Data>[] => {
      const file = node.active;
      // A file that could not be opened is not known to be broken.
      if (!file?.readable || 'value' in file.list) return [];
      const message = known(node.seen!.runtime)?.networkMessage ?? '';
      return [
        {
          subject: { node: node.name },
          message: words('{file}, the first configuration file of {node}, cannot be read: {why}', {
            file: file.name,
            node: node.name,
            why: file.list.unknown,
          }),
          evidence: [
            fileEvidence(file),
            ...(message === ''
              ? []
              : [{ kind: 'runtime' as const, where: `runtime of ${node.name}`, saw: message }]),
          ],
          data: { node, file },
        },
      ];
    });
  },

  heal({ data: { node, file } }) {
    // The runtime stores with every attachment the list that it used: the newest is the file as it last worked. Other tools (nerdctl, podman)
    // store theirs in the same place, so only attachments of this runtime's sandboxes count.
    const last = node.attachments
      ?.filter(({ ifName, containerId }) => ifName !== 'lo' && sandboxIds(node)?.has(containerId))
      .sort((a, b) => b.modified.localeCompare(a.modified))
      // A report only describes a file that is not a list.
      .find((attachment) => chainedPortmap(attachment) !== undefined);
    if (last === undefined || !file.name.endsWith('.conflist')) {
      return {
        by: 'hand',
        why: `no attachment on ${node.name} has a copy of ${file.name}, and hostport does not guess a network's configuration`,
      };
    }
    return {
      by: 'steps',
      steps: [
        writeConfig(
          node,
          file.path,
          last.config,
          `write ${file.name} as it was when ${last.containerId.slice(0, 13)} was attached`,
        ),
      ],
    };
  },

  page: {
    see:
      'The node becomes NotReady (`cni plugin not initialized`, `cni config load failed`); new pods stay in ContainerCreating; ' +
      'running pods are not affected and keep their hostPorts.',
    why:
      'The usual cause is an incomplete file: an editor, a full disk, a template that failed. containerd stops at the first file ' +
      'that it cannot parse; it does not try the next one.',
    check: {
      run: [
        'ls -l /etc/cni/net.d',
        'kubectl get nodes -o custom-columns=NAME:.metadata.name,READY:.status.conditions[-1].message',
        'hostport cni status --conf /etc/cni/net.d/000-cilium-portmap.conflist',
      ],
      look:
        'The first file is not JSON, or has no `name` or no `plugins`. A file that is not a configuration may contain anything, ' +
        'even a secret: reports describe it and do not quote it.',
    },
    fix:
      "Fix the file. Its previous content is in the runtime's cache: every entry of `/var/lib/cni/results` contains, base64-encoded " +
      'in `config`, the list that its attachment was created with. `heal` uses that copy.',
  },
});
