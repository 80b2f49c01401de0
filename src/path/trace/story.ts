import { isLoopbackText } from '../../util/address.ts';
import { formatEndpoint, parseEndpoint } from '../../util/endpoint.ts';
import type { Drop, FlowRecord, TracedFlow } from '../model/flow-trace.ts';
import type { ProbeResult } from '../model/probe.ts';
import { type Direction, firstPackets } from './packets.ts';
import { type DropMeaning, dropReasons, type Gap } from './reasons.ts';
import { type PacketEnd, type TraceStep, wayOf } from './steps.ts';

/** Where the connection died. */
export interface Death {
  /** Of the packet that died, or was the last that was seen. */
  direction: Direction;
  /** Where, and why, in a sentence. */
  message: string;
  hook?: string;
  table?: string;
  chain?: string;
  rule?: string;
  /** The kernel's name for the reason. */
  reason?: string;
  /** Whether the reason is known to be that of this packet; otherwise it is the only one that fits among those of all packets meanwhile. */
  isReasonCertain?: boolean;
  /** The failure of the catalogue that it is a sign of. */
  code?: string;
  /** What the doctor says of the mapping, where that is why no rule led to the pod. */
  cause?: string;
}

/** What became of a connection. */
export interface Story {
  outcome: 'answered' | 'died' | 'inconclusive';
  /** In a sentence. */
  message: string;
  steps: TraceStep[];
  death?: Death;
  /** What is not known, and why. */
  notes: string[];
}

/** The probe that was traced. */
export interface Sender {
  /** Whether it was sent from the node's own network namespace. */
  isNode: boolean;
  /** Thread that sent it, by its number in the kernel's drops; unknown on another machine. */
  pid: number | undefined;
}

const TCP_RST = 0x04;
/** Function of the kernel that drops what has no route after a translation; what a rule of nftables drops is dropped by another. */
const REROUTING = 'nf_hook_slow';

/** What a node recorded of a probe, as a story: each step of its packets, and where the connection died and why. Pure. */
export function storyOf(
  flow: TracedFlow,
  sender: Sender,
  probe: Pick<ProbeResult, 'outcome' | 'detail'>,
  record: FlowRecord,
): Story {
  const notes = notesOn(record);
  if (!('value' in record.events)) {
    return conclude(probe, [], notes, () => withoutTrace(sender, record));
  }
  const packets = firstPackets(flow, record.events.value);
  const request = packets.request && wayOf(packets.request, record);
  const answer = packets.answer && wayOf(packets.answer, record);
  const steps = [...(request?.steps ?? []), ...(answer?.steps ?? [])];
  return conclude(probe, steps, notes, () => {
    if (request === undefined) return unseen(sender, probe, record);
    if (answer === undefined || request.end.decision !== undefined)
      return deathOf('request', request.end, flow, sender, probe, record);
    const isReset = packets.answer!.events.some(({ packet }) => ((packet?.tcpFlags ?? 0) & TCP_RST) !== 0);
    if (isReset && probe.outcome === 'refused') return refused(request.end, flow);
    return deathOf('answer', answer.end, flow, sender, probe, record);
  });
}

function conclude(
  probe: Pick<ProbeResult, 'outcome' | 'detail'>,
  steps: TraceStep[],
  notes: string[],
  look: () => Death | undefined,
): Story {
  if (probe.outcome === 'answered') {
    return { outcome: 'answered', message: `the probe was answered (${probe.detail})`, steps, notes };
  }
  const death = look();
  if (death !== undefined) return { outcome: 'died', message: death.message, steps, death, notes };
  return {
    outcome: 'inconclusive',
    message: `no place is known where it died: ${probe.detail}`,
    steps,
    notes,
  };
}

function notesOn(record: FlowRecord): string[] {
  const notes: string[] = [];
  if ('unknown' in record.events) notes.push(`rules are not traced: ${record.events.unknown}`);
  if (record.isTruncated) notes.push('the trace is longer than what is kept of it');
  if (record.devicesUnknown !== undefined) notes.push(`devices are not traced: ${record.devicesUnknown}`);
  if ('unknown' in record.drops)
    notes.push(`the kernel's reasons for drops are unknown: ${record.drops.unknown}`);
  if (record.hasLegacyRules)
    notes.push('iptables-legacy has rules, which the kernel does not trace: of these only the drop is known');
  return notes;
}

/** Without a trace of rules: the kernel's reason alone, where it is known to be that of this packet. */
function withoutTrace(sender: Sender, record: FlowRecord): Death | undefined {
  const found = reasonFor(['device', 'netfilter', 'routing', 'sending', 'socket', 'away'], sender, record);
  if (found === undefined || !found.isCertain) return undefined;
  return withReason('request', 'on its way', found);
}

function unseen(
  sender: Sender,
  probe: Pick<ProbeResult, 'outcome' | 'detail'>,
  record: FlowRecord,
): Death | undefined {
  const { outcome, detail } = probe;
  if (outcome === 'unknown') return undefined;
  if (sender.isNode) {
    if (outcome !== 'unreachable') return undefined;
    return {
      direction: 'request',
      message: `the node could not send it: ${detail}`,
      code: 'pod-route-missing',
    };
  }
  const found = reasonFor(['device', 'sending'], sender, record);
  if (found?.isCertain) return withReason('request', 'before it came to the rules of the node', found);
  if (outcome === 'refused' || record.devicesUnknown !== undefined) return undefined;
  return {
    direction: 'request',
    message: 'it never came to a device of the node: something between the client and the node drops it',
    code: 'off-node-blocked',
  };
}

function refused({ output, destination }: PacketEnd, flow: TracedFlow): Death {
  const { protocol, address, port, containerPort } = flow;
  // What went on by a device went to a pod.
  if (output !== undefined && output !== 'lo') {
    const where = containerPort === undefined ? 'its port' : `${protocol} ${containerPort}`;
    const message = `the pod behind ${output} refuses it: no socket listens on ${where} there`;
    return { direction: 'answer', message, code: 'application-not-listening' };
  }
  if (destination !== formatEndpoint({ address, port })) {
    const message = `the node itself refuses it: rules send it to ${destination}, and no socket listens there`;
    return { direction: 'answer', message, code: 'mapping-shadowed' };
  }
  const message = `the node itself refuses it: no rule sends ${protocol} ${port} to a pod, and no socket listens on it`;
  return { direction: 'answer', message, code: 'mapping-missing' };
}

function deathOf(
  direction: Direction,
  end: PacketEnd,
  flow: TracedFlow,
  sender: Sender,
  probe: Pick<ProbeResult, 'outcome' | 'detail'>,
  record: FlowRecord,
): Death | undefined {
  const { decision, hook } = end;
  const what = direction === 'request' ? 'the request' : 'the answer';
  if (decision !== undefined) return byDecision(direction, decision);
  if (probe.outcome === 'refused' && direction === 'request') return refused(end, flow);
  const gap = gapOf(end);
  const found = reasonFor([gap], sender, record);
  const at = { ...(hook !== undefined && { hook }) };
  switch (gap) {
    case 'netfilter': {
      if (hook === 'output' && startsAtLoopback(end) && !record.hasLegacyRules) {
        const message = `${what} was translated and cannot leave: a packet from 127.0.0.0/8 needs route_localnet on the device that it leaves by`;
        const reason = found && { reason: found.drop.reason, isReasonCertain: found.isCertain };
        return { direction, message, ...at, ...reason, code: 'route-localnet-off' };
      }
      // Once it has translated the destination of what the node sends, the kernel looks for another route, at the end of the same hook.
      const isRerouted = hook === 'output' && end.chain !== undefined && !record.hasLegacyRules;
      if (isRerouted && found?.drop.location === REROUTING) {
        const message = `${what} was translated by ${end.chain}, and no route leads to where it goes since`;
        const reason = { reason: found.drop.reason, isReasonCertain: found.isCertain };
        return { direction, message, ...at, ...reason, code: codeOnWay(direction, 'pod-route-missing') };
      }
      const who = record.hasLegacyRules
        ? 'a rule of iptables-legacy'
        : 'something that nftables does not trace';
      const behind = end.chain === undefined ? '' : `, after ${end.chain}`;
      const message = `${what} was dropped at hook ${hook}${behind}, by ${who}`;
      return found === undefined
        ? { direction, message, ...at }
        : { ...withReason(direction, '', found), message, ...at, code: codeOfDrop(direction, hook) };
    }
    case 'sending': {
      const silent = record.silentNeighbours.find(
        ({ address, device }) => device === end.output && addressOf(end.destination) === address,
      );
      if (silent !== undefined) {
        const message = `${what} could not be sent by ${silent.device}: nobody there answers for ${silent.address}`;
        return {
          direction,
          message,
          ...at,
          reason: 'NEIGH_FAILED',
          isReasonCertain: true,
          code: codeOnWay(direction, 'pod-route-missing'),
        };
      }
      return withReason(direction, `when it was to leave by ${end.output ?? 'a device'}`, found, at);
    }
    case 'away':
      return lost(direction, end, flow, sender, record);
    case 'device':
      return withReason(direction, 'between the device and the first hook', found, at);
    case 'routing': {
      const where = `in the routing after hook ${hook}`;
      // A route that refuses (of type unreachable or prohibit): the kernel gives no reason, and answers the sender.
      const isRefused =
        direction === 'request' && probe.outcome === 'unreachable' && found?.isCertain !== true;
      if (!isRefused) return withReason(direction, where, found, at);
      return {
        direction,
        message: `${what} was dropped ${where}: the node answered that its destination cannot be reached (${probe.detail})`,
        ...at,
        code: 'pod-route-missing',
      };
    }
    case 'socket':
      return found && withReason(direction, 'at the sockets of the node', found, at);
  }
}

/** It left by a device: what happens there is another network namespace's, or another machine's. */
function lost(
  direction: Direction,
  end: PacketEnd,
  { protocol }: TracedFlow,
  sender: Sender,
  record: FlowRecord,
): Death | undefined {
  const found = reasonFor(['away'], sender, record);
  const by = end.output ?? 'a device';
  const code = direction === 'request' ? 'not-answering' : 'off-node-blocked';
  if (found?.isCertain) {
    const where = `behind ${by}, in another network than the node's`;
    const death = withReason(direction, where, found);
    return { ...death, code: found.meaning?.isOfPods === true ? death.code! : code };
  }
  // An application need not answer what it does not understand.
  if (protocol === 'UDP' && direction === 'request') return undefined;
  const what = direction === 'request' ? 'the request' : 'the answer';
  const rest = direction === 'request' ? 'nothing came back' : 'the client did not get it';
  return {
    direction,
    message: `${what} left the node by ${by} as ${end.source} to ${end.destination}, and ${rest}`,
    code,
  };
}

function byDecision(direction: Direction, { hook, table, chain, rule, verdict, kind }: TraceStep): Death {
  const what = direction === 'request' ? 'the request' : 'the answer';
  const place = `${table} ${chain}${hook === undefined ? '' : ` (hook ${hook})`}`;
  const done = verdict === 'drop' ? 'dropped' : verdict === 'queue' ? 'handed to a program' : 'taken';
  const by = kind === 'policy' ? `the policy of ${place}` : `a rule of ${place}`;
  return {
    direction,
    message: `${what} was ${done} by ${by}${rule === undefined ? '' : `: ${rule}`}`,
    ...(hook !== undefined && { hook }),
    ...(table !== undefined && { table }),
    ...(chain !== undefined && { chain }),
    ...(rule !== undefined && { rule }),
    ...(verdict === 'drop' && { reason: 'NETFILTER_DROP', isReasonCertain: true }),
    code: codeOfDrop(direction, hook),
  };
}

function gapOf({ hook, isBehindHook, output }: PacketEnd): Gap {
  if (hook === 'ingress') return 'device';
  if (hook === 'egress') return 'away';
  if (!isBehindHook) return 'netfilter';
  if (hook === 'input') return 'socket';
  if (hook === 'postrouting') return output === undefined ? 'away' : 'sending';
  return 'routing';
}

interface Found {
  drop: Drop;
  meaning: DropMeaning | undefined;
  isCertain: boolean;
}

/** The kernel's reason among the drops meanwhile: the sender's own; otherwise the only one that fits. */
function reasonFor(gaps: readonly Gap[], { pid }: Sender, { drops }: FlowRecord): Found | undefined {
  if (!('value' in drops)) return undefined;
  const fits = ({ reason }: Drop) => {
    const meaning = dropReasons[reason];
    return gaps.includes('away') || meaning === undefined || meaning.at.some((gap) => gaps.includes(gap));
  };
  const candidates = drops.value.filter(fits);
  const own = candidates.filter((drop) => drop.pid === pid);
  // What happens before it leaves may have drops of its own (an ICMP redirect); the end of the packet is the last.
  const fitting = own.length > 0 ? own : candidates;
  const drop = gaps.includes('away') ? fitting.at(-1) : fitting[0];
  if (drop === undefined) return undefined;
  const isAlone = new Set(candidates.map(({ reason }) => reason)).size === 1;
  if (own.length === 0 && !isAlone) return undefined;
  return { drop, meaning: dropReasons[drop.reason], isCertain: own.length > 0 };
}

function withReason(
  direction: Direction,
  where: string,
  found: Found | undefined,
  at: { hook?: string } = {},
): Death {
  const what = direction === 'request' ? 'the request' : 'the answer';
  const dropped = `${what} was dropped${where === '' ? '' : ` ${where}`}`;
  if (found === undefined)
    return { direction, message: `${dropped}; the kernel's reason is not known`, ...at };
  const { drop, meaning, isCertain } = found;
  const why = meaning === undefined ? drop.reason : `${meaning.says} (${drop.reason})`;
  return {
    direction,
    message: `${dropped}: ${isCertain ? '' : 'probably '}${why}`,
    ...at,
    reason: drop.reason,
    isReasonCertain: isCertain,
    ...(meaning?.code !== undefined && { code: codeOnWay(direction, meaning.code) }),
  };
}

/** A rule that drops what is forwarded to the pod has a failure of its own. */
function codeOfDrop(direction: Direction, hook: string | undefined): string {
  return direction === 'request' && hook === 'forward' ? 'forward-policy-drop' : 'packet-dropped';
}

/** What keeps a request from the pod sends its answer elsewhere. */
function codeOnWay(direction: Direction, code: string): string {
  return direction === 'answer' && code === 'pod-route-missing' ? 'reply-misrouted' : code;
}

/** The kernel looks for another route within the hook, once the destination was translated. */
function startsAtLoopback({ source }: PacketEnd): boolean {
  return isLoopbackText(addressOf(source));
}

function addressOf(endpoint: string): string {
  return parseEndpoint(endpoint)?.address ?? endpoint;
}
