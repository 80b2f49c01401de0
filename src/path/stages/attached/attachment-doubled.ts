import { rewriteMapping } from '../../heal/attach-plan.ts';
import { formatPort } from '../../model/host-ports.ts';
import { words } from '../../model/message.ts';
import type { Sandbox } from '../../model/node-report.ts';
import type { NodeView } from '../../view/node-view.ts';
import { mappingFor, ownedMappings } from '../../view/owned-mappings.ts';
import { podName } from '../../view/pod-name.ts';
import { leadsToPod, originsOf, traceFrom } from '../../view/traces.ts';
import { ruleEvidence } from '../evidence.ts';
import { type Detection, defineFailure } from '../failure.ts';

interface Data {
  node: NodeView;
  sandbox: Sandbox;
}

export const attachmentDoubled = defineFailure<Data>({
  code: 'attachment-doubled',
  stage: 'attached',
  severity: 'broken',
  title: "the pod's own chain of rules translates to an old address first",
  explanation:
    'ADD ran twice for one sandbox, and the reference portmap appended a second translation instead of replacing the first. The first one wins, ' +
    'and it leads to an address that the pod no longer has.',
  remedy: "Rewrite the sandbox's chain.",
  restart: 'avoided',
  sources: ['containernetworking/plugins portmap (fillDnatRules appends)'],
  mutedBy: [],

  detect(scene) {
    return scene.paths.flatMap((path): Detection<Data>[] => {
      const { sandbox, attachment, port, subject } = path;
      if (sandbox === undefined) return [];
      const node = path.node!;
      const own = mappingFor(ownedMappings(node) ?? new Map(), sandbox, attachment?.ifName);
      const trace = traceFrom(originsOf(path)[0], path, scene);
      if (own === undefined || 'unknown' in trace || !trace.value.translation.known) return [];
      const { translations } = own;
      const taken = trace.value.translation.value;
      // By a rule of its own chain, and not to itself.
      if (translations.length < 2 || taken === undefined || leadsToPod(trace.value, path)) return [];
      if (!translations.some(({ rule }) => rule === taken.rule)) return [];
      return [
        {
          subject,
          message: words('the chain of {pod} on {node} translates {port} to another address before its own', {
            pod: podName(subject.pod!),
            node: node.name,
            port: formatPort(port),
          }),
          evidence: ruleEvidence(
            node,
            translations.map(({ rule }) => rule.text),
            `table ${taken.rule.location.table} of ${node.name}`,
          ),
          data: { node, sandbox },
        },
      ];
    });
  },

  heal: ({ data: { node, sandbox } }) => ({
    by: 'steps',
    steps: [rewriteMapping(node, sandbox, `rewrite the rules of ${podName(sandbox)}`)],
  }),

  page: {
    see: 'Connections to the port hang or another pod answers, although the pod has a mapping.',
    why: 'A runtime may run ADD twice for one sandbox, for example to retry after a timeout.',
    check: {
      run: ['iptables -w -t nat -S'],
      look: 'One `CNI-DN-…` chain has two rules with `DNAT --to-destination` for the same port.',
    },
    fix: "Delete the first of the two rules. hostport's portmap always rewrites the whole chain.",
  },
});
