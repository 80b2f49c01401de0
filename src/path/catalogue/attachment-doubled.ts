import { rewriteMapping } from '../attach-plan.ts';
import { ruleEvidence } from '../evidence.ts';
import { type Detection, defineFailure } from '../failure.ts';
import { formatPort } from '../host-ports.ts';
import { chainOf } from '../mapping-faults.ts';
import type { Sandbox } from '../node-report.ts';
import type { NodeView } from '../node-view.ts';
import { mappingFor, ownedMappings } from '../owned-mappings.ts';
import { podName } from '../pod-of.ts';
import { iptablesIn } from '../table-faults.ts';
import { leadsToPod, originsOf, traceFrom } from '../traces.ts';

interface Data {
  node: NodeView;
  sandbox: Sandbox;
}

export const attachmentDoubled = defineFailure<Data>({
  code: 'attachment-doubled',
  stage: 'attached',
  severity: 'broken',
  title: "the pod's own chain of rules translates to an older address first",
  explanation:
    'ADD was run twice for one sandbox, and the reference portmap appended a second translation to the first instead of replacing it. The first wins, and ' +
    'it leads to an address that the pod no longer has.',
  remedy: "Write the sandbox's chain anew.",
  restart: 'avoided',
  sources: ['containernetworking/plugins portmap (fillDnatRules appends)'],
  mutedBy: [],

  detect(scene) {
    return scene.paths.flatMap((path): Detection<Data>[] => {
      const { node, sandbox, attachment, port, subject } = path;
      if (node === undefined || sandbox === undefined) return [];
      const owned = ownedMappings(node) ?? new Map();
      const translations = mappingFor(owned, sandbox.id, attachment?.ifName)?.translations ?? [];
      const trace = traceFrom(originsOf(path)[0], path, scene);
      if (translations.length < 2 || 'unknown' in trace || !trace.value.translation.known) return [];
      const taken = trace.value.translation.value;
      // By a rule of its own chain, and not to itself.
      if (taken === undefined || leadsToPod(trace.value, path)) return [];
      if (!translations.some(({ rule }) => rule === taken.rule)) return [];
      return [
        {
          subject,
          message: `the chain of ${podName(subject.pod!)} on ${node.name} translates ${formatPort(port)} to another address before its own`,
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
    steps: [rewriteMapping(node, sandbox, `write the rules of ${podName(sandbox)} anew`)],
  }),

  fault: {
    does: "puts a translation to an address that nobody has before the pod's own, in the pod's chain",
    async inject(door, target) {
      const chain = await chainOf(door, target);
      await iptablesIn(door, target.node, 'nat', '-I', chain, '1', ...doubled(target.port.hostPort));
    },
    async restore(door, { node, port }) {
      const rules = await iptablesIn(door, node, 'nat', '-S');
      const chain = rules.match(new RegExp(`^-A (CNI-DN-\\S+) .*--to-destination ${NOBODY}$`, 'm'))?.[1];
      if (chain !== undefined) await iptablesIn(door, node, 'nat', '-D', chain, ...doubled(port.hostPort));
    },
  },
});

/** An address for documentation (RFC 5737), and the discard port. */
const NOBODY = '192.0.2.9:9';

function doubled(hostPort: number): string[] {
  return ['-p', 'tcp', '--dport', String(hostPort), '-j', 'DNAT', '--to-destination', NOBODY];
}
