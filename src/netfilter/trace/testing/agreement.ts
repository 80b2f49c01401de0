import { ExecError } from '../../../sys/exec.ts';
import type { Rule, Ruleset } from '../../read/model.ts';
import type { Seen, TraceEvent } from '../kernel-message.ts';
import { tracePacket } from '../trace.ts';
import type { Outcome, Packet } from '../trace-types.ts';
import { type KernelTrace, NODE, type Probe, WATCH } from './kernel-trace.ts';
import type { Draw } from './rule-sets.ts';
import { outcomeText } from './rules.ts';

export interface Compared {
  /** What the evaluator said and the kernel did otherwise; undefined when they agree. */
  difference: string | undefined;
  /** Whether the evaluator said what happens without an if. */
  known: boolean;
  verdict: 'accept' | 'drop' | 'unroutable';
  steps: number;
}

/** What the kernel did with a packet. */
interface Way {
  /** Places of the rules that took it, in order. */
  steps: string[];
  verdict: Compared['verdict'];
  /** What dropped it: place of a rule, or `policy of` a chain. */
  by: string | undefined;
  end: (Seen & { mark: number }) | undefined;
}

/** 128 + SIGABRT. */
const ABORTED = 134;

/** Sends the packets through the rules and compares; undefined when the tools refuse the rules. */
export async function compareWithKernel(
  kernel: KernelTrace,
  { documents, probes }: Draw,
): Promise<Compared[] | undefined> {
  const sourcePorts = await kernel.prepare(probes);
  let loaded: Awaited<ReturnType<KernelTrace['load']>>;
  try {
    loaded = await kernel.load(documents);
  } catch (error) {
    // nft 1.0.6 aborts when it lists some rules that it has loaded (`meta l4proto 99 add @set { th dport }`): an assertion of its own.
    if (error instanceof ExecError && [1, ABORTED].includes(error.result.code)) return undefined;
    throw error;
  }
  return probes.map((probe, i) => compare(kernel, probe, sourcePorts[i]!, loaded));
}

function compare(
  kernel: KernelTrace,
  probe: Probe,
  sourcePort: number,
  { ruleset, places }: { ruleset: Ruleset; places: ReadonlyMap<string, string> },
): Compared {
  const rules = new Map(
    ruleset.tables.flatMap(({ chains }) =>
      [...chains.values()].flatMap((chain) => chain.rules.map((rule) => [placeOf(rule), rule] as const)),
    ),
  );
  const events = kernel.send(probe, sourcePort);
  const way = wayOf(events, places, (place) => takes(rules.get(place)!, probe));
  const { outcomes } = tracePacket(ruleset, packetOf(probe, sourcePort), NODE);
  const verdict = way.verdict;
  const known = outcomes.length === 1 && outcomes[0]!.verdict !== 'unknown';
  const problems = outcomes.map((outcome) => problemOf(outcome, way));
  const agrees = problems.includes(undefined);
  const text = (place: string) => `${place}${rules.has(place) ? `: ${rules.get(place)!.text}` : ''}`;
  const difference = agrees
    ? undefined
    : [
        ...outcomes.map((outcome, i) => `evaluator: ${outcomeText(outcome)} (${problems[i]})`),
        `kernel: ${way.verdict} by ${way.by ?? 'nothing'}, ${JSON.stringify(way.end)}`,
        ...way.steps.map((step) => `  ${text(step)}`),
      ].join('\n');
  return { difference, known, verdict, steps: way.steps.length };
}

function packetOf(probe: Probe, sourcePort: number): Packet {
  const { from, family, protocol, source, destination, destinationPort, mark, state } = probe;
  const ofProtocol = { family, protocol, source, destination, destinationPort, sourcePort, mark };
  return from === 'node'
    ? { ...ofProtocol, entry: 'output', ctState: state }
    : { ...ofProtocol, entry: 'prerouting', inputInterface: `to-${from}`, ctState: state };
}

function placeOf({ location }: Rule): string {
  return `${location.family} ${location.table} ${location.chain} ${location.index}`;
}

/** What leaves the packet as it is. Whether a rule that only lets it continue is a step makes no difference. */
const IDLE: readonly string[] = ['neutral', 'match', 'any-of', 'opaque-match', 'continue'];

/** Whether a rule that matched does something that the evaluator calls a step. */
function takes(rule: Rule, { family }: Probe): boolean {
  return rule.expressions.some((expression) => {
    if ('family' in expression && expression.family !== undefined && expression.family !== family)
      return false;
    return !IDLE.includes(expression.kind);
  });
}

function wayOf(
  events: readonly TraceEvent[],
  places: ReadonlyMap<string, string>,
  isStep: (place: string) => boolean,
): Way {
  const way: Way = { steps: [], verdict: 'unroutable', by: undefined, end: undefined };
  for (const event of events) {
    const { packet, mark, family, table, chain, type, handle, verdict } = event;
    if (packet !== undefined) way.end = { ...packet, mark };
    else if (way.end !== undefined) way.end.mark = mark;
    const place =
      type === 'rule' && handle !== undefined
        ? places.get(`${family} ${table} ${chain} ${handle}`)
        : undefined;
    if (table !== WATCH && type === 'rule' && handle !== undefined) {
      if (place === undefined)
        throw new Error(`the kernel traced a rule that is not listed: ${JSON.stringify(event)}`);
      if (isStep(place)) way.steps.push(place);
    }
    if (verdict === 'drop') {
      way.verdict = 'drop';
      way.by = place ?? `policy of ${family} ${table} ${chain}`;
      return way;
    }
    const isLast = chain === 'input-end' || (chain === 'postrouting-end' && packet?.outputInterface !== 'lo');
    if (table === WATCH && isLast && verdict === 'accept') {
      way.verdict = 'accept';
      return way;
    }
  }
  return way;
}

/** What an outcome says that the kernel did not do; undefined when it may have been this outcome. */
function problemOf(outcome: Outcome, way: Way): string | undefined {
  const steps = outcome.steps
    .map(({ rule, hook }) => ({ rule, hook }))
    .filter(({ rule }) => rule.expressions.some(({ kind }) => !IDLE.includes(kind)))
    // What a rule looks up twice is one rule.
    .filter(({ rule, hook }, i, all) => all[i - 1]?.rule !== rule || all[i - 1]?.hook !== hook)
    .map(({ rule }) => placeOf(rule));
  const { verdict } = outcome;
  if (verdict === 'unknown') {
    const isPrefix = outcome.several
      ? isPart(steps, way.steps)
      : steps.every((step, i) => way.steps[i] === step);
    return isPrefix ? undefined : `other rules: ${steps.join(', ')}`;
  }
  const agrees = outcome.several ? isPart(steps, way.steps) : steps.join() === way.steps.join();
  if (!agrees) return `other rules: ${steps.join(', ')}`;
  const wanted = verdict === 'reject' ? 'drop' : verdict;
  if (wanted !== way.verdict) return `not ${way.verdict}`;
  const { decision } = outcome;
  if (way.verdict === 'drop') {
    const by =
      decision?.kind === 'policy'
        ? `policy of ${decision.chain.family} ${decision.chain.table} ${decision.chain.name}`
        : decision && placeOf(decision.rule);
    if (by !== way.by) return `not by ${by}`;
  }
  const { end } = way;
  // What the last chain wrote before there was no route is not traced.
  if (end === undefined || way.verdict === 'unroutable') return undefined;
  for (const field of ['source', 'destination', 'destinationPort', 'mark'] as const) {
    const expected = outcome[field];
    if (expected !== undefined && end[field] !== undefined && expected !== end[field]) {
      return `${field} ${expected}, not ${end[field]}`;
    }
  }
  if (way.verdict !== 'accept') return undefined;
  const { delivery } = outcome;
  const left = delivery?.kind === 'forward' ? delivery.outputInterface : undefined;
  return left === end.outputInterface ? undefined : `leaves by ${left}`;
}

/** Steps that several ways share are in the order of one of them: chains of the same priority may be asked in another. */
function isPart(part: readonly string[], whole: readonly string[]): boolean {
  const rest = [...whole];
  return part.every((step) => {
    const at = rest.indexOf(step);
    if (at >= 0) rest.splice(at, 1);
    return at >= 0;
  });
}
