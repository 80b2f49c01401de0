import type { AddressValue } from '../../util/address.ts';
import type { Rule } from '../read/model.ts';
import { commonPart, type Link, push } from './shared-list.ts';
import type { Decision, Outcome, Packet, Step, Translation, Unknown } from './trace-types.ts';

type Assumption = Outcome['assumed'][number];

/** One of the ways that a packet may take, as far as it is known: its own state, what it passed, and what was assumed for it. */
export class Branch {
  source: AddressValue | undefined;
  destination: AddressValue | undefined;
  sourcePort: number | undefined;
  destinationPort: number | undefined;
  /** The destination is the node itself, also where its address is not known. */
  redirected = false;
  /** The destination with which it came in by lo: it goes there unless rules change that. */
  byLoopbackTo: AddressValue | undefined;
  mark: number | undefined;
  connectionMark: number | undefined = 0;
  tracking: 'not yet' | 'tracked' | 'untracked' = 'not yet';
  destinationBound = false;
  sourceBound = false;
  inputInterface: string | undefined;
  outputInterface: string | undefined;
  /** Where it goes after the output hook, whose chains see the interface of the first decision to the end (nf_hook_state). */
  nextInterface: string | undefined;
  translation: Translation | undefined;
  sourceTranslation: Translation | undefined;
  /** Whether a translation changed anything: the status bits of the connection. */
  destinationChanged = false;
  sourceChanged = false;
  notrack: Rule | undefined;
  /** What chose the zone in which its connection will be looked up. */
  zone: { rule: Rule; text: string } | undefined;
  several = false;
  delivery: Outcome['delivery'];
  steps: Link<Step> | undefined;
  assumed: Link<Assumption> | undefined;

  /** Another branch from here on, whose state is its own. */
  fork(): Branch {
    return Object.assign(new Branch(), this);
  }

  /** Notes that something unknown holds for this branch, or does not. */
  assume(unknown: Unknown, holds: boolean): Branch {
    this.assumed = push(this.assumed, { unknown, holds });
    return this;
  }
}

/** A branch at the end of its way. */
export interface Ended {
  branch: Branch;
  verdict: Outcome['verdict'];
  decision: Decision | undefined;
}

/** Makes one branch of two that nothing can tell apart any more: it has passed and assumed what both have. */
export function join(into: Branch, from: Branch): void {
  into.several = true;
  into.steps = sharedSteps(into.steps, from.steps);
  into.assumed = commonPart(into.assumed, from.assumed);
}

/** The steps of one list that are in another, too. */
function sharedSteps(of: Link<Step> | undefined, and: Link<Step> | undefined): Link<Step> | undefined {
  const common = commonPart(of, and);
  const others = new Set<Rule>();
  for (let link = and; link !== common; link = link!.previous) others.add(link!.item.rule);
  const shared: Step[] = [];
  for (let link = of; link !== common; link = link!.previous) {
    if (others.has(link!.item.rule)) shared.push(link!.item);
  }
  return shared.reduceRight(push, common);
}

/** The status bits of a branch's connection, by nft's names. */
export function statusOf(branch: Branch): string[] {
  return [...(branch.destinationChanged ? ['dnat'] : []), ...(branch.sourceChanged ? ['snat'] : [])];
}

/** Whether a packet has the template of a connection in the place of one: what carries a zone does until it is tracked. */
export function isTemplate({ tracking, zone }: Branch): boolean {
  return tracking === 'not yet' && zone !== undefined;
}

/** Whether a packet belongs to a connection here. An invalid one has been tracked, and belongs to none. */
export function hasConnection({ tracking }: Branch, { ctState }: Packet): boolean {
  return tracking === 'tracked' && ctState !== 'invalid';
}
