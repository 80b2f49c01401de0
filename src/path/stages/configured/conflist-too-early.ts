import { words } from '../../model/message.ts';
import type { NodeView } from '../../view/node-view.ts';
import { eventEvidence, excerpt } from '../evidence.ts';
import { type Detection, defineFailure } from '../failure.ts';

interface Data {
  node: NodeView;
}

/** How primary plugins say that their agent is not there (yet): Cilium, Calico, Flannel, the AWS and Azure plugins, our stand-in. */
const AGENT_ABSENT =
  /type="(?!portmap")[^"]+" failed \(add\).*(dial unix|connect: (no such file|connection refused)|ECONNREFUSED|ENOENT|is the agent running|agent is not there|subnet\.env: no such file|nodename: no such file)/is;

export const conflistTooEarly = defineFailure<Data>({
  code: 'conflist-too-early',
  stage: 'configured',
  severity: 'broken',
  title: 'the configuration is in use before the agent of the primary plugin is ready',
  explanation:
    'A runtime runs the chain as soon as a configuration exists. A file placed by hand, by an image or by a mount exists before the primary ' +
    "plugin's agent runs, and every new pod fails until the agent answers. Pods then start by themselves.",
  remedy:
    'Wait for the agent, or find out why it does not start (`kubectl -n kube-system get pods -o wide`). Let the agent write the configuration when it is ready.',
  restart: 'no',
  sources: ['cilium/cilium#8316', 'cilium/cilium#37477'],
  mutedBy: ['plugin-missing', 'plugin-not-executable', 'plugin-wrong-architecture'],

  detect(scene) {
    const seen = new Set<NodeView>();
    return scene.paths.flatMap(({ node, pod, sandbox }): Detection<Data>[] => {
      if (node === undefined || seen.has(node) || sandbox !== undefined) return [];
      // The newest failure counts: what failed first may have come right since.
      const last = scene.eventsOf(pod).findLast(({ type }) => type === 'Warning');
      if (last?.message === undefined || !AGENT_ABSENT.test(excerpt(last.message))) return [];
      seen.add(node);
      return [
        {
          subject: { node: node.name },
          message: words('the chain of {node} runs, but the agent of its primary plugin does not answer', {
            node: node.name,
          }),
          evidence: eventEvidence(scene, pod, AGENT_ABSENT),
          data: { node },
        },
      ];
    });
  },

  heal: ({ data: { node } }) => ({
    by: 'hand',
    why: `the agent on ${node.name} must start; the runtime then succeeds by itself`,
  }),

  page: {
    see:
      "Just after a node has booted, or while the primary CNI's agent is down, pods stay in ContainerCreating. The event has an " +
      'error of the primary plugin: `connect: no such file or directory`, `is the agent running?`.',
    why:
      'A node becomes Ready as soon as a configuration exists, and pods are scheduled to it. An agent should write its ' +
      'configuration once it is ready; a file that is part of the image, or mounted, exists too early.',
    check: {
      run: [
        'kubectl -n kube-system get pods -o wide',
        'kubectl get events -A --field-selector reason=FailedCreatePodSandBox',
      ],
      look: "The agent's pod of that node is not Ready.",
    },
    fix: 'Wait, or fix the agent. To avoid this the next time, let the agent (or a container that starts after it) write the conflist.',
  },
});
