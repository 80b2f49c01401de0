import type { Trace } from '../../netfilter/index.ts';
import { isLoopbackText } from '../../util/address.ts';
import { canonicalAddress } from '../../util/ip.ts';
import type { Observed } from '../model/observed.ts';
import { vantages } from '../model/probe.ts';
import type { Stage } from '../model/stages.ts';
import { answersFromElsewhere } from '../stages/evidence.ts';
import { chainedPortmap } from '../view/chained-portmap.ts';
import { forwardingOf } from '../view/clear-way.ts';
import { lacksSandbox } from '../view/lacks-sandbox.ts';
import { devicesWithoutLocalnet } from '../view/localnet.ts';
import { portmapIn } from '../view/node-view.ts';
import { mappingFor, ownedMappings } from '../view/owned-mappings.ts';
import { addressesOfPod } from '../view/pod-addresses.ts';
import { policyAgentOf } from '../view/policy-agents.ts';
import { agentMapping, otherMapperOf, servesOthersAlone } from '../view/port-mapper.ts';
import { AWAY } from '../view/probe-facts.ts';
import type { PathView, Scene } from '../view/scene.ts';
import { endOf } from '../view/trace-end.ts';
import {
  answerTo,
  leadsToPod,
  type Origin,
  originsOf,
  podAddress,
  takersOf,
  traceFrom,
  translatesTo,
} from '../view/traces.ts';
import { describeUnknown } from '../view/unknowns.ts';

/**
 * Whether a stage was seen to hold, with the reason where it holds in another way than usual. Not knowing is an answer of its own, with the
 * reason.
 */
export type Judgement = { holds: true; why?: string } | { holds: 'unknown'; why: string };

const holds: Judgement = { holds: true };
const unknown = (why: string): Judgement => ({ holds: 'unknown', why });
/** Of what a part of a node's report would have shown: without that part, the reason is why it is not there. */
const unseen = (why: string, part: Observed<unknown> | undefined): Judgement =>
  unknown(part !== undefined && 'unknown' in part ? `${why}: ${part.unknown}` : why);

/**
 * Whether observations prove that a stage of a mapping holds. Failures say what is wrong; this says that nothing is, so that a
 * stage that could not be observed, or that failed in an unknown way, is not shown as healthy.
 */
export function judge(stage: Stage, path: PathView, scene: Scene): Judgement {
  const unreached = OF_THE_POD.includes(stage) ? whyUnreachable(path) : undefined;
  return unreached === undefined ? judges[stage](path, scene) : unknown(unreached);
}

/** The stages that are of this pod's network alone: without one, no packet comes as far, whatever the node does to those of others. */
const OF_THE_POD: readonly Stage[] = ['translated', 'forwarded', 'answered'];
const ASTRAY = 'the rules do not lead to the pod';
const NO_SANDBOX = 'the pod has no ready sandbox';
const NO_ADDRESS = 'no valid address of the pod is known';

/** Why no packet can reach the pod: it has no network. Undefined where it has one, or may have. */
function whyUnreachable(path: PathView): string | undefined {
  const { node, pod, sandbox } = path;
  // Each stage says that nothing was seen.
  if (node === undefined || 'unknown' in node.report) return undefined;
  if (lacksSandbox(path)) return NO_SANDBOX;
  return addressesOfPod(pod, sandbox).length === 0 ? NO_ADDRESS : undefined;
}

const judges: Readonly<Record<Stage, (path: PathView, scene: Scene) => Judgement>> = {
  declared: ({ node, port }) => {
    if (port.hostIP === undefined || port.hostIP === '::' || node === undefined) return holds;
    return node.isLocal(port.hostIP) === undefined
      ? unseen(
          `whether ${node.name} has the address ${port.hostIP} is not known`,
          node.seen?.network.addresses,
        )
      : holds;
  },

  scheduled: ({ node }) => (node === undefined ? unknown('the pod has no node yet') : holds),

  configured: ({ node }, scene) => {
    if (node === undefined) return unknown('the pod has no node yet');
    if ('unknown' in node.report) return unknown(node.report.unknown);
    if (node.active === undefined)
      return unseen('no configuration file was seen', node.report.value.cni.files);
    if ('unknown' in node.active.list) return unknown(node.active.list.unknown);
    if (portmapIn(node.mappingChain) !== undefined) return holds;
    const mapper = otherMapperOf(node, scene.pathsOn(node));
    return mapper === undefined
      ? unknown(`${node.active.name} has no portmap`)
      : { holds: true, why: `${node.active.name} has no portmap; ${mapper}` };
  },

  installed: ({ node }) => {
    if (node === undefined) return unknown('the pod has no node yet');
    if ('unknown' in node.report) return unknown(node.report.unknown);
    const { files, plugins } = node.report.value.cni;
    if (node.chain === undefined) return unseen('the chain is not known', files);
    for (const { type } of node.chain) {
      const [file] = node.plugin(type) ?? [];
      if (file === undefined) return unseen(`plugin ${type} was not seen`, plugins);
      if (file.format.kind === 'unreadable') {
        return unknown(`${file.directory}/${file.name} could not be read`);
      }
    }
    return holds;
  },

  attached: ({ node, sandbox, attachment }, scene) => {
    if (node === undefined) return unknown('the pod has no node yet');
    if ('unknown' in node.report) return unknown(node.report.unknown);
    const { sandboxes, cni } = node.report.value;
    if (node.sandboxes === undefined) return unseen('the runtime did not report its sandboxes', sandboxes);
    if (sandbox === undefined) return unknown(NO_SANDBOX);
    const name = `sandbox ${sandbox.id.slice(0, 13)}`;
    if (attachment === undefined) return unseen(`no cached result of ${name}`, cni.attachments);
    const isChained = chainedPortmap(attachment);
    const owned = ownedMappings(node);
    const isMapped = owned !== undefined && mappingFor(owned, sandbox, attachment.ifName) !== undefined;
    if (isChained === true || isMapped) return holds;
    const mapper = otherMapperOf(node, scene.pathsOn(node));
    if (mapper !== undefined) return { holds: true, why: `attached without portmap; ${mapper}` };
    return unknown(
      isChained === false
        ? `${name} was attached without portmap, or its portmap received no port mappings`
        : `the configuration that ${name} was attached with cannot be read`,
    );
  },

  translated: (path, scene) => {
    for (const origin of originsOf(path)) {
      const trace = traceFrom(origin, path, scene);
      if ('unknown' in trace) return unknown(trace.unknown);
      if (isEndedBefore(trace.value)) continue;
      // Without connection tracking there is no translation: the next stage reports that (netfilter-bypassed).
      if (trace.value.outcomes.every(({ notrack }) => notrack !== undefined) && hasMapping(path, scene))
        continue;
      if (!trace.value.translation.known)
        return unknown(`${origin}: ${describeUnknown(trace.value.translation.because)}`);
      if (leadsToPod(trace.value, path)) continue;
      const mapper = mapperPastRules(path, scene);
      if (mapper !== undefined) return { holds: true, why: `no rule leads to the pod; ${mapper}` };
      return unknown(`${origin}: ${ASTRAY}`);
    }
    return holds;
  },

  forwarded: (path, scene) => {
    if (path.node === undefined) return unknown('the pod has no node yet');
    const [origin] = originsOf(path);
    const trace = traceFrom(origin!, path, scene);
    if ('unknown' in trace) return unknown(trace.unknown);
    const { verdict, translation } = trace.value;
    if (isToldLast(trace.value)) return holds;
    if (!verdict.known) return unknown(`${origin}: ${describeUnknown(verdict.because)}`);
    const forwarding = forwardingOf(path);
    if (origin === 'outside' && path.node.sysctl(forwarding) === undefined) {
      return unseen(`${forwarding} of ${path.node.name} was not seen`, path.node.seen?.network.sysctls);
    }
    if (verdict.value !== 'accept')
      return unknown(`${origin}: the packet does not get through (${verdict.value})`);
    if (!translation.known) return unknown(`${origin}: ${describeUnknown(translation.because)}`);
    // What is accepted is then for the node itself.
    if (!leadsToPod(trace.value, path) && mapperPastRules(path, scene) === undefined)
      return unknown(`${origin}: ${ASTRAY}`);
    const lost = unknownAnswer(origin!, path, scene);
    if (lost !== undefined) return unknown(lost);
    const lacking = devicesWithoutLocalnet(path, scene);
    return lacking !== undefined && 'unknown' in lacking ? unknown(`loopback: ${lacking.unknown}`) : holds;
  },

  answered: (path) => {
    const { probes, address } = path;
    const seen = vantages
      .filter((vantage) => vantage !== 'direct')
      .flatMap((vantage) => probes.get(vantage) ?? [])
      // No mapping works from there, and none is asked to: v6-loopback.
      .filter(({ target }) => target.address !== '::1')
      .filter(({ vantage }) => !(['loopback', 'pod'].includes(vantage) && servesOthersAlone(path)));
    if (seen.length === 0) return unknown('not probed');
    const doubtful = seen.find(({ outcome }) => outcome !== 'answered');
    if (doubtful !== undefined) return unknown(`${doubtful.vantage}: ${doubtful.detail}`);
    const pods = podAddresses(path);
    // Without an address to compare with, nobody is accused of answering in the pod's place.
    if (pods.length === 0) return unknown(NO_ADDRESS);
    const astray = seen.find(
      ({ answeredBy }) => answeredBy !== undefined && !pods.includes(canonicalAddress(answeredBy.address)),
    );
    if (astray !== undefined) {
      return unknown(`${astray.vantage}: ${astray.answeredBy!.address} answered, not the pod`);
    }
    // What the node can do for itself says nothing of others: forwarding and firewalls concern them alone.
    if (isLoopbackText(address ?? '') || seen.some(({ vantage }) => AWAY.includes(vantage))) return holds;
    return unknown(`probed only from ${seen[0]!.from ?? 'the node'} itself, not from another machine`);
  },
};

/** Whether packets are dropped by a network policy, which the last stage reports, since it is not a fault of the node (policy-denied). */
function isToldLast(trace: Trace): boolean {
  const end = endOf(trace);
  return end !== undefined && policyAgentOf(end.rule) !== undefined;
}

/** Whether packets are dropped before they would be translated, or by a policy: a later stage reports it. */
function isEndedBefore(trace: Trace): boolean {
  const end = endOf(trace);
  return isToldLast(trace) || (end !== undefined && ['prerouting', 'output'].includes(end.base.base.hook));
}

/** Why it is not known whether the pod's answers get back, where it is seen by which device they enter the node and no machine has got one. */
function unknownAnswer(origin: Origin, path: PathView, scene: Scene): string | undefined {
  const answer = answerTo(origin, path, scene);
  if ('unknown' in answer || answersFromElsewhere(path)) return undefined;
  const { verdict } = answer.value.trace;
  if (!verdict.known) return `answers: ${describeUnknown(verdict.because)}`;
  return verdict.value === 'unknown' ? 'answers: their route is not known' : undefined;
}

/** Who maps a port past the rules of netfilter (eBPF), where no portmap is chained and the port itself is seen to answer. */
function mapperPastRules(path: PathView, scene: Scene): string | undefined {
  const { node } = path;
  if (node === undefined || node.chain === undefined || portmapIn(node.mappingChain) !== undefined)
    return undefined;
  return answersFromElsewhere(path) ? otherMapperOf(node, scene.pathsOn(node)) : agentMapping(path);
}

/** All addresses of the pod, in one spelling. */
function podAddresses({ sandbox, pod }: PathView): string[] {
  const known = [...(sandbox?.ips ?? []), ...(pod.status?.podIPs ?? []).map(({ ip }) => ip ?? '')];
  return known.filter((address) => address !== '').map(canonicalAddress);
}

/** Whether the first translation that takes the mapping's packets for certain leads to the pod's address. */
function hasMapping(path: PathView, scene: Scene): boolean {
  const address = podAddress(path);
  const taker = takersOf(path, scene)?.find(({ conditional }) => !conditional);
  return address !== undefined && taker !== undefined && translatesTo(taker.to, address);
}
