import { rewriteMapping } from '../../heal/attach-plan.ts';
import { formatPort } from '../../model/host-ports.ts';
import { words } from '../../model/message.ts';
import type { Sandbox } from '../../model/node-report.ts';
import { known } from '../../model/observed.ts';
import { memoKey, remembered } from '../../view/memory.ts';
import { type NodeView, portmapIn } from '../../view/node-view.ts';
import { firstOwnTranslation, takesOwn } from '../../view/own-translations.ts';
import { mappingFor, type OwnedMapping, ownedMappings } from '../../view/owned-mappings.ts';
import { podName } from '../../view/pod-name.ts';
import { takersOf, translatesTo } from '../../view/traces.ts';
import { excerpt, excerptOfLines, ruleAtEvidence } from '../evidence.ts';
import { type Detection, defineFailure } from '../failure.ts';

interface Data {
  node: NodeView;
  sandbox: Sandbox;
}

export const mappingMissing = defineFailure<Data>({
  code: 'mapping-missing',
  stage: 'translated',
  severity: 'broken',
  title: "the pod's mapping is missing from the node's rules",
  explanation:
    'Rules live in the kernel, where anything may flush them: a firewall that reloads, an administrator, an upgrade. portmap runs only when a ' +
    'sandbox is created, so nothing writes the mapping again; the connection is refused, or a process on the node answers.',
  remedy:
    "Write the mapping again from the sandbox's cached result (`hostport heal` does), and find out who flushed it.",
  restart: 'avoided',
  sources: ['containernetworking/plugins#512', 'kubernetes/kubernetes#93091', 'k3s-io/k3s#8361'],
  mutedBy: 'earlier',

  detect(scene) {
    return scene.paths.flatMap((path): Detection<Data>[] => {
      const { attachment, port, subject } = path;
      // Without mappings portmap had nothing to write: CRI-O keeps them to itself.
      if (attachment === undefined || attachment.portMappings.length === 0) return [];
      const [node, sandbox] = [path.node!, path.sandbox!];
      const takers = takersOf(path, scene);
      if (portmapIn(node.mappingChain) === undefined || takers === undefined) return [];
      const owned = ownedMappings(node)!;
      const own = mappingFor(owned, sandbox, attachment.ifName);
      const isThere = own !== undefined && (subject.family === undefined || own.families.has(subject.family));
      // Rules that are there and take other packets than those of the port: of another address, most of the time.
      const astray = isThere && !takesOwn(path, scene) ? firstOwnTranslation(path)?.rule : undefined;
      if (isThere && astray === undefined) return [];
      // By rules without an owner's name, of whichever CNI: what leads to the pod is a mapping.
      if (takers.some(({ to }) => sandbox.ips.some((ip) => translatesTo(to, ip)))) return [];
      const names = { node: node.name, pod: podName(subject.pod!), port: formatPort(port) };
      return [
        {
          subject,
          message:
            astray !== undefined
              ? words('the mapping of {pod} on {node} takes no packets to {address} {port}', {
                  ...names,
                  address: path.address!,
                })
              : words('no rule of {node} names the sandbox of {pod}, so {port} leads nowhere', names),
          evidence: [
            astray !== undefined
              ? ruleAtEvidence(astray)
              : {
                  kind: 'rule',
                  where: `mappings of ${node.name}`,
                  saw: remembered(node, MAPPINGS, () => mappingsOf(node, owned)),
                },
            {
              kind: 'result',
              where: attachment.file,
              saw: excerpt(
                `attached ${attachment.modified} with portMappings ${JSON.stringify(attachment.portMappings)}`,
              ),
            },
          ],
          data: { node, sandbox },
        },
      ];
    });
  },

  heal: ({ data: { node, sandbox } }) => ({
    by: 'steps',
    steps: [rewriteMapping(node, sandbox, `write the mapping of ${podName(sandbox)} again`)],
  }),

  page: {
    see: 'Connections are refused, or a process on the node answers. The pod is Running and was reachable before.',
    why:
      "Common causes: `iptables -F`, `iptables-restore` without `--noflush`, a reload of firewalld or ufw, a CNI's cleanup job, " +
      "`nft flush ruleset` in a boot script. Kubernetes' kubenet rewrote the rules of hostPorts periodically; CNI plugins have no " +
      'such loop.',
    check: {
      run: ['iptables -w -t nat -S CNI-HOSTPORT-DNAT', 'nft list table inet hostport'],
      look:
        'No rule and no element names the sandbox of the pod; or the rules of its chain `CNI-DN-…` are for another address (`-d`), such as ' +
        '`0.0.0.0/32`, which older versions of the plugin write for `hostIP: 0.0.0.0`.',
    },
    fix:
      'Recreate the pod, or run ADD again with the cached result (`heal`). Then find out what flushed the rules: a firewall that ' +
      'owns the table will do it again. `hostport heal --watch` on the node restores the mapping within a second.',
  },
});

const MAPPINGS = memoKey<string>();

/** All mappings of a node, as evidence; where there is none, which chains there are for them. */
function mappingsOf(node: NodeView, owned: ReadonlyMap<string, OwnedMapping>): string {
  const entries = [...owned.values()].flatMap((mapping) => mapping.entries);
  if (entries.length > 0) return excerptOfLines(entries);
  const chains = new Set(known(node.ruleset)!.tables.flatMap((table) => [...table.chains.keys()]));
  // The others are many where kube-proxy or a network policy agent runs, and say nothing.
  const own = [...chains].filter((name) => name.startsWith('CNI-'));
  return excerpt(
    `(none; chains of hostPorts: ${own.join(' ') || 'none'}; others: ${chains.size - own.length})`,
  );
}
