import {
  type Condition,
  conditionText,
  type Reached,
  type Rule,
  type Step,
  type TranslationCandidate,
} from '../../../netfilter/index.ts';
import { DNAT_CHAIN, ENTRY_JUMP } from '../../../portmap/layout.ts';
import { FAMILY_OF_NFT, type NftFamily } from '../../../util/family.ts';
import type { HealStep } from '../../model/action.ts';
import { formatPort } from '../../model/host-ports.ts';
import { words } from '../../model/message.ts';
import { known } from '../../model/observed.ts';
import type { NodeView } from '../../view/node-view.ts';
import { ownTranslations, takesOwn } from '../../view/own-translations.ts';
import { isGone, mappingOwner, sandboxIds } from '../../view/owned-mappings.ts';
import { podName } from '../../view/pod-name.ts';
import type { PathView, Scene } from '../../view/scene.ts';
import {
  conditionsOnClients,
  originsOf,
  takerOf,
  takersOf,
  traceFrom,
  translatesTo,
} from '../../view/traces.ts';
import { answersFromElsewhere, ruleAtEvidence } from '../evidence.ts';
import { type Detection, defineFailure } from '../failure.ts';
import { referenceOwner } from '../reference-table.ts';

interface Data {
  node: NodeView;
  /** What takes the port. */
  by:
    | { taker: TranslationCandidate; own: TranslationCandidate }
    | { passing: Rule }
    /** Rules that let some clients pass. */
    | { exempting: readonly [Rule, ...Rule[]] };
}

export const mappingShadowed = defineFailure<Data>({
  code: 'mapping-shadowed',
  stage: 'translated',
  severity: 'broken',
  title: "another component's rule takes the port before portmap's",
  explanation:
    'The first translation that matches wins, whoever wrote it: a Service, Docker, an administrator. A rule that matches the port and precedes ' +
    "the jump to portmap's rules sends the packets elsewhere, or lets them pass as they are; the mapping behind it exists, but is never used. " +
    'Where such a rule lets only some clients pass, by their address, interface or mark, it is a risk: the mapping does not serve these clients.',
  remedy: "Move the jump to portmap's rules before it, or give one of the two another port.",
  restart: 'no',
  sources: ['containernetworking/cni#577', 'kubernetes/kubernetes#66103'],
  mutedBy: [
    'mapping-missing',
    'mapping-stale',
    'attachment-doubled',
    'entry-jump-missing',
    'service-shadowed',
  ],

  detect(scene) {
    return scene.paths.flatMap((path): Detection<Data>[] => {
      const { node, sandbox, port, subject } = path;
      const takers = takersOf(path, scene);
      if (node === undefined || takers === undefined) return [];
      const passing = passingRule(path, scene);
      if (passing !== undefined && answersFromElsewhere(path)) return [];
      if (passing !== undefined && conditionsOf(passing, path, scene).length === 0)
        return [passes(path, node, passing.rule)];
      const taker = takerOf(path, scene);
      const own = takers.find(({ to }) => sandbox?.ips.some((ip) => translatesTo(to, ip)));
      const exempting = own?.exemptions ?? (passing && [passing]) ?? [];
      if (taker === undefined || own === undefined || takers.indexOf(taker) >= takers.indexOf(own))
        return exempts(path, node, exempting, scene);
      // Other failures report the mappings of the runtime's own sandboxes, by their owner (mapping-stale, hostport-conflict, attachment-doubled).
      const mapping = mappingOwner(taker);
      if (mapping !== undefined && (isGone(node, mapping) || sandboxIds(node)?.has(mapping.containerId)))
        return [];
      const { backend, table, chain } = taker.rule.location;
      const owner =
        mapping === undefined
          ? referenceOwner(taker.rule, node)
          : `container ${mapping.containerId.slice(0, 13)} of network ${mapping.networkName}, which the runtime does not know`;
      const names = { table, chain, node: node.name, port: formatPort(port), pod: podName(subject.pod!) };
      return [
        {
          subject,
          message:
            owner === undefined
              ? words('a rule in {table} {chain} of {node} takes {port} before the mapping of {pod}', names)
              : words(
                  'a rule in {table} {chain} of {node}, which belongs to {owner}, takes {port} before the mapping of {pod}',
                  { ...names, owner },
                ),
          evidence: [
            { kind: 'rule', where: `${backend} ${table} ${chain}`, saw: taker.rule.text },
            {
              kind: 'rule',
              where: `${own.rule.location.table} ${own.rule.location.chain}`,
              saw: own.rule.text,
            },
          ],
          data: { node, by: { taker, own } },
        },
      ];
    });
  },

  heal({ data: { node, by } }) {
    if ('exempting' in by) {
      const [{ location }] = by.exempting;
      return {
        by: 'hand',
        why: `the rule in ${location.table} ${location.chain} of ${location.backend} is for some clients, so it may be there on purpose: whoever wrote it must say whether the mapping should serve them`,
      };
    }
    if ('passing' in by) {
      const { backend, family, table, chain } = by.passing.location;
      // A rule of portmap's own chains, or of a chain that somebody else has for it.
      if (backend === 'nft' || family === 'inet' || table !== 'nat' || !ENTRIES.includes(chain)) {
        return {
          by: 'hand',
          why: `the rule is in ${table} ${chain} of ${backend}: whoever wrote it must leave the port out, or delete it`,
        };
      }
      return { by: 'steps', steps: [jumpFirst(node, { backend, family, chain })] };
    }
    const { taker, own } = by;
    const { backend, family, table } = own.rule.location;
    const [entry] = own.via;
    const owner = referenceOwner(taker.rule, node);
    if (owner !== undefined) {
      return {
        by: 'hand',
        why: `the rule belongs to ${owner}: DEL for its container removes it, and so does "nft delete rule" with its handle where that container no longer exists`,
      };
    }
    // A separate chain belongs to a component (kube-proxy, Docker) that published the port: hostport must not take the port from it.
    if (taker.via.length > 0) {
      return {
        by: 'hand',
        why: `${taker.rule.location.chain} is a chain of another component, which maps the port as well: their owners must decide which of the two keeps it`,
      };
    }
    const sameTable = taker.base.backend === backend && taker.base.table === table && backend !== 'nft';
    if (!sameTable || entry === undefined || own.base.name !== taker.base.name || family === 'inet') {
      return {
        by: 'hand',
        why: `the rule is in ${taker.base.table} ${taker.base.name} of ${taker.base.backend}, before all of portmap's rules: its owner must give up the port`,
      };
    }
    return { by: 'steps', steps: [jumpFirst(node, { backend, family, chain: own.base.name })] };
  },

  page: {
    see: 'Something else answers on the port, or connections time out.',
    why: [
      "Typical cases: kube-proxy for an external IP or a LoadBalancer with the node's address, Docker's `-p`, a manual redirect. " +
        'A rule at the head of PREROUTING comes first. With nftables, the priority of the chain counts before the order.',
      "A rule in table `cni_hostport` belongs to the reference portmap's nftables backend (1.6 or newer) and has the container ID " +
        'as its comment; the finding names the pod, or says that the container no longer exists.',
    ],
    check: {
      run: ['iptables -w -t nat -S PREROUTING', 'nft list ruleset'],
      look: 'A DNAT, REDIRECT, ACCEPT or RETURN that matches the port comes before `CNI-HOSTPORT-DNAT`, or is in a chain of lower priority.',
    },
    fix:
      'Move the jump to the front, or give one of the two another port. If the other component inserts its rule again at every ' +
      'start, change its configuration.',
  },
});

/** Chains where packets to the node begin. */
const ENTRIES: readonly string[] = ['PREROUTING', 'OUTPUT'];

function passes(path: PathView, node: NodeView, rule: Rule): Detection<Data> {
  const { table, chain } = rule.location;
  return {
    subject: path.subject,
    message: words(
      'a rule in {table} {chain} of {node} lets {port} pass untranslated before the mapping of {pod}',
      {
        ...{ table, chain, node: node.name },
        ...{ port: formatPort(path.port), pod: podName(path.subject.pod!) },
      },
    ),
    evidence: [ruleAtEvidence(rule), ...ownTranslations(path).map(({ rule: own }) => ruleAtEvidence(own))],
    data: { node, by: { passing: rule } },
  };
}

/** Rules that are shown of those that let some clients pass. */
const MAX_EXEMPTING = 10;

/** What lets some clients pass, where it is known for which: a rule with a condition that is not modelled may be for none. */
function exempts(
  path: PathView,
  node: NodeView,
  exemptions: readonly Way[],
  scene: Scene,
): Detection<Data>[] {
  const found = exemptions.flatMap((way) => {
    const conditions = conditionsOf(way, path, scene);
    const modelled = conditions.filter((each) => each.kind === 'match' || each.kind === 'any-of');
    if (modelled.length < conditions.length) return [];
    const clients = modelled.map(conditionText).join(' and ') || 'that no rule ahead of it takes';
    return [{ rule: way.rule, clients }];
  });
  const [first, ...others] = found.slice(0, MAX_EXEMPTING);
  if (first === undefined) return [];
  const shown = [first, ...others];
  const { table, chain } = first.rule.location;
  return [
    {
      subject: path.subject,
      severity: 'risk',
      message: words(
        'a rule in {table} {chain} of {node} lets packets to {port} {clients:or} pass untranslated: the mapping of {pod} does not serve them',
        {
          ...{ table, chain, node: node.name },
          clients: [...new Set(shown.map(({ clients }) => clients))],
          ...{ port: formatPort(path.port), pod: podName(path.subject.pod!) },
        },
      ),
      remedy: 'Where the mapping should serve these clients, delete the rule, or leave the port out of it.',
      evidence: [
        ...shown.map(({ rule }) => ruleAtEvidence(rule)),
        ...ownTranslations(path).map(({ rule }) => ruleAtEvidence(rule)),
      ],
      data: { node, by: { exempting: [first.rule, ...others.map(({ rule }) => rule)] } },
    },
  ];
}

/** A rule, and those that lead to it. */
type Way = Pick<Reached, 'rule' | 'via'>;

function conditionsOf({ rule, via }: Way, path: PathView, scene: Scene): Condition[] {
  return conditionsOnClients([...via, rule], path, scene);
}

/** The rule by which packets to a mapping leave the translations before they come to its own; undefined when none does for certain. */
function passingRule(path: PathView, scene: Scene): Way | undefined {
  const trace = known(traceFrom(originsOf(path)[0], path, scene));
  if (trace === undefined || !trace.translation.known || trace.translation.value !== undefined)
    return undefined;
  const [outcome] = trace.outcomes;
  if (outcome === undefined || outcome.notrack !== undefined) return undefined;
  if (!takesOwn(path, scene)) return undefined;
  const steps = outcome.steps.filter(
    ({ hook, chain }) => chain.base.type === 'nat' && (hook === 'prerouting' || hook === 'output'),
  );
  const last = steps.at(-1);
  if (last?.rule.expressions.some(({ kind }) => kind === 'accept' || kind === 'return') !== true)
    return undefined;
  return { rule: last.rule, via: viaOf(last, steps) };
}

/** The rules that led to the last of the steps, outermost first. */
function viaOf(last: Step, steps: readonly Step[]): Rule[] {
  const via: Rule[] = [];
  let { chain } = last.rule.location;
  for (const { chain: base, rule, element } of steps.toReversed()) {
    const leads = [...rule.expressions, element?.verdict].some(
      (each) => (each?.kind === 'jump' || each?.kind === 'goto') && each.chain === chain,
    );
    if (base !== last.chain || !leads) continue;
    via.unshift(rule);
    ({ chain } = rule.location);
  }
  return via;
}

function jumpFirst(
  node: NodeView,
  {
    backend,
    family,
    chain,
  }: { backend: 'iptables-nft' | 'iptables-legacy'; family: NftFamily; chain: string },
): HealStep {
  return {
    on: 'node',
    node: node.name,
    why: `move the jump to ${DNAT_CHAIN} to the head of ${chain}`,
    action: {
      do: 'iptables',
      variant: backend,
      family: FAMILY_OF_NFT[family],
      table: 'nat',
      commands: [
        ['-D', chain, ...ENTRY_JUMP],
        ['-I', chain, '1', ...ENTRY_JUMP],
      ],
    },
  };
}
